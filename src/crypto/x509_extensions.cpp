#include "crypto/x509_extensions.hpp"

#include <openssl/bn.h>

#include <algorithm>
#include <array>

namespace qanat::crypto {
namespace {

constexpr std::size_t key_identifier_octets = 20;

/// RFC 7093 §2 (1): the first 160 bits of SHA-256 over the key's BIT STRING.
Result<Asn1OctetString> key_identifier(ByteView public_key) {
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  Asn1OctetString out(ASN1_OCTET_STRING_new());
  if (!out || EVP_Digest(public_key.data(), public_key.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1 ||
      ASN1_OCTET_STRING_set(out.get(), digest.data(), static_cast<int>(key_identifier_octets)) != 1) {
    return openssl_failure("key identifier");
  }
  return Result<Asn1OctetString>(std::move(out));
}

}  // namespace

Result<void> add_extension(X509* cert, int nid, void* value, Criticality criticality) {
  if (X509_add1_ext_i2d(cert, nid, value, static_cast<int>(criticality), X509V3_ADD_DEFAULT) != 1) return openssl_failure("certificate extension");
  return {};
}

Result<void> add_extension_der(X509* cert, const char* oid, ByteView der, Criticality criticality) {
  const Asn1OctetString value(ASN1_OCTET_STRING_new());
  const Owned<ASN1_OBJECT, ASN1_OBJECT_free> object(OBJ_txt2obj(oid, 1));
  if (!value || !object || ASN1_OCTET_STRING_set(value.get(), der.data(), static_cast<int>(der.size())) != 1) return openssl_failure("certificate extension");
  const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(X509_EXTENSION_create_by_OBJ(nullptr, object.get(), static_cast<int>(criticality), value.get()));
  if (!extension || X509_add_ext(cert, extension.get(), -1) != 1) return openssl_failure("certificate extension");
  return {};
}

Result<void> add_key_usage(X509* cert, const std::vector<int>& positions) {
  const Owned<ASN1_BIT_STRING, ASN1_BIT_STRING_free> usage(ASN1_BIT_STRING_new());
  if (!usage) return openssl_failure("keyUsage");
  for (const int position : positions) {
    if (ASN1_BIT_STRING_set_bit(usage.get(), position, 1) != 1) return openssl_failure("keyUsage");
  }
  return add_extension(cert, NID_key_usage, usage.get(), Criticality::critical);
}

Result<void> add_extended_usage(X509* cert, const std::vector<int>& purposes) {
  const Owned<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free> usage(EXTENDED_KEY_USAGE_new());
  if (!usage) return openssl_failure("extKeyUsage");
  for (const int purpose : purposes) {
    // OBJ_nid2obj gives static objects: freeing them with the stack does nothing.
    if (sk_ASN1_OBJECT_push(usage.get(), OBJ_nid2obj(purpose)) <= 0) return openssl_failure("extKeyUsage");
  }
  return add_extension(cert, NID_ext_key_usage, usage.get(), Criticality::normal);
}

Result<void> add_no_check(X509* cert) {
  const Owned<ASN1_NULL, ASN1_NULL_free> nothing(ASN1_NULL_new());
  if (!nothing) return openssl_failure("ocsp-nocheck");
  return add_extension(cert, NID_id_pkix_OCSP_noCheck, nothing.get(), Criticality::normal);
}

Result<void> add_no_rev_avail(X509* cert) {
  const Owned<ASN1_NULL, ASN1_NULL_free> nothing(ASN1_NULL_new());
  if (!nothing) return openssl_failure("noRevAvail");
  return add_extension(cert, NID_no_rev_avail, nothing.get(), Criticality::normal);
}

Result<void> add_key_identifiers(X509* cert, ByteView public_key, const Certificate* issuer) {
  ASSIGN_OR_RETURN(const Asn1OctetString own, key_identifier(public_key));
  TRY(add_extension(cert, NID_subject_key_identifier, own.get(), Criticality::normal));
  const Owned<AUTHORITY_KEYID, AUTHORITY_KEYID_free> authority(AUTHORITY_KEYID_new());
  if (!authority) return openssl_failure("authorityKeyIdentifier");
  const ASN1_OCTET_STRING* issuer_own = issuer != nullptr ? X509_get0_subject_key_id(native(*issuer)) : own.get();
  if (issuer_own == nullptr) return fail(ErrorCode::invalid_argument, "issue: the issuer's certificate has no subjectKeyIdentifier");
  authority->keyid = ASN1_OCTET_STRING_dup(issuer_own);
  if (authority->keyid == nullptr) return openssl_failure("authorityKeyIdentifier");
  return add_extension(cert, NID_authority_key_identifier, authority.get(), Criticality::normal);
}

Result<void> check_serial(const Bytes& serial) {
  const bool positive = std::ranges::any_of(serial, [](std::uint8_t octet) { return octet != 0; });
  if (serial.size() != serial_octets || (serial.front() & 0x80) != 0 || !positive) {
    return fail(ErrorCode::invalid_argument, "issue: the serial is not " + std::to_string(serial_octets) + " octets with the first bit clear, or is zero");
  }
  return {};
}

Result<void> set_serial(X509* cert, const Bytes& serial) {
  const Owned<BIGNUM, BN_free> number(BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
  if (!number || BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert)) == nullptr) return openssl_failure("serial");
  return {};
}

Result<void> check_issuing_key(const Certificate& issuer, const PrivateKey& issuer_key, EVP_PKEY* native_key) {
  if (!issuer.is_ca()) return fail(ErrorCode::invalid_argument, "issue: " + issuer.subject() + " is not a CA");
  ASSIGN_OR_RETURN(const Bytes public_key, public_octets_of(native_key));
  if (issuer.key_algorithm() != issuer_key.algorithm || public_key != issuer.public_key()) {
    return fail(ErrorCode::invalid_argument, "issue: the key is not the one of the issuer's certificate");
  }
  return {};
}

}  // namespace qanat::crypto
