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
  double exponential() { return -std::log1p(-uniform()); }
  /// Poisson with a small mean, by inversion; `none` is e^-mean.
  unsigned poisson(double mean, double none) { return invert_poisson(mean, none, uniform()); }
  /// The same given that it is not 0. The mean must be positive.
  unsigned poisson_at_least_one(double mean, double none) { return std::max(1U, invert_poisson(mean, none, none + uniform() * (1.0 - none))); }

 private:
  static unsigned invert_poisson(double mean, double none, double u) {
    unsigned count = 0;
    double cumulative = none;
    for (double term = none; u >= cumulative && term > 0.0; cumulative += term) term *= mean / ++count;
    return count;
  }
  void refill();

  Secret key_;
  Secret buffer_;
  const std::uint8_t* words_ = nullptr;  // of buffer_
  std::size_t at_ = 0;
  std::uint64_t chunk_ = 0;
  std::uint64_t coins_ = 0;
  unsigned coins_left_ = 0;
};

/// Four words that depend on the key and `index` alone.
std::array<std::uint64_t, 4> words_at(const Secret& key, std::uint64_t index);

}  // namespace qanat::qkd
