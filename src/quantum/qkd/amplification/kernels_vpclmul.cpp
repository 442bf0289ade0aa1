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
#pragma clang attribute push(__attribute__((target("avx2,bmi2,pclmul,vpclmulqdq"))), apply_to = function)
#include "quantum/qkd/amplification/kernel_table.hpp"
#include "quantum/qkd/amplification/vector_arithmetic.hpp"

namespace qanat::qkd::gf2 {
namespace {

typedef std::uint64_t Words __attribute__((vector_size(32)));

struct VpclmulLanes : VectorArithmetic<VpclmulLanes, Words> {
  static V load(const Element* at) { return V(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at))); }
  static void store(Element* at, V v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), __m256i(v)); }
  static V broadcast(const Element& e) { return V(_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(&e)))); }
  static V firsts(V a, V b) { return V(_mm256_permute2x128_si256(__m256i(a), __m256i(b), 0x20)); }
  static V seconds(V a, V b) { return V(_mm256_permute2x128_si256(__m256i(a), __m256i(b), 0x31)); }
  /// In each half: word `selection` & 15 of a times word `selection` >> 4 of b.
  template <int selection>
  static V clmul(V a, V b) {
    return V(_mm256_clmulepi64_epi128(__m256i(a), __m256i(b), selection));
  }
  static V up(V a) { return V(_mm256_slli_si256(__m256i(a), 8)); }
  static V down(V a) { return V(_mm256_srli_si256(__m256i(a), 8)); }
  static V tail() { return V{modulus_tail, 0, modulus_tail, 0}; }

  static void multiply4(std::uint64_t* product, const std::uint64_t* a, const std::uint64_t* b, std::uint64_t*) {
    V left;
    V right;
    std::memcpy(&left, a, sizeof(left));
    std::memcpy(&right, b, sizeof(right));
    const Two straight = multiply2(left, right);
    const Two crossed = multiply2(left, seconds_first(right));
    const V cross_low = crossed.low ^ seconds_first(crossed.low);
    const V cross_high = crossed.high ^ seconds_first(crossed.high);
    const V first = firsts(straight.low, straight.high ^ cross_low);
    const V second = seconds(straight.low ^ cross_high, straight.high);
    std::memcpy(product, &first, sizeof(first));
    std::memcpy(product + 4, &second, sizeof(second));
  }
  static V seconds_first(V a) { return V(_mm256_permute2x128_si256(__m256i(a), __m256i(a), 0x01)); }
};

}  // namespace

const Kernels& vpclmul_kernels() {
  static constexpr Kernels table = kernel_table<VpclmulLanes>();
  return table;
}

}  // namespace qanat::qkd::gf2
#pragma clang attribute pop

#else
namespace qanat::qkd::gf2 {
const Kernels& vpclmul_kernels() { return portable_kernels(); }
}  // namespace qanat::qkd::gf2
#endif
