#include "unit/crypto/openssl_peer.hpp"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/kdf.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>

#include <stdexcept>

namespace qanat::crypto::testing {
namespace {

constexpr std::string_view sm2_id = "1234567812345678";

void must(bool held, const char* call) {
  if (!held) throw std::runtime_error(std::string("OpenSSL: ") + call + " failed");
}

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using PkeyContext = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Freer<EVP_CIPHER_CTX_free>>;
using BigNumber = std::unique_ptr<BIGNUM, Freer<BN_clear_free>>;
using ParameterBuilder = std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>>;

PkeyContext context_of(EVP_PKEY* key) {
  PkeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  must(context != nullptr, "EVP_PKEY_CTX_new_from_pkey");
  return context;
}

Pkey key_from_parameters(const char* algorithm, int selection, OSSL_PARAM* parameters) {
  const PkeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, algorithm, nullptr));
  EVP_PKEY* key = nullptr;
  must(context && EVP_PKEY_fromdata_init(context.get()) == 1 && EVP_PKEY_fromdata(context.get(), &key, selection, parameters) == 1, "EVP_PKEY_fromdata");
  return Pkey(key);
}

OSSL_PARAM octet_parameter(const char* name, ByteView octets) {
  static std::uint8_t nothing = 0;  // OpenSSL takes no null pointer for an empty string
  return OSSL_PARAM_construct_octet_string(name, octets.empty() ? &nothing : const_cast<std::uint8_t*>(octets.data()), octets.size());
}

const char* hash_of(const Suite& suite) { return suite.curve == Curve::sm2p256v1 ? "SM3" : "SHA384"; }

void set_sm2_id(const Suite& suite, EVP_PKEY_CTX* context) {
  if (suite.curve == Curve::sm2p256v1) must(EVP_PKEY_CTX_set1_id(context, sm2_id.data(), static_cast<int>(sm2_id.size())) == 1, "EVP_PKEY_CTX_set1_id");
}

}  // namespace

Pkey signature_key(Curve curve, ByteView point, ByteView scalar) {
  const bool sm2 = curve == Curve::sm2p256v1;
  const ParameterBuilder builder(OSSL_PARAM_BLD_new());
  const BigNumber number(BN_bin2bn(scalar.data(), static_cast<int>(scalar.size()), nullptr));
  bool built = OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, sm2 ? "SM2" : "P-384", 0) == 1 &&
               OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) == 1;
  if (!scalar.empty()) built = built && OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, number.get()) == 1;
  must(built, "OSSL_PARAM_BLD");
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  return key_from_parameters(sm2 ? "SM2" : "EC", scalar.empty() ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR, parameters.get());
}

Pkey key_from_seed(const char* algorithm, ByteView seed) {
  const bool ml_kem = std::string_view(algorithm).starts_with("ML-KEM");
  OSSL_PARAM parameters[] = {octet_parameter(ml_kem ? OSSL_PKEY_PARAM_ML_KEM_SEED : OSSL_PKEY_PARAM_ML_DSA_SEED, seed), OSSL_PARAM_construct_end()};
  return key_from_parameters(algorithm, EVP_PKEY_KEYPAIR, parameters);
}

Pkey key_from_public(const char* algorithm, ByteView public_key) {
  Pkey key(EVP_PKEY_new_raw_public_key_ex(nullptr, algorithm, nullptr, public_key.data(), public_key.size()));
  must(key != nullptr, "EVP_PKEY_new_raw_public_key_ex");
  return key;
}

Bytes raw_public(EVP_PKEY* key) {
  std::size_t size = 0;
  must(EVP_PKEY_get_raw_public_key(key, nullptr, &size) == 1, "EVP_PKEY_get_raw_public_key");
  Bytes out(size);
  must(EVP_PKEY_get_raw_public_key(key, out.data(), &size) == 1, "EVP_PKEY_get_raw_public_key");
  return out;
}

Bytes sign_classical(const Suite& suite, EVP_PKEY* key, ByteView message) {
  const DigestContext context(EVP_MD_CTX_new());
  const PkeyContext pkey_context = context_of(key);
  set_sm2_id(suite, pkey_context.get());
  EVP_MD_CTX_set_pkey_ctx(context.get(), pkey_context.get());
  must(EVP_DigestSignInit_ex(context.get(), nullptr, hash_of(suite), nullptr, nullptr, key, nullptr) == 1, "EVP_DigestSignInit_ex");
  std::size_t size = 0;
  must(EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size()) == 1, "EVP_DigestSign");
  Bytes der(size);
  must(EVP_DigestSign(context.get(), der.data(), &size, message.data(), message.size()) == 1, "EVP_DigestSign");
  const std::uint8_t* at = der.data();
  const Signature signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)));
  must(signature != nullptr, "d2i_ECDSA_SIG");
  Bytes out(suite.classical_sig);
  const auto half = static_cast<int>(suite.scalar);
  must(BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out.data(), half) == half, "BN_bn2binpad");
  must(BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out.data() + suite.scalar, half) == half, "BN_bn2binpad");
  return out;
}

bool verify_classical_peer(const Suite& suite, EVP_PKEY* key, ByteView message, ByteView r_s) {
  const auto half = static_cast<int>(suite.scalar);
  const Signature signature(ECDSA_SIG_new());
  must(ECDSA_SIG_set0(signature.get(), BN_bin2bn(r_s.data(), half, nullptr), BN_bin2bn(r_s.data() + suite.scalar, half, nullptr)) == 1, "ECDSA_SIG_set0");
  std::uint8_t* encoded = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &encoded);
  must(size > 0, "i2d_ECDSA_SIG");
  const Bytes der(encoded, encoded + size);
  OPENSSL_free(encoded);
  const DigestContext context(EVP_MD_CTX_new());
  const PkeyContext pkey_context = context_of(key);
  set_sm2_id(suite, pkey_context.get());
  EVP_MD_CTX_set_pkey_ctx(context.get(), pkey_context.get());
  must(EVP_DigestVerifyInit_ex(context.get(), nullptr, hash_of(suite), nullptr, nullptr, key, nullptr) == 1, "EVP_DigestVerifyInit_ex");
  return EVP_DigestVerify(context.get(), der.data(), der.size(), message.data(), message.size()) == 1;
}

Bytes sign_ml_dsa(EVP_PKEY* key, ByteView message, Randomness randomness) {
  const DigestContext context(EVP_MD_CTX_new());
  int deterministic = randomness == Randomness::deterministic ? 1 : 0;
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_DETERMINISTIC, &deterministic), OSSL_PARAM_construct_end()};
  must(EVP_DigestSignInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, key, parameters) == 1, "EVP_DigestSignInit_ex");
  std::size_t size = 0;
  must(EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size()) == 1, "EVP_DigestSign");
  Bytes out(size);
  must(EVP_DigestSign(context.get(), out.data(), &size, message.data(), message.size()) == 1, "EVP_DigestSign");
  return out;
}

bool verify_ml_dsa_peer(EVP_PKEY* key, ByteView message, ByteView signature) {
  const DigestContext context(EVP_MD_CTX_new());
  must(EVP_DigestVerifyInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, key, nullptr) == 1, "EVP_DigestVerifyInit_ex");
  return EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
}

Bytes encrypt_sm2_peer(EVP_PKEY* key, ByteView plaintext) {
  const PkeyContext context = context_of(key);
  std::size_t size = 0;
  must(EVP_PKEY_encrypt_init(context.get()) == 1, "EVP_PKEY_encrypt_init");
  must(EVP_PKEY_encrypt(context.get(), nullptr, &size, plaintext.data(), plaintext.size()) == 1, "EVP_PKEY_encrypt");
  Bytes out(size);
  must(EVP_PKEY_encrypt(context.get(), out.data(), &size, plaintext.data(), plaintext.size()) == 1, "EVP_PKEY_encrypt");
  out.resize(size);
  return out;
}

Bytes decrypt_sm2_peer(EVP_PKEY* key, ByteView der) {
  const PkeyContext context = context_of(key);
  std::size_t size = 0;
  must(EVP_PKEY_decrypt_init(context.get()) == 1, "EVP_PKEY_decrypt_init");
  must(EVP_PKEY_decrypt(context.get(), nullptr, &size, der.data(), der.size()) == 1, "EVP_PKEY_decrypt");
  Bytes out(size);
  must(EVP_PKEY_decrypt(context.get(), out.data(), &size, der.data(), der.size()) == 1, "EVP_PKEY_decrypt");
  out.resize(size);
  return out;
}

Bytes agree_peer(Curve curve, ByteView scalar, ByteView point) {
  const std::unique_ptr<EC_GROUP, Freer<EC_GROUP_free>> group(EC_GROUP_new_by_curve_name(curve == Curve::sm2p256v1 ? NID_sm2 : NID_secp384r1));
  const std::unique_ptr<EC_POINT, Freer<EC_POINT_free>> theirs(EC_POINT_new(group.get()));
  const std::unique_ptr<EC_POINT, Freer<EC_POINT_free>> shared(EC_POINT_new(group.get()));
  const BigNumber mine(BN_bin2bn(scalar.data(), static_cast<int>(scalar.size()), nullptr));
  const BigNumber x(BN_new());
  must(EC_POINT_oct2point(group.get(), theirs.get(), point.data(), point.size(), nullptr) == 1, "EC_POINT_oct2point");
  must(EC_POINT_mul(group.get(), shared.get(), nullptr, theirs.get(), mine.get(), nullptr) == 1, "EC_POINT_mul");
  must(EC_POINT_get_affine_coordinates(group.get(), shared.get(), x.get(), nullptr, nullptr) == 1, "EC_POINT_get_affine_coordinates");
  Bytes out(scalar.size());
  must(BN_bn2binpad(x.get(), out.data(), static_cast<int>(out.size())) >= 0, "BN_bn2binpad");
  return out;
}

PeerEncapsulation encapsulate_peer(EVP_PKEY* key) {
  const PkeyContext context = context_of(key);
  std::size_t ciphertext = 0;
  std::size_t secret = 0;
  must(EVP_PKEY_encapsulate_init(context.get(), nullptr) == 1, "EVP_PKEY_encapsulate_init");
  must(EVP_PKEY_encapsulate(context.get(), nullptr, &ciphertext, nullptr, &secret) == 1, "EVP_PKEY_encapsulate");
  PeerEncapsulation out{.ciphertext = Bytes(ciphertext), .secret = Bytes(secret)};
  must(EVP_PKEY_encapsulate(context.get(), out.ciphertext.data(), &ciphertext, out.secret.data(), &secret) == 1, "EVP_PKEY_encapsulate");
  return out;
}

Bytes decapsulate_peer(EVP_PKEY* key, ByteView ciphertext) {
  const PkeyContext context = context_of(key);
  std::size_t size = 0;
  must(EVP_PKEY_decapsulate_init(context.get(), nullptr) == 1, "EVP_PKEY_decapsulate_init");
  must(EVP_PKEY_decapsulate(context.get(), nullptr, &size, ciphertext.data(), ciphertext.size()) == 1, "EVP_PKEY_decapsulate");
  Bytes out(size);
  must(EVP_PKEY_decapsulate(context.get(), out.data(), &size, ciphertext.data(), ciphertext.size()) == 1, "EVP_PKEY_decapsulate");
  return out;
}

Bytes seal_peer(const char* cipher, ByteView key, ByteView iv, ByteView aad, ByteView plaintext) {
  const std::unique_ptr<EVP_CIPHER, Freer<EVP_CIPHER_free>> algorithm(EVP_CIPHER_fetch(nullptr, cipher, nullptr));
  const CipherContext context(EVP_CIPHER_CTX_new());
  must(algorithm && EVP_EncryptInit_ex2(context.get(), algorithm.get(), key.data(), iv.data(), nullptr) == 1, "EVP_EncryptInit_ex2");
  Bytes out(plaintext.size() + aead_tag);
  int size = 0;
  must(EVP_EncryptUpdate(context.get(), nullptr, &size, aad.data(), static_cast<int>(aad.size())) == 1, "EVP_EncryptUpdate");
  must(EVP_EncryptUpdate(context.get(), out.data(), &size, plaintext.data(), static_cast<int>(plaintext.size())) == 1, "EVP_EncryptUpdate");
  must(EVP_EncryptFinal_ex(context.get(), out.data() + size, &size) == 1, "EVP_EncryptFinal_ex");
  must(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, aead_tag, out.data() + plaintext.size()) == 1, "EVP_CTRL_AEAD_GET_TAG");
  return out;
}

Bytes digest_peer(const char* hash, ByteView text) {
  Bytes out(EVP_MAX_MD_SIZE);
  std::size_t size = 0;
  must(EVP_Q_digest(nullptr, hash, nullptr, text.data(), text.size(), out.data(), &size) == 1, "EVP_Q_digest");
  out.resize(size);
  return out;
}

Bytes hmac_peer(const char* hash, ByteView key, ByteView text) {
  Bytes out(EVP_MAX_MD_SIZE);
  std::size_t size = 0;
  must(EVP_Q_mac(nullptr, "HMAC", nullptr, hash, nullptr, key.data(), key.size(), text.data(), text.size(), out.data(), out.size(), &size) != nullptr,
       "EVP_Q_mac");
  out.resize(size);
  return out;
}

Bytes hkdf_peer(const char* hash, ByteView salt, ByteView ikm, ByteView info, std::size_t size) {
  const std::unique_ptr<EVP_KDF, Freer<EVP_KDF_free>> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  const std::unique_ptr<EVP_KDF_CTX, Freer<EVP_KDF_CTX_free>> context(EVP_KDF_CTX_new(kdf.get()));
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, const_cast<char*>(hash), 0),
                                   octet_parameter(OSSL_KDF_PARAM_KEY, ikm), octet_parameter(OSSL_KDF_PARAM_SALT, salt),
                                   octet_parameter(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
  Bytes out(size);
  must(EVP_KDF_derive(context.get(), out.data(), out.size(), parameters) == 1, "EVP_KDF_derive");
  return out;
}

}  // namespace qanat::crypto::testing
