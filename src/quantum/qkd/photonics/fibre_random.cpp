#include "quantum/qkd/photonics/fibre_random.hpp"

#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"

namespace qanat::qkd {
namespace {

constexpr std::size_t keystream_chunk = 16384;  // octets; the largest size class of Secret that is pooled

std::array<std::uint8_t, 16> counter_block(std::uint64_t high) {
  std::array<std::uint8_t, 16> block{};
  for (unsigned i = 0; i < 8; ++i) block[i] = static_cast<std::uint8_t>(high >> (56 - 8 * i));
  return block;
}

}  // namespace

Secret fibre_key(const Secret& seed, const RunId& run, std::string_view purpose) {
  const Secret prk = crypto::hkdf_extract(crypto::Hash::sha256, run.view(), seed);
  return crypto::hkdf_expand(crypto::Hash::sha256, prk, {as_bytes(purpose)}, 32);
}

void FibreRandom::refill() {
  // Chunks differ in the upper half of the counter block, so that their counters never meet.
  buffer_ = crypto::ctr_keystream(crypto::BlockCipher::aes_256, key_, counter_block(chunk_++), keystream_chunk);
  words_ = buffer_.reveal().data();
  at_ = 0;
}

PoissonTable::PoissonTable(double mean) : mean_(mean) {
  double term = std::exp(-mean);
  double sum = term;
  for (unsigned n = 0; n < entries; ++n) {
    below_[n] = sum;
    term *= mean / (n + 1);
    sum += term;
  }
}

unsigned PoissonTable::invert_tail(double u) const {
  unsigned count = entries;
  double term = below_[0];
  for (unsigned n = 1; n <= entries; ++n) term *= mean_ / n;
  for (double sum = below_[entries - 1] + term; u >= sum && term > 0.0; sum += term) term *= mean_ / ++count;
  return count;
}

std::array<std::uint64_t, 4> words_at(const Secret& key, std::uint64_t index) {
  const Secret octets = crypto::ctr_keystream(crypto::BlockCipher::aes_256, key, counter_block(index), 32);
  std::array<std::uint64_t, 4> words{};
  std::memcpy(words.data(), octets.reveal().data(), sizeof words);
  return words;
}

}  // namespace qanat::qkd
