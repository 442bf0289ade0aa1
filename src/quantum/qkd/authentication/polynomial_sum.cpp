#include "quantum/qkd/authentication/polynomial_sum.hpp"

#include <cstring>

#include "quantum/qkd/amplification/carryless.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qanat::qkd {
namespace {

using gf2::carryless_product;
using gf2::Element;
using gf2::Wide;
constexpr std::uint64_t tail = 0x87;

Element product(Element a, Element b) {
  const Wide low = carryless_product(a.low, b.low);
  const Wide middle = carryless_product(a.low, b.high) ^ carryless_product(a.high, b.low);
  const Wide high = carryless_product(a.high, b.high) ^ middle >> 64;
  // high (y^7 + y^2 + y + 1): what it carries beyond y^127 is of degree at most 6 and comes back at once.
  const Wide carried = high >> 127 ^ high >> 126 ^ high >> 121;
  const Wide folded = high ^ carried;
  const Wide out = low ^ middle << 64 ^ folded ^ folded << 1 ^ folded << 2 ^ folded << 7;
  return {.low = static_cast<std::uint64_t>(out), .high = static_cast<std::uint64_t>(out >> 64)};
}

}  // namespace

void portable_sum(Element& sum, const Element* powers, std::size_t powers_count, const std::uint8_t* blocks, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i, blocks += hash_block_octets) {
    Element block;
    std::memcpy(&block, blocks, sizeof(block));
    sum = product(sum ^ block, powers[powers_count - 1]);
  }
}

#if defined(__x86_64__)
#define QANAT_PCLMUL __attribute__((target("pclmul,sse4.1")))
#define QANAT_VPCLMUL __attribute__((target("avx2,pclmul,vpclmulqdq")))

namespace {

/// The sum of products before it is reduced: low + middle y^64 + high y^128.
struct Products {
  __m128i low = _mm_setzero_si128();
  __m128i middle = _mm_setzero_si128();
  __m128i high = _mm_setzero_si128();
};

QANAT_PCLMUL inline void add_product(Products& sum, __m128i a, __m128i b) {
  sum.low = _mm_xor_si128(sum.low, _mm_clmulepi64_si128(a, b, 0x00));
  sum.middle = _mm_xor_si128(sum.middle, _mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x10), _mm_clmulepi64_si128(a, b, 0x01)));
  sum.high = _mm_xor_si128(sum.high, _mm_clmulepi64_si128(a, b, 0x11));
}

QANAT_PCLMUL inline __m128i reduced(const Products& sum) {
  const __m128i modulus = _mm_set_epi64x(0, static_cast<long long>(tail));
  __m128i high = _mm_xor_si128(sum.high, _mm_srli_si128(sum.middle, 8));
  const __m128i fold = _mm_clmulepi64_si128(high, modulus, 0x01);
  high = _mm_xor_si128(high, _mm_srli_si128(fold, 8));
  const __m128i low = _mm_xor_si128(sum.low, _mm_slli_si128(_mm_xor_si128(sum.middle, fold), 8));
  return _mm_xor_si128(low, _mm_clmulepi64_si128(high, modulus, 0x00));
}

QANAT_PCLMUL inline __m128i loaded(const void* at) { return _mm_loadu_si128(static_cast<const __m128i*>(at)); }

}  // namespace

QANAT_PCLMUL void pclmul_sum(Element& sum, const Element* powers, std::size_t powers_count, const std::uint8_t* blocks, std::size_t count) {
  __m128i total = loaded(&sum);
  for (; count >= powers_count; count -= powers_count) {
    Products products;
    for (std::size_t i = 0; i < powers_count; ++i, blocks += hash_block_octets) {
      const __m128i block = loaded(blocks);
      add_product(products, i == 0 ? _mm_xor_si128(block, total) : block, loaded(powers + i));
    }
    total = reduced(products);
  }
  for (; count > 0; --count, blocks += hash_block_octets) {
    Products products;
    add_product(products, _mm_xor_si128(loaded(blocks), total), loaded(powers + powers_count - 1));
    total = reduced(products);
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&sum), total);
}

QANAT_VPCLMUL void vpclmul_sum(Element& sum, const Element* powers, std::size_t powers_count, const std::uint8_t* blocks, std::size_t count) {
  // Two neighbouring blocks at a time, under neighbouring powers; the sum so far joins the first.
  __m256i total = _mm256_zextsi128_si256(loaded(&sum));
  for (; count >= powers_count; count -= powers_count) {
    __m256i low = _mm256_setzero_si256();
    __m256i middle = _mm256_setzero_si256();
    __m256i high = _mm256_setzero_si256();
    for (std::size_t i = 0; i < powers_count; i += 2, blocks += 2 * hash_block_octets) {
      __m256i block = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(blocks));
      if (i == 0) block = _mm256_xor_si256(block, total);
      const __m256i power = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(powers + i));
      low = _mm256_xor_si256(low, _mm256_clmulepi64_epi128(block, power, 0x00));
      middle = _mm256_xor_si256(middle, _mm256_xor_si256(_mm256_clmulepi64_epi128(block, power, 0x10), _mm256_clmulepi64_epi128(block, power, 0x01)));
      high = _mm256_xor_si256(high, _mm256_clmulepi64_epi128(block, power, 0x11));
    }
    const Products products{.low = _mm_xor_si128(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)),
                            .middle = _mm_xor_si128(_mm256_castsi256_si128(middle), _mm256_extracti128_si256(middle, 1)),
                            .high = _mm_xor_si128(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1))};
    total = _mm256_zextsi128_si256(reduced(products));
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&sum), _mm256_castsi256_si128(total));
  pclmul_sum(sum, powers, powers_count, blocks, count);
}

#undef QANAT_PCLMUL
#undef QANAT_VPCLMUL
#else
void pclmul_sum(Element& sum, const Element* powers, std::size_t powers_count, const std::uint8_t* blocks, std::size_t count) {
  portable_sum(sum, powers, powers_count, blocks, count);
}
void vpclmul_sum(Element& sum, const Element* powers, std::size_t powers_count, const std::uint8_t* blocks, std::size_t count) {
  portable_sum(sum, powers, powers_count, blocks, count);
}
#endif

}  // namespace qanat::qkd
