// Keys that authenticate the classical channel (Wegman, Carter 1981): each tag is a polynomial hash over GF(2^128) hidden by a
// one-time pad (polynomial_hash.hpp), under a 32-octet key of its own: 16 octets of hash key, 16 of pad. A forger without limits on
// computing succeeds with probability at most polynomial_collision(L) per attempt at a transcript of L octets.
//
// Each direction is a row of such keys with absolute positions. Both ends hold the same rows: first from a pre-shared secret, then
// from the yield of each block. A position that was claimed is never claimed again; its key is wiped. The rule that makes this hold
// across a crash: the pool is written durably after claim() and before the tag leaves the process.
#pragma once

#include <array>
#include <cstdint>
#include <deque>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "quantum/qkd/authentication/polynomial_hash.hpp"
#include "quantum/qkd/octets.hpp"

namespace qanat::qkd {

enum class Direction : std::uint8_t { alice_to_bob, bob_to_alice };
/// What a tag is for: a block must leave the reserve alone, the handshake may use it (it is how the ends meet again).
enum class TagPurpose : std::uint8_t { handshake, block };

inline constexpr std::size_t one_time_key_size = hash_key_size + hash_size;
inline constexpr std::size_t one_time_key_bits = 8 * one_time_key_size;
inline constexpr std::size_t tag_size = hash_size;
inline constexpr std::size_t pool_keys_max = 4096;  // per direction

struct OneTimeKey {
  std::uint64_t position = 0;
  Secret key;
};

class AuthenticationPool {
 public:
  /// `preshared`: a multiple of 64 octets; its first half serves alice_to_bob.
  [[nodiscard]] static Result<AuthenticationPool> from_preshared(const Secret& preshared);
  [[nodiscard]] static Result<AuthenticationPool> read(OctetReader& in);
  void write(OctetWriter& out) const;
  /// Octets that write() will add.
  [[nodiscard]] std::size_t written_size() const;

  /// Keys left, and the position after the last one.
  [[nodiscard]] std::size_t stock(Direction direction) const { return row(direction).keys.size(); }
  [[nodiscard]] std::uint64_t end(Direction direction) const { return row(direction).next + stock(direction); }

  /// The next key to send with; it leaves the pool. exhausted when `purpose` may not have it.
  [[nodiscard]] Result<OneTimeKey> claim(Direction direction, TagPurpose purpose, std::size_t reserve);
  /// The key to check a received tag with. It stays until accept(): a forged message must not use it up.
  [[nodiscard]] Result<const Secret*> expected(Direction direction, std::uint64_t position) const;
  /// The tag held: this position and all before it are over.
  void accept(Direction direction, std::uint64_t position);
  /// Adds the keys in `material`, a multiple of 32 octets.
  [[nodiscard]] Result<void> refill(Direction direction, ByteView material);

 private:
  struct Row {
    std::uint64_t next = 0;  // position of keys.front()
    std::deque<Secret> keys;
  };
  [[nodiscard]] const Row& row(Direction direction) const { return rows_[static_cast<std::size_t>(direction)]; }
  [[nodiscard]] Row& row(Direction direction) { return rows_[static_cast<std::size_t>(direction)]; }
  std::array<Row, 2> rows_;
};

}  // namespace qanat::qkd
