#include "quantum/qkd/amplification/toeplitz.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

namespace qanat::qkd {
namespace {

constexpr std::size_t word_bits = 64;
constexpr std::size_t rows_at_once = 4;  // of output bits that share one pass over the key

std::size_t words_for(std::size_t bits) { return (bits + word_bits - 1) / word_bits; }

/// Little-endian words of octets, zero padded.
void load_words(ByteView octets, std::span<std::uint64_t> words) {
  for (std::size_t i = 0; i < octets.size(); ++i) words[i / 8] |= std::uint64_t{octets[i]} << (8 * (i % 8));
}

/// XOR over t of key[t] & row[t], for four rows.
std::array<std::uint64_t, rows_at_once> masked_sums(std::span<const std::uint64_t> key, const std::array<const std::uint64_t*, rows_at_once>& row) {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
  std::uint64_t d = 0;
  for (std::size_t t = 0; t < key.size(); ++t) {
    a ^= key[t] & row[0][t];
    b ^= key[t] & row[1][t];
    c ^= key[t] & row[2][t];
    d ^= key[t] & row[3][t];
  }
  return {a, b, c, d};
}

}  // namespace

std::size_t toeplitz_seed_size(std::size_t key_bits, std::size_t output_bits) { return (key_bits + output_bits - 1 + 7) / 8; }

Result<Secret> toeplitz_hash(const Secret& key, std::size_t key_bits, ByteView seed, std::size_t output_bits) {
  if (key_bits == 0 || output_bits == 0 || output_bits > key_bits) {
    return fail(ErrorCode::invalid_argument, "privacy amplification: " + std::to_string(output_bits) + " bits out of " + std::to_string(key_bits));
  }
  if (key.size() != (key_bits + 7) / 8 || seed.size() != toeplitz_seed_size(key_bits, output_bits)) {
    return fail(ErrorCode::invalid_argument, "privacy amplification: key or seed has the wrong length");
  }
  const std::size_t key_words = words_for(key_bits);
  Secret key_buffer(key_words * sizeof(std::uint64_t));
  const std::span<std::uint64_t> key_view(reinterpret_cast<std::uint64_t*>(key_buffer.writable().data()), key_words);
  load_words(key.reveal(), key_view);

  // Row j is the seed from bit j on. One copy of the seed per shift of 0..63 bits makes every row start at a word.
  const std::size_t row_words = words_for(key_bits + output_bits) + 2;
  std::vector<std::uint64_t> seed_words(row_words + 1);
  load_words(seed, seed_words);
  std::vector<std::vector<std::uint64_t>> shifted(word_bits, std::vector<std::uint64_t>(row_words));
  for (std::size_t s = 0; s < word_bits; ++s) {
    for (std::size_t t = 0; t < row_words; ++t) {
      shifted[s][t] = s == 0 ? seed_words[t] : seed_words[t] >> s | seed_words[t + 1] << (word_bits - s);
    }
  }

  Secret out((output_bits + 7) / 8);
  const auto octets = out.writable();
  for (std::size_t j = 0; j < output_bits; j += rows_at_once) {
    std::array<const std::uint64_t*, rows_at_once> row{};
    for (std::size_t r = 0; r < rows_at_once; ++r) row[r] = shifted[(j + r) % word_bits].data() + (j + r) / word_bits;
    const auto sums = masked_sums(key_view, row);
    for (std::size_t r = 0; r < rows_at_once && j + r < output_bits; ++r) {
      octets[(j + r) / 8] |= static_cast<std::uint8_t>((static_cast<unsigned>(std::popcount(sums[r])) & 1U) << ((j + r) % 8));
    }
  }
  return Result<Secret>(std::move(out));
}

}  // namespace qanat::qkd
