#include "quantum/qkd/reconciliation/ldpc_kernel.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qanat::qkd {
namespace {

constexpr std::size_t lanes = circulant_bits;

std::int8_t saturated(int value) noexcept { return static_cast<std::int8_t>(std::clamp(value, -128, 127)); }

/// What the checks of one row know after they have seen every message.
struct RowState {
  std::array<std::uint8_t, lanes> least;
  std::array<std::uint8_t, lanes> second;
  std::array<std::uint8_t, lanes> sign;
};

}  // namespace

std::size_t iterate_portable(const LdpcIteration& work) {
  std::vector<std::int8_t> into(work.graph.degree_max() * lanes);
  std::size_t unsatisfied = 0;
  const std::span<const LdpcGraph::Row> rows = work.graph.rows();
  for (std::size_t r = 0; r < rows.size(); ++r) {
    RowState state{};
    state.least.fill(message_max);
    state.second.fill(message_max);
    std::memcpy(state.sign.data(), work.parity + r * lanes, lanes);
    for (std::size_t e = 0; e < rows[r].degree; ++e) {
      const LdpcGraph::Edge edge = work.graph.edges()[rows[r].first + e];
      const std::int8_t* belief = work.beliefs + edge.column * ldpc_belief_stride;
      const std::int8_t* message = work.messages + (rows[r].first + e) * lanes;
      for (std::size_t z = 0; z < lanes; ++z) {
        const std::int8_t q = saturated(belief[(z + edge.turn) % lanes] - message[z]);
        into[e * lanes + z] = q;
        const auto magnitude = static_cast<std::uint8_t>(std::abs(q));
        state.sign[z] ^= static_cast<std::uint8_t>(q);
        state.second[z] = std::min(state.second[z], std::max(state.least[z], magnitude));
        state.least[z] = std::min(state.least[z], magnitude);
      }
    }
    const CheckTable& table = work.graph.plan().tables(rows[r].degree)[work.step];
    for (const std::uint8_t sign : state.sign) unsatisfied += sign >> 7;
    for (std::size_t e = 0; e < rows[r].degree; ++e) {
      std::int8_t* belief = work.beliefs + work.graph.edges()[rows[r].first + e].column * ldpc_belief_stride;
      std::int8_t* message = work.messages + (rows[r].first + e) * lanes;
      for (std::size_t z = 0; z < lanes; ++z) {
        const std::int8_t q = into[e * lanes + z];
        const int magnitude = table[std::abs(q) == state.least[z] ? state.second[z] : state.least[z]];
        message[z] = static_cast<std::int8_t>((static_cast<std::uint8_t>(q) ^ state.sign[z]) >> 7 ? -magnitude : magnitude);
        belief[z] = saturated(q + message[z]);
      }
      std::memcpy(belief + lanes, belief, ldpc_belief_mirror);
    }
  }
  return unsatisfied;
}

#if defined(__x86_64__)
namespace {

constexpr std::size_t vector_octets = 32;
constexpr std::size_t vectors = lanes / vector_octets;

struct Table {
  __m256i low;   // for 0 .. 15, in both halves
  __m256i high;  // for 16 .. 31
};

__attribute__((target("avx2"), always_inline)) inline __m256i load(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }
__attribute__((target("avx2"), always_inline)) inline void store(void* at, __m256i value) { _mm256_storeu_si256(static_cast<__m256i*>(at), value); }

__attribute__((target("avx2"), always_inline)) inline Table load_table(const CheckTable& table) {
  const auto half = [&](std::size_t from) __attribute__((target("avx2"))) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table.data() + from)));
  };
  return {.low = half(0), .high = half(16)};
}

/// The table at each octet of `index`, 0 .. 31.
__attribute__((target("avx2"), always_inline)) inline __m256i look_up(const Table& table, __m256i index) {
  const __m256i low = _mm256_shuffle_epi8(table.low, index);
  const __m256i high = _mm256_shuffle_epi8(table.high, index);
  return _mm256_blendv_epi8(low, high, _mm256_slli_epi16(index, 3));  // bit 4 of the index to bit 7 of its octet
}

/// The messages of one edge into its checks: the column as it stands, less what the row said before.
__attribute__((target("avx2"), always_inline)) inline std::array<__m256i, vectors> messages_into(const LdpcIteration& work, std::size_t edge) {
  const LdpcGraph::Edge at = work.graph.edges()[edge];
  const std::int8_t* belief = work.beliefs + at.column * ldpc_belief_stride;
  const std::int8_t* message = work.messages + edge * lanes;
  std::array<__m256i, vectors> into;
#pragma clang loop unroll(full)
  for (std::size_t v = 0; v < vectors; ++v) into[v] = _mm256_subs_epi8(load(belief + (at.turn + v * vector_octets) % lanes), load(message + v * vector_octets));
  return into;
}

}  // namespace

__attribute__((target("avx2"))) std::size_t iterate_avx2(const LdpcIteration& work) {
  std::size_t unsatisfied = 0;
  const std::span<const LdpcGraph::Row> rows = work.graph.rows();
  const __m256i ones = _mm256_set1_epi8(1);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::array<__m256i, vectors> least;
    std::array<__m256i, vectors> second;
    std::array<__m256i, vectors> sign;
    for (std::size_t v = 0; v < vectors; ++v) {
      least[v] = second[v] = _mm256_set1_epi8(message_max);
      sign[v] = load(work.parity + r * lanes + v * vector_octets);
    }
    const std::size_t end = rows[r].first + rows[r].degree;
    for (std::size_t e = rows[r].first; e < end; ++e) {
      const std::array<__m256i, vectors> into = messages_into(work, e);
#pragma clang loop unroll(full)
      for (std::size_t v = 0; v < vectors; ++v) {
        const __m256i magnitude = _mm256_abs_epi8(into[v]);
        sign[v] = _mm256_xor_si256(sign[v], into[v]);
        second[v] = _mm256_min_epu8(second[v], _mm256_max_epu8(least[v], magnitude));
        least[v] = _mm256_min_epu8(least[v], magnitude);
      }
    }
    const Table table = load_table(work.graph.plan().tables(rows[r].degree)[work.step]);
    std::array<__m256i, vectors> for_least;
    std::array<__m256i, vectors> for_others;
    for (std::size_t v = 0; v < vectors; ++v) {
      unsatisfied += static_cast<std::size_t>(std::popcount(static_cast<std::uint32_t>(_mm256_movemask_epi8(sign[v]))));
      for_least[v] = look_up(table, second[v]);
      for_others[v] = look_up(table, least[v]);
    }
    for (std::size_t e = rows[r].first; e < end; ++e) {
      // Anew: less work than to have kept them, and all before the column changes.
      const std::array<__m256i, vectors> into = messages_into(work, e);
      std::int8_t* belief = work.beliefs + work.graph.edges()[e].column * ldpc_belief_stride;
#pragma clang loop unroll(full)
      for (std::size_t v = 0; v < vectors; ++v) {
        const __m256i is_least = _mm256_cmpeq_epi8(_mm256_abs_epi8(into[v]), least[v]);
        const __m256i magnitude = _mm256_blendv_epi8(for_others[v], for_least[v], is_least);
        const __m256i message = _mm256_sign_epi8(magnitude, _mm256_or_si256(_mm256_xor_si256(into[v], sign[v]), ones));
        const __m256i sum = _mm256_adds_epi8(into[v], message);
        store(work.messages + e * lanes + v * vector_octets, message);
        store(belief + v * vector_octets, sum);
        if (v == 0) store(belief + lanes, sum);
      }
    }
  }
  return unsatisfied;
}
#else
std::size_t iterate_avx2(const LdpcIteration& work) { return iterate_portable(work); }
#endif

}  // namespace qanat::qkd
