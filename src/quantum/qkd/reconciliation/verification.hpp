// Do both ends hold the same key? The polynomial hash over GF(2^128) of both keys under a public random key that Alice draws after Bob's
// key is fixed. For keys of L octets two different ones collide with probability at most (ceil(L/16) + 1) / 2^128.
#pragma once

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "quantum/qkd/authentication/polynomial_hash.hpp"

namespace qanat::qkd {

inline constexpr std::size_t verification_key_size = hash_key_size;
inline constexpr std::size_t verification_hash_size = hash_size;
/// The hash goes over the line in the clear: this many bits about the key are given away, and are counted.
inline constexpr double verification_leak_bits = 8.0 * verification_hash_size;

/// Of the packed key. `public_key`: verification_key_size octets.
Bytes verification_hash(ByteView public_key, const Secret& packed_key);
/// Probability that two different keys of `octets` octets pass, at most.
double verification_collision(std::size_t octets);

}  // namespace qanat::qkd
