// The polynomial hash over GF(2^128): message blocks of 128 bits are the coefficients, the secret (or, for verification, public random)
// key is the point. Two different messages of at most L octets agree with probability at most (ceil(L/16) + 1) / 2^128 over the key.
// Encrypted with a one-time pad it is an information-theoretic tag (Wegman, Carter 1981; Krawczyk 1994).
#pragma once

#include <array>

#include "base/bytes.hpp"
#include "base/secret.hpp"

namespace qanat::qkd {

inline constexpr std::size_t hash_key_size = 16;
inline constexpr std::size_t hash_size = 16;

class PolynomialHash {
 public:
  /// `key`: 16 octets.
  explicit PolynomialHash(const Secret& key);
  void update(ByteView octets);
  /// The hash of everything so far, with its length as the last block. Ends the object's use.
  std::array<std::uint8_t, hash_size> finish();

 private:
  struct Element {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
  };
  Secret powers_;  // of the key, for several blocks at once
  Element sum_;
  std::array<std::uint8_t, hash_size> partial_{};
  std::size_t partial_size_ = 0;
  std::uint64_t octets_ = 0;
};

/// hash ⊕ pad under `one_time_key`: 16 octets of hash key, then 16 octets of pad.
std::array<std::uint8_t, hash_size> one_time_tag(const Secret& one_time_key, ByteView message);
/// Upper bound on the probability that two different messages of at most `octets` octets have the same hash.
double polynomial_collision(std::size_t octets);

}  // namespace qanat::qkd
