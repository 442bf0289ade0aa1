// Certificates for software that others wrote: reading them, and issuing them (RFC 5280; ML-DSA subjects: RFC 9881; ML-KEM subjects: RFC 9935; the relation of
// two certificates of one subject: RFC 9763).
#include <openssl/pem.h>

#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "crypto/subject.hpp"
#include "crypto/subject_names.hpp"
#include "crypto/x509_extensions.hpp"
#include "crypto/x509_names.hpp"
#include "crypto/x509_openssl.hpp"
#include "crypto/x509_pointers.hpp"
#include "crypto/x509_related.hpp"

namespace qanat::crypto {
namespace {

constexpr std::string_view certificate_where = "certificate";

constexpr std::array usage_order{KeyUsage::digital_signature, KeyUsage::non_repudiation, KeyUsage::key_encipherment, KeyUsage::data_encipherment,
                                 KeyUsage::key_agreement};  // by position in the BIT STRING
static_assert(usage_order.size() == 5);

struct ExtendedUsageRow {
  ExtendedUsage usage;
  int nid;
};
constexpr std::array extended_usages{
    ExtendedUsageRow{ExtendedUsage::server_auth, NID_server_auth},
    ExtendedUsageRow{ExtendedUsage::client_auth, NID_client_auth},
    ExtendedUsageRow{ExtendedUsage::email_protection, NID_email_protect},
    ExtendedUsageRow{ExtendedUsage::ocsp_signing, NID_OCSP_sign},
};

std::vector<int> positions_of(KeyUsages usages) {
  std::vector<int> out;
  for (std::size_t i = 0; i < usage_order.size(); ++i) {
    if (usages.has(usage_order[i])) out.push_back(static_cast<int>(i));
  }
  return out;
}

KeyUsages read_usages(X509* cert) {
  KeyUsages out;
  const Owned<ASN1_BIT_STRING, ASN1_BIT_STRING_free> bits(static_cast<ASN1_BIT_STRING*>(X509_get_ext_d2i(cert, NID_key_usage, nullptr, nullptr)));
  for (std::size_t i = 0; bits && i < usage_order.size(); ++i) {
    if (ASN1_BIT_STRING_get_bit(bits.get(), static_cast<int>(i)) == 1)
      out.bits = static_cast<std::uint16_t>(out.bits | static_cast<std::uint16_t>(usage_order[i]));
  }
  return out;
}

std::vector<ExtendedUsage> read_extended(X509* cert) {
  std::vector<ExtendedUsage> out;
  const Owned<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free> list(static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(cert, NID_ext_key_usage, nullptr, nullptr)));
  for (int i = 0; list && i < sk_ASN1_OBJECT_num(list.get()); ++i) {
    const int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(list.get(), i));
    const auto* const row = std::ranges::find(extended_usages, nid, &ExtendedUsageRow::nid);
    if (row != extended_usages.end()) out.push_back(row->usage);
  }
  return out;
}

/// Absent, or as RFC 9608 §2 has it: once, not critical, a NULL.
Result<bool> read_no_rev_avail(const X509* cert) {
  const int at = X509_get_ext_by_NID(cert, NID_no_rev_avail, -1);
  if (at < 0) return false;
  X509_EXTENSION* extension = X509_get_ext(cert, at);
  const bool once = X509_get_ext_by_NID(cert, NID_no_rev_avail, at) < 0;
  if (!once || X509_EXTENSION_get_critical(extension) != 0 || octets_of(X509_EXTENSION_get_data(extension)) != Bytes{0x05, 0x00}) {
    return fail(ErrorCode::invalid_argument, "certificate: noRevAvail is there twice, critical, or no NULL");
  }
  return true;
}

bool read_points_to_status(X509* cert) {
  for (const int nid : {NID_crl_distribution_points, NID_freshest_crl}) {
    if (X509_get_ext_by_NID(cert, nid, -1) >= 0) return true;
  }
  const Owned<AUTHORITY_INFO_ACCESS, AUTHORITY_INFO_ACCESS_free> access(
      static_cast<AUTHORITY_INFO_ACCESS*>(X509_get_ext_d2i(cert, NID_info_access, nullptr, nullptr)));
  for (int i = 0; access && i < sk_ACCESS_DESCRIPTION_num(access.get()); ++i) {
    if (OBJ_obj2nid(sk_ACCESS_DESCRIPTION_value(access.get(), i)->method) == NID_ad_OCSP) return true;
  }
  return false;
}

bool is_bare(const X509_ALGOR* algorithm) {
  int parameters = V_ASN1_UNDEF;
  X509_ALGOR_get0(nullptr, &parameters, nullptr, algorithm);
  return parameters == V_ASN1_UNDEF;
}

/// Both of them: the one that is signed, and the one beside the signature.
bool has_bare_signature(const X509* cert) {
  const X509_ALGOR* outer = nullptr;
  X509_get0_signature(nullptr, &outer, cert);
  return is_bare(outer) && is_bare(X509_get0_tbs_sigalg(cert));
}

/// X509_check_purpose reads the extensions: a malformed one is found here.
Result<X509Certificate> read_native(ByteView der) {
  ASSIGN_OR_RETURN(X509Certificate out, (from_der<X509Certificate, d2i_X509>(der, certificate_where)));
  if (to_der<i2d_X509>(out.get()) != to_bytes(der)) return fail(ErrorCode::invalid_argument, "certificate: not DER of one");
  if (X509_check_purpose(out.get(), -1, 0) != 1) return fail(ErrorCode::invalid_argument, "certificate: its extensions are malformed or contradict each other");
  return Result<X509Certificate>(std::move(out));
}

Result<void> check_subject_template(const SubjectTemplate& wanted, const SubjectPublicKey& key) {
  TRY(check_serial(wanted.serial));
  if (wanted.not_before / 1000 >= wanted.not_after / 1000) return fail(ErrorCode::invalid_argument, "issue: notAfter is not later than notBefore");
  const KeyUsages possible = usages_possible(key.algorithm());
  if (wanted.usages.bits == 0 || (wanted.usages.bits & ~possible.bits) != 0) {
    return fail(ErrorCode::invalid_argument, "issue: the key usages are none, or none that a key of " + std::string(name(key.algorithm())) + " is fit for");
  }
  return {};
}

Result<void> set_subject(X509* cert, const SubjectTemplate& wanted) {
  ASSIGN_OR_RETURN(const X509Name subject, make_asked_subject(wanted.names));
  ASSIGN_OR_RETURN(const AlternativeNames alternatives, make_asked_alternatives(wanted.names));
  if (wanted.names.common_name.empty() && !alternatives) return fail(ErrorCode::invalid_argument, "issue: the certificate would name nobody");
  if (X509_set_subject_name(cert, subject.get()) != 1) return openssl_failure(certificate_where);
  // RFC 5280 §4.2.1.6: critical where the subject is empty.
  if (alternatives)
    TRY(add_extension(cert, NID_subject_alt_name, alternatives.get(), wanted.names.common_name.empty() ? Criticality::critical : Criticality::normal));
  return {};
}

Result<void> set_key(X509* cert, const SubjectTemplate& wanted, const Certificate& issuer) {
  using Info = Owned<X509_PUBKEY, X509_PUBKEY_free>;
  ASSIGN_OR_RETURN(const Info info, (from_der<Info, d2i_X509_PUBKEY>(wanted.public_key_info, "public key")));
  if (X509_set_pubkey(cert, X509_PUBKEY_get0(info.get())) != 1) return openssl_failure(certificate_where);
  if (to_der<i2d_X509_PUBKEY>(X509_get_X509_PUBKEY(cert)) != wanted.public_key_info)
    return fail(ErrorCode::internal, "issue: the key came out otherwise than it went in");
  const unsigned char* octets = nullptr;
  int length = 0;
  if (X509_PUBKEY_get0_param(nullptr, &octets, &length, nullptr, info.get()) != 1) return openssl_failure("public key");
  return add_key_identifiers(cert, {octets, static_cast<std::size_t>(length)}, &issuer);
}

Result<void> add_usages(X509* cert, const SubjectTemplate& wanted) {
  const Owned<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free> constraints(BASIC_CONSTRAINTS_new());
  if (!constraints) return openssl_failure("basicConstraints");
  TRY(add_extension(cert, NID_basic_constraints, constraints.get(), Criticality::critical));  // CA FALSE
  TRY(add_key_usage(cert, positions_of(wanted.usages)));
  std::vector<int> purposes;
  purposes.reserve(wanted.extended.size());
  for (const ExtendedUsage usage : wanted.extended) purposes.push_back(std::ranges::find(extended_usages, usage, &ExtendedUsageRow::usage)->nid);
  if (!purposes.empty()) TRY(add_extended_usage(cert, purposes));
  if (std::ranges::find(wanted.extended, ExtendedUsage::ocsp_signing) != wanted.extended.end()) TRY(add_no_check(cert));
  return {};
}

}  // namespace

Result<SubjectCertificate> SubjectCertificate::parse(ByteView der) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const X509Certificate native_cert, read_native(der));
  X509* cert = native_cert.get();
  SubjectCertificate out;
  ASSIGN_OR_RETURN(SubjectPublicKey key, SubjectPublicKey::parse(to_der<i2d_X509_PUBKEY>(X509_get_X509_PUBKEY(cert))));
  out.key_ = std::make_shared<const SubjectPublicKey>(std::move(key));
  int critical = -1;
  void* decoded = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, nullptr);
  ASSIGN_OR_RETURN(const AlternativeNames alternatives, take_alternative_names(decoded, critical));
  ASSIGN_OR_RETURN(out.names_, read_asked_names(certificate_where, X509_get_subject_name(cert), alternatives.get(), OtherKinds::read_over));
  ASSIGN_OR_RETURN(out.serial_, read_serial(X509_get0_serialNumber(cert)));
  ASSIGN_OR_RETURN(out.not_before_, read_time(X509_get0_notBefore(cert)));
  ASSIGN_OR_RETURN(out.not_after_, read_time(X509_get0_notAfter(cert)));
  if (const ASN1_OCTET_STRING* issuer = X509_get0_authority_key_id(cert); issuer != nullptr) out.issuer_key_id_ = octets_of(issuer);
  out.usages_ = read_usages(cert);
  out.extended_ = read_extended(cert);
  out.is_ca_ = (X509_get_extension_flags(cert) & EXFLAG_CA) != 0;
  out.bare_signature_ = has_bare_signature(cert);
  ASSIGN_OR_RETURN(out.no_rev_avail_, read_no_rev_avail(cert));
  out.points_to_status_ = read_points_to_status(cert);
  out.der_ = to_bytes(der);
  return out;
}

Result<SubjectCertificate> SubjectCertificate::parse_pem(std::string_view pem) {
  const ErrorScope errors;
  if (pem.size() > max_der_octets) return fail(ErrorCode::invalid_argument, "PEM: over " + std::to_string(max_der_octets) + " octets");
  const MemoryBio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const X509Certificate cert(in ? PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!cert) return fail(ErrorCode::invalid_argument, "PEM: no certificate in it");
  return parse(to_der<i2d_X509>(cert.get()));
}

std::string certificate_pem(ByteView der) {
  const MemoryBio out(BIO_new(BIO_s_mem()));
  CHECK(out && PEM_write_bio(out.get(), PEM_STRING_X509, "", der.data(), static_cast<long>(der.size())) > 0);
  char* text = nullptr;
  const long length = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(length)};
}

Result<void> SubjectCertificate::signed_by(const Certificate& issuer) const {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const X509Certificate cert, read_native(der_));
  if (X509_get_signature_nid(cert.get()) == NID_SM2_with_SM3) {
    Asn1OctetString id = new_distinguishing_id();
    if (!id) return openssl_failure(certificate_where);
    X509_set0_distinguishing_id(cert.get(), id.release());
  }
  const bool named = X509_NAME_cmp(X509_get_issuer_name(cert.get()), X509_get_subject_name(native(issuer))) == 0;
  if (!named || X509_verify(cert.get(), X509_get0_pubkey(native(issuer))) != 1) {
    return fail(ErrorCode::denied, "certificate: " + issuer.subject() + " has not signed it");
  }
  return {};
}

Result<Bytes> issue_subject(const SubjectTemplate& wanted, const Certificate& issuer, const PrivateKey& issuer_key) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const SubjectPublicKey key, SubjectPublicKey::parse(wanted.public_key_info));
  TRY(check_subject_template(wanted, key));
  ASSIGN_OR_RETURN(const EvpKey native_key, to_openssl(issuer_key));
  TRY(check_issuing_key(issuer, issuer_key, native_key.get()));
  ASSIGN_OR_RETURN(const Asn1Time not_before, make_time(wanted.not_before));
  ASSIGN_OR_RETURN(const Asn1Time not_after, make_time(wanted.not_after));
  const X509Certificate cert(X509_new());
  if (!cert || X509_set_version(cert.get(), X509_VERSION_3) != 1 || X509_set1_notBefore(cert.get(), not_before.get()) != 1 ||
      X509_set1_notAfter(cert.get(), not_after.get()) != 1 || X509_set_issuer_name(cert.get(), X509_get_subject_name(native(issuer))) != 1) {
    return openssl_failure(certificate_where);
  }
  TRY(set_serial(cert.get(), wanted.serial));
  TRY(add_usages(cert.get(), wanted));
  TRY(set_key(cert.get(), wanted, issuer));
  TRY(add_status_pointers(cert.get(), wanted.pointers));
  TRY(set_subject(cert.get(), wanted));
  if (!wanted.related.empty()) TRY(add_related(cert.get(), wanted.related));
  if (wanted.no_rev_avail) TRY(add_no_rev_avail(cert.get()));
  ASSIGN_OR_RETURN(const SigningContext signer, SigningContext::make(native_key.get(), issuer_key.algorithm));
  if (X509_sign_ctx(cert.get(), signer.get()) <= 0) return openssl_failure(certificate_where);
  Bytes der = to_der<i2d_X509>(cert.get());
  if (der.empty()) return openssl_failure(certificate_where);
  return der;
}

}  // namespace qanat::crypto
