#include "quantum/qkd/session/assessment.hpp"

#include "crypto/kdf.hpp"
#include "quantum/qkd/keyrate/lim2014.hpp"
#include "quantum/qkd/reconciliation/verification.hpp"

namespace qanat::qkd {
namespace {

Counts to_counts(const std::array<std::uint64_t, intensity_count>& counts) {
  return {static_cast<double>(counts[0]), static_cast<double>(counts[1]), static_cast<double>(counts[2])};
}

double ratio(std::uint64_t part, std::uint64_t whole) { return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole); }

Result<void> check_rate(std::string_view basis, double rate, double limit) {
  if (rate <= limit) return {};
  return fail(ErrorCode::denied, "error rate " + std::to_string(rate) + " in the " + std::string(basis) + " basis, limit " + std::to_string(limit) +
                                     ": the optics are out of order or somebody listens");
}

}  // namespace

Result<void> check_sifted(const SessionSettings& settings, const BasisCounts& key, const BasisCounts& check) {
  if (key.total() < settings.block_size) {
    return fail(ErrorCode::exhausted, "only " + std::to_string(key.total()) + " sifted bits where " + std::to_string(settings.block_size) + " are needed");
  }
  if (check.total() == 0) return fail(ErrorCode::exhausted, "no events in the check basis");
  return check_rate("check", ratio(check.total_errors(), check.total()), settings.qber_max);
}

Result<BlockReport> assess(const SessionSettings& settings, const BlockFacts& facts) {
  TRY(check_sifted(settings, facts.key, facts.check));
  BlockReport report;
  report.n_sift = facts.key.total();
  report.key_counts = facts.key.detections;
  report.check_counts = facts.check.detections;
  report.check_errors = facts.check.errors;
  report.qber_key = ratio(facts.corrected, facts.key.total());
  report.qber_check = ratio(facts.check.total_errors(), facts.check.total());
  TRY(check_rate("key", report.qber_key, settings.qber_max));
  report.leak_one_way = facts.parities;
  report.leak_all = 2 * facts.parities;
  report.leak_model = settings.leak_model;
  report.leak_charged = static_cast<double>(settings.leak_model == LeakModel::alice_parities ? report.leak_one_way : report.leak_all) + verification_leak_bits;
  report.eps_sec = settings.eps_sec;
  report.eps_cor = settings.eps_cor;
  report.bound = lim2014_name;
  report.simulated_time_s = static_cast<double>(facts.gates) / settings.parameters.gate_rate_hz;
  report.authentication_bits_spent = tags_per_block * one_time_key_bits;

  const LimBound bound = lim2014({.mu = settings.parameters.intensity,
                                  .p = settings.parameters.intensity_probability,
                                  .n_X = to_counts(facts.key.detections),
                                  .n_Z = to_counts(facts.check.detections),
                                  .m_Z = to_counts(facts.check.errors),
                                  .lambda_EC = report.leak_charged,
                                  .eps_sec = settings.eps_sec,
                                  .eps_cor = settings.eps_cor});
  report.phase_error_bound = bound.phi_X;
  report.length = bound.length();
  if (report.length == 0) {
    return fail(ErrorCode::exhausted, "no secret bit is left: phase error bound " + std::to_string(bound.phi_X) + ", " + std::to_string(report.leak_charged) +
                                          " bits disclosed, of " + std::to_string(report.n_sift) + " sifted");
  }
  return Result<BlockReport>(std::move(report));
}

RunId run_id(const LinkId& link, std::uint64_t block_id, ByteView alice_nonce, ByteView bob_nonce) {
  OctetWriter out;
  out.octets(as_bytes("qanat qkd run"));
  out.text(link.text());
  out.u64(block_id);
  out.octets(alice_nonce);
  out.octets(bob_nonce);
  const Bytes digest = crypto::digest(crypto::Hash::sha256, out.take());
  return RunId(ByteView(digest).first(RunId::size));
}

}  // namespace qanat::qkd
