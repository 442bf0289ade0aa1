#include "quantum/qkd/keyrate/bound.hpp"

#include <algorithm>
#include <cmath>

#include "quantum/qkd/keyrate/gllp.hpp"
#include "quantum/qkd/keyrate/lim2014.hpp"
#include "quantum/qkd/keyrate/one_decoy.hpp"

namespace qanat::qkd {
namespace {

struct Named {
  Bound bound;
  std::string_view text;
};
constexpr std::array<Named, 4> names{
    {{Bound::wiesemann_2026, "wiesemann-2026"}, {Bound::lim_2014, "lim-2014"}, {Bound::rusca_2018, "rusca-2018"}, {Bound::gllp, "gllp"}}};

constexpr double sum_tolerance = 1e-9;

std::unexpected<Error> refused(const Evidence& input, const std::string& what) {
  return fail(ErrorCode::invalid_argument, "key length, " + std::string(name(input.bound)) + ": " + what);
}

std::string shown(const std::array<double, intensity_count>& values) {
  return "{" + std::to_string(values[0]) + ", " + std::to_string(values[1]) + ", " + std::to_string(values[2]) + "}";
}

/// Which decoys the bound takes, and their order.
Result<void> check_intensities(const Evidence& input) {
  const auto& mu = input.mu;
  const auto& p = input.p;
  for (std::size_t k = 0; k < intensity_count; ++k) {
    if (!(mu[k] >= 0.0 && mu[k] <= brightest_pulse)) return refused(input, "mean photon numbers " + shown(mu) + " must be between 0 and 2");
    if (!(p[k] >= 0.0 && p[k] <= 1.0)) return refused(input, "probabilities " + shown(p) + " must be between 0 and 1");
  }
  if (std::abs(p[0] + p[1] + p[2] - 1.0) > sum_tolerance) return refused(input, "probabilities " + shown(p) + " must add up to 1");
  if (!(p[0] > 0.0 && p[1] > 0.0)) return refused(input, "signal and first decoy must both be sent");
  switch (input.bound) {
    case Bound::wiesemann_2026:
    case Bound::rusca_2018:
      if (p[2] != 0.0) return refused(input, "takes one decoy; the probability of a second one is " + std::to_string(p[2]));
      if (!(mu[0] > mu[1] && mu[1] > 0.0)) return refused(input, "mean photon numbers " + shown(mu) + " must satisfy mu1 > mu2 > 0");
      return {};
    case Bound::lim_2014:
      if (!(p[2] > 0.0)) return refused(input, "takes two decoys; only one is sent");
      if (!(mu[0] > mu[1] + mu[2] && mu[1] > mu[2])) {
        return refused(input, "mean photon numbers " + shown(mu) + " must satisfy mu1 > mu2 + mu3 and mu2 > mu3 >= 0");
      }
      return {};
    case Bound::gllp:
      if (!(p[2] > 0.0) || mu[2] != 0.0) return refused(input, "takes a weak decoy and vacuum: the third intensity must be 0 and sent");
      if (!(mu[0] > mu[1] && mu[1] > 0.0)) return refused(input, "mean photon numbers " + shown(mu) + " must satisfy mu > nu > 0");
      return {};
  }
  return refused(input, "unknown");
}

Result<void> check_counts(const Evidence& input, std::string_view basis, const CountRanges& n, const CountRanges& m) {
  for (std::size_t k = 0; k < intensity_count; ++k) {
    for (const CountRange& range : {n[k], m[k]}) {
      if (!(range.low >= 0.0 && range.low <= range.high && std::isfinite(range.high))) {
        return refused(input, "counts of the " + std::string(basis) + " basis must be finite, not negative, and their ranges in order");
      }
    }
    if (m[k].high > n[k].high || m[k].low > n[k].low) return refused(input, "more errors than events in the " + std::string(basis) + " basis");
    if (input.p[k] == 0.0 && n[k].high > 0.0) return refused(input, "events of an intensity that is never sent, " + std::string(basis) + " basis");
  }
  return {};
}

/// Gains are counts per pulse sent, so both must be known.
Result<void> check_pulses(const Evidence& input) {
  const double q = input.key_basis_probability;
  if (!(q > 0.0 && q < 1.0)) return refused(input, "probability of the key basis " + std::to_string(q) + " must lie between 0 and 1");
  if (!(std::isfinite(input.pulses) && input.pulses > 0.0)) return refused(input, "needs the number of pulses sent");
  for (std::size_t k = 0; k < intensity_count; ++k) {
    for (const CountRanges* counts : {&input.n_key, &input.m_key, &input.n_check, &input.m_check}) {
      if ((*counts)[k].low != (*counts)[k].high) return refused(input, "makes no promise about finite blocks, so there are no acceptance thresholds for it");
    }
    const double sent = input.pulses * input.p[k];
    if (input.n_key[k].high + input.n_check[k].high > sent) return refused(input, "more events than pulses");
  }
  return {};
}

Result<void> check(const Evidence& input) {
  TRY(check_intensities(input));
  TRY(check_counts(input, "key", input.n_key, input.m_key));
  TRY(check_counts(input, "check", input.n_check, input.m_check));
  if (!(std::isfinite(input.lambda_EC) && input.lambda_EC >= 0.0)) return refused(input, "disclosed bits must be a number, not negative");
  if (input.bound == Bound::gllp) return check_pulses(input);
  for (const double eps : {input.eps_sec, input.eps_cor}) {
    if (!(eps > 0.0 && eps < 1.0)) return refused(input, "eps_sec and eps_cor must lie between 0 and 1");
  }
  return {};
}

std::string reason(const Evidence& input, const BoundOutput& out) {
  if (out.single <= 0.0) return "no event in the key basis is certain to come from a single photon";
  if (out.single_check <= 0.0) return "no event in the check basis is certain to come from a single photon";
  if (out.phase_error >= 0.5) return "the phase error rate may be one half: errors or scarcity in the check basis leave no limit to it";
  return "of " + std::to_string(out.vacuum + out.single * (1.0 - binary_entropy(out.phase_error))) + " bits that are secret before error correction, " +
         std::to_string(input.lambda_EC) + " were disclosed and the failure probabilities cost the rest (phase error bound " + std::to_string(out.phase_error) +
         ")";
}

BoundOutput from_lim(const LimBound& bound) {
  return {.vacuum = bound.s_X0,
          .single = bound.s_X1,
          .single_check = bound.s_Z1,
          .single_errors = bound.v_Z1,
          .phase_error = bound.phi_X,
          .length = bound.l,
          .why = {}};
}

BoundOutput evaluate(const Evidence& input) {
  switch (input.bound) {
    case Bound::wiesemann_2026:
      return wiesemann2026(input);
    case Bound::lim_2014:
      return from_lim(lim2014(input));
    case Bound::rusca_2018:
      return rusca2018(input);
    case Bound::gllp:
      return gllp(input);
  }
  return {};  // check() has refused anything else
}

CountRanges exact_ranges(const IntensityCounts& counts) { return {{{counts[0], counts[0]}, {counts[1], counts[1]}, {counts[2], counts[2]}}}; }

}  // namespace

std::string_view name(Bound bound) noexcept {
  for (const Named& entry : names) {
    if (entry.bound == bound) return entry.text;
  }
  return "unknown";
}

Result<Bound> bound_from_name(std::string_view text) {
  std::string known;
  for (const Named& entry : names) {
    if (entry.text == text) return entry.bound;
    known += (known.empty() ? "" : ", ") + std::string(entry.text);
  }
  return fail(ErrorCode::invalid_argument, "key bound \"" + std::string(text) + "\": must be one of " + known);
}

double total_high(const CountRanges& counts) { return counts[0].high + counts[1].high + counts[2].high; }

Evidence exactly(const BoundInput& input) {
  return {.bound = input.bound,
          .mu = input.mu,
          .p = input.p,
          .key_basis_probability = input.key_basis_probability,
          .pulses = input.pulses,
          .n_key = exact_ranges(input.n_key),
          .m_key = exact_ranges(input.m_key),
          .n_check = exact_ranges(input.n_check),
          .m_check = exact_ranges(input.m_check),
          .lambda_EC = input.lambda_EC,
          .eps_sec = input.eps_sec,
          .eps_cor = input.eps_cor};
}

Result<BoundOutput> worst_case(const Evidence& evidence) {
  TRY(check(evidence));
  BoundOutput out = evaluate(evidence);
  if (out.bits() == 0) out.why = reason(evidence, out);
  return Result<BoundOutput>(std::move(out));
}

Result<BoundOutput> key_length(const BoundInput& input) { return worst_case(exactly(input)); }

}  // namespace qanat::qkd
