#include "quantum/qkd/amplification/kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <span>

#include "quantum/qkd/amplification/conversion_plan.hpp"

// Everything from here on may use these instructions; it runs only after supported() has asked the processor for them. Headers with functions
// that others share stand above: what follows are templates over Lanes, a type of this file alone, so no other file can get a copy compiled
// this way.
#pragma clang attribute push(__attribute__((target("pclmul,sse4.1"))), apply_to = function)
#include "quantum/qkd/amplification/kernel_table.hpp"
#include "quantum/qkd/amplification/vector_arithmetic.hpp"

namespace qanat::qkd::gf2 {
namespace {

typedef std::uint64_t Words __attribute__((vector_size(16)));

struct PclmulLanes : VectorArithmetic<PclmulLanes, Words> {
  static V load(const Element* at) { return V(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))); }
  static void store(Element* at, V v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(at), __m128i(v)); }
  static V broadcast(const Element& e) { return load(&e); }
  /// Word `selection` & 15 of a times word `selection` >> 4 of b.
  template <int selection>
  static V clmul(V a, V b) {
    return V(_mm_clmulepi64_si128(__m128i(a), __m128i(b), selection));
  }
  static V up(V a) { return V(_mm_slli_si128(__m128i(a), 8)); }
  static V down(V a) { return V(_mm_srli_si128(__m128i(a), 8)); }
  static V tail() { return V{modulus_tail, 0}; }

  static void multiply4(std::uint64_t* product, const std::uint64_t* a, const std::uint64_t* b, std::uint64_t*) {
    std::array<V, 2> left;
    std::array<V, 2> right;
    std::memcpy(left.data(), a, sizeof(left));
    std::memcpy(right.data(), b, sizeof(right));
    const Two first = multiply2(left[0], right[0]);
    const Two second = multiply2(left[1], right[1]);
    const Two middle = multiply2(left[0] ^ left[1], right[0] ^ right[1]);
    const V between = first.high ^ second.low;
    const std::array<V, 4> out{first.low, between ^ first.low ^ middle.low, between ^ second.high ^ middle.high, second.high};
    std::memcpy(product, out.data(), sizeof(out));
  }
};

}  // namespace

const Kernels& pclmul_kernels() {
  static constexpr Kernels table = kernel_table<PclmulLanes>();
  return table;
}

}  // namespace qanat::qkd::gf2
#pragma clang attribute pop

#else
namespace qanat::qkd::gf2 {
const Kernels& pclmul_kernels() { return portable_kernels(); }
}  // namespace qanat::qkd::gf2
#endif
