#include "quantum/qkd/reconciliation/cascade_layout.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "crypto/kdf.hpp"

namespace qanat::qkd::cascade {
namespace {

constexpr std::size_t shift_range = 4096;

/// xoshiro256** (Blackman, Vigna 2018), started from a hash of the public seed. It spreads errors; no security rests on it.
class Spread {
 public:
  Spread(ByteView seed, std::uint8_t purpose) {
    const std::array<std::uint8_t, 1> number{purpose};
    const Bytes start = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat cascade frames"), seed, number});
    for (std::size_t i = 0; i < state_.size(); ++i) {
      for (std::size_t j = 0; j < 8; ++j) state_[i] |= std::uint64_t{start[8 * i + j]} << (8 * j);
    }
  }
  std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  /// In [0, bound), bound <= 2^32; the bias of at most bound / 2^32 does not matter here.
  std::size_t below(std::size_t bound) noexcept { return static_cast<std::size_t>((next() >> 32) * bound >> 32); }

 private:
  std::array<std::uint64_t, 4> state_{};
};

/// What is below each node, from the words at the places.
void fill_present(PassLayout& layout, const std::array<std::uint64_t, frame_words>& words, std::uint8_t exponent) {
  layout.present.assign(2 * frame_words, 0);
  for (std::size_t u = 0; u < frame_words; ++u) layout.present[frame_words + u] = std::rotl(words[layout.source[u]], layout.turn[u]);
  for (std::size_t h = frame_words - 1; h > 0; --h) layout.present[h] = layout.present[2 * h] | layout.present[2 * h + 1];
  for (Node node = 63; node > 0; --node) {
    if (layout.has(2 * node) || layout.has(2 * node + 1)) layout.present[0] |= std::uint64_t{1} << node;
  }
  const Node top = first_top(exponent);
  for (Node node = top; node < 2 * top; ++node) {
    if (!layout.has(node)) continue;
    layout.last_top = node;
    ++layout.tops;
  }
}

/// The used words in random order in front, each turned at random: any two bits are in one block of a pass about as often as by chance.
/// Bits of one word never share a block of up to 1024.
void lay_out(FrameLayout& frame, std::size_t bits, const BlockExponents& exponents, Spread& random) {
  const std::size_t used = (bits + 63) / 64;
  for (std::size_t w = 0; w < used; ++w) frame.present.at(w) = ~std::uint64_t{0};
  if (bits % 64 != 0) frame.present.at(used - 1) >>= 64 - bits % 64;
  frame.padded = bits < frame_bits;
  for (std::size_t p = 0; p < passes; ++p) {
    PassLayout& pass = frame.pass[p];
    std::iota(pass.source.begin(), pass.source.end(), std::uint16_t{0});
    for (std::size_t i = used; i > 1; --i) std::swap(pass.source[i - 1], pass.source[random.below(i)]);
    for (std::size_t u = 0; u < frame_words; ++u) {
      pass.turn[u] = static_cast<std::uint8_t>(random.below(64));
      pass.place[pass.source[u]] = static_cast<std::uint16_t>(u);
    }
    fill_present(pass, frame.present, exponents[p]);
  }
}

}  // namespace

BlockExponents block_exponents(double error_rate) noexcept {
  if (!(error_rate >= 0.0075)) return {7, 10, 13};
  if (error_rate < 0.0175) return {6, 9, 12};
  if (error_rate < 0.035) return {5, 8, 12};
  if (error_rate < 0.065) return {4, 7, 11};
  return {3, 7, 11};
}

KeyLayout::KeyLayout(const ReconciliationSetup& setup)
    : key_bits(setup.key_bits), frames((setup.key_bits + frame_bits - 1) / frame_bits), exponents(block_exponents(setup.error_rate)) {
  Spread orders(setup.seed, 1);
  if (frames > 1) lay_out(full, frame_bits, exponents, orders);
  lay_out(last, key_bits - (frames - 1) * frame_bits, exponents, orders);
  Spread subsets(setup.seed, 2);
  random.resize(frame_words + shift_range + frame_confirmations + key_confirmations * key_batches_max);
  for (std::uint64_t& word : random) word = subsets.next();
  shift.resize(frames);
  for (std::uint16_t& offset : shift) offset = static_cast<std::uint16_t>(subsets.below(shift_range));
}

Result<void> check_setup(const ReconciliationSetup& setup, std::size_t key_octets) {
  if (setup.key_bits < 2 || setup.key_bits > reconciliation_bits_max)
    return fail(ErrorCode::invalid_argument, "error correction: a key of " + std::to_string(setup.key_bits) + " bits");
  if (key_octets != (setup.key_bits + 7) / 8) return fail(ErrorCode::invalid_argument, "error correction: the key has not the length that was set up");
  if (setup.seed.size() != reconciliation_seed_size) return fail(ErrorCode::invalid_argument, "error correction: seed of the wrong length");
  if (!(setup.error_rate >= 0.0 && setup.error_rate <= 1.0)) return fail(ErrorCode::invalid_argument, "error correction: error rate outside 0 to 1");
  return {};
}

}  // namespace qanat::qkd::cascade
