// Arithmetic of GF(2)[x] on packed coefficients: word i holds those of x^(64 i) … x^(64 i + 63), the lowest in the least significant bit.
// Karatsuba for small operands, an additive Fourier transform for large ones (transform.hpp). Time depends on sizes alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "quantum/qkd/amplification/kernels.hpp"

namespace qanat::qkd::gf2 {

/// product = a b. product.size() = a.size() + b.size(), neither empty; it overlaps neither.
/// Scratch, wiped: up to 6 times the product where the transform is used (from about 2^17 bits on), else up to 14 times the shorter operand.
void multiply(std::span<std::uint64_t> product, std::span<const std::uint64_t> a, std::span<const std::uint64_t> b, CarrylessPath path = fastest_path());

/// How an operation on a long and a short operand is cut into transforms.
struct TransformSplit {
  unsigned bits_log = 0;  // each transform carries 2^bits_log bits
  std::size_t chunk = 0;  // bits of the long operand at a time, a multiple of 64 unless it is all of them
  std::size_t chunks = 0;
};
/// The cheapest; short_bits + chunk bits fit a transform. short_bits <= transform_short_bits_max.
TransformSplit best_split(std::size_t long_bits, std::size_t short_bits);
inline constexpr std::size_t transform_short_bits_max = std::size_t{1} << (transform_points_log_max + element_bits_log - 1);
/// From so many words of the shorter operand on, the transform is the faster way.
std::size_t transform_words_min(CarrylessPath path);

}  // namespace qanat::qkd::gf2
