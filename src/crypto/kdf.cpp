#include "crypto/kdf.hpp"

#include <botan/hash.h>
#include <botan/kdf.h>
#include <botan/mac.h>

#include <string>

#include "base/check.hpp"
#include "crypto/algorithm_names.hpp"

namespace qanat::crypto {
namespace {

// Botan takes HMAC keys up to this length; nothing here comes near.
constexpr std::size_t hmac_key_octets_max = 4096;

std::string hmac_name(Hash hash) { return "HMAC(" + std::string(botan_name(hash)) + ")"; }

std::unique_ptr<Botan::MessageAuthenticationCode> keyed_hmac(Hash hash, ByteView key) {
  CHECK(key.size() <= hmac_key_octets_max);
  auto mac = Botan::MessageAuthenticationCode::create_or_throw(hmac_name(hash));
  mac->set_key(key);
  return mac;
}

// RFC 5869, 2.2: PRK = HMAC(salt, IKM). An absent salt is a string of zeros, which HMAC's padding makes the same as the empty key.
Secret extract(Hash hash, ByteView salt, const Secret& ikm) {
  const auto mac = keyed_hmac(hash, salt);
  mac->update(ikm.reveal());
  Secret prk(digest_size(hash));
  mac->final(prk.writable());
  return prk;
}

}  // namespace

std::size_t digest_size(Hash hash) noexcept { return hash == Hash::sha384 ? 48 : 32; }

Bytes digest(Hash hash, std::initializer_list<ByteView> parts) {
  const auto function = Botan::HashFunction::create_or_throw(botan_name(hash));
  for (const ByteView part : parts) function->update(part);
  Bytes out(digest_size(hash));
  function->final(out);
  return out;
}

Bytes hmac(Hash hash, const Secret& key, std::initializer_list<ByteView> parts) {
  const auto mac = keyed_hmac(hash, key.reveal());
  for (const ByteView part : parts) mac->update(part);
  Bytes out(digest_size(hash));
  mac->final(out);
  return out;
}

Secret hkdf_extract(Hash hash, ByteView salt, const Secret& ikm) { return extract(hash, salt, ikm); }
Secret hkdf_extract(Hash hash, const Secret& salt, const Secret& ikm) { return extract(hash, salt.reveal(), ikm); }

Secret hkdf_expand(Hash hash, const Secret& prk, std::initializer_list<ByteView> info, std::size_t size) {
  CHECK(size > 0 && size <= 255 * digest_size(hash));
  const auto kdf = Botan::KDF::create_or_throw("HKDF-Expand(" + hmac_name(hash) + ")");
  Secret out(size);
  kdf->derive_key(out.writable(), prk.reveal(), ByteView{}, concat(info));
  return out;
}

}  // namespace qanat::crypto
