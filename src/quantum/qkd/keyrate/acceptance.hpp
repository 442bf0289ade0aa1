// Fixed-length blocks: before a block begins both ends agree on thresholds; the block is accepted if all its counts lie within them, and then has
// the length that was computed beforehand from the thresholds; otherwise it yields nothing. This is the form of protocol for which
// arXiv:2405.16578 proves its bound. docs/quantum.md, "How long the key may be", has the argument.
#pragma once

#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "quantum/qkd/keyrate/evidence.hpp"

namespace qanat::qkd {

/// How a session turns counts into a length. It stands in the link's configuration and in every block's report, for the claims differ.
enum class LengthRule : std::uint8_t {
  fixed = 1,     // from thresholds agreed beforehand: covered by the bound's proof
  observed = 2,  // from the block's own counts, a heuristic: needs a proof for variable length, which arXiv:2405.16578 and its predecessors do not give
};
std::string_view name(LengthRule rule) noexcept;
/// "fixed" or "observed"; invalid_argument otherwise.
Result<LengthRule> length_rule_from_name(std::string_view text);

struct AcceptanceThresholds {
  Evidence ranges;                 // lambda_EC is the most that may be disclosed; eps_sec and eps_cor are this fixed length's own
  double abort_probability = 0.0;  // at most, of an honest block, if it behaves as expected when the thresholds were proposed
};

/// The length of every block that passes. invalid_argument as for key_length, and for gllp.
Result<BoundOutput> fixed_length(const AcceptanceThresholds& thresholds);

/// Whether a block passes. invalid_argument when it was not made with the intensities, probabilities and bound of the thresholds; denied with the
/// name of the first count that lies outside, its value and its threshold.
Result<void> accept(const AcceptanceThresholds& thresholds, const BoundInput& observed);

/// Thresholds around expected counts. Where they come from (the link model, or the average of past blocks of this link) does not matter to the
/// proof, as long as they are fixed before the block begins. `drift` widens every range by that share of the expected count, for a link that is
/// not quite as expected; beyond it the ranges are so wide that counts, each a sum of independent events, leave any of them with a probability
/// of at most abort_probability in all (Bernstein's inequality; it holds for Poisson and binomial counts). Afterpulses correlate events: leave some
/// drift for them. Disclosure is expected.lambda_EC, widened by `drift` and by what more events and errors cost; a code that needs more than that
/// aborts, which is not part of abort_probability. invalid_argument when abort_probability is not between 0 and 1 or drift not in [0, 1).
Result<AcceptanceThresholds> thresholds_around(const BoundInput& expected, double abort_probability, double drift);

/// Several fixed lengths for one link, the best first. A block takes the first that it passes.
using AcceptanceLadder = std::vector<AcceptanceThresholds>;

/// How one rung is laid: errors are expected to be `error_factor` (>= 1) times as many; the others as of thresholds_around.
struct RungPlan {
  double abort_probability = 0.0;
  double drift = 0.0;
  double error_factor = 1.0;
};
/// A ladder by those plans, the narrowest first. eps_sec of `expected` is divided by the number of plans: a block takes one of several fixed lengths, and
/// the failure probabilities of all of them add up to that of the whole. A rung takes blocks with fewer errors than it expects, too. Rungs that give
/// no key are left out; invalid_argument as above, exhausted when none is left.
Result<AcceptanceLadder> propose_ladder(const BoundInput& expected, std::span<const RungPlan> plans);
/// One with the same abort probability and drift on every rung, and errors 1, error_factors[0], error_factors[1], … times what is expected.
Result<AcceptanceLadder> propose_ladder(const BoundInput& expected, double abort_probability, double drift, std::span<const double> error_factors);

struct FixedLength {
  std::size_t rung = 0;
  BoundOutput output;
};
/// The first rung that accepts the block, with its length. If none does: the failure of the last rung.
Result<FixedLength> fixed_length(std::span<const AcceptanceThresholds> ladder, const BoundInput& observed);

/// All values in a fixed order: what both ends compare before they work together, and what a report's digest of the thresholds covers.
Bytes encode(const AcceptanceThresholds& thresholds);

}  // namespace qanat::qkd
