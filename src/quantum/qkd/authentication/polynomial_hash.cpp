#include "quantum/qkd/authentication/polynomial_hash.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "base/check.hpp"
#include "quantum/qkd/authentication/polynomial_sum.hpp"

namespace qanat::qkd {
namespace {

static_assert(std::endian::native == std::endian::little, "octets are read as little-endian words");

}  // namespace

PolynomialHash::PolynomialHash(const Secret& key, gf2::CarrylessPath path) : PolynomialHash(key.reveal(), path) {}

PolynomialHash::PolynomialHash(ByteView public_key, gf2::CarrylessPath path) : path_(path), state_(sizeof(State)) {
  CHECK(public_key.size() == hash_key_size && gf2::supported(path));
  State& s = *new (state_.writable().data()) State{};
  std::memcpy(&s.powers.back(), public_key.data(), hash_key_size);
  for (std::size_t i = blocks_at_once - 1; i-- > 0;) {
    // (0 + power) key, as if the power were a message
    portable_sum(s.powers.at(i), s.powers.data(), blocks_at_once, reinterpret_cast<const std::uint8_t*>(&s.powers.at(i + 1)), 1);
  }
}

void PolynomialHash::absorb(const std::uint8_t* blocks, std::size_t count) {
  State& s = state();
  switch (path_) {
    case gf2::CarrylessPath::portable:
      return portable_sum(s.sum, s.powers.data(), blocks_at_once, blocks, count);
    case gf2::CarrylessPath::pclmul:
      return pclmul_sum(s.sum, s.powers.data(), blocks_at_once, blocks, count);
    case gf2::CarrylessPath::vpclmul:
      return vpclmul_sum(s.sum, s.powers.data(), blocks_at_once, blocks, count);
  }
}

void PolynomialHash::update(ByteView octets) {
  if (octets.empty()) return;
  octets_ += octets.size();
  State& s = state();
  if (partial_size_ > 0) {
    const std::size_t taken = std::min(octets.size(), hash_block_octets - partial_size_);
    std::ranges::copy(octets.first(taken), s.partial.begin() + static_cast<std::ptrdiff_t>(partial_size_));
    partial_size_ += taken;
    octets = octets.subspan(taken);
    if (partial_size_ < hash_block_octets) return;
    absorb(s.partial.data(), 1);
    partial_size_ = 0;
  }
  const std::size_t whole = octets.size() / hash_block_octets;
  absorb(octets.data(), whole);
  const ByteView rest = octets.subspan(whole * hash_block_octets);
  std::ranges::copy(rest, s.partial.begin());
  partial_size_ = rest.size();
}

std::array<std::uint8_t, hash_size> PolynomialHash::finish() {
  State& s = state();
  if (partial_size_ > 0) {
    std::ranges::fill(s.partial.begin() + static_cast<std::ptrdiff_t>(partial_size_), s.partial.end(), std::uint8_t{0});
    absorb(s.partial.data(), 1);
  }
  const std::array<std::uint64_t, 2> length{octets_, 0};
  absorb(reinterpret_cast<const std::uint8_t*>(length.data()), 1);
  std::array<std::uint8_t, hash_size> out{};
  std::memcpy(out.data(), &s.sum, sizeof(out));
  wipe(state_.writable());
  return out;
}

std::array<std::uint8_t, hash_size> one_time_tag(const Secret& one_time_key, ByteView message) {
  CHECK(one_time_key.size() == hash_key_size + hash_size);
  const ByteView octets = one_time_key.reveal();
  PolynomialHash hash(octets.first(hash_key_size));
  hash.update(message);
  std::array<std::uint8_t, hash_size> tag = hash.finish();
  for (std::size_t i = 0; i < hash_size; ++i) tag[i] = static_cast<std::uint8_t>(tag[i] ^ octets[hash_key_size + i]);
  return tag;
}

double polynomial_collision(std::size_t octets) {
  const std::size_t blocks = (octets + hash_block_octets - 1) / hash_block_octets;
  return (static_cast<double>(blocks) + 1.0) * 0x1p-128;
}

}  // namespace qanat::qkd
