// Privacy amplification: the modified Toeplitz matrix (I | T) over GF(2).
//
// Key = k1 || k2 with k1 its first output_bits bits, and
//   out[j] = k1[j] XOR (XOR over i of T[j][i] AND k2[i]),   T[j][i] = seed[j - i + (key_bits - output_bits - 1)],
// j < output_bits, i < key_bits - output_bits: T is constant along its diagonals and takes key_bits - 1 seed bits.
//
// Two different keys agree with probability at most 2^-output_bits over the seed: with different k2 the sum over T is uniform, with equal k2
// the k1 differ. So the family is universal_2 (Carter, Wegman), which the leftover hash lemma asks for. It is also dual universal_2: M.
// Hayashi, T. Tsurumaru, "More efficient privacy amplification with less random seeds via dual universal hash function", IEEE Trans. Inf.
// Theory 62(4), 2213-2232 (2016), where the shorter seed (an unmodified Toeplitz matrix takes key_bits + output_bits - 1 bits) is from.
#pragma once

#include <cstddef>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "quantum/qkd/amplification/transform.hpp"

namespace qanat::qkd {

inline constexpr std::size_t toeplitz_key_bits_max = std::size_t{1} << 30;

/// Octets of the seed for `key_bits` in and `output_bits` out: key_bits - 1 bits, rounded up. Bits behind the last are ignored.
std::size_t toeplitz_seed_size(std::size_t key_bits, std::size_t output_bits);

/// Hashes blocks one after the other. It keeps its buffers (wiped after each block) for the next block of like size: mapping and locking
/// memory anew costs about as much as a third of the arithmetic.
class ToeplitzHasher {
 public:
  explicit ToeplitzHasher(gf2::CarrylessPath path = gf2::fastest_path()) : path_(path) {}

  /// Bits are numbered as in pack_bits. `key` holds key_bits bits, `seed` toeplitz_seed_size() octets: fresh, random, public once the raw key
  /// is fixed and never used twice. 0 < output_bits < key_bits <= toeplitz_key_bits_max, else invalid_argument. Time depends on the lengths alone.
  /// Memory: 3 to 4 times key_bits, that rounded up to a power of two.
  Result<Secret> hash(const Secret& key, std::size_t key_bits, ByteView seed, std::size_t output_bits);

 private:
  gf2::CarrylessPath path_;
  std::optional<gf2::TransformProduct> transform_;
};

/// One block.
Result<Secret> toeplitz_hash(const Secret& key, std::size_t key_bits, ByteView seed, std::size_t output_bits);

}  // namespace qanat::qkd
