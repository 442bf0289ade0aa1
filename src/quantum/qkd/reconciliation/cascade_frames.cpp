#include "quantum/qkd/reconciliation/cascade_frames.hpp"

#include <algorithm>

namespace qanat::qkd::cascade {
namespace {

constexpr std::size_t columns = 8;  // matrices that are transposed together: as many words as a cache line has
using Matrices = std::array<std::array<std::uint64_t, columns>, 64>;

#define QANAT_ALWAYS_INLINE inline __attribute__((always_inline))

/// Exchanges the off-diagonal blocks of `distance` x `distance` bits.
template <unsigned distance>
QANAT_ALWAYS_INLINE void exchange(Matrices& m, std::uint64_t mask) {
  for (unsigned base = 0; base < 64; base += 2 * distance) {
    for (unsigned k = base; k < base + distance; ++k) {
      for (std::size_t c = 0; c < columns; ++c) {
        const std::uint64_t t = (m[k][c] >> distance ^ m[k + distance][c]) & mask;
        m[k + distance][c] ^= t;
        m[k][c] ^= t << distance;
      }
    }
  }
}

QANAT_ALWAYS_INLINE void transpose_inline(Matrices& m) {
  exchange<32>(m, 0x00000000ffffffffULL);
  exchange<16>(m, 0x0000ffff0000ffffULL);
  exchange<8>(m, 0x00ff00ff00ff00ffULL);
  exchange<4>(m, 0x0f0f0f0f0f0f0f0fULL);
  exchange<2>(m, 0x3333333333333333ULL);
  exchange<1>(m, 0x5555555555555555ULL);
}

QANAT_ALWAYS_INLINE bool subset_parity_inline(const std::uint64_t* words, const std::uint64_t* subset, std::size_t count) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum ^= words[i] & subset[i];
  return (std::popcount(sum) & 1) != 0;
}

/// Four words at a time, eight subsets at a time: each load of the key then serves eight.
QANAT_ALWAYS_INLINE std::uint32_t window_parities_inline(const std::uint64_t* words, const std::uint64_t* random) {
  using Four = std::uint64_t __attribute__((vector_size(32)));
  std::uint32_t parities = 0;
  for (std::uint32_t first = 0; first < key_confirmations; first += 8) {
    std::array<Four, 8> sums{};
    for (std::size_t w = 0; w < frame_words; w += 4) {
      Four key;
      std::memcpy(&key, words + w, sizeof(key));
      for (std::size_t i = 0; i < 8; ++i) {
        Four subset;
        std::memcpy(&subset, random + w + first + i, sizeof(subset));
        sums[i] ^= key & subset;
      }
    }
    for (std::uint32_t i = 0; i < 8; ++i) {
      const Four sum = sums[i];
      parities |= static_cast<std::uint32_t>(std::popcount(sum[0] ^ sum[1] ^ sum[2] ^ sum[3]) & 1) << (first + i);
    }
  }
  return parities;
}

void transpose_portable(Matrices& m) { transpose_inline(m); }
std::uint32_t window_parities_portable(const std::uint64_t* words, const std::uint64_t* random) { return window_parities_inline(words, random); }
bool subset_parity_portable(const std::uint64_t* words, const std::uint64_t* subset, std::size_t count) { return subset_parity_inline(words, subset, count); }

struct PortableBits {
  static std::uint64_t extract(std::uint64_t value, std::uint64_t mask) {
    if (mask == ~std::uint64_t{0}) return value;
    std::uint64_t out = 0;
    for (unsigned i = 0; mask != 0; ++i, mask &= mask - 1) out |= (value >> std::countr_zero(mask) & 1U) << i;
    return out;
  }
  static std::uint64_t deposit(std::uint64_t value, std::uint64_t mask) {
    std::uint64_t out = 0;
    for (; mask != 0; value >>= 1, mask &= mask - 1) out |= (value & 1U) << std::countr_zero(mask);
    return out;
  }
  static unsigned count(std::uint64_t mask) noexcept { return static_cast<unsigned>(std::popcount(mask)); }
};

#if defined(__x86_64__)
__attribute__((target("avx2"))) void transpose_avx2(Matrices& m) { transpose_inline(m); }
__attribute__((target("avx2,popcnt"))) std::uint32_t window_parities_avx2(const std::uint64_t* words, const std::uint64_t* random) {
  return window_parities_inline(words, random);
}
__attribute__((target("avx2,popcnt"))) bool subset_parity_avx2(const std::uint64_t* words, const std::uint64_t* subset, std::size_t count) {
  return subset_parity_inline(words, subset, count);
}

/// The instructions by name, so that they can stand within functions that are compiled for every x86-64.
struct Bmi2Bits {
  static std::uint64_t extract(std::uint64_t value, std::uint64_t mask) {
    std::uint64_t out = 0;
    asm("pextq %2, %1, %0" : "=r"(out) : "r"(value), "r"(mask));
    return out;
  }
  static std::uint64_t deposit(std::uint64_t value, std::uint64_t mask) {
    std::uint64_t out = 0;
    asm("pdepq %2, %1, %0" : "=r"(out) : "r"(value), "r"(mask));
    return out;
  }
  static unsigned count(std::uint64_t mask) noexcept {
    std::uint64_t out = 0;
    asm("popcntq %1, %0" : "=r"(out) : "r"(mask) : "cc");
    return static_cast<unsigned>(out);
  }
};
#endif

template <class Bits>
void put_tops(const PassLayout& layout, std::size_t level, const std::uint64_t* tree, BitWriter& out) {
  for (std::size_t h = level; h < 2 * level; ++h) out.put(Bits::extract(tree[h], layout.present[h]), Bits::count(layout.present[h]));
}

template <class Bits>
void take_tops(const PassLayout& layout, std::size_t level, const std::uint64_t* tree, std::uint64_t* split, BitReader& in, BitWriter& out) {
  for (std::size_t h = level; h < 2 * level; ++h) {
    const std::uint64_t present = layout.present[h];
    const unsigned count = Bits::count(present);
    split[h] = Bits::deposit(in.get(count), present) ^ tree[h];
    out.put(Bits::extract(split[h], present), count);
  }
}

template <class Bits>
void get_tops(const PassLayout& layout, std::size_t level, std::uint64_t* split, BitReader& in) {
  for (std::size_t h = level; h < 2 * level; ++h) split[h] = Bits::deposit(in.get(Bits::count(layout.present[h])), layout.present[h]);
}

QANAT_ALWAYS_INLINE std::uint64_t asked(const PassLayout& layout, std::size_t h, std::uint64_t split) {
  return split & layout.present[2 * h] & layout.present[2 * h + 1];
}

template <class Bits>
std::uint64_t count_asked(const PassLayout& layout, std::size_t level, const std::uint64_t* split) {
  std::uint64_t count = 0;
  for (std::size_t h = level; h < 2 * level; ++h) count += Bits::count(asked(layout, h, split[h]));
  return count;
}

template <class Bits>
std::uint64_t count_ones(const std::uint64_t* words, std::size_t count) {
  std::uint64_t ones = 0;
  for (std::size_t i = 0; i < count; ++i) ones += Bits::count(words[i]);
  return ones;
}

template <class Bits>
void put_halves(const PassLayout& layout, std::size_t level, const std::uint64_t* words, const std::uint64_t* split, BitWriter& out) {
  for (std::size_t h = level; h < 2 * level; ++h) {
    const std::uint64_t mask = asked(layout, h, split[h]);
    out.put(Bits::extract(words[2 * (h - level)], mask), Bits::count(mask));
  }
}

template <class Bits>
void take_halves(const PassLayout& layout, std::size_t level, const std::uint64_t* words, const std::uint64_t* split, std::uint64_t* below, BitReader& in,
                 BitWriter& out) {
  for (std::size_t h = level; h < 2 * level; ++h) {
    const std::uint64_t mask = asked(layout, h, split[h]);
    const unsigned count = Bits::count(mask);
    const std::size_t left = 2 * (h - level);
    const std::uint64_t differ = Bits::deposit(in.get(count), mask) ^ (words[left] & mask);
    out.put(Bits::extract(differ, mask), count);
    below[left] = differ | (split[h] & ~layout.present[2 * h + 1]);
    below[left + 1] = split[h] & ~below[left];
  }
}

template <class Bits>
void get_halves(const PassLayout& layout, std::size_t level, const std::uint64_t* split, std::uint64_t* below, BitReader& in) {
  for (std::size_t h = level; h < 2 * level; ++h) {
    const std::uint64_t mask = asked(layout, h, split[h]);
    const std::size_t left = 2 * (h - level);
    below[left] = Bits::deposit(in.get(Bits::count(mask)), mask) | (split[h] & ~layout.present[2 * h + 1]);
    below[left + 1] = split[h] & ~below[left];
  }
}

template <class Bits>
constexpr Kernels kernels_with(bool (*subset_parity)(const std::uint64_t*, const std::uint64_t*, std::size_t),
                               std::uint32_t (*window_parities)(const std::uint64_t*, const std::uint64_t*), void (*transpose)(Matrices&)) {
  return {.transpose = transpose,
          .deposit = Bits::deposit,
          .extract = Bits::extract,
          .count_ones = count_ones<Bits>,
          .subset_parity = subset_parity,
          .window_parities = window_parities,
          .put_tops = put_tops<Bits>,
          .take_tops = take_tops<Bits>,
          .get_tops = get_tops<Bits>,
          .put_halves = put_halves<Bits>,
          .count_asked = count_asked<Bits>,
          .take_halves = take_halves<Bits>,
          .get_halves = get_halves<Bits>};
}

/// One column of words, or as many as a row of the matrices has: its size is known when it is compiled, so it is copied without a call.
template <std::size_t width>
inline void copy_columns(std::uint8_t* to, std::size_t to_step, const std::uint8_t* from, std::size_t from_step) {
  for (std::size_t i = 0; i < 64; ++i) std::memcpy(to + i * to_step, from + i * from_step, 8 * width);
}
void copy_rows(std::uint8_t* to, std::size_t to_step, const std::uint8_t* from, std::size_t from_step, std::size_t width) {
  if (width == columns) {
    copy_columns<columns>(to, to_step, from, from_step);
    return;
  }
  for (std::size_t c = 0; c < width; ++c) copy_columns<1>(to + 8 * c, to_step, from + 8 * c, from_step);
}
std::uint8_t* octets_of(void* words) noexcept { return static_cast<std::uint8_t*>(words); }
const std::uint8_t* octets_of(const void* words) noexcept { return static_cast<const std::uint8_t*>(words); }

/// Word `index` of a packed key; what the key lacks are zeros.
std::uint64_t load_word(ByteView key, std::size_t index) {
  std::uint64_t word = 0;
  std::memcpy(&word, key.data() + 8 * index, std::min<std::size_t>(8, key.size() - 8 * index));
  return word;
}

}  // namespace

bool has_fast_path() noexcept {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                          __builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("popcnt");
  return has;
#else
  return false;
#endif
}

const Kernels& portable_kernels() noexcept {
  static constexpr Kernels portable = kernels_with<PortableBits>(subset_parity_portable, window_parities_portable, transpose_portable);
  return portable;
}

const Kernels& kernels() noexcept {
#if defined(__x86_64__)
  static constexpr Kernels fast = kernels_with<Bmi2Bits>(subset_parity_avx2, window_parities_avx2, transpose_avx2);
  if (has_fast_path()) return fast;
#endif
  return portable_kernels();
}

void spread_key(const Kernels& with, ByteView key, std::size_t key_bits, std::span<std::uint64_t> frames) {
  const std::size_t matrices = key_bits / (64 * 64);
  Matrices m;
  for (std::size_t g = 0; g < matrices; g += columns) {
    const std::size_t width = std::min(columns, matrices - g);
    copy_rows(octets_of(m.data()), 8 * columns, key.data() + 8 * g, 8 * matrices, width);
    with.transpose(m);
    copy_rows(octets_of(&frames[g]), 8 * matrices, octets_of(m.data()), 8 * columns, width);
  }
  for (std::size_t w = 64 * matrices; 64 * w < key_bits; ++w) frames[w] = load_word(key, w);
  if (key_bits % 64 != 0) frames[key_bits / 64] &= ~std::uint64_t{0} >> (64 - key_bits % 64);
  wipe({reinterpret_cast<std::uint8_t*>(&m), sizeof(m)});
}

void gather_key(const Kernels& with, std::span<const std::uint64_t> frames, std::size_t key_bits, std::span<std::uint8_t> key) {
  const std::size_t matrices = key_bits / (64 * 64);
  Matrices m;
  for (std::size_t g = 0; g < matrices; g += columns) {
    const std::size_t width = std::min(columns, matrices - g);
    copy_rows(octets_of(m.data()), 8 * columns, octets_of(&frames[g]), 8 * matrices, width);
    with.transpose(m);
    copy_rows(key.data() + 8 * g, 8 * matrices, octets_of(m.data()), 8 * columns, width);
  }
  for (std::size_t w = 64 * matrices; 64 * w < key_bits; ++w) std::memcpy(key.data() + 8 * w, &frames[w], std::min<std::size_t>(8, key.size() - 8 * w));
  wipe({reinterpret_cast<std::uint8_t*>(&m), sizeof(m)});
}

void order_words(const PassLayout& layout, const std::uint64_t* bits, std::uint64_t* ordered) {
  for (std::size_t u = 0; u < frame_words; ++u) ordered[u] = std::rotl(bits[layout.source[u]], layout.turn[u]);
}

void build_tree(const PassLayout& layout, const std::uint64_t* bits, std::uint64_t* tree) {
  for (std::size_t u = 0; u < frame_words; u += 2) {
    tree[(frame_words + u) / 2] = std::rotl(bits[layout.source[u]], layout.turn[u]) ^ std::rotl(bits[layout.source[u + 1]], layout.turn[u + 1]);
  }
  for (std::size_t h = frame_words / 2 - 1; h > 0; --h) tree[h] = tree[2 * h] ^ tree[2 * h + 1];
  std::uint64_t joined = 0;
  for (Node node = 63; node > 0; --node) {
    const std::uint64_t pair = node >= 32 ? tree[1] >> (2 * node - 64) : joined >> (2 * node);
    joined |= ((pair ^ pair >> 1) & 1U) << node;
  }
  tree[0] = joined;
}

}  // namespace qanat::qkd::cascade
