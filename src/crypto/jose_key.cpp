#include "crypto/jose_key.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>

#include <algorithm>

#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {
namespace {

/// What OpenSSL calls each algorithm, and its lengths in octets.
struct JoseRow {
  JoseAlgorithm algorithm;
  std::string_view name;
  const char* type;       // EVP_PKEY type
  const char* group;      // of EC
  const char* digest;     // nullptr: the signature takes the message itself
  std::size_t part;       // coordinate of EC, key of ML-DSA; 0 for RSA
  std::size_t signature;  // 0: as long as the modulus
};
constexpr std::array jose_rows{
    JoseRow{JoseAlgorithm::es256, "ES256", "EC", "P-256", "SHA256", 32, 64},
    JoseRow{JoseAlgorithm::es384, "ES384", "EC", "P-384", "SHA384", 48, 96},
    JoseRow{JoseAlgorithm::rs256, "RS256", "RSA", nullptr, "SHA256", 0, 0},
    JoseRow{JoseAlgorithm::ml_dsa_44, "ML-DSA-44", "ML-DSA-44", nullptr, nullptr, 1312, 2420},  // FIPS 204, table 2
    JoseRow{JoseAlgorithm::ml_dsa_65, "ML-DSA-65", "ML-DSA-65", nullptr, nullptr, 1952, 3309},
    JoseRow{JoseAlgorithm::ml_dsa_87, "ML-DSA-87", "ML-DSA-87", nullptr, nullptr, 2592, 4627},
};
static_assert(std::ranges::equal(jose_rows, all_jose_algorithms, {}, &JoseRow::algorithm));

constexpr const JoseRow& jose_row(JoseAlgorithm algorithm) noexcept { return jose_rows[static_cast<std::size_t>(algorithm)]; }

using JoseNumber = Owned<BIGNUM, BN_free>;
using JoseEcdsaSignature = Owned<ECDSA_SIG, ECDSA_SIG_free>;
using ParamBuilder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using Params = Owned<OSSL_PARAM, OSSL_PARAM_free>;

Result<EvpKey> jose_key_from(const JoseRow& row, const ParamBuilder& builder) {
  const Params params(OSSL_PARAM_BLD_to_param(builder.get()));
  const EvpKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, row.type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) <= 0) return openssl_failure("JOSE key");
  if (EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) <= 0) {
    return fail(ErrorCode::invalid_argument, "key: its octets are no public key of " + std::string(row.name));
  }
  return Result<EvpKey>(EvpKey(key));
}

Result<Bytes> ecdsa_der(ByteView r_s) {
  const std::size_t half = r_s.size() / 2;
  const JoseEcdsaSignature parts(ECDSA_SIG_new());
  JoseNumber r(BN_bin2bn(r_s.data(), static_cast<int>(half), nullptr));
  JoseNumber s(BN_bin2bn(r_s.data() + half, static_cast<int>(half), nullptr));
  if (!parts || !r || !s || ECDSA_SIG_set0(parts.get(), r.get(), s.get()) != 1) return openssl_failure("ECDSA signature");
  static_cast<void>(r.release());  // both belong to `parts` now
  static_cast<void>(s.release());
  Bytes out = to_der<i2d_ECDSA_SIG>(parts.get());
  if (out.empty()) return openssl_failure("ECDSA signature");
  return out;
}

}  // namespace

struct JoseKey::State {
  EvpKey key;
};

std::string_view name(JoseAlgorithm algorithm) noexcept { return jose_row(algorithm).name; }

std::optional<JoseAlgorithm> find_jose_algorithm(std::string_view name) noexcept {
  const auto* const found = std::ranges::find(jose_rows, name, &JoseRow::name);
  if (found == jose_rows.end()) return std::nullopt;
  return found->algorithm;
}

Result<JoseKey> JoseKey::make(JoseAlgorithm algorithm, std::unique_ptr<State> state) {
  JoseKey out;
  out.algorithm_ = algorithm;
  out.spki_ = to_der<i2d_PUBKEY>(state->key.get());
  if (out.spki_.empty()) return openssl_failure("JOSE key");
  out.state_ = std::move(state);
  return out;
}

Result<JoseKey> JoseKey::from_ec(JoseAlgorithm algorithm, ByteView x, ByteView y) {
  const ErrorScope errors;
  const JoseRow& row = jose_row(algorithm);
  if (row.group == nullptr || x.size() != row.part || y.size() != row.part) {
    return fail(ErrorCode::invalid_argument, "key: coordinates for " + std::string(row.name) + " have " + std::to_string(row.part) + " octets each");
  }
  const Bytes uncompressed{0x04};
  const Bytes point = concat({uncompressed, x, y});
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, row.group, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1) {
    return openssl_failure("JOSE key");
  }
  auto state = std::make_unique<State>();
  ASSIGN_OR_RETURN(state->key, jose_key_from(row, builder));
  return make(algorithm, std::move(state));
}

Result<JoseKey> JoseKey::from_rsa(ByteView modulus, ByteView exponent) {
  const ErrorScope errors;
  if (modulus.empty() || exponent.empty() || modulus.front() == 0 || exponent.front() == 0) {
    return fail(ErrorCode::invalid_argument, "key: modulus and exponent of RSA must begin with an octet that is not zero (RFC 7518 §2)");
  }
  if (modulus.size() > static_cast<std::size_t>(jose_rsa_bits_max) / 8) return fail(ErrorCode::denied, "key: an RSA modulus of over 8192 bits");
  if (exponent.size() > 4) return fail(ErrorCode::denied, "key: an RSA exponent of over 32 bits");
  const JoseNumber n(BN_bin2bn(modulus.data(), static_cast<int>(modulus.size()), nullptr));
  const JoseNumber e(BN_bin2bn(exponent.data(), static_cast<int>(exponent.size()), nullptr));
  if (!n || !e) return openssl_failure("JOSE key");
  if (BN_num_bits(n.get()) < jose_rsa_bits_min) return fail(ErrorCode::denied, "key: an RSA modulus of under 2048 bits");
  if (BN_is_odd(n.get()) != 1 || BN_is_odd(e.get()) != 1 || BN_is_one(e.get()) == 1)
    return fail(ErrorCode::denied, "key: an even RSA modulus or exponent, or the exponent 1");
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return openssl_failure("JOSE key");
  }
  auto state = std::make_unique<State>();
  ASSIGN_OR_RETURN(state->key, jose_key_from(jose_row(JoseAlgorithm::rs256), builder));
  return make(JoseAlgorithm::rs256, std::move(state));
}

Result<JoseKey> JoseKey::from_ml_dsa(JoseAlgorithm algorithm, ByteView public_key) {
  const ErrorScope errors;
  const JoseRow& row = jose_row(algorithm);
  if (row.digest != nullptr || public_key.size() != row.part) {
    return fail(ErrorCode::invalid_argument, "key: a public key of " + std::string(row.name) + " has " + std::to_string(row.part) + " octets");
  }
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, public_key.data(), public_key.size()) != 1) {
    return openssl_failure("JOSE key");
  }
  auto state = std::make_unique<State>();
  ASSIGN_OR_RETURN(state->key, jose_key_from(row, builder));
  return make(algorithm, std::move(state));
}

Result<void> JoseKey::verify(ByteView message, ByteView signature) const {
  const ErrorScope errors;
  const JoseRow& row = jose_row(algorithm_);
  const std::unexpected<Error> refusal = fail(ErrorCode::denied, "signature: " + std::string(row.name) + " does not hold");
  const std::size_t size = row.signature != 0 ? row.signature : static_cast<std::size_t>(EVP_PKEY_get_size(state_->key.get()));
  if (signature.size() != size) return refusal;
  Bytes der;
  if (row.group != nullptr) {
    ASSIGN_OR_RETURN(der, ecdsa_der(signature));
    signature = der;
  }
  const EvpDigestContext context(EVP_MD_CTX_new());
  if (!context || EVP_DigestVerifyInit_ex(context.get(), nullptr, row.digest, nullptr, nullptr, state_->key.get(), nullptr) != 1)
    return openssl_failure("JOSE key");
  if (EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) != 1) return refusal;
  return {};
}

}  // namespace qanat::crypto
