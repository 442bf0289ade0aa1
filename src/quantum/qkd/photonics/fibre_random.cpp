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

const Ziggurat& exponential_ziggurat() {
  static const Ziggurat table = [] {
    constexpr double tail = 7.69711747013104972;       // where the lowest layer gives way to the tail
    constexpr double area = 3.9496598225815571993e-3;  // of each layer, the lowest with its tail
    Ziggurat out;
    out.edge[0] = area * std::exp(tail);
    out.edge[1] = tail;
    for (std::size_t i = 2; i < Ziggurat::layers; ++i) out.edge[i] = -std::log(area / out.edge[i - 1] + std::exp(-out.edge[i - 1]));
    for (std::size_t i = 0; i <= Ziggurat::layers; ++i) out.height[i] = std::exp(-out.edge[i]);
    return out;
  }();
  return table;
}

double FibreRandom::exponential_at_the_edge(std::size_t layer, double x) {
  // The tail of an exponential looks like the whole.
  if (layer == 0) return ziggurat_->edge[1] - std::log1p(-uniform());
  const double height = ziggurat_->height[layer] + uniform() * (ziggurat_->height[layer + 1] - ziggurat_->height[layer]);
  return height < std::exp(-x) ? x : exponential();
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
  double sum = below_[entries - 1] + term;
  while (u >= sum && term > 0.0) {
    term *= mean_ / ++count;
    sum += term;
  }
  return count;
}

std::array<std::uint64_t, 4> words_at(const Secret& key, std::uint64_t index) {
  const Secret octets = crypto::ctr_keystream(crypto::BlockCipher::aes_256, key, counter_block(index), 32);
  std::array<std::uint64_t, 4> words{};
  std::memcpy(words.data(), octets.reveal().data(), sizeof words);
  return words;
}

}  // namespace qanat::qkd
