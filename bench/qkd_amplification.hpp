// Privacy amplification and the polynomial hash of the QKD post-processing: bits per processor second, against what the carry-less
// multiplier of this processor allows.
#pragma once

#include <cstdint>

#include "report.hpp"

namespace qanat::bench {

enum class BlockSizes : std::uint8_t { usual, with_large };  // with_large: 2^26 too

Result<void> measure_amplification(Report& report, BlockSizes sizes = BlockSizes::usual);

}  // namespace qanat::bench
