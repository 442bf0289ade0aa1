#include "terminal/srtp_keys.hpp"

#include <algorithm>
#include <array>

#include "crypto/aead.hpp"

namespace qanat::terminal {
namespace {

constexpr std::size_t block_octets = 16;
constexpr std::size_t label_at = 7;  // key_id is label ‖ 48 bits of index, right-aligned in the 14 octets before the counter

crypto::BlockCipher cipher_of(crypto::Aead aead) {
  switch (aead) {
    case crypto::Aead::sm4_gcm:
      return crypto::BlockCipher::sm4;
    case crypto::Aead::aes_256_gcm:
      return crypto::BlockCipher::aes_256;
  }
  CHECK(false);
}

}  // namespace

Secret derive_srtp(crypto::Aead aead, const MediaKeys& master, SrtpLabel label, std::size_t size) {
  CHECK(master.key.size() == crypto::key_size(aead) && master.salt.size() == srtp_salt_octets);
  std::array<std::uint8_t, block_octets> block{};
  std::ranges::copy(master.salt.reveal(), block.begin());
  block[label_at] = static_cast<std::uint8_t>(block[label_at] ^ static_cast<std::uint8_t>(label));
  Secret derived = crypto::ctr_keystream(cipher_of(aead), master.key, block, size);
  wipe(block);
  return derived;
}

Mki mki_of(const SidWk& sid_wk) { return Mki(sid_wk.view().first(mki_octets)); }

}  // namespace qanat::terminal
