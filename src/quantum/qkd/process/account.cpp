#include "quantum/qkd/process/account.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "quantum/qkd/session/loss.hpp"

namespace qanat::qkd {
namespace {

template <class Value>
wire::Json by_intensity(const std::array<Value, intensity_count>& values) {
  return wire::Json::object({{"signal", values[0]}, {"decoy", values[1]}, {"vacuum", values[2]}});
}

}  // namespace

wire::Json describe(const SessionSettings& settings, std::uint64_t block_id, const BlockSummary& block, RecordingOrigin origin) {
  const bool simulated = origin == RecordingOrigin::simulated;
  const BlockReport& report = block.report;
  wire::Json out = wire::Json::object({{"link", settings.link.text()},
                             {"block_id", block_id},
                             {"qber", report.qber_key},
                             {"qber_check", report.qber_check},
                             {"key_bits", block.key_bits},
                             {"rate_bps", block.rate_bps()},
                             {"n_sift", report.n_sift},
                             {"mu", by_intensity(report.mu)},
                             {"p", by_intensity(report.p)},
                             {"key_basis_probability", report.key_basis_probability},
                             {"n_key", by_intensity(report.key_counts)},
                             {"m_key", by_intensity(report.key_errors)},
                             {"n_check", by_intensity(report.check_counts)},
                             {"m_check", by_intensity(report.check_errors)},
                             {"pulses", report.gates},
                             {"reconciliation", name(report.reconciliation)},
                             {"disclosed_by_alice", report.disclosed.by_alice},
                             {"disclosed_by_bob", report.disclosed.by_bob},
                             {"leak_model", name(report.leak_model)},
                             {"leak", report.leak_charged},
                             {"bound", name(report.bound)},
                             {"length_rule", name(report.length_rule)},
                             {"rung", report.rung},
                             {"thresholds", to_hex(report.thresholds)},
                             {"vacuum_events", report.vacuum},
                             {"single_photon_events", report.single},
                             {"single_photon_check_events", report.single_check},
                             {"single_photon_check_errors", report.single_errors},
                             {"phase_error_bound", report.phase_error},
                             {"length", report.length},
                             {"eps_sec", report.eps_sec},
                             {"eps_cor", report.eps_cor},
                             {"authentication_bits_spent", report.authentication_bits_spent},
                             {"authentication_bits_refilled", report.authentication_bits_refilled},
                             {"first_key", name(report.first_key)},
                             {"agreement", to_hex(report.agreement)},
                             {"began_ms", report.times.began_ms},
                             {"simulated", simulated},
                             {simulated ? "simulated_time_s" : "recorded_time_s", report.simulated_time_s},
                             {"wall_ms", report.times.wall_ms}});
  if (const auto loss = loss_db(settings, report)) out.set("loss_db", *loss);
  return out;
}

wire::Json describe_vendor_block(const LinkId& link, std::uint64_t block_id, const BlockSummary& block) {
  const std::uint64_t wall_ms = block.report.times.wall_ms;
  return wire::Json::object({{"link", link.text()},
                             {"block_id", block_id},
                             {"qber", 0.0},
                             {"qber_known", false},
                             {"key_bits", block.key_bits},
                             {"rate_bps", 1000.0 * static_cast<double>(block.key_bits) / static_cast<double>(std::max<std::uint64_t>(wall_ms, 1))},
                             {"bound", "vendor: ETSI GS QKD 014"},
                             {"began_ms", block.report.times.began_ms},
                             {"simulated", false},
                             {"wall_ms", wall_ms}});
}

wire::Json describe(const SessionSettings& settings) {
  return wire::Json::object({{"reconciliation", name(settings.reconciliation)},
                             {"bound", name(settings.effective_bound())},
                             {"length_rule", name(settings.length_rule)},
                             {"leak_model", name(settings.leak_model)},
                             {"block_size", settings.block_size},
                             {"eps_sec", settings.eps_sec},
                             {"eps_cor", settings.eps_cor},
                             {"qber_max", settings.qber_max},
                             {"first_key", name(settings.first_key)},
                             {"authentication_reserve", settings.authentication_reserve},
                             {"authentication_target", settings.authentication_target}});
}

std::string account_of(const BlockReport& report) {
  return fmt::format(
      "{}, {} length: l {} from n_key {} (errors {}), n_check {} (errors {}), mu {}, p {}, q {}, pulses {}, leak {} ({}, {}: {} + {}), eps_sec {}, eps_cor {}; "
      "vacuum "
      "{:.1f}, single {:.1f}, single in check {:.1f} with errors {:.1f}, phase error {:.5f}; error rate {:.4f}; {:.3f} s of the optics' time",
      name(report.bound), name(report.length_rule), report.length, fmt::join(report.key_counts, "/"), fmt::join(report.key_errors, "/"),
      fmt::join(report.check_counts, "/"), fmt::join(report.check_errors, "/"), fmt::join(report.mu, "/"), fmt::join(report.p, "/"),
      report.key_basis_probability, report.gates, report.leak_charged, name(report.leak_model), name(report.reconciliation), report.disclosed.by_alice,
      report.disclosed.by_bob, report.eps_sec, report.eps_cor, report.vacuum, report.single, report.single_check, report.single_errors, report.phase_error,
      report.qber_key, report.simulated_time_s);
}

}  // namespace qanat::qkd
