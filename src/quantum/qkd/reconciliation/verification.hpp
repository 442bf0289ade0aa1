// Do both ends hold the same key? A polynomial hash (Poly1305's, over 2^130 - 5) under a public random key that Alice draws after Bob's
// key is fixed. For keys of L octets two different ones collide with probability at most 8 ceil(L/16) / 2^106.
#pragma once

#include "base/bytes.hpp"
#include "base/secret.hpp"

namespace qanat::qkd {

inline constexpr std::size_t verification_key_size = 32;
inline constexpr std::size_t verification_hash_size = 16;
/// The hash goes over the line in the clear: this many bits about the key are given away, and are counted.
inline constexpr double verification_leak_bits = 8.0 * verification_hash_size;

/// Of the packed key.
Bytes verification_hash(ByteView public_key, const Secret& packed_key);
/// Probability that two different keys of `octets` octets pass, at most.
double verification_collision(std::size_t octets);

}  // namespace qanat::qkd
