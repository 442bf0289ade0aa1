#include "crypto/site_key.hpp"

#include <array>

#include "base/secret_file.hpp"
#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t salt_size = 32;
constexpr std::size_t key_octets = 32;
constexpr std::array<std::uint8_t, aead_iv> zero_iv{};

Secret message_key(const Secret& site_key, ByteView salt, ByteView context) {
  const Secret prk = hkdf_extract(Hash::sha256, salt, site_key);
  return hkdf_expand(Hash::sha256, prk, {as_bytes("qanat site key"), context}, key_octets);
}

}  // namespace

Result<SiteKey> SiteKey::read(const std::filesystem::path& file) {
  auto key = read_secret_file(file, key_octets);
  if (!key) return fail_in("site key", key.error());
  return Result<SiteKey>(SiteKey(std::move(*key)));
}

Bytes SiteKey::wrap(ByteView context, const Secret& secret, Rng& rng) const {
  Bytes out = rng.bytes(salt_size);
  append(out, seal(Aead::aes_256_gcm, message_key(key_, out, context), zero_iv, context, secret.reveal()));
  return out;
}

Secret SiteKey::derive(ByteView context) const {
  return hkdf_expand(Hash::sha256, hkdf_extract(Hash::sha256, ByteView(), key_), {as_bytes("qanat site key use"), context}, key_octets);
}

Result<Secret> SiteKey::unwrap(ByteView context, ByteView wrapped) const {
  if (wrapped.size() < salt_size + aead_tag) return fail(ErrorCode::invalid_argument, "site key: wrapped key is cut off");
  return open(Aead::aes_256_gcm, message_key(key_, wrapped.first(salt_size), context), zero_iv, context, wrapped.subspan(salt_size));
}

}  // namespace qanat::crypto
