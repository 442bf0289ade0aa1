// A generator that gives the same octets in each run.
#pragma once

#include "crypto/random.hpp"

namespace qanat::terminal {

class FixedRng final : public crypto::Rng {
 public:
  explicit FixedRng(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& octet : out) {
      // splitmix64
      std::uint64_t z = (state_ += 0x9E3779B97F4A7C15);
      z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
      z = (z ^ z >> 27) * 0x94D049BB133111EB;
      octet = static_cast<std::uint8_t>(z >> 56);
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace qanat::terminal
