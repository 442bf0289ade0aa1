// What a bound may rely on about a block: a range for every count. A block's own counts are ranges of width nothing; the acceptance thresholds
// of a fixed-length protocol are ranges agreed beforehand, and the bound then takes the worst corner of them.
#pragma once

#include "quantum/qkd/keyrate/bound.hpp"

namespace qanat::qkd {

struct CountRange {
  double low = 0.0;
  double high = 0.0;
};
using CountRanges = std::array<CountRange, intensity_count>;

/// Fields as in BoundInput.
struct Evidence {
  Bound bound = Bound::wiesemann_2026;
  std::array<double, intensity_count> mu{};
  std::array<double, intensity_count> p{};
  double key_basis_probability = 0.0;
  double pulses = 0.0;
  CountRanges n_key{};
  CountRanges m_key{};
  CountRanges n_check{};
  CountRanges m_check{};
  double lambda_EC = 0.0;  // at most
  double eps_sec = 0.0;
  double eps_cor = 0.0;
};

/// Ranges that hold just these counts.
Evidence exactly(const BoundInput& input);
double total_high(const CountRanges& counts);

/// The shortest length that the bound gives for any block within the ranges. Every count enters each term at the end of its range that makes
/// the term worst, also when two terms want opposite ends of the same range: never longer than the bound at any point inside.
/// invalid_argument as for key_length, and for ranges given to gllp, which has no finite-key claim.
Result<BoundOutput> worst_case(const Evidence& evidence);

}  // namespace qanat::qkd
