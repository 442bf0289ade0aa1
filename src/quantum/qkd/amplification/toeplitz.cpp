#include "quantum/qkd/amplification/toeplitz.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "quantum/qkd/amplification/polynomial.hpp"

namespace qanat::qkd {
namespace {

static_assert(std::endian::native == std::endian::little, "octets are read as little-endian words");

constexpr std::size_t word_bits = 64;
/// Below, the whole product by Karatsuba is faster than its middle by transforms.
constexpr std::size_t transform_bits_min = std::size_t{1} << 15;
constexpr std::size_t columns_min = 4096;

using Words = std::span<std::uint64_t>;

std::size_t words_for(std::size_t bits) { return (bits + word_bits - 1) / word_bits; }
std::uint64_t low_bits(std::size_t count) { return count >= word_bits ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1; }

std::uint64_t word_of(const std::uint8_t* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof(word));
  return word;
}
/// 64 bits from bit `shift` < 8 of *at on; reads nine octets.
std::uint64_t bits_of(const std::uint8_t* at, unsigned shift) { return word_of(at) >> shift | word_of(at + 1) << (8 - shift); }

/// The bits [first, first + 64) of octets; what is outside of them is zero. Where they lie is public, so the branches may ask.
std::uint64_t bits_at(ByteView octets, std::ptrdiff_t first) {
  std::uint64_t out = 0;
  for (std::ptrdiff_t i = 0; i < 64; i += 8) {
    const std::ptrdiff_t octet = (first + i) >> 3;
    const auto shift = static_cast<unsigned>((first + i) & 7);
    const auto get = [&](std::ptrdiff_t index) { return index >= 0 && index < std::ssize(octets) ? unsigned{octets[static_cast<std::size_t>(index)]} : 0U; };
    out |= std::uint64_t{(get(octet) >> shift | get(octet + 1) << (8 - shift)) & 0xffU} << i;
  }
  return out;
}

/// to[m] = octets[end - 1 - m] for m < count, then zeros.
void copy_backwards(Words to, ByteView octets, std::size_t end, std::size_t count, gf2::CarrylessPath path) {
  const std::size_t words = words_for(count);
  std::size_t w = 0;
  const auto first_of = [&](std::size_t word) { return static_cast<std::ptrdiff_t>(end) - static_cast<std::ptrdiff_t>(word_bits * (word + 1)); };
  const auto slow = [&] { to[w] = bits_at(octets, first_of(w)); };
  for (; w<words&& static_cast<std::size_t>(first_of(w) + 72) / 8 + 1> octets.size(); ++w) slow();
  const auto shift = static_cast<unsigned>(first_of(w) & 7);
  const std::size_t fast_end = std::min(words, end / word_bits);
  if (w < fast_end) {
    const std::uint8_t* at = octets.data() + first_of(w) / 8;
    for (; w < fast_end; ++w, at -= sizeof(std::uint64_t)) to[w] = bits_of(at, shift);
  }
  for (; w < words; ++w) slow();
  gf2::kernels(path).mirror(to.data(), words);
  if (words > 0) to[words - 1] &= low_bits(count - word_bits * (words - 1));
  std::ranges::fill(to.subspan(words), 0);
}

/// to[m] = octets[first + m] for m < count, then zeros.
void copy_forwards(Words to, ByteView octets, std::size_t first, std::size_t count) {
  const std::size_t words = words_for(count);
  std::size_t w = 0;
  if (first % 8 == 0) {
    w = count / word_bits;
    std::memcpy(to.data(), octets.data() + first / 8, w * sizeof(std::uint64_t));
  }
  for (; w < words; ++w) {
    const std::size_t bit = first + word_bits * w;
    const bool inside = bit / 8 + 9 <= octets.size();
    to[w] = inside ? bits_of(octets.data() + bit / 8, static_cast<unsigned>(bit & 7)) : bits_at(octets, static_cast<std::ptrdiff_t>(bit));
  }
  if (words > 0) to[words - 1] &= low_bits(count - word_bits * (words - 1));
  std::ranges::fill(to.subspan(words), 0);
}

/// out[j] ^= product[first + j] for all bits of out.
void add_bits(std::span<std::uint8_t> out, std::span<const std::uint64_t> product, std::size_t first) {
  const auto shift = static_cast<unsigned>(first % word_bits);
  std::size_t w = first / word_bits;
  for (std::size_t at = 0; at < out.size(); at += sizeof(std::uint64_t), ++w) {
    std::uint64_t word = product[w] >> shift;
    if (shift != 0 && w + 1 < product.size()) word |= product[w + 1] << (word_bits - shift);
    const std::size_t size = std::min(sizeof(word), out.size() - at);
    std::uint64_t sum = 0;
    std::memcpy(&sum, out.data() + at, size);
    sum ^= word;
    std::memcpy(out.data() + at, &sum, size);
  }
}

/// out ^= T k2 as the middle of the whole product.
void add_by_product(std::span<std::uint8_t> out, ByteView key, std::size_t key_bits, ByteView seed, std::size_t output_bits, gf2::CarrylessPath path) {
  const std::size_t columns = key_bits - output_bits;
  gf2::SecretArray<std::uint64_t> a(words_for(columns));
  gf2::SecretArray<std::uint64_t> b(words_for(key_bits));
  gf2::SecretArray<std::uint64_t> product(a.view().size() + b.view().size());
  copy_forwards(a.view(), key, output_bits, columns);
  copy_forwards(b.view(), seed, 0, key_bits - 1);
  gf2::multiply(product.view(), a.view(), b.view(), path);
  add_bits(out, product.view(), columns - 1);
}

/// out ^= T k2 by transposed transforms. With k2 backwards, K[m] = key[key_bits - 1 - m], it is the sum over m of K[m] seed[j + m]; K is taken
/// in pieces, each with the seed from its first m on.
void add_by_transform(std::span<std::uint8_t> out, ByteView key, std::size_t key_bits, ByteView seed, std::size_t output_bits, const gf2::TransformSplit& split,
                      gf2::TransformProduct& transform, gf2::CarrylessPath path) {
  const std::size_t columns = key_bits - output_bits;
  for (std::size_t m = 0; m < columns; m += split.chunk) {
    copy_backwards(transform.bits(), key, key_bits - m, std::min(split.chunk, columns - m), path);
    transform.load_factor();
    copy_forwards(transform.bits(), seed, m, std::min(key_bits - 1 - m, transform.bits().size() * word_bits));
    transform.correlate();
  }
  transform.take_sum();
  add_bits(out, transform.bits(), 0);
  transform.wipe();
}

}  // namespace

std::size_t toeplitz_seed_size(std::size_t key_bits, std::size_t /*output_bits*/) { return (key_bits - 1 + 7) / 8; }

Result<Secret> ToeplitzHasher::hash(const Secret& key, std::size_t key_bits, ByteView seed, std::size_t output_bits) {
  if (output_bits == 0 || output_bits >= key_bits || key_bits > toeplitz_key_bits_max) {
    return fail(ErrorCode::invalid_argument, "privacy amplification: " + std::to_string(output_bits) + " bits out of " + std::to_string(key_bits));
  }
  if (key.size() != (key_bits + 7) / 8 || seed.size() != toeplitz_seed_size(key_bits, output_bits)) {
    return fail(ErrorCode::invalid_argument, "privacy amplification: key or seed has the wrong length");
  }
  const ByteView octets = key.reveal();
  Secret out = Secret::copy_of(octets.first((output_bits + 7) / 8));
  if (key_bits < transform_bits_min || key_bits - output_bits < columns_min) {
    add_by_product(out.writable(), octets, key_bits, seed, output_bits, path_);
  } else {
    const gf2::TransformSplit split = gf2::best_split(key_bits - output_bits, output_bits);
    if (!transform_ || transform_->bits_log() != split.bits_log) {
      transform_.reset();
      transform_.emplace(path_, split.bits_log);
    }
    add_by_transform(out.writable(), octets, key_bits, seed, output_bits, split, *transform_, path_);
  }
  if (output_bits % 8 != 0) out.writable().back() &= static_cast<std::uint8_t>((1U << (output_bits % 8)) - 1);
  return Result<Secret>(std::move(out));
}

Result<Secret> toeplitz_hash(const Secret& key, std::size_t key_bits, ByteView seed, std::size_t output_bits) {
  return ToeplitzHasher().hash(key, key_bits, seed, output_bits);
}

}  // namespace qanat::qkd
