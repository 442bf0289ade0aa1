// The simulation's dice: a deterministic stream of random numbers from a secret key (AES-256 in counter mode), the same in two processes.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/secret.hpp"
#include "quantum/qkd/photonics/device.hpp"

namespace qanat::qkd {

/// The key for one use of one run: HKDF-SHA-256 with the run's id as salt and `purpose` as info, 32 octets.
Secret fibre_key(const Secret& seed, const RunId& run, std::string_view purpose);

/// The layers of Marsaglia and Tsang's ziggurat (J. Statistical Software 5 (8), 2000) under e^-x: 256 pieces of equal area. Exact, and 98 times
/// out of 100 without a logarithm.
struct Ziggurat {
  static constexpr std::size_t layers = 256;
  std::array<double, layers + 1> edge{};    // where each layer ends, the widest first, then 0
  std::array<double, layers + 1> height{};  // e^-edge
};
const Ziggurat& exponential_ziggurat();

class FibreRandom {
 public:
  explicit FibreRandom(Secret key) : key_(std::move(key)) {}

  std::uint64_t word() {
    if (at_ == buffer_.size()) refill();
    std::uint64_t value = 0;
    std::memcpy(&value, words_ + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  /// In [0, 1), 53 bits.
  double uniform() { return static_cast<double>(word() >> 11) * 0x1p-53; }
  bool chance(double probability) { return uniform() < probability; }
  bool coin() {
    if (coins_left_ == 0) {
      coins_ = word();
      coins_left_ = 64;
    }
    --coins_left_;
    const bool value = (coins_ & 1U) != 0;
    coins_ >>= 1U;
    return value;
  }
  /// Exponentially distributed with mean 1.
  double exponential() {
    const std::uint64_t bits = word();
    const std::size_t layer = bits % Ziggurat::layers;  // the low bits; the number is made of others
    const double x = static_cast<double>(bits >> 11) * 0x1p-53 * ziggurat_->edge[layer];
    return x < ziggurat_->edge[layer + 1] ? x : exponential_at_the_edge(layer, x);
  }

 private:
  void refill();
  double exponential_at_the_edge(std::size_t layer, double x);

  const Ziggurat* ziggurat_ = &exponential_ziggurat();
  Secret key_;
  Secret buffer_;
  const std::uint8_t* words_ = nullptr;  // of buffer_
  std::size_t at_ = 0;
  std::uint64_t chunk_ = 0;
  std::uint64_t coins_ = 0;
  unsigned coins_left_ = 0;
};

/// Poisson numbers of one small mean, by inversion. The first entries are counted without a branch: which photon number comes is exactly
/// what a processor cannot predict.
class PoissonTable {
 public:
  PoissonTable() = default;
  explicit PoissonTable(double mean);

  /// From a uniform number in [0, 1).
  [[nodiscard]] unsigned draw(double uniform) const { return invert(uniform); }
  /// Given that the number is not 0. The mean must be positive.
  [[nodiscard]] unsigned draw_at_least_one(double uniform) const { return std::max(1U, invert(below_[0] + uniform * (1.0 - below_[0]))); }
  /// e^-mean.
  [[nodiscard]] double none() const { return below_[0]; }

 private:
  static constexpr unsigned entries = 4;
  [[nodiscard]] unsigned invert(double u) const {
    unsigned count = 0;
    for (const double bound : below_) count += u >= bound ? 1U : 0U;
    return count < entries ? count : invert_tail(u);
  }
  [[nodiscard]] unsigned invert_tail(double u) const;

  double mean_ = 0.0;
  std::array<double, entries> below_{1.0, 1.0, 1.0, 1.0};  // P(at most n)
};

/// Four words that depend on the key and `index` alone.
std::array<std::uint64_t, 4> words_at(const Secret& key, std::uint64_t index);

}  // namespace qanat::qkd
