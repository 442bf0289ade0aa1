// Public keys of software that others wrote.
#include <openssl/rsa.h>

#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "crypto/subject.hpp"
#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {
namespace {

constexpr int rsa_bits_min = 2048;
constexpr int rsa_bits_max = 8192;
constexpr BN_ULONG rsa_exponent_min = 65537;
constexpr int rsa_exponent_bits_max = 256;
constexpr BN_ULONG small_factors_below = 752;

struct SubjectKeyRow {
  SubjectAlgorithm algorithm;
  std::string_view name;
  const char* type;    // EVP_PKEY type
  int parameters;      // what the AlgorithmIdentifier's parameters must be: V_ASN1_…
  int curve;           // NID of the named curve
  std::size_t octets;  // of the key's BIT STRING; 0: it varies
  KeyUsages usages;
};
constexpr KeyUsages signatures{KeyUsage::digital_signature, KeyUsage::non_repudiation};
/// In the order of SubjectAlgorithm.
constexpr std::array subject_keys{
    SubjectKeyRow{SubjectAlgorithm::rsa,
                  "RSA",
                  "RSA",
                  V_ASN1_NULL,
                  NID_undef,
                  0,
                  {KeyUsage::digital_signature, KeyUsage::non_repudiation, KeyUsage::key_encipherment, KeyUsage::data_encipherment}},
    SubjectKeyRow{SubjectAlgorithm::ecdsa_p256,
                  "ECDSA-P-256",
                  "EC",
                  V_ASN1_OBJECT,
                  NID_X9_62_prime256v1,
                  65,
                  {KeyUsage::digital_signature, KeyUsage::non_repudiation, KeyUsage::key_agreement}},
    SubjectKeyRow{SubjectAlgorithm::ecdsa_p384,
                  "ECDSA-P-384",
                  "EC",
                  V_ASN1_OBJECT,
                  NID_secp384r1,
                  97,
                  {KeyUsage::digital_signature, KeyUsage::non_repudiation, KeyUsage::key_agreement}},
    SubjectKeyRow{SubjectAlgorithm::sm2,
                  "SM2",
                  "SM2",
                  V_ASN1_OBJECT,
                  NID_sm2,
                  65,
                  {KeyUsage::digital_signature, KeyUsage::non_repudiation, KeyUsage::key_encipherment, KeyUsage::data_encipherment, KeyUsage::key_agreement}},
    SubjectKeyRow{SubjectAlgorithm::ml_dsa_44, "ML-DSA-44", "ML-DSA-44", V_ASN1_UNDEF, NID_undef, 1312, signatures},
    SubjectKeyRow{SubjectAlgorithm::ml_dsa_65, "ML-DSA-65", "ML-DSA-65", V_ASN1_UNDEF, NID_undef, 1952, signatures},
    SubjectKeyRow{SubjectAlgorithm::ml_dsa_87, "ML-DSA-87", "ML-DSA-87", V_ASN1_UNDEF, NID_undef, 2592, signatures},
    SubjectKeyRow{SubjectAlgorithm::ml_kem_768, "ML-KEM-768", "ML-KEM-768", V_ASN1_UNDEF, NID_undef, 1184, {KeyUsage::key_encipherment}},
    SubjectKeyRow{SubjectAlgorithm::ml_kem_1024, "ML-KEM-1024", "ML-KEM-1024", V_ASN1_UNDEF, NID_undef, 1568, {KeyUsage::key_encipherment}},
};

const SubjectKeyRow& subject_key_row(SubjectAlgorithm algorithm) noexcept {
  const auto at = static_cast<std::size_t>(algorithm);
  CHECK(at < subject_keys.size() && subject_keys[at].algorithm == algorithm);
  return subject_keys[at];
}

/// The curve that the parameters name; NID_undef for others, and for a curve that is spelled out (RFC 5480 §2.1.1: namedCurve alone).
int named_curve(const X509_ALGOR* algorithm, int* parameters_type) {
  const void* value = nullptr;
  X509_ALGOR_get0(nullptr, parameters_type, &value, algorithm);
  return *parameters_type == V_ASN1_OBJECT ? OBJ_obj2nid(static_cast<const ASN1_OBJECT*>(value)) : NID_undef;
}

Result<const SubjectKeyRow*> row_of(X509_PUBKEY* info, EVP_PKEY* key) {
  X509_ALGOR* algorithm = nullptr;
  const unsigned char* octets = nullptr;
  int length = 0;
  if (X509_PUBKEY_get0_param(nullptr, &octets, &length, &algorithm, info) != 1) return openssl_failure("public key");
  int parameters = V_ASN1_UNDEF;
  const int curve = named_curve(algorithm, &parameters);
  for (const SubjectKeyRow& row : subject_keys) {
    if (EVP_PKEY_is_a(key, row.type) != 1 || (row.curve != NID_undef && row.curve != curve)) continue;
    const std::string where = std::string(row.name) + " public key: ";
    if (parameters != row.parameters) return fail(ErrorCode::invalid_argument, where + "the parameters of its AlgorithmIdentifier are not as they must be");
    if (row.octets != 0 && static_cast<std::size_t>(length) != row.octets) {
      return fail(ErrorCode::invalid_argument,
                  where + std::to_string(length) + " octets where " + std::to_string(row.octets) + " belong (a point: uncompressed)");
    }
    return &row;
  }
  return fail(ErrorCode::denied, "public key: neither RSA, P-256, P-384, SM2, ML-DSA nor ML-KEM-768 or -1024");
}

Result<void> check_rsa(EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_bits(key);
  if (bits < rsa_bits_min || bits > rsa_bits_max) {
    return fail(ErrorCode::denied, "RSA public key: of " + std::to_string(bits) + " bits where " + std::to_string(rsa_bits_min) + " to " +
                                       std::to_string(rsa_bits_max) + " are taken");
  }
  BIGNUM* read = nullptr;
  if (EVP_PKEY_get_bn_param(key, "e", &read) != 1) return openssl_failure("RSA public key");
  const Owned<BIGNUM, BN_free> exponent(read);
  read = nullptr;
  if (EVP_PKEY_get_bn_param(key, "n", &read) != 1) return openssl_failure("RSA public key");
  const Owned<BIGNUM, BN_free> modulus(read);
  const bool small = BN_num_bits(exponent.get()) <= 64 && BN_get_word(exponent.get()) < rsa_exponent_min;
  if (small || BN_is_odd(exponent.get()) == 0 || BN_num_bits(exponent.get()) > rsa_exponent_bits_max) {
    return fail(ErrorCode::denied, "RSA public key: its exponent is not an odd number from 65537 to 2^256 (FIPS 186-5 §5.1)");
  }
  // No more than this: a test of primality would cost whoever answers strangers a third of a second for 8192 bits.
  bool sound = BN_is_odd(modulus.get()) == 1;
  for (BN_ULONG factor = 3; factor < small_factors_below; factor += 2) sound = sound && BN_mod_word(modulus.get(), factor) != 0;
  if (!sound) return fail(ErrorCode::denied, "RSA public key: its modulus has a small factor");
  return {};
}

}  // namespace

std::string_view name(SubjectAlgorithm algorithm) noexcept { return subject_key_row(algorithm).name; }
KeyUsages usages_possible(SubjectAlgorithm algorithm) noexcept { return subject_key_row(algorithm).usages; }

Result<SubjectPublicKey> SubjectPublicKey::parse(ByteView spki_der) {
  const ErrorScope errors;
  using Info = Owned<X509_PUBKEY, X509_PUBKEY_free>;
  ASSIGN_OR_RETURN(const Info info, (from_der<Info, d2i_X509_PUBKEY>(spki_der, "public key")));
  if (to_der<i2d_X509_PUBKEY>(info.get()) != to_bytes(spki_der)) return fail(ErrorCode::invalid_argument, "public key: not DER of one");
  EVP_PKEY* key = X509_PUBKEY_get0(info.get());
  if (key == nullptr) return fail(ErrorCode::denied, "public key: of an algorithm that is not taken here, or not a key of it");
  ASSIGN_OR_RETURN(const SubjectKeyRow* row, row_of(info.get(), key));
  // A point is on its curve, whose cofactor is 1, and an encapsulation key in range (FIPS 203 §7.2): the decoder has seen to that.
  if (row->algorithm == SubjectAlgorithm::rsa) TRY(check_rsa(key));
  SubjectPublicKey out;
  out.algorithm_ = row->algorithm;
  out.bits_ = EVP_PKEY_get_bits(key);
  out.der_ = to_bytes(spki_der);
  const unsigned char* octets = nullptr;
  int length = 0;
  if (X509_PUBKEY_get0_param(nullptr, &octets, &length, nullptr, info.get()) != 1) return openssl_failure("public key");
  out.octets_.assign(octets, octets + length);
  return out;
}

}  // namespace qanat::crypto
