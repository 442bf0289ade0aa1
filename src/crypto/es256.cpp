#include "crypto/es256.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/params.h>

#include <array>

#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {
namespace {

constexpr const char* es256_curve = "P-256";
constexpr std::size_t coordinate = 32;

using EcdsaSignature = Owned<ECDSA_SIG, ECDSA_SIG_free>;
using SecretNumber = Owned<BIGNUM, BN_clear_free>;

/// OSSL_PARAM has no const: OpenSSL only reads what goes into fromdata.
Result<EvpKey> es256_key(ByteView point, const Secret* scalar) {
  if (point.size() != es256_point || point.front() != 0x04) return fail(ErrorCode::invalid_argument, "P-256 key: not a point in the uncompressed form");
  std::array<OSSL_PARAM, 4> params{};
  std::size_t used = 0;
  params[used++] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, const_cast<char*>(es256_curve), 0);
  params[used++] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, const_cast<std::uint8_t*>(point.data()), point.size());
  Secret native_order(scalar != nullptr ? es256_scalar : 0);  // OSSL_PARAM integers are in the machine's octet order
  if (scalar != nullptr) {
    const SecretNumber number(BN_bin2bn(scalar->reveal().data(), static_cast<int>(scalar->size()), BN_secure_new()));
    if (!number || BN_bn2nativepad(number.get(), native_order.writable().data(), static_cast<int>(native_order.size())) < 0) return openssl_failure("P-256 key");
    params[used++] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native_order.writable().data(), native_order.size());
  }
  params[used] = OSSL_PARAM_construct_end();
  const EvpKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) <= 0) return openssl_failure("P-256 key");
  if (EVP_PKEY_fromdata(context.get(), &key, scalar != nullptr ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params.data()) <= 0) {
    return fail(ErrorCode::invalid_argument, "P-256 key: not one of this curve");
  }
  return Result<EvpKey>(EvpKey(key));
}

Result<Bytes> fixed_form(ByteView der) {
  const unsigned char* at = der.data();
  const EcdsaSignature parsed(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  Bytes out(es256_signature);
  if (!parsed || BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), out.data(), coordinate) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), out.data() + coordinate, coordinate) < 0) {
    return openssl_failure("ES256");
  }
  return out;
}

Result<Bytes> der_form(ByteView signature) {
  const EcdsaSignature parts(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(signature.data(), coordinate, nullptr);
  BIGNUM* s = BN_bin2bn(signature.data() + coordinate, coordinate, nullptr);
  if (!parts || r == nullptr || s == nullptr || ECDSA_SIG_set0(parts.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return openssl_failure("ES256");
  }
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(parts.get(), &der);
  const OpensslOctets owner(der);
  if (size <= 0) return openssl_failure("ES256");
  return Bytes(der, der + size);
}

}  // namespace

struct Es256Signer::State {
  EvpKey key;
  Bytes point;
  Secret scalar;
};

Es256Signer::Es256Signer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Es256Signer::Es256Signer(Es256Signer&&) noexcept = default;
Es256Signer& Es256Signer::operator=(Es256Signer&&) noexcept = default;
Es256Signer::~Es256Signer() = default;

Result<Es256Signer> Es256Signer::generate() {
  const ErrorScope errors;
  const EvpKey key(EVP_EC_gen(es256_curve));
  BIGNUM* number = nullptr;
  if (!key || EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_PRIV_KEY, &number) != 1) return openssl_failure("P-256 key");
  const SecretNumber owner(number);
  Secret secret(es256_scalar + es256_point);
  if (BN_bn2binpad(number, secret.writable().data(), es256_scalar) < 0) return openssl_failure("P-256 key");
  std::size_t size = 0;
  if (EVP_PKEY_get_octet_string_param(key.get(), OSSL_PKEY_PARAM_PUB_KEY, secret.writable().data() + es256_scalar, es256_point, &size) != 1 || size != es256_point) {
    return openssl_failure("P-256 key");
  }
  return from_secret(secret);
}

Result<Es256Signer> Es256Signer::from_secret(const Secret& secret) {
  const ErrorScope errors;
  if (secret.size() != es256_scalar + es256_point) return fail(ErrorCode::invalid_argument, "P-256 key: the secret has the wrong length");
  auto state = std::make_unique<State>();
  const ByteView octets = secret.reveal();
  state->scalar = Secret::copy_of(octets.first(es256_scalar));
  state->point = to_bytes(octets.subspan(es256_scalar));
  ASSIGN_OR_RETURN(state->key, es256_key(state->point, &state->scalar));
  const EvpKeyContext check(EVP_PKEY_CTX_new_from_pkey(nullptr, state->key.get(), nullptr));
  if (!check || EVP_PKEY_pairwise_check(check.get()) != 1) return fail(ErrorCode::invalid_argument, "P-256 key: scalar and point are no pair");
  return Es256Signer(std::move(state));
}

const Bytes& Es256Signer::public_key() const noexcept { return state_->point; }

Secret Es256Signer::secret() const {
  const Secret point = Secret::copy_of(state_->point);
  return Secret::concat({&state_->scalar, &point});
}

Result<Bytes> Es256Signer::sign(ByteView message) const {
  const ErrorScope errors;
  const EvpDigestContext context(EVP_MD_CTX_new());
  std::size_t size = 0;
  if (!context || EVP_DigestSignInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr, state_->key.get(), nullptr) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size()) != 1) {
    return openssl_failure("ES256");
  }
  Bytes der(size);
  if (EVP_DigestSign(context.get(), der.data(), &size, message.data(), message.size()) != 1) return openssl_failure("ES256");
  der.resize(size);
  return fixed_form(der);
}

Result<void> verify_es256(ByteView point, ByteView message, ByteView signature) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const EvpKey key, es256_key(point, nullptr));
  if (signature.size() != es256_signature) return fail(ErrorCode::denied, "signature: ES256 has 64 octets");
  ASSIGN_OR_RETURN(const Bytes der, der_form(signature));
  const EvpDigestContext context(EVP_MD_CTX_new());
  if (!context || EVP_DigestVerifyInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr, key.get(), nullptr) != 1) return openssl_failure("ES256");
  if (EVP_DigestVerify(context.get(), der.data(), der.size(), message.data(), message.size()) != 1) return fail(ErrorCode::denied, "signature: ES256 does not hold");
  return {};
}

}  // namespace qanat::crypto
