// Keys: raw scalars, seeds, points and ML-DSA public keys to OpenSSL's objects and back.
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/params.h>

#include <array>

#include "base/check.hpp"
#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {
namespace {

using BigNumber = Owned<BIGNUM, BN_clear_free>;
using BigNumberContext = Owned<BN_CTX, BN_CTX_free>;
using Group = Owned<EC_GROUP, EC_GROUP_free>;
using Point = Owned<EC_POINT, EC_POINT_free>;

constexpr std::uint8_t uncompressed_point = 0x04;  // SEC 1 §2.3.3

/// In the order of KeyAlgorithm.
constexpr std::array key_rows{
    KeyRow{KeyAlgorithm::sm2, "SM2", "SM2", "SM2", NID_sm2, 32, 65, NID_SM2_with_SM3},
    KeyRow{KeyAlgorithm::ecdsa_p384, "ECDSA-P-384", "EC", "secp384r1", NID_secp384r1, 48, 97, NID_ecdsa_with_SHA384},
    KeyRow{KeyAlgorithm::ml_dsa_65, "ML-DSA-65", "ML-DSA-65", nullptr, NID_undef, 32, 1952, NID_ML_DSA_65},
    KeyRow{KeyAlgorithm::ml_dsa_87, "ML-DSA-87", "ML-DSA-87", nullptr, NID_undef, 32, 2592, NID_ML_DSA_87},
    KeyRow{KeyAlgorithm::ml_kem_768, "ML-KEM-768", "ML-KEM-768", nullptr, NID_undef, 64, 1184, NID_undef},
    KeyRow{KeyAlgorithm::ml_kem_1024, "ML-KEM-1024", "ML-KEM-1024", nullptr, NID_undef, 64, 1568, NID_undef},
};

Result<EvpKey> from_params(const KeyRow& row, int selection, OSSL_PARAM* params) {
  const EvpKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, row.type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) <= 0) return openssl_failure(row.name);
  if (EVP_PKEY_fromdata(context.get(), &key, selection, params) <= 0) {
    return fail(ErrorCode::invalid_argument, std::string(row.name) + " key: not one of this algorithm");
  }
  return Result<EvpKey>(EvpKey(key));
}

/// OSSL_PARAM has no const: OpenSSL only reads what goes into fromdata.
OSSL_PARAM octets_param(const char* key, ByteView octets) {
  return OSSL_PARAM_construct_octet_string(key, const_cast<std::uint8_t*>(octets.data()), octets.size());
}
OSSL_PARAM group_param(const KeyRow& row) { return OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, const_cast<char*>(row.group), 0); }

/// The scalar in range, or invalid_argument: 1 .. n-1, for SM2 1 .. n-2 (GB/T 32918.1 §6.1: 1+d must have an inverse).
Result<BigNumber> read_scalar(const KeyRow& row, const Group& group, const Secret& secret) {
  BigNumber scalar(BN_secure_new());
  const BigNumber limit(BN_dup(EC_GROUP_get0_order(group.get())));
  if (!scalar || !limit || BN_bin2bn(secret.reveal().data(), static_cast<int>(secret.size()), scalar.get()) == nullptr) return openssl_failure("scalar");
  BN_set_flags(scalar.get(), BN_FLG_CONSTTIME);
  if (BN_sub_word(limit.get(), row.algorithm == KeyAlgorithm::sm2 ? 2 : 1) != 1) return openssl_failure("scalar");
  if (BN_is_zero(scalar.get()) || BN_cmp(scalar.get(), limit.get()) > 0) {
    return fail(ErrorCode::invalid_argument, std::string(row.name) + " key: the scalar is out of range");
  }
  return Result<BigNumber>(std::move(scalar));
}

Result<EvpKey> from_scalar(const KeyRow& row, const Secret& secret) {
  const Group group(EC_GROUP_new_by_curve_name(row.curve));
  if (!group) return openssl_failure(row.name);
  ASSIGN_OR_RETURN(const BigNumber scalar, read_scalar(row, group, secret));
  const Point point(EC_POINT_new(group.get()));
  const BigNumberContext context(BN_CTX_secure_new());
  Bytes encoded(row.public_);
  if (!point || !context || EC_POINT_mul(group.get(), point.get(), scalar.get(), nullptr, nullptr, context.get()) != 1 ||
      EC_POINT_point2oct(group.get(), point.get(), POINT_CONVERSION_UNCOMPRESSED, encoded.data(), encoded.size(), context.get()) != encoded.size()) {
    return openssl_failure(row.name);
  }
  Secret native_order(row.secret);  // OSSL_PARAM integers are in the machine's octet order
  if (BN_bn2nativepad(scalar.get(), native_order.writable().data(), static_cast<int>(native_order.size())) < 0) return openssl_failure(row.name);
  std::array params{group_param(row), OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native_order.writable().data(), native_order.size()),
                    octets_param(OSSL_PKEY_PARAM_PUB_KEY, encoded), OSSL_PARAM_construct_end()};
  return from_params(row, EVP_PKEY_KEYPAIR, params.data());
}

const KeyRow* find_row(EVP_PKEY* key) {
  for (const KeyRow& row : key_rows) {
    if (EVP_PKEY_is_a(key, row.type) != 1) continue;
    if (row.group == nullptr) return &row;
    std::array<char, 64> group{};
    std::size_t length = 0;
    if (EVP_PKEY_get_group_name(key, group.data(), group.size(), &length) == 1 && OBJ_txt2nid(group.data()) == row.curve) return &row;
  }
  return nullptr;
}

}  // namespace

const KeyRow& key_row(KeyAlgorithm algorithm) noexcept {
  const auto at = static_cast<std::size_t>(algorithm);
  CHECK(at < key_rows.size() && key_rows[at].algorithm == algorithm);
  return key_rows[at];
}

std::string_view name(KeyAlgorithm algorithm) noexcept { return key_row(algorithm).name; }

KeyAlgorithm classical_key(const Suite& suite) noexcept { return suite.curve == Curve::sm2p256v1 ? KeyAlgorithm::sm2 : KeyAlgorithm::ecdsa_p384; }

KeyAlgorithm ml_dsa_key(const Suite& suite) noexcept {
  CHECK(suite.ml_dsa != MlDsa::ml_dsa_44);  // no suite certifies keys of this level
  return suite.ml_dsa == MlDsa::ml_dsa_65 ? KeyAlgorithm::ml_dsa_65 : KeyAlgorithm::ml_dsa_87;
}

KeyAlgorithm ml_kem_key(const Suite& suite) noexcept { return suite.ml_kem == MlKem::ml_kem_768 ? KeyAlgorithm::ml_kem_768 : KeyAlgorithm::ml_kem_1024; }

Result<EvpKey> to_openssl(const PrivateKey& key) {
  const ErrorScope errors;
  const KeyRow& row = key_row(key.algorithm);
  if (!signs(key.algorithm)) return fail(ErrorCode::invalid_argument, std::string(row.name) + " key: signs nothing");
  if (key.secret.size() != row.secret) {
    return fail(ErrorCode::invalid_argument,
                std::string(row.name) + " key: " + std::to_string(key.secret.size()) + " octets where " + std::to_string(row.secret) + " belong");
  }
  if (row.group != nullptr) return from_scalar(row, key.secret);
  std::array params{octets_param(OSSL_PKEY_PARAM_ML_DSA_SEED, key.secret.reveal()), OSSL_PARAM_construct_end()};
  return from_params(row, EVP_PKEY_KEYPAIR, params.data());
}

Result<EvpKey> public_to_openssl(KeyAlgorithm algorithm, ByteView octets) {
  const KeyRow& row = key_row(algorithm);
  if (octets.size() != row.public_ || (row.group != nullptr && octets.front() != uncompressed_point)) {
    return fail(ErrorCode::invalid_argument, std::string(row.name) + " public key: not " + std::to_string(row.public_) + " octets in the uncompressed form");
  }
  if (row.group != nullptr) {
    std::array params{group_param(row), octets_param(OSSL_PKEY_PARAM_PUB_KEY, octets), OSSL_PARAM_construct_end()};
    return from_params(row, EVP_PKEY_PUBLIC_KEY, params.data());
  }
  std::array params{octets_param(OSSL_PKEY_PARAM_PUB_KEY, octets), OSSL_PARAM_construct_end()};
  return from_params(row, EVP_PKEY_PUBLIC_KEY, params.data());
}

Result<void> check_public_key(KeyAlgorithm algorithm, ByteView octets) {
  const ErrorScope errors;
  TRY(public_to_openssl(algorithm, octets));
  return {};
}

Result<Bytes> public_octets_of(EVP_PKEY* key) {
  std::size_t length = 0;
  if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0, &length) != 1) return openssl_failure("public key");
  Bytes out(length);
  if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, out.data(), out.size(), &length) != 1) return openssl_failure("public key");
  return out;
}

Result<Bytes> public_octets(const PrivateKey& key) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const EvpKey native_key, to_openssl(key));
  return public_octets_of(native_key.get());
}

Result<PublicKeyOctets> read_public_key(X509_PUBKEY* key) {
  EVP_PKEY* decoded = key != nullptr ? X509_PUBKEY_get0(key) : nullptr;
  if (decoded == nullptr) return fail(ErrorCode::invalid_argument, "public key: of an unknown algorithm, or not a key of it");
  const KeyRow* row = find_row(decoded);
  if (row == nullptr) return fail(ErrorCode::invalid_argument, "public key: neither SM2, P-384, ML-DSA-65, ML-DSA-87, ML-KEM-768 nor ML-KEM-1024");
  // The octets as they stand in the object: OpenSSL would re-encode a compressed point, and two objects would hold "the same" key.
  const unsigned char* octets = nullptr;
  int length = 0;
  if (X509_PUBKEY_get0_param(nullptr, &octets, &length, nullptr, key) != 1) return openssl_failure("public key");
  const ByteView view(octets, static_cast<std::size_t>(length));
  if (view.size() != row->public_ || (row->group != nullptr && view.front() != uncompressed_point)) {
    return fail(ErrorCode::invalid_argument, std::string(row->name) + " public key: not " + std::to_string(row->public_) + " octets in the uncompressed form");
  }
  return PublicKeyOctets{.algorithm = row->algorithm, .octets = to_bytes(view)};
}

bool is_our_signature(int signature_nid) noexcept {
  for (const KeyRow& row : key_rows) {
    if (row.signature != NID_undef && row.signature == signature_nid) return true;
  }
  return false;
}

}  // namespace qanat::crypto
