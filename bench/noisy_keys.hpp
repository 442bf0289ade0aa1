// Two ends' sifted keys with independent errors between them, for the benches of error correction.
#pragma once

#include <cstdint>
#include <random>

#include "base/secret.hpp"

namespace qanat::bench {

struct NoisyKeys {
  Secret alice;
  Secret bob;
  std::size_t errors = 0;
};

/// `bits`: a multiple of eight.
inline NoisyKeys draw_noisy_keys(std::size_t bits, double error_rate, std::mt19937_64& engine) {
  NoisyKeys keys{.alice = Secret(bits / 8), .bob = {}};
  for (std::uint8_t& octet : keys.alice.writable()) octet = static_cast<std::uint8_t>(engine());
  keys.bob = keys.alice.duplicate();
  std::geometric_distribution<std::size_t> gap(error_rate);
  for (std::size_t i = gap(engine); i < bits; i += 1 + gap(engine)) {
    keys.bob.writable()[i / 8] ^= static_cast<std::uint8_t>(1U << (i % 8));
    ++keys.errors;
  }
  return keys;
}

}  // namespace qanat::bench
