#include "quantum/qkd/session/assessment.hpp"

#include <numeric>

#include "crypto/kdf.hpp"
#include "quantum/qkd/reconciliation/verification.hpp"

namespace qanat::qkd {
namespace {

using CountArray = std::array<std::uint64_t, intensity_count>;

IntensityCounts to_counts(const CountArray& counts) { return {static_cast<double>(counts[0]), static_cast<double>(counts[1]), static_cast<double>(counts[2])}; }
std::uint64_t total(const CountArray& counts) { return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}); }
double ratio(std::uint64_t part, std::uint64_t whole) { return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole); }

Result<void> check_rate(std::string_view basis, double rate, double limit) {
  if (rate <= limit) return {};
  return fail(ErrorCode::denied, "error rate " + std::to_string(rate) + " in the " + std::string(basis) + " basis, limit " + std::to_string(limit) +
                                     ": the optics are out of order or somebody listens");
}

/// Everything that goes into the bound.
BlockReport gather(const SessionSettings& settings, const SiftedBlock& block, const Reconciled& reconciled) {
  const LinkParameters& link = settings.parameters;
  BlockReport out;
  out.n_sift = block.key_bits;
  out.key_counts = block.key_counts;
  out.key_errors = reconciled.errors;
  out.check_counts = block.check.detections;
  out.check_errors = block.check.errors;
  out.mu = link.intensity;
  out.p = link.intensity_probability;
  out.key_basis_probability = link.key_basis_probability;
  out.gates = block.gates;
  out.qber_key = ratio(total(reconciled.errors), block.key_bits);
  out.qber_check = ratio(block.check.total_errors(), block.check.total());
  out.reconciliation = settings.reconciliation;
  out.disclosed = reconciled.disclosed;
  out.leak_model = settings.leak_model;
  const std::uint64_t parities = reconciled.disclosed.by_alice + (settings.leak_model == LeakModel::both_directions ? reconciled.disclosed.by_bob : 0);
  out.leak_charged = static_cast<double>(parities) + verification_leak_bits;
  out.bound = settings.effective_bound();
  out.first_key = settings.first_key;
  out.eps_sec = settings.eps_sec;
  out.eps_cor = settings.eps_cor;
  out.simulated_time_s = static_cast<double>(block.gates) / link.gate_rate_hz;
  out.authentication_bits_spent = tags_per_block * one_time_key_bits;
  return out;
}

BoundInput input_of(const BlockReport& report) {
  return {.bound = report.bound,
          .mu = report.mu,
          .p = report.p,
          .key_basis_probability = report.key_basis_probability,
          .pulses = static_cast<double>(report.gates),
          .n_key = to_counts(report.key_counts),
          .m_key = to_counts(report.key_errors),
          .n_check = to_counts(report.check_counts),
          .m_check = to_counts(report.check_errors),
          .lambda_EC = report.leak_charged,
          .eps_sec = report.eps_sec,
          .eps_cor = report.eps_cor};
}

/// By the link's length rule, which is noted in the report.
Result<BoundOutput> length_of(const SessionSettings& settings, BlockReport& report) {
  report.length_rule = settings.length_rule;
  if (settings.length_rule == LengthRule::observed) return key_length(input_of(report));
  ASSIGN_OR_RETURN(const AcceptanceLadder ladder, settings.acceptance_ladder());
  ASSIGN_OR_RETURN(FixedLength fixed, fixed_length(ladder, input_of(report)));
  report.rung = static_cast<std::uint8_t>(fixed.rung);
  report.thresholds = crypto::digest(crypto::Hash::sha256, encode(ladder[fixed.rung]));
  return Result<BoundOutput>(std::move(fixed.output));
}

}  // namespace

double expected_error_rate(const BasisCounts& check) { return static_cast<double>(check.total_errors() + 1) / static_cast<double>(check.total() + 1); }

Result<void> check_sifted(const SessionSettings& settings, const SiftedBlock& block) {
  if (block.key_bits < settings.block_size) {
    return fail(ErrorCode::exhausted, "only " + std::to_string(block.key_bits) + " sifted bits where " + std::to_string(settings.block_size) + " are needed");
  }
  if (block.check.total() == 0) return fail(ErrorCode::exhausted, "no events in the check basis");
  return check_rate("check", ratio(block.check.total_errors(), block.check.total()), settings.qber_max);
}

Result<BlockReport> assess(const SessionSettings& settings, const SiftedBlock& block, const Reconciled& reconciled) {
  TRY(check_sifted(settings, block));
  for (std::size_t k = 0; k < intensity_count; ++k) {
    if (reconciled.errors[k] > block.key_counts[k]) return fail(ErrorCode::conflict, "error correction: more errors than bits of an intensity");
  }
  BlockReport report = gather(settings, block, reconciled);
  TRY(check_rate("key", report.qber_key, settings.qber_max));
  ASSIGN_OR_RETURN(const BoundOutput bound, length_of(settings, report));
  report.vacuum = bound.vacuum;
  report.single = bound.single;
  report.single_check = bound.single_check;
  report.single_errors = bound.single_errors;
  report.phase_error = bound.phase_error;
  report.length = bound.bits();
  if (report.length == 0) {
    return fail(ErrorCode::exhausted, "no secret bit is left (" + std::string(name(report.bound)) + "): " + bound.why + "; phase error bound " +
                                          std::to_string(bound.phase_error) + ", " + std::to_string(report.leak_charged) + " bits disclosed, of " +
                                          std::to_string(report.n_sift) + " sifted");
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
