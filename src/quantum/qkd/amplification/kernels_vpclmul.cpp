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

namespace qanat::qkd::gf2 {
namespace {

struct VpclmulLanes {
  typedef std::uint64_t V __attribute__((vector_size(32)));
  struct Constant {
    V value;
    V shifted;
  };

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

  static V times(V a, const Constant& c) {
    const V tail{modulus_tail, 0, modulus_tail, 0};
    const V low = clmul<0x00>(a, c.value) ^ clmul<0x01>(a, c.shifted);
    const V high = clmul<0x10>(a, c.value) ^ clmul<0x11>(a, c.shifted);
    return low ^ up(high) ^ clmul<0x01>(high, tail);
  }
  static V product(V a, V b) {
    const V tail{modulus_tail, 0, modulus_tail, 0};
    const V middle = clmul<0x10>(a, b) ^ clmul<0x01>(a, b);
    V high = clmul<0x11>(a, b) ^ down(middle);
    const V fold = clmul<0x01>(high, tail);
    high ^= down(fold);
    return clmul<0x00>(a, b) ^ up(middle ^ fold) ^ clmul<0x00>(high, tail);
  }
  static V corner(V a) {
    const V tail{modulus_tail, 0, modulus_tail, 0};
    return a ^ down(clmul<0x01>(a, tail));
  }

  struct Two {
    V low;
    V high;
  };
  /// In each half the product of two 128-bit polynomials.
  static Two multiply2(V a, V b) {
    const V low = clmul<0x00>(a, b);
    const V high = clmul<0x11>(a, b);
    const V middle = clmul<0x00>(a ^ down(a), b ^ down(b)) ^ low ^ high;
    return {low ^ up(middle), high ^ down(middle)};
  }
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
