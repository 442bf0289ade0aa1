#include "quantum/qkd/session/settings.hpp"

#include <cmath>

#include "crypto/kdf.hpp"
#include "quantum/qkd/authentication/pool.hpp"
#include "quantum/qkd/keyrate/link_model.hpp"
#include "quantum/qkd/reconciliation/verification.hpp"
#include "quantum/qkd/sifting/sifting.hpp"

namespace qanat::qkd {
namespace {

constexpr std::size_t clicks_per_block_max = std::size_t{1} << 30;

// How the thresholds of fixed-length blocks are laid. The first rung is for a link that is as configured, and narrow: in short blocks the width of the
// thresholds costs most of the key, and a block that misses it takes the next. Then for links that are a little off, or have more errors.
constexpr std::array<RungPlan, 5> rungs{
    RungPlan{.abort_probability = 0.1, .drift = 0.0, .error_factor = 1.0}, RungPlan{.abort_probability = 0.01, .drift = 0.01, .error_factor = 1.0},
    RungPlan{.abort_probability = 1e-3, .drift = 0.03, .error_factor = 1.3}, RungPlan{.abort_probability = 1e-3, .drift = 0.03, .error_factor = 2.0},
    RungPlan{.abort_probability = 1e-3, .drift = 0.03, .error_factor = 3.0}};
constexpr double efficiency_cascade = 1.08;                    // of error correction, with room for small blocks
constexpr double efficiency_ldpc = 1.35;

/// Sifted bits of a block, but for six standard deviations.
double sifted_at_most(const SessionSettings& settings) {
  const double match = settings.parameters.key_basis_probability * settings.parameters.key_basis_probability;
  const auto clicks = static_cast<double>(clicks_needed(settings.block_size, settings.parameters.key_basis_probability));
  return match * clicks + 6.0 * std::sqrt(clicks * match * (1.0 - match));
}

}  // namespace

Bound SessionSettings::effective_bound() const {
  if (bound) return *bound;
  return parameters.intensity_probability[index_of(Intensity::vacuum)] > 0.0 ? Bound::lim_2014 : Bound::wiesemann_2026;
}

Result<AcceptanceLadder> SessionSettings::acceptance_ladder() const {
  const double match = parameters.key_basis_probability * parameters.key_basis_probability;
  const double one_way = reconciliation == ReconciliationMethod::cascade ? efficiency_cascade : efficiency_ldpc;
  const bool counts_twice = reconciliation == ReconciliationMethod::cascade && leak_model == LeakModel::both_directions;
  ASSIGN_OR_RETURN(const ExpectedBlock expected,
                   expected_block(parameters, effective_bound(),
                                  {.n_key = match * static_cast<double>(clicks_needed(block_size, parameters.key_basis_probability)),
                                   .f_EC = counts_twice ? 2.0 * one_way : one_way,
                                   .eps_sec = eps_sec,
                                   .eps_cor = eps_cor,
                                   .model = PulseModel::pulse_by_pulse}));
  BoundInput input = expected.input;
  input.lambda_EC += verification_leak_bits;
  return propose_ladder(input, rungs);
}

std::uint64_t SessionSettings::ids_per_block() const { return clicks_needed(block_size, parameters.key_basis_probability) / piece_bits_max + 1; }

Result<void> SessionSettings::validate() const {
  if (link.empty() || link.text().size() > link_id_size_max) return fail(ErrorCode::invalid_argument, "link id: must have 1 to 64 octets");
  TRY(parameters.validate());
  if (block_size < block_size_min || block_size > block_size_max) {
    return fail(ErrorCode::invalid_argument, "block_size = " + std::to_string(block_size) + ": must be between 100 and " + std::to_string(block_size_max));
  }
  if (clicks_needed(block_size, parameters.key_basis_probability) > clicks_per_block_max) {
    return fail(ErrorCode::invalid_argument, "block_size and key_basis_probability: more than 2^30 clicks per block");
  }
  if (sifted_at_most(*this) > static_cast<double>(reconciliation_bits_max)) {
    return fail(ErrorCode::invalid_argument, "block_size = " + std::to_string(block_size) + ": sifting may leave more than 2^27 bits");
  }
  if (!(eps_sec > 0.0 && eps_sec < 1.0 && eps_cor > 0.0 && eps_cor < 1.0))
    return fail(ErrorCode::invalid_argument, "eps_sec and eps_cor: must lie between 0 and 1");
  if (eps_cor < verification_collision(reconciliation_bits_max / 8))
    return fail(ErrorCode::invalid_argument, "eps_cor: smaller than the verification hash can promise");
  if (!(qber_max > 0.0 && qber_max < 0.5)) return fail(ErrorCode::invalid_argument, "qber_max: must lie between 0 and 0.5");
  if (authentication_target > pool_keys_max / 2 || authentication_reserve >= authentication_target) {
    return fail(ErrorCode::invalid_argument, "authentication reserve and target: reserve < target <= 2048");
  }
  // The bound says whether it suits the link's decoys.
  TRY(expected_block(parameters, effective_bound(), {.n_key = static_cast<double>(block_size), .eps_sec = eps_sec, .eps_cor = eps_cor}));
  // That no block of this link can give key is no fault of the settings: it is out of reach.
  if (const auto ladder = length_rule == LengthRule::fixed ? acceptance_ladder() : AcceptanceLadder{}; !ladder && ladder.error().code != ErrorCode::exhausted) {
    return fail(ladder.error());
  }
  return {};
}

Bytes SessionSettings::fingerprint() const {
  OctetWriter out;
  out.text(link.text());
  out.octets(parameters.encode());
  out.u64(block_size);
  out.f64(eps_sec);
  out.f64(eps_cor);
  out.f64(qber_max);
  out.u8(static_cast<std::uint8_t>(reconciliation));
  out.u8(static_cast<std::uint8_t>(effective_bound()));
  out.u8(static_cast<std::uint8_t>(length_rule));
  out.u8(static_cast<std::uint8_t>(leak_model));
  out.u8(static_cast<std::uint8_t>(first_key));
  out.u64(authentication_reserve);
  out.u64(authentication_target);
  return crypto::digest(crypto::Hash::sha256, out.take());
}

}  // namespace qanat::qkd
