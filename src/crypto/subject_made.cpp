#include "crypto/subject_made.hpp"

#include <openssl/rsa.h>

#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {
namespace {

constexpr int made_rsa_bits_min = 2048;
constexpr std::string_view made_where = "made key";

/// What each algorithm is called in OpenSSL, and in CsrAttrs.
struct MadeRow {
  SubjectAlgorithm algorithm;
  const char* type;   // EVP_PKEY type
  const char* curve;  // nullptr where the type says all
  int curve_nid;
  const char* key_oid;        // NULL where a value of another attribute says it
  const char* signature_oid;  // nullptr for keys that sign nothing
};
constexpr std::array made_rows{
    MadeRow{SubjectAlgorithm::rsa, "RSA", nullptr, NID_undef, nullptr, "1.2.840.113549.1.1.12"},  // sha384WithRSAEncryption
    MadeRow{SubjectAlgorithm::ecdsa_p256, "EC", "P-256", NID_X9_62_prime256v1, nullptr, "1.2.840.10045.4.3.2"},
    MadeRow{SubjectAlgorithm::ecdsa_p384, "EC", "P-384", NID_secp384r1, nullptr, "1.2.840.10045.4.3.3"},
    MadeRow{SubjectAlgorithm::sm2, "SM2", nullptr, NID_sm2, nullptr, "1.2.156.10197.1.501"},
    MadeRow{SubjectAlgorithm::ml_dsa_44, "ML-DSA-44", nullptr, NID_undef, "2.16.840.1.101.3.4.3.17", nullptr},
    MadeRow{SubjectAlgorithm::ml_dsa_65, "ML-DSA-65", nullptr, NID_undef, "2.16.840.1.101.3.4.3.18", nullptr},
    MadeRow{SubjectAlgorithm::ml_dsa_87, "ML-DSA-87", nullptr, NID_undef, "2.16.840.1.101.3.4.3.19", nullptr},
    MadeRow{SubjectAlgorithm::ml_kem_768, "ML-KEM-768", nullptr, NID_undef, "2.16.840.1.101.3.4.4.2", nullptr},
    MadeRow{SubjectAlgorithm::ml_kem_1024, "ML-KEM-1024", nullptr, NID_undef, "2.16.840.1.101.3.4.4.3", nullptr},
};
const MadeRow& made_row(SubjectAlgorithm algorithm) noexcept {
  const auto at = static_cast<std::size_t>(algorithm);
  CHECK(at < made_rows.size() && made_rows[at].algorithm == algorithm);
  return made_rows[at];
}

Result<EvpKey> generate_subject_key(const MadeRow& row, int rsa_bits) {
  EVP_PKEY* made = nullptr;
  if (row.algorithm == SubjectAlgorithm::rsa) {
    made = EVP_RSA_gen(static_cast<unsigned int>(rsa_bits));
  } else {
    made = row.curve != nullptr ? EVP_EC_gen(row.curve) : EVP_PKEY_Q_keygen(nullptr, nullptr, row.type);
  }
  if (made == nullptr) return openssl_failure(made_where);
  return Result<EvpKey>(EvpKey(made));
}

Result<Secret> pkcs8_of(EVP_PKEY* key) {
  const Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free> info(EVP_PKEY2PKCS8(key));
  const int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info.get(), nullptr) : 0;
  if (size <= 0) return openssl_failure(made_where);
  Secret out(static_cast<std::size_t>(size));
  unsigned char* to = out.writable().data();
  if (i2d_PKCS8_PRIV_KEY_INFO(info.get(), &to) != size) return openssl_failure(made_where);
  return out;
}

// ---- CsrAttrs ----

using Parts = std::vector<Bytes>;

/// One DER element around these, which are its content. Shorter than 64 KiB.
Bytes wrapped(std::uint8_t tag, const Parts& content) {
  std::size_t size = 0;
  for (const Bytes& part : content) size += part.size();
  Bytes out{tag};
  if (size >= 0x100) {
    out.insert(out.end(), {0x82, static_cast<std::uint8_t>(size >> 8U), static_cast<std::uint8_t>(size)});
  } else if (size >= 0x80) {
    out.insert(out.end(), {0x81, static_cast<std::uint8_t>(size)});
  } else {
    out.push_back(static_cast<std::uint8_t>(size));
  }
  for (const Bytes& part : content) out.insert(out.end(), part.begin(), part.end());
  return out;
}
constexpr std::uint8_t sequence_tag = 0x30;
constexpr std::uint8_t tag_set = 0x31;

Bytes object_identifier(const ASN1_OBJECT* object) { return to_der<i2d_ASN1_OBJECT>(object); }
Bytes object_identifier(const char* dotted) {
  const Owned<ASN1_OBJECT, ASN1_OBJECT_free> object(OBJ_txt2obj(dotted, 1));
  CHECK(object != nullptr);
  return object_identifier(object.get());
}
Bytes object_identifier(int nid) { return object_identifier(OBJ_nid2obj(nid)); }

/// Attribute ::= SEQUENCE { type, values SET OF }: in DER the values are in the order of their octets (X.690 §11.6).
Bytes attribute(int type, Parts values) {
  std::ranges::sort(values);
  return wrapped(sequence_tag, {object_identifier(type), wrapped(tag_set, values)});
}

}  // namespace

Result<MadeKey> make_subject_key(SubjectAlgorithm algorithm, int rsa_bits) {
  const ErrorScope errors;
  if (algorithm == SubjectAlgorithm::rsa && (rsa_bits < made_rsa_bits_min || rsa_bits > made_rsa_bits_max)) {
    return fail(ErrorCode::invalid_argument, "made key: RSA keys of " + std::to_string(made_rsa_bits_min) + " to " + std::to_string(made_rsa_bits_max) +
                                                 " bits are made, not of " + std::to_string(rsa_bits));
  }
  ASSIGN_OR_RETURN(const EvpKey key, generate_subject_key(made_row(algorithm), rsa_bits));
  MadeKey out;
  out.public_key_info = to_der<i2d_PUBKEY>(key.get());
  if (out.public_key_info.empty()) return openssl_failure(made_where);
  ASSIGN_OR_RETURN(out.pkcs8, pkcs8_of(key.get()));
  return Result<MadeKey>(std::move(out));
}

Result<Bytes> public_key_info(const PrivateKey& key) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const EvpKey native_key, to_openssl(key));
  Bytes out = to_der<i2d_PUBKEY>(native_key.get());
  if (out.empty()) return openssl_failure("public key");
  return out;
}

Result<bool> asks_for_wrapped_key(ByteView request_der) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const auto request, (from_der<X509Request, d2i_X509_REQ>(request_der, "certificate request")));
  // id-aa-decryptKeyID and id-aa-asymmDecryptKeyID.
  for (const char* dotted : {"1.2.840.113549.1.9.16.2.37", "1.2.840.113549.1.9.16.2.54"}) {
    const Owned<ASN1_OBJECT, ASN1_OBJECT_free> type(OBJ_txt2obj(dotted, 1));
    if (!type) return openssl_failure("certificate request");
    if (X509_REQ_get_attr_by_OBJ(request.get(), type.get(), -1) >= 0) return true;
  }
  return false;
}

Result<Bytes> make_csr_attributes(std::span<const SubjectAlgorithm> keys) {
  const ErrorScope errors;
  Parts out;
  Parts curves;
  Parts signatures;
  for (const SubjectAlgorithm algorithm : keys) {
    const MadeRow& row = made_row(algorithm);
    if (row.key_oid != nullptr) out.push_back(object_identifier(row.key_oid));
    if (row.curve_nid != NID_undef) curves.push_back(object_identifier(row.curve_nid));
    if (row.signature_oid != nullptr) signatures.push_back(object_identifier(row.signature_oid));
    if (algorithm != SubjectAlgorithm::rsa) continue;
    const Owned<ASN1_INTEGER, ASN1_INTEGER_free> bits(ASN1_INTEGER_new());
    if (!bits || ASN1_INTEGER_set(bits.get(), made_rsa_bits_min) != 1) return openssl_failure("CsrAttrs");
    out.push_back(attribute(NID_rsaEncryption, {to_der<i2d_ASN1_INTEGER>(bits.get())}));
  }
  if (!curves.empty()) out.push_back(attribute(NID_X9_62_id_ecPublicKey, std::move(curves)));
  std::ranges::move(signatures, std::back_inserter(out));
  return wrapped(sequence_tag, out);
}

}  // namespace qanat::crypto
