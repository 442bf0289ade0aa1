// Privacy amplification: multiplication by a random Toeplitz matrix over GF(2), a universal hash (Krawczyk 1994).
#pragma once

#include <cstddef>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::qkd {

/// Octets of the seed for `key_bits` in and `output_bits` out: key_bits + output_bits - 1 bits, rounded up.
std::size_t toeplitz_seed_size(std::size_t key_bits, std::size_t output_bits);

/// out[j] = XOR over i of seed[i + j] AND key[i]; bits are numbered as in pack_bits. (Reading the key backwards makes the matrix
/// constant along its diagonals; the family is the same.) Time depends on the lengths alone. `key` holds key_bits bits, `seed`
/// toeplitz_seed_size() fresh random octets, public after the raw key is fixed and never used twice.
Result<Secret> toeplitz_hash(const Secret& key, std::size_t key_bits, ByteView seed, std::size_t output_bits);

}  // namespace qanat::qkd
