// How well what was heard matches what was said: against the linear original, so that the noise of A-law shows.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.hpp"

namespace qanat::terminal {

inline constexpr double snr_db_max = 120.0;                 // reported when there is no difference at all
inline constexpr std::size_t alignment_samples_max = 4000;  // half a second either way
inline constexpr std::size_t search_samples_max = 40'000;   // the offset is sought in the first five seconds
inline constexpr std::size_t compared_samples_min = 160;    // one packet

struct Quality {
  std::int64_t offset_samples = 0;  // how much later than said it was heard; negative: the beginning is missing
  double correlation = 0;           // Pearson's, over the compared samples
  double snr_db = 0;                // power of what was said over power of the difference, no gain fitted
  std::size_t compared_samples = 0;
};

/// Finds the offset with the greatest correlation within alignment_samples_max and compares there; both signals are taken as zero outside
/// themselves, so that missing parts count as noise. invalid_argument if either is shorter than a packet or silent all through.
Result<Quality> compare_quality(std::span<const std::int16_t> said, std::span<const std::int16_t> heard);

}  // namespace qanat::terminal
