// The polynomial hash over GF(2^128): message blocks of 128 bits are the coefficients, the secret (or, for verification, public random)
// key is the point. Encrypted with a one-time pad it is an information-theoretic tag (Wegman, Carter 1981; Krawczyk 1994).
//
// With the message's octets cut into blocks m_1 … m_N of 16 (the last filled up with zeros) and m_{N+1} its length in octets,
//   hash = sum of m_i k^(N+2-i)   in GF(2)[y]/(y^128 + y^7 + y^2 + y + 1), octet i of a block holding the coefficients of y^(8i) … y^(8i+7),
// the least significant bit first. Two different messages of at most L octets have hashes that differ by any one given value for at most
// ceil(L/16) + 1 of the 2^128 keys: the difference is a polynomial in k of that degree, without a constant term, and not zero because the
// lengths or a block differ. So the family is (ceil(L/16) + 1) / 2^128-almost XOR universal.
#pragma once

#include <array>

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "quantum/qkd/amplification/kernels.hpp"

namespace qanat::qkd {

inline constexpr std::size_t hash_key_size = 16;
inline constexpr std::size_t hash_size = 16;

/// Time depends on the number of octets alone. Its state is wiped in the end.
class PolynomialHash {
 public:
  /// `key`: 16 octets. The paths give the same hashes.
  explicit PolynomialHash(const Secret& key, gf2::CarrylessPath path = gf2::fastest_path());
  /// The same under a key that is public.
  explicit PolynomialHash(ByteView public_key, gf2::CarrylessPath path = gf2::fastest_path());
  void update(ByteView octets);
  /// The hash of everything so far, with its length as the last block. Ends the object's use.
  std::array<std::uint8_t, hash_size> finish();

 private:
  /// What depends on the key: its powers 1 to blocks_at_once, the highest first, the sum, and the begun block.
  static constexpr std::size_t blocks_at_once = 8;
  struct State {
    std::array<gf2::Element, blocks_at_once> powers;
    gf2::Element sum;
    std::array<std::uint8_t, hash_size> partial;
  };
  [[nodiscard]] State& state() noexcept { return *reinterpret_cast<State*>(state_.writable().data()); }
  void absorb(const std::uint8_t* blocks, std::size_t count);

  gf2::CarrylessPath path_;
  Secret state_;
  std::size_t partial_size_ = 0;
  std::uint64_t octets_ = 0;
};

/// hash ⊕ pad under `one_time_key`: 16 octets of hash key, then 16 octets of pad.
std::array<std::uint8_t, hash_size> one_time_tag(const Secret& one_time_key, ByteView message);
/// Upper bound on the probability that two different messages of at most `octets` octets have the same hash.
double polynomial_collision(std::size_t octets);

}  // namespace qanat::qkd
