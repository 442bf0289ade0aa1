// The inner loops of GF(2)[x] arithmetic, in one version per instruction set. All versions give the same results, and all take a time that
// depends on lengths alone: no table is indexed and no branch is taken by the data.
#pragma once

#include <cstdint>
#include <string_view>

#include "quantum/qkd/amplification/field128.hpp"

namespace qanat::qkd::gf2 {

enum class CarrylessPath : std::uint8_t {
  portable,  // integer multiplications with holes between the bits
  pclmul,    // PCLMULQDQ, 128 bits at a time
  vpclmul,   // VPCLMULQDQ on AVX2, 256 bits at a time
};
std::string_view name(CarrylessPath path);

/// A linear map over GF(2), its inverse, its transpose (as a matrix over GF(2)) and the inverse of that.
enum class MapForm : std::uint8_t { forward, inverse, transposed, inverse_transposed };

/// Which of the two bases of GF(2^128) the elements are in when they leave for, or come from, bits. Multiplication by a field element is
/// symmetric with respect to the form B(a, b) = top coefficient of a b, not with respect to the dot product of the bits; `dual` passes
/// from the one to the other, as the transposed transform needs.
enum class Basis : std::uint8_t { power, dual };

struct Kernels {
  /// product = a b, polynomials of `words` words (a multiple of product_granule); product has 2 words words and overlaps neither. Karatsuba.
  /// scratch: product_scratch(words) words.
  void (*multiply)(std::uint64_t* product, const std::uint64_t* a, const std::uint64_t* b, std::size_t words, std::uint64_t* scratch);
  /// The change of basis of transform.hpp, in place, on 2^bits_log bits.
  void (*convert)(std::uint64_t* words, unsigned bits_log, MapForm form);
  /// 128 rows of 2^points_log bits <-> 2^points_log elements. scratch: transpose_scratch words, aligned to 32 octets.
  void (*gather)(const std::uint64_t* words, Element* elements, unsigned points_log, Basis basis, std::uint64_t* scratch);
  void (*scatter)(const Element* elements, std::uint64_t* words, unsigned points_log, Basis basis, std::uint64_t* scratch);
  /// The additive Fourier transform on 2^points_log elements, in place.
  void (*transform)(Element* elements, unsigned points_log, MapForm form);
  /// a[i] = a[i] b[i], or sum[i] += a[i] b[i].
  void (*scale)(Element* a, const Element* b, std::size_t count);
  void (*scale_add)(Element* sum, const Element* a, const Element* b, std::size_t count);
  /// Each word's bits backwards.
  void (*mirror)(std::uint64_t* words, std::size_t count);
};

inline constexpr std::size_t product_granule = 8;       // words
inline constexpr std::size_t transpose_scratch = 1024;  // words
constexpr std::size_t product_scratch(std::size_t words) { return 4 * words + 1024; }

bool supported(CarrylessPath path);
/// The fastest path that this processor has.
CarrylessPath fastest_path();
/// `path` must be supported.
const Kernels& kernels(CarrylessPath path);

/// One per path; in kernels_<path>.cpp.
const Kernels& portable_kernels();
const Kernels& pclmul_kernels();
const Kernels& vpclmul_kernels();

}  // namespace qanat::qkd::gf2
