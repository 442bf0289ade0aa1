// SM2 of OpenSSL for the test double of an SKF device. A pair is its private key, 32 octets, and the point that belongs to it, 64.
#pragma once

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "crypto/skf_interface.hpp"

namespace skf_double {

using Octets = std::vector<unsigned char>;
inline constexpr std::size_t number = 32;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

/// Nothing if it cannot be made.
inline Octets make_pair() {
  const Key key(EVP_EC_gen("SM2"), &EVP_PKEY_free);
  BIGNUM* scalar = nullptr;
  Octets point(1 + 2 * number);
  std::size_t length = 0;
  if (!key || EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_PRIV_KEY, &scalar) != 1) return {};
  Octets out(number);
  (void)BN_bn2binpad(scalar, out.data(), static_cast<int>(out.size()));
  BN_free(scalar);
  BIGNUM* x = nullptr;
  BIGNUM* y = nullptr;
  if (EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 && EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1) {
    (void)BN_bn2binpad(x, point.data(), number);
    (void)BN_bn2binpad(y, point.data() + number, number);
    length = 2 * number;
  }
  BN_free(x);
  BN_free(y);
  out.insert(out.end(), point.begin(), point.begin() + static_cast<std::ptrdiff_t>(length));
  return length == 0 ? Octets() : out;
}

inline ECCPUBLICKEYBLOB public_blob(const Octets& pair) {
  ECCPUBLICKEYBLOB out{};
  if (pair.size() != 3 * number) return out;
  out.BitLen = 8 * number;
  std::copy_n(pair.data() + number, number, out.XCoordinate + number);
  std::copy_n(pair.data() + 2 * number, number, out.YCoordinate + number);
  return out;
}

/// `scalar` may be null: a public key.
inline Key key_of(const unsigned char* scalar, const unsigned char* x, const unsigned char* y) {
  Octets point{0x04};
  point.insert(point.end(), x, x + number);
  point.insert(point.end(), y, y + number);
  const std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> build(OSSL_PARAM_BLD_new(), &OSSL_PARAM_BLD_free);
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> private_key(scalar != nullptr ? BN_bin2bn(scalar, number, nullptr) : nullptr, &BN_free);
  OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, "SM2", 0);
  OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  if (private_key) OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_PRIV_KEY, private_key.get());
  const std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)> parameters(OSSL_PARAM_BLD_to_param(build.get()), &OSSL_PARAM_free);
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(EVP_PKEY_CTX_new_from_name(nullptr, "SM2", nullptr), &EVP_PKEY_CTX_free);
  EVP_PKEY* out = nullptr;
  if (EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &out, scalar != nullptr ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    out = nullptr;
  return Key(out, &EVP_PKEY_free);
}

/// What stands in one DER element at `at`, which is moved behind it; short lengths are all that is needed here, and one octet more.
inline Octets take_der(const Octets& der, std::size_t& at) {
  std::size_t length = der.at(at + 1);
  at += 2;
  if (length == 0x81) length = der.at(at++);
  const Octets out(der.begin() + static_cast<std::ptrdiff_t>(at), der.begin() + static_cast<std::ptrdiff_t>(at + length));
  at += length;
  return out;
}

inline Octets der(unsigned char tag, Octets content) {
  Octets out{tag};
  if (content.size() >= 0x80) out.push_back(0x81);
  out.push_back(static_cast<unsigned char>(content.size()));
  out.insert(out.end(), content.begin(), content.end());
  return out;
}

inline Octets der_integer(const unsigned char* octets) {
  Octets content(octets, octets + number);
  while (content.size() > 1 && content.front() == 0) content.erase(content.begin());
  if (content.front() >= 0x80) content.insert(content.begin(), 0);
  return der(0x02, content);
}

/// An ECCCIPHERBLOB with its ciphertext; nothing if `to` is no key.
inline Octets encrypt(const ECCPUBLICKEYBLOB& to, const Octets& value) {
  const Key key = key_of(nullptr, to.XCoordinate + number, to.YCoordinate + number);
  if (!key) return {};
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(EVP_PKEY_CTX_new(key.get(), nullptr), &EVP_PKEY_CTX_free);
  Octets out(512);
  std::size_t length = out.size();
  if (EVP_PKEY_encrypt_init(context.get()) != 1 || EVP_PKEY_encrypt(context.get(), out.data(), &length, value.data(), value.size()) != 1) return {};
  out.resize(length);
  std::size_t at = 0;
  const Octets sequence = take_der(out, at);
  at = 0;
  ECCCIPHERBLOB head{};
  for (unsigned char* const coordinate : {head.XCoordinate, head.YCoordinate}) {
    Octets octets = take_der(sequence, at);
    if (octets.size() > number) octets.erase(octets.begin());
    std::ranges::copy(octets, coordinate + 2 * number - octets.size());
  }
  std::ranges::copy(take_der(sequence, at), head.HASH);
  const Octets cipher = take_der(sequence, at);
  head.CipherLen = static_cast<SKF_ULONG>(cipher.size());
  Octets blob(offsetof(ECCCIPHERBLOB, Cipher));
  std::memcpy(blob.data(), &head, blob.size());
  blob.insert(blob.end(), cipher.begin(), cipher.end());
  return blob;
}

/// Nothing if it does not open.
inline Octets decrypt(const Octets& pair, const ECCCIPHERBLOB& blob) {
  if (pair.size() != 3 * number || blob.CipherLen > 64) return {};
  const Key key = key_of(pair.data(), pair.data() + number, pair.data() + 2 * number);
  if (!key) return {};
  Octets content = der_integer(blob.XCoordinate + number);
  for (const Octets& part :
       {der_integer(blob.YCoordinate + number), der(0x04, Octets(blob.HASH, blob.HASH + number)), der(0x04, Octets(blob.Cipher, blob.Cipher + blob.CipherLen))})
    content.insert(content.end(), part.begin(), part.end());
  const Octets input = der(0x30, content);
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(EVP_PKEY_CTX_new(key.get(), nullptr), &EVP_PKEY_CTX_free);
  Octets out(512);
  std::size_t length = out.size();
  if (EVP_PKEY_decrypt_init(context.get()) != 1 || EVP_PKEY_decrypt(context.get(), out.data(), &length, input.data(), input.size()) != 1) return {};
  out.resize(length);
  return out;
}

}  // namespace skf_double
