// The public permutations of error correction. They spread errors; no security rests on them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.hpp"

namespace qanat::qkd {

inline constexpr std::size_t shuffle_seed_size = 32;

/// A permutation of 0..size-1 that both ends compute from the public seed and the number of the pass.
std::vector<std::uint32_t> pass_permutation(ByteView seed, std::uint32_t pass, std::uint32_t size);

}  // namespace qanat::qkd
