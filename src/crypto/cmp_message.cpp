// PKIMessage, its header and its protection (RFC 9810 §5.1; RFC 9481 §3, §6.1).
#include "crypto/cmp_message.hpp"

#include <openssl/crmf.h>

#include <algorithm>
#include <array>

#include "crypto/cmp_der.hpp"
#include "crypto/cmp_oids.hpp"
#include "crypto/cmp_signature.hpp"
#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t identifier_octets_max = 64;  // transactionID and nonces; 16 are usual
constexpr std::size_t key_id_octets_max = 256;
constexpr std::size_t info_entries_max = 16;
constexpr std::size_t extra_certificates_max = 10;
constexpr std::size_t free_text_octets_max = 1024;

// Of password based MACs. The secrets here have 256 bits: iterations add nothing, and more of them only cost.
constexpr std::int64_t mac_iterations_min = 100;  // RFC 4211 §4.4
constexpr std::int64_t mac_iterations_max = 10'000;
constexpr std::size_t mac_salt_octets_min = 8;
constexpr std::size_t mac_salt_octets_max = 128;

struct NamedBody {
  CmpBody body;
  std::string_view name;
};
constexpr std::array named_bodies{
    NamedBody{CmpBody::ir, "ir"},           NamedBody{CmpBody::ip, "ip"},           NamedBody{CmpBody::cr, "cr"},
    NamedBody{CmpBody::cp, "cp"},           NamedBody{CmpBody::p10cr, "p10cr"},     NamedBody{CmpBody::kur, "kur"},
    NamedBody{CmpBody::kup, "kup"},         NamedBody{CmpBody::rr, "rr"},           NamedBody{CmpBody::rp, "rp"},
    NamedBody{CmpBody::pki_conf, "pkiConf"}, NamedBody{CmpBody::genm, "genm"},       NamedBody{CmpBody::genp, "genp"},
    NamedBody{CmpBody::error, "error"},     NamedBody{CmpBody::cert_conf, "certConf"}, NamedBody{CmpBody::poll_req, "pollReq"},
    NamedBody{CmpBody::poll_rep, "pollRep"},
};

/// [number] EXPLICIT OCTET STRING OPTIONAL.
Result<Bytes> optional_octets(cmp_der::Reader& header, unsigned number, std::size_t max, std::string_view what) {
  if (!header.sees(cmp_der::context(number))) return Bytes();
  ASSIGN_OR_RETURN(const cmp_der::Element outer, header.next());
  ASSIGN_OR_RETURN(const cmp_der::Element octets, cmp_der::inside(outer, cmp_der::tag_octet_string, what));
  if (octets.content.size() > max) return fail(ErrorCode::invalid_argument, std::string(what) + ": over " + std::to_string(max) + " octets");
  return to_bytes(octets.content);
}

Result<Bytes> general_name(cmp_der::Reader& header, std::string_view what) {
  ASSIGN_OR_RETURN(const cmp_der::Element name, header.next());
  if ((name.tag & 0xc0) != 0x80) return fail(ErrorCode::invalid_argument, std::string(what) + ": not a GeneralName");
  return to_bytes(name.whole);
}

Result<std::optional<UnixMs>> message_time(cmp_der::Reader& header) {
  if (!header.sees(cmp_der::context(0))) return std::optional<UnixMs>();
  ASSIGN_OR_RETURN(const cmp_der::Element outer, header.next());
  ASSIGN_OR_RETURN(const cmp_der::Element time, cmp_der::inside(outer, cmp_der::tag_generalized_time, "header: messageTime"));
  const Asn1Time native(ASN1_STRING_type_new(V_ASN1_GENERALIZEDTIME));
  if (!native || ASN1_STRING_set(native.get(), time.content.data(), static_cast<int>(time.content.size())) != 1) return openssl_failure("header: messageTime");
  ASSIGN_OR_RETURN(const UnixMs at, read_time(native.get()));
  return std::optional<UnixMs>(at);
}

Result<std::string> profile_of(ByteView value) {
  ASSIGN_OR_RETURN(const cmp_der::Element list, cmp_der::only(value, cmp_der::tag_sequence, "header: certProfile"));
  ASSIGN_OR_RETURN(const cmp_der::Element text, cmp_der::only(list.content, cmp_der::tag_utf8, "header: certProfile (of one request)"));
  if (text.content.size() > identifier_octets_max) return fail(ErrorCode::invalid_argument, "header: certProfile: too long");
  return std::string(as_text(text.content));
}

Result<void> read_general_info(const cmp_der::Element& outer, CmpHeader& out) {
  ASSIGN_OR_RETURN(const cmp_der::Element list, cmp_der::inside(outer, cmp_der::tag_sequence, "header: generalInfo"));
  cmp_der::Reader entries(list.content);
  for (std::size_t count = 0; !entries.at_end(); ++count) {
    if (count == info_entries_max) return fail(ErrorCode::invalid_argument, "header: generalInfo: over " + std::to_string(info_entries_max) + " entries");
    ASSIGN_OR_RETURN(const cmp_der::Element entry, entries.take(cmp_der::tag_sequence, "header: generalInfo"));
    cmp_der::Reader parts(entry.content);
    ASSIGN_OR_RETURN(const cmp_der::Element type, parts.take(cmp_der::tag_oid, "header: generalInfo"));
    Bytes value;
    if (!parts.at_end()) {
      ASSIGN_OR_RETURN(const cmp_der::Element any, parts.next());
      value = to_bytes(any.whole);
    }
    TRY(parts.finish("header: generalInfo"));
    if (as_text(type.content) == cmp_oid::implicit_confirm) out.implicit_confirm = true;
    if (as_text(type.content) == cmp_oid::cert_profile) {
      ASSIGN_OR_RETURN(out.profile, profile_of(value));
    }
  }
  return {};
}

struct ReadHeader {
  CmpHeader header;
  Bytes protection_algorithm;
};

Result<ReadHeader> read_header(ByteView content) {
  cmp_der::Reader header(content);
  ReadHeader out;
  ASSIGN_OR_RETURN(const cmp_der::Element version, header.take(cmp_der::tag_integer, "header: pvno"));
  ASSIGN_OR_RETURN(out.header.version, cmp_der::small_integer(version.content, "header: pvno"));
  ASSIGN_OR_RETURN(out.header.sender, general_name(header, "header: sender"));
  ASSIGN_OR_RETURN(out.header.recipient, general_name(header, "header: recipient"));
  ASSIGN_OR_RETURN(out.header.time, message_time(header));
  if (header.sees(cmp_der::context(1))) {
    ASSIGN_OR_RETURN(const cmp_der::Element outer, header.next());
    ASSIGN_OR_RETURN(const cmp_der::Element algorithm, cmp_der::inside(outer, cmp_der::tag_sequence, "header: protectionAlg"));
    cmp_der::Reader parts(algorithm.content);
    ASSIGN_OR_RETURN(const cmp_der::Element kind, parts.take(cmp_der::tag_oid, "header: protectionAlg"));
    out.header.protection = as_text(kind.content) == cmp_oid::password_based_mac ? CmpProtection::mac : CmpProtection::signature;
    out.protection_algorithm = to_bytes(algorithm.whole);
  }
  ASSIGN_OR_RETURN(out.header.sender_key_id, optional_octets(header, 2, key_id_octets_max, "header: senderKID"));
  TRY(optional_octets(header, 3, key_id_octets_max, "header: recipKID"));
  ASSIGN_OR_RETURN(out.header.transaction_id, optional_octets(header, 4, identifier_octets_max, "header: transactionID"));
  ASSIGN_OR_RETURN(out.header.sender_nonce, optional_octets(header, 5, identifier_octets_max, "header: senderNonce"));
  ASSIGN_OR_RETURN(out.header.recipient_nonce, optional_octets(header, 6, identifier_octets_max, "header: recipNonce"));
  if (header.sees(cmp_der::context(7))) {  // freeText, for people
    ASSIGN_OR_RETURN(const cmp_der::Element outer, header.next());
    if (outer.content.size() > free_text_octets_max) return fail(ErrorCode::invalid_argument, "header: freeText: too long");
  }
  if (header.sees(cmp_der::context(8))) {
    ASSIGN_OR_RETURN(const cmp_der::Element outer, header.next());
    TRY(read_general_info(outer, out.header));
  }
  TRY(header.finish("header"));
  return Result<ReadHeader>(std::move(out));
}

Result<std::vector<Bytes>> read_extra_certificates(const cmp_der::Element& outer) {
  ASSIGN_OR_RETURN(const cmp_der::Element list, cmp_der::inside(outer, cmp_der::tag_sequence, "extraCerts"));
  std::vector<Bytes> out;
  cmp_der::Reader certificates(list.content);
  while (!certificates.at_end()) {
    if (out.size() == extra_certificates_max) return fail(ErrorCode::invalid_argument, "extraCerts: over " + std::to_string(extra_certificates_max));
    ASSIGN_OR_RETURN(const cmp_der::Element certificate, certificates.take(cmp_der::tag_sequence, "extraCerts"));
    out.push_back(to_bytes(certificate.whole));
  }
  return out;
}

// ---- password based MAC ----

Result<std::string_view> algorithm_of(cmp_der::Reader& parts, std::string_view what) {
  ASSIGN_OR_RETURN(const cmp_der::Element algorithm, parts.take(cmp_der::tag_sequence, what));
  cmp_der::Reader inner(algorithm.content);
  ASSIGN_OR_RETURN(const cmp_der::Element id, inner.take(cmp_der::tag_oid, what));
  return as_text(id.content);
}

/// The parameters (PBMParameter, RFC 4211 §4.4) once they are within bounds.
Result<cmp_der::Element> check_mac_parameters(ByteView algorithm_identifier) {
  ASSIGN_OR_RETURN(const cmp_der::Element algorithm, cmp_der::only(algorithm_identifier, cmp_der::tag_sequence, "protectionAlg"));
  cmp_der::Reader outer(algorithm.content);
  ASSIGN_OR_RETURN(const cmp_der::Element id, outer.take(cmp_der::tag_oid, "protectionAlg"));
  if (as_text(id.content) != cmp_oid::password_based_mac) return fail(ErrorCode::denied, "protectionAlg: not a password based MAC");
  ASSIGN_OR_RETURN(const cmp_der::Element parameters, outer.take(cmp_der::tag_sequence, "PBMParameter"));
  cmp_der::Reader parts(parameters.content);
  ASSIGN_OR_RETURN(const cmp_der::Element salt, parts.take(cmp_der::tag_octet_string, "PBMParameter: salt"));
  ASSIGN_OR_RETURN(const std::string_view function, algorithm_of(parts, "PBMParameter: owf"));
  ASSIGN_OR_RETURN(const cmp_der::Element count, parts.take(cmp_der::tag_integer, "PBMParameter: iterationCount"));
  ASSIGN_OR_RETURN(const std::int64_t iterations, cmp_der::small_integer(count.content, "PBMParameter: iterationCount"));
  ASSIGN_OR_RETURN(const std::string_view mac, algorithm_of(parts, "PBMParameter: mac"));
  TRY(parts.finish("PBMParameter"));
  if (salt.content.size() < mac_salt_octets_min || salt.content.size() > mac_salt_octets_max) {
    return fail(ErrorCode::denied, "password based MAC: a salt of " + std::to_string(salt.content.size()) + " octets, where 8 to 128 belong");
  }
  if (iterations < mac_iterations_min || iterations > mac_iterations_max) {
    return fail(ErrorCode::denied, "password based MAC: " + std::to_string(iterations) + " iterations, where 100 to 10000 belong");
  }
  // The openssl program takes the digest of its signatures for this function too: SM3 where keys of SM2 sign.
  if (function != cmp_oid::sha256 && function != cmp_oid::sha384 && function != cmp_oid::sha512 && function != cmp_oid::sm3) {
    return fail(ErrorCode::denied, "password based MAC: its one-way function is neither of SHA-2 nor SM3");
  }
  if (mac != cmp_oid::hmac_sha256 && mac != cmp_oid::hmac_sha384 && mac != cmp_oid::hmac_sha512) {
    return fail(ErrorCode::denied, "password based MAC: not HMAC with SHA-2 (hmacWithSHA256)");
  }
  return parameters;
}

/// RFC 9810 §5.1.1: the sender is the certificate's subject, senderKID its key identifier.
Result<void> check_sender(const CmpHeader& header, const X509* certificate) {
  ASSIGN_OR_RETURN(const cmp_der::Element sender, cmp_der::only(header.sender, cmp_der::context(4), "header: sender (directoryName)"));
  ASSIGN_OR_RETURN(const X509Name name, (from_der<X509Name, d2i_X509_NAME>(sender.content, "header: sender")));
  if (X509_NAME_cmp(name.get(), X509_get_subject_name(certificate)) != 0) {
    return fail(ErrorCode::unauthenticated, "header: the sender is not the subject of the certificate that protects the message");
  }
  const ASN1_OCTET_STRING* key_id = X509_get0_subject_key_id(const_cast<X509*>(certificate));
  if (!header.sender_key_id.empty() && key_id != nullptr && octets_of(key_id) != header.sender_key_id) {
    return fail(ErrorCode::unauthenticated, "header: senderKID is not the key identifier of the certificate that protects the message");
  }
  return {};
}

}  // namespace

std::string_view name(CmpBody body) noexcept {
  const auto* found = std::ranges::find(named_bodies, body, &NamedBody::body);
  return found != named_bodies.end() ? found->name : "unknown";
}

Result<CmpMessage> CmpMessage::parse(ByteView der) {
  const ErrorScope errors;
  if (der.size() > cmp_octets_max) return fail(ErrorCode::invalid_argument, "message: over " + std::to_string(cmp_octets_max) + " octets");
  ASSIGN_OR_RETURN(const cmp_der::Element message, cmp_der::only(der, cmp_der::tag_sequence, "message"));
  cmp_der::Reader parts(message.content);
  ASSIGN_OR_RETURN(const cmp_der::Element header, parts.take(cmp_der::tag_sequence, "header"));
  ASSIGN_OR_RETURN(ReadHeader read, read_header(header.content));
  ASSIGN_OR_RETURN(const cmp_der::Element body, parts.next());
  if ((body.tag & 0xe0) != 0xa0) return fail(ErrorCode::invalid_argument, "body: not a PKIBody");
  CmpMessage out;
  out.header_ = std::move(read.header);
  out.body_ = static_cast<CmpBody>(body.tag & 0x1f);
  out.content_ = to_bytes(body.content);
  out.protected_part_ = cmp_der::sequence({header.whole, body.whole});
  out.protection_algorithm_ = std::move(read.protection_algorithm);
  if (parts.sees(cmp_der::context(0))) {
    ASSIGN_OR_RETURN(const cmp_der::Element outer, parts.next());
    ASSIGN_OR_RETURN(const cmp_der::Element bits, cmp_der::inside(outer, cmp_der::tag_bit_string, "protection"));
    ASSIGN_OR_RETURN(const ByteView octets, cmp_der::whole_bits(bits.content, "protection"));
    out.protection_ = to_bytes(octets);
  }
  if (parts.sees(cmp_der::context(1))) {
    ASSIGN_OR_RETURN(const cmp_der::Element outer, parts.next());
    ASSIGN_OR_RETURN(out.extra_certificates_, read_extra_certificates(outer));
  }
  TRY(parts.finish("message"));
  if (out.protection_algorithm_.empty() != out.protection_.empty()) {
    return fail(ErrorCode::invalid_argument, "message: has one of protectionAlg and protection without the other");
  }
  return Result<CmpMessage>(std::move(out));
}

Result<void> CmpMessage::check_mac(const Secret& secret) const {
  const ErrorScope errors;
  if (header_.protection != CmpProtection::mac) return fail(ErrorCode::unauthenticated, "message: not protected by a MAC");
  ASSIGN_OR_RETURN(const cmp_der::Element parameters, check_mac_parameters(protection_algorithm_));
  using Parameters = Owned<OSSL_CRMF_PBMPARAMETER, OSSL_CRMF_PBMPARAMETER_free>;
  ASSIGN_OR_RETURN(const Parameters native, (from_der<Parameters, d2i_OSSL_CRMF_PBMPARAMETER>(parameters.whole, "PBMParameter")));
  unsigned char* mac = nullptr;
  std::size_t size = 0;
  const ByteView key = secret.reveal();
  const int made = OSSL_CRMF_pbm_new(nullptr, nullptr, native.get(), protected_part_.data(), protected_part_.size(), key.data(), key.size(), &mac, &size);
  const OpensslOctets owner(mac);
  if (made != 1) return openssl_failure("password based MAC");
  if (!equal_constant_time({mac, size}, protection_)) return fail(ErrorCode::unauthenticated, "message: its MAC does not hold");
  return {};
}

Result<void> CmpMessage::check_signature(ByteView certificate_der) const {
  const ErrorScope errors;
  if (header_.protection != CmpProtection::signature) return fail(ErrorCode::unauthenticated, "message: not protected by a signature");
  ASSIGN_OR_RETURN(const X509Certificate certificate, (from_der<X509Certificate, d2i_X509>(certificate_der, "extraCerts")));
  TRY(SubjectPublicKey::parse(to_der<i2d_X509_PUBKEY>(X509_get_X509_PUBKEY(certificate.get()))));
  TRY(check_sender(header_, certificate.get()));
  if ((X509_get_key_usage(certificate.get()) & KU_DIGITAL_SIGNATURE) == 0) {
    return fail(ErrorCode::unauthenticated, "message: the certificate that protects it is not for signatures");
  }
  EVP_PKEY* const key = X509_get0_pubkey(certificate.get());
  if (key == nullptr) return fail(ErrorCode::denied, "message: the certificate that protects it has a key that is not taken here");
  return check_cmp_signature(key, {.algorithm = protection_algorithm_, .signature = protection_, .part = protected_part_}, "message");
}

Result<CmpCertificateId> cmp_certificate_id(ByteView certificate_der) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const X509Certificate certificate, (from_der<X509Certificate, d2i_X509>(certificate_der, "certificate")));
  CmpCertificateId out{.issuer = to_der<i2d_X509_NAME>(X509_get_issuer_name(certificate.get())), .serial = {}};
  ASSIGN_OR_RETURN(out.serial, read_serial(X509_get0_serialNumber(certificate.get())));
  return out;
}

Result<Bytes> cmp_subject_of(ByteView certificate_der) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const X509Certificate certificate, (from_der<X509Certificate, d2i_X509>(certificate_der, "certificate")));
  return to_der<i2d_X509_NAME>(X509_get_subject_name(certificate.get()));
}

}  // namespace qanat::crypto
