#include "quantum/qkd/amplification/polynomial.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/check.hpp"
#include "quantum/qkd/amplification/transform.hpp"

namespace qanat::qkd::gf2 {
namespace {

using Words = std::span<std::uint64_t>;
using WordView = std::span<const std::uint64_t>;

constexpr std::size_t word_bits = 64;
constexpr std::size_t transform_short_words_max = transform_short_bits_max / word_bits;

std::size_t granules(std::size_t words) { return (words + product_granule - 1) / product_granule * product_granule; }

/// to[at …] ^= from, as far as `to` reaches (what is beyond is zero).
void add_at(Words to, std::size_t at, WordView from) {
  const std::size_t count = std::min(from.size(), to.size() - at);
  for (std::size_t i = 0; i < count; ++i) to[at + i] ^= from[i];
}

/// The long operand in pieces about as long as the short one.
void multiply_karatsuba(Words product, WordView longer, WordView shorter, CarrylessPath path) {
  const std::size_t pieces = std::max<std::size_t>(1, (longer.size() + shorter.size() / 2) / shorter.size());
  const std::size_t size = granules(std::max(shorter.size(), (longer.size() + pieces - 1) / pieces));
  SecretArray<std::uint64_t> memory(4 * size + product_scratch(size));
  const Words a = memory.view().subspan(0, size);
  const Words b = memory.view().subspan(size, size);
  const Words piece_product = memory.view().subspan(2 * size, 2 * size);
  std::ranges::copy(shorter, b.begin());
  for (std::size_t at = 0; at < longer.size(); at += size) {
    const WordView piece = longer.subspan(at, std::min(size, longer.size() - at));
    std::ranges::fill(std::ranges::copy(piece, a.begin()).out, a.end(), 0);
    kernels(path).multiply(piece_product.data(), a.data(), b.data(), size, memory.data() + 4 * size);
    add_at(product, at, piece_product);
  }
}

void multiply_transformed(Words product, WordView longer, WordView shorter, CarrylessPath path) {
  const TransformSplit split = best_split(word_bits * longer.size(), word_bits * shorter.size());
  const std::size_t chunk = split.chunk / word_bits;
  TransformProduct transform(path, split.bits_log);
  std::ranges::copy(shorter, transform.bits().begin());
  transform.load_factor();
  for (std::size_t at = 0; at < longer.size(); at += chunk) {
    const WordView piece = longer.subspan(at, std::min(chunk, longer.size() - at));
    std::ranges::fill(std::ranges::copy(piece, transform.bits().begin()).out, transform.bits().end(), 0);
    transform.multiply();
    add_at(product, at, transform.bits().first(piece.size() + shorter.size()));
  }
}

}  // namespace

std::size_t transform_words_min(CarrylessPath path) { return path == CarrylessPath::portable ? 256 : 1024; }

TransformSplit best_split(std::size_t long_bits, std::size_t short_bits) {
  CHECK(long_bits > 0 && short_bits > 0 && short_bits <= transform_short_bits_max);
  const auto log_of = [](std::size_t bits) { return std::max(static_cast<unsigned>(std::bit_width(bits - 1)), transform_bits_log_min); };
  TransformSplit best;
  double least = std::numeric_limits<double>::infinity();
  const unsigned most = std::min(log_of(long_bits + short_bits), transform_bits_log_max);
  const unsigned least_log = std::min(most, log_of(short_bits + word_bits));
  for (unsigned bits_log = most; bits_log >= least_log; --bits_log) {
    const std::size_t room = (std::size_t{1} << bits_log) - short_bits;
    const std::size_t chunk_max = room >= long_bits ? long_bits : room / word_bits * word_bits;
    const std::size_t chunks = (long_bits + chunk_max - 1) / chunk_max;
    // A transform of 2^l bits takes about 2^l (l + 8) units; there is one of the short operand and two for each chunk.
    const double cost = static_cast<double>(2 * chunks + 1) * static_cast<double>(std::size_t{1} << bits_log) * (bits_log + 8);
    if (cost < least) {
      least = cost;
      best = {.bits_log = bits_log, .chunk = chunk_max, .chunks = chunks};
    }
  }
  return best;
}

void multiply(Words product, WordView a, WordView b, CarrylessPath path) {
  CHECK(!a.empty() && !b.empty() && product.size() == a.size() + b.size());
  const WordView longer = a.size() >= b.size() ? a : b;
  const WordView shorter = a.size() >= b.size() ? b : a;
  std::ranges::fill(product, 0);
  for (std::size_t at = 0; at < shorter.size(); at += transform_short_words_max) {
    const WordView part = shorter.subspan(at, std::min(transform_short_words_max, shorter.size() - at));
    const Words to = product.subspan(at, longer.size() + part.size());
    if (part.size() < transform_words_min(path)) {
      multiply_karatsuba(to, longer, part, path);
    } else {
      multiply_transformed(to, longer, part, path);
    }
  }
}

}  // namespace qanat::qkd::gf2
