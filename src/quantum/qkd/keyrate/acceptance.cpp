#include "quantum/qkd/keyrate/acceptance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "quantum/qkd/keyrate/statistics.hpp"
#include "quantum/qkd/octets.hpp"

namespace qanat::qkd {
namespace {

/// Tests that a block has to pass: two bounds for the events and one for the errors (two in the check basis) of every intensity.
constexpr double tests_per_block = 7.0 * intensity_count;

/// Bernstein for a sum of independent events with this mean: above mean + x with probability exp(-x^2 / (2 (mean + x / 3))) at most, below
/// mean - x with exp(-x^2 / (2 mean)); `surprise` is ln(1 / probability).
double above(double mean, double surprise) { return mean + surprise / 3.0 + std::sqrt(surprise * surprise / 9.0 + 2.0 * mean * surprise); }
double below(double mean, double surprise) { return std::max(0.0, mean - std::sqrt(2.0 * mean * surprise)); }

CountRanges around(const IntensityCounts& expected, double surprise, double drift) {
  CountRanges out;
  for (std::size_t k = 0; k < intensity_count; ++k) {
    if (expected[k] <= 0.0) continue;
    out[k] = {.low = std::floor(below(expected[k] * (1.0 - drift), surprise)), .high = std::ceil(above(expected[k] * (1.0 + drift), surprise))};
  }
  return out;
}

double total(const IntensityCounts& counts) { return counts[0] + counts[1] + counts[2]; }

/// n f h(m / n) with more events and more errors than expected, f as in `expected`.
double most_disclosed(const BoundInput& expected, double surprise, double drift) {
  const double n = total(expected.n_key);
  const double m = total(expected.m_key);
  const double usual = n * binary_entropy(m / n);
  if (!(usual > 0.0)) return expected.lambda_EC * (1.0 + drift);
  const double most_events = above(n * (1.0 + drift), surprise);
  const double worst_rate = std::min(0.5, above(m * (1.0 + drift), surprise) / below(n * (1.0 - drift), surprise));
  return std::ceil(expected.lambda_EC / usual * most_events * binary_entropy(worst_rate));
}

Result<void> check_range(std::string_view what, const IntensityCounts& observed, const CountRanges& ranges) {
  for (std::size_t k = 0; k < intensity_count; ++k) {
    if (observed[k] >= ranges[k].low && observed[k] <= ranges[k].high) continue;
    return fail(ErrorCode::denied, fmt::format("block not accepted: {} of intensity {}: {}, agreed from {} to {}", what, k + 1, observed[k], ranges[k].low,
                                               ranges[k].high));
  }
  return {};
}

/// With errors `factor` times as many, but no more than by chance: half of the events of empty pulses are errors anyway.
BoundInput with_errors(BoundInput input, double factor) {
  const double usual = total(input.n_key) * binary_entropy(total(input.m_key) / total(input.n_key));
  for (std::size_t k = 0; k < intensity_count; ++k) {
    input.m_key[k] = std::max(input.m_key[k], std::min(input.m_key[k] * factor, input.n_key[k] / 2.0));
    input.m_check[k] = std::max(input.m_check[k], std::min(input.m_check[k] * factor, input.n_check[k] / 2.0));
  }
  if (usual > 0.0) input.lambda_EC *= total(input.n_key) * binary_entropy(std::min(0.5, total(input.m_key) / total(input.n_key))) / usual;
  return input;
}

}  // namespace

std::string_view name(LengthRule rule) noexcept {
  switch (rule) {
    case LengthRule::fixed:
      return "fixed";
    case LengthRule::observed:
      return "observed";
  }
  return "unknown";
}

Result<LengthRule> length_rule_from_name(std::string_view text) {
  for (const LengthRule rule : {LengthRule::fixed, LengthRule::observed}) {
    if (name(rule) == text) return rule;
  }
  return fail(ErrorCode::invalid_argument, "length rule \"" + std::string(text) + "\": must be fixed or observed");
}

Result<BoundOutput> fixed_length(const AcceptanceThresholds& thresholds) {
  if (thresholds.ranges.bound == Bound::gllp) {
    return fail(ErrorCode::invalid_argument, "gllp makes no promise about finite blocks, so there are no acceptance thresholds for it");
  }
  return worst_case(thresholds.ranges);
}

Result<void> accept(const AcceptanceThresholds& thresholds, const BoundInput& observed) {
  const Evidence& agreed = thresholds.ranges;
  if (observed.bound != agreed.bound || observed.mu != agreed.mu || observed.p != agreed.p) {
    return fail(ErrorCode::invalid_argument, "block was not made with the bound, intensities and probabilities of the acceptance thresholds");
  }
  TRY(check_range("events in the key basis", observed.n_key, agreed.n_key));
  TRY(check_range("events in the check basis", observed.n_check, agreed.n_check));
  TRY(check_range("errors in the check basis", observed.m_check, agreed.m_check));
  TRY(check_range("errors in the key basis", observed.m_key, agreed.m_key));
  if (!(observed.lambda_EC <= agreed.lambda_EC)) {
    return fail(ErrorCode::denied, fmt::format("block not accepted: {} bits disclosed, agreed at most {}", observed.lambda_EC, agreed.lambda_EC));
  }
  return {};
}

Result<AcceptanceThresholds> thresholds_around(const BoundInput& expected, double abort_probability, double drift) {
  if (!(abort_probability > 0.0 && abort_probability < 1.0)) return fail(ErrorCode::invalid_argument, "abort probability must lie between 0 and 1");
  if (!(drift >= 0.0 && drift < 1.0)) return fail(ErrorCode::invalid_argument, "drift must be at least 0 and less than 1");
  TRY(key_length(expected));
  const double surprise = std::log(tests_per_block / abort_probability);
  AcceptanceThresholds out{.ranges = exactly(expected), .abort_probability = abort_probability};
  out.ranges.n_key = around(expected.n_key, surprise, drift);
  out.ranges.m_key = around(expected.m_key, surprise, drift);
  out.ranges.n_check = around(expected.n_check, surprise, drift);
  out.ranges.m_check = around(expected.m_check, surprise, drift);
  const std::size_t weakest = expected.p[2] > 0.0 ? 2 : 1;
  for (std::size_t k = 0; k < intensity_count; ++k) {
    out.ranges.m_key[k].low = 0.0;  // few errors are no reason to refuse a block, and no bound uses how many there are at least
    out.ranges.m_key[k].high = std::min(out.ranges.m_key[k].high, out.ranges.n_key[k].high);
    out.ranges.m_check[k].high = std::min(out.ranges.m_check[k].high, out.ranges.n_check[k].high);
    if (k != weakest) out.ranges.m_check[k].low = 0.0;  // of the weakest intensity it tells how many errors empty pulses make
  }
  out.ranges.lambda_EC = most_disclosed(expected, surprise, drift);
  return Result<AcceptanceThresholds>(out);
}

Result<AcceptanceLadder> propose_ladder(const BoundInput& expected, std::span<const RungPlan> plans) {
  BoundInput each = expected;
  each.eps_sec /= static_cast<double>(plans.size());
  AcceptanceLadder out;
  IntensityCounts fewest{};  // errors in the check basis that any rung so far takes
  fewest.fill(std::numeric_limits<double>::infinity());
  for (const RungPlan& plan : plans) {
    if (!(plan.error_factor >= 1.0)) return fail(ErrorCode::invalid_argument, "error factors must be at least 1");
    ASSIGN_OR_RETURN(AcceptanceThresholds rung, thresholds_around(with_errors(each, plan.error_factor), plan.abort_probability, plan.drift));
    // A rung takes every block that has fewer errors too: a bad block of the rung above may be better than this one expects.
    for (std::size_t k = 0; k < intensity_count; ++k) {
      fewest[k] = std::min(fewest[k], rung.ranges.m_check[k].low);
      rung.ranges.m_check[k].low = fewest[k];
    }
    ASSIGN_OR_RETURN(const BoundOutput length, fixed_length(rung));
    if (length.bits() != 0) out.push_back(rung);
  }
  if (out.empty()) return fail(ErrorCode::exhausted, "a block that just passes would hold no secret bit: longer blocks or tighter thresholds are needed");
  return Result<AcceptanceLadder>(std::move(out));
}

Result<AcceptanceLadder> propose_ladder(const BoundInput& expected, double abort_probability, double drift, std::span<const double> error_factors) {
  std::vector<RungPlan> plans{{.abort_probability = abort_probability, .drift = drift, .error_factor = 1.0}};
  for (const double factor : error_factors) {
    if (!(factor > plans.back().error_factor)) return fail(ErrorCode::invalid_argument, "error factors must exceed 1 and rise");
    plans.push_back({.abort_probability = abort_probability, .drift = drift, .error_factor = factor});
  }
  return propose_ladder(expected, plans);
}

Result<FixedLength> fixed_length(std::span<const AcceptanceThresholds> ladder, const BoundInput& observed) {
  Result<void> refused = fail(ErrorCode::invalid_argument, "no acceptance thresholds were agreed");
  for (std::size_t rung = 0; rung < ladder.size(); ++rung) {
    refused = accept(ladder[rung], observed);
    if (!refused) continue;
    ASSIGN_OR_RETURN(BoundOutput output, fixed_length(ladder[rung]));
    return FixedLength{.rung = rung, .output = std::move(output)};
  }
  return fail(std::move(refused).error());
}

Bytes encode(const AcceptanceThresholds& thresholds) {
  const Evidence& ranges = thresholds.ranges;
  OctetWriter out;
  out.text(name(ranges.bound));
  for (const double value : ranges.mu) out.f64(value);
  for (const double value : ranges.p) out.f64(value);
  for (const CountRanges* counts : {&ranges.n_key, &ranges.m_key, &ranges.n_check, &ranges.m_check}) {
    for (const CountRange& range : *counts) {
      out.f64(range.low);
      out.f64(range.high);
    }
  }
  for (const double value : {ranges.lambda_EC, ranges.eps_sec, ranges.eps_cor}) out.f64(value);
  return out.take();
}

}  // namespace qanat::qkd
