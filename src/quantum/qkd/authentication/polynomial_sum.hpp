// The inner loop of the polynomial hash, one version per instruction set (kernels.hpp says which may be called).
#pragma once

#include <cstddef>
#include <cstdint>

#include "quantum/qkd/amplification/field128.hpp"

namespace qanat::qkd {

inline constexpr std::size_t hash_block_octets = 16;

/// For each of `count` blocks m of 16 octets: sum = (sum + m) k in GF(2)[y]/(y^128 + y^7 + y^2 + y + 1). powers[i] = k^(powers_count - i).
void portable_sum(gf2::Element& sum, const gf2::Element* powers, std::size_t powers_count, const std::uint8_t* blocks, std::size_t count);
void pclmul_sum(gf2::Element& sum, const gf2::Element* powers, std::size_t powers_count, const std::uint8_t* blocks, std::size_t count);
void vpclmul_sum(gf2::Element& sum, const gf2::Element* powers, std::size_t powers_count, const std::uint8_t* blocks, std::size_t count);

}  // namespace qanat::qkd
