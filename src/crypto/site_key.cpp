#include "crypto/site_key.hpp"

#include <sys/stat.h>

#include <array>
#include <fstream>

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
  struct stat facts {};
  if (::stat(file.c_str(), &facts) != 0) return fail(ErrorCode::not_found, file.string() + ": no site key there");
  if ((facts.st_mode & 077U) != 0) return fail(ErrorCode::denied, file.string() + ": others can read this site key; chmod 600 it");
  std::ifstream in(file, std::ios::binary);
  Secret digits(2 * key_octets);
  in.read(reinterpret_cast<char*>(digits.writable().data()), static_cast<std::streamsize>(digits.size()));
  Secret key(key_octets);
  const auto nibble = [](std::uint8_t c) -> unsigned {
    if (c >= '0' && c <= '9') return c - unsigned{'0'};
    if (c >= 'a' && c <= 'f') return c - unsigned{'a'} + 10U;
    return 16U;
  };
  for (std::size_t i = 0; i < key_octets; ++i) {
    const unsigned high = nibble(digits.reveal()[2 * i]);
    const unsigned low = nibble(digits.reveal()[2 * i + 1]);
    if (high > 15U || low > 15U) return fail(ErrorCode::invalid_argument, file.string() + ": must hold 64 lower-case hexadecimal digits");
    key.writable()[i] = static_cast<std::uint8_t>(high * 16U + low);
  }
  return Result<SiteKey>(SiteKey(std::move(key)));
}

Bytes SiteKey::wrap(ByteView context, const Secret& secret, Rng& rng) const {
  Bytes out = rng.bytes(salt_size);
  append(out, seal(Aead::aes_256_gcm, message_key(key_, out, context), zero_iv, context, secret.reveal()));
  return out;
}

Result<Secret> SiteKey::unwrap(ByteView context, ByteView wrapped) const {
  if (wrapped.size() < salt_size + aead_tag) return fail(ErrorCode::invalid_argument, "site key: wrapped key is cut off");
  return open(Aead::aes_256_gcm, message_key(key_, wrapped.first(salt_size), context), zero_iv, context, wrapped.subspan(salt_size));
}

}  // namespace qanat::crypto
