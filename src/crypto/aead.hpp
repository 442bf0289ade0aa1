// Authenticated encryption: SM4-GCM or AES-256-GCM. Nonces are the caller's duty: each call names why its nonce is fresh.
#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"

namespace qanat::crypto {

std::size_t key_size(Aead aead) noexcept;

/// ciphertext ‖ 16-octet tag. `key` key_size octets, `iv` 12 octets.
Bytes seal(Aead aead, const Secret& key, ByteView iv, ByteView aad, ByteView plaintext);
/// The plaintext; `denied` if the tag does not hold (or the text is shorter than a tag).
Result<Secret> open(Aead aead, const Secret& key, ByteView iv, ByteView aad, ByteView sealed);

/// Reusable object for one key (media packets): no allocation per packet. Not for concurrent use.
class AeadCipher {
 public:
  AeadCipher(Aead aead, const Secret& key);
  AeadCipher(AeadCipher&&) noexcept;
  AeadCipher& operator=(AeadCipher&&) noexcept;
  ~AeadCipher();
  /// Appends ciphertext‖tag to `out`.
  void seal(ByteView iv, ByteView aad, ByteView plaintext, Bytes& out);
  /// Appends the plaintext to `out`; false (and nothing appended) if the tag does not hold.
  [[nodiscard]] bool open(ByteView iv, ByteView aad, ByteView sealed, Bytes& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// One AES-256/SM4 counter-mode keystream (SRTP's key derivation, RFC 3711 §4.3.3): `size` octets from a 16-octet counter block.
enum class BlockCipher : std::uint8_t { sm4, aes_128, aes_256 };
Secret ctr_keystream(BlockCipher cipher, const Secret& key, ByteView counter_block, std::size_t size);

/// Poly1305 one-time authenticator (RFC 8439 §2.5): 16-octet tag under a 32-octet key that is used for this message only.
Bytes poly1305(const Secret& one_time_key, ByteView message);

}  // namespace qanat::crypto
