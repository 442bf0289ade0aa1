// What clients ask: certificate requests (RFC 4211 inside RFC 9810 §5.3), revocation, confirmation, polling, information.
#include <openssl/crmf.h>

#include <algorithm>
#include <array>

#include "crypto/cmp_der.hpp"
#include "crypto/cmp_message.hpp"
#include "crypto/cmp_oids.hpp"
#include "crypto/cmp_signature.hpp"
#include "crypto/subject_names.hpp"
#include "crypto/x509_names.hpp"

namespace qanat::crypto {
namespace {

using cmp_der::Element;
using cmp_der::Reader;

constexpr std::string_view template_where = "certificate template";
constexpr std::int64_t only_request_id = 0;   // RFC 9483 §4.1.1: one request in a message
constexpr std::int64_t no_request_id = -1;    // RFC 9810 §5.3.4: of what has none
constexpr std::size_t text_octets_max = 200;
constexpr std::size_t list_entries_max = 8;
constexpr std::int64_t status_granted_with_mods = 1;

inline void free_requests(OSSL_CRMF_MSGS* requests) noexcept { OSSL_CRMF_MSGS_free(requests); }
using Requests = Owned<OSSL_CRMF_MSGS, free_requests>;
using CertificateTemplateOwner = Owned<OSSL_CRMF_CERTTEMPLATE, OSSL_CRMF_CERTTEMPLATE_free>;

Result<CmpCertificateId> certificate_id(const X509_NAME* issuer, const ASN1_INTEGER* serial, std::string_view what) {
  if (issuer == nullptr || serial == nullptr) return fail(ErrorCode::invalid_argument, std::string(what) + ": lacks issuer or serial number");
  CmpCertificateId out{.issuer = to_der<i2d_X509_NAME>(issuer), .serial = {}};
  ASSIGN_OR_RETURN(out.serial, read_serial(serial));
  return out;
}

Result<AskedNames> names_of_template(const OSSL_CRMF_CERTTEMPLATE* wanted) {
  AlternativeNames alternatives;
  if (const X509_EXTENSIONS* extensions = OSSL_CRMF_CERTTEMPLATE_get0_extensions(wanted); extensions != nullptr) {
    int critical = -1;
    void* decoded = X509V3_get_d2i(extensions, NID_subject_alt_name, &critical, nullptr);
    ASSIGN_OR_RETURN(alternatives, take_alternative_names(decoded, critical));
  }
  const X509_NAME* subject = OSSL_CRMF_CERTTEMPLATE_get0_subject(wanted);
  const X509Name nobody(subject == nullptr ? X509_NAME_new() : nullptr);
  if (subject == nullptr && !nobody) return openssl_failure(template_where);
  return read_asked_names(template_where, subject != nullptr ? subject : nobody.get(), alternatives.get(), OtherKinds::refused);
}

/// nullptr: the template has none, or an empty one, which asks the CA for a key (RFC 9810 §5.3.4).
Result<std::shared_ptr<const SubjectPublicKey>> key_of_template(const OSSL_CRMF_CERTTEMPLATE* wanted) {
  X509_PUBKEY* const key = OSSL_CRMF_CERTTEMPLATE_get0_publicKey(wanted);
  if (key == nullptr) return std::shared_ptr<const SubjectPublicKey>();
  const unsigned char* octets = nullptr;
  int size = 0;
  if (X509_PUBKEY_get0_param(nullptr, &octets, &size, nullptr, key) == 1 && size == 0) return std::shared_ptr<const SubjectPublicKey>();
  ASSIGN_OR_RETURN(SubjectPublicKey read, SubjectPublicKey::parse(to_der<i2d_X509_PUBKEY>(key)));
  return std::make_shared<const SubjectPublicKey>(std::move(read));
}

/// POPOSigningKey (RFC 4211 §4.1) over the CertRequest as it came. Its form with an input of its own names the requester a second time, which the protection
/// of the message has done already; nobody sends it.
CmpPossession check_signed(const Element& proof, ByteView certificate_request, EVP_PKEY* key) {
  Reader parts(proof.content);
  if (parts.sees(cmp_der::context(0))) return CmpPossession::other;
  const auto algorithm = parts.take(cmp_der::tag_sequence, "POPOSigningKey");
  if (!algorithm) return CmpPossession::wrong;
  const auto bits = parts.take(cmp_der::tag_bit_string, "POPOSigningKey");
  if (!bits || !parts.at_end()) return CmpPossession::wrong;
  const auto signature = cmp_der::whole_bits(bits->content, "POPOSigningKey");
  if (!signature || key == nullptr) return CmpPossession::wrong;
  const CmpSignature wanted{.algorithm = algorithm->whole, .signature = *signature, .part = certificate_request};
  return check_cmp_signature(key, wanted, "possession") ? CmpPossession::proved : CmpPossession::wrong;
}

/// CertReqMsg ::= SEQUENCE { certReq, popo [0..3] OPTIONAL, regInfo OPTIONAL }
Result<CmpPossession> possession_of(ByteView content, const OSSL_CRMF_CERTTEMPLATE* wanted) {
  ASSIGN_OR_RETURN(const Element list, cmp_der::only(content, cmp_der::tag_sequence, "CertReqMessages"));
  ASSIGN_OR_RETURN(const Element message, cmp_der::only(list.content, cmp_der::tag_sequence, "CertReqMsg"));
  Reader parts(message.content);
  ASSIGN_OR_RETURN(const Element request, parts.take(cmp_der::tag_sequence, "CertRequest"));
  if (parts.sees(cmp_der::context_primitive(0))) return CmpPossession::ra_verified;
  if (parts.sees(cmp_der::context(2)) || parts.sees(cmp_der::context(3))) return CmpPossession::other;
  if (!parts.sees(cmp_der::context(1))) return CmpPossession::absent;
  ASSIGN_OR_RETURN(const Element proof, parts.next());
  X509_PUBKEY* const key = OSSL_CRMF_CERTTEMPLATE_get0_publicKey(wanted);
  return check_signed(proof, request.whole, key != nullptr ? X509_PUBKEY_get0(key) : nullptr);
}

Result<CmpCertificateRequest> read_pkcs10(ByteView der) {
  ASSIGN_OR_RETURN(const SubjectRequest request, SubjectRequest::parse_unproved(der));
  return CmpCertificateRequest{.id = no_request_id,
                               .key = std::make_shared<const SubjectPublicKey>(request.key()),
                               .names = request.names(),
                               .possession = SubjectRequest::parse(der) ? CmpPossession::proved : CmpPossession::wrong};
}

/// Texts on one line, cut, without what could forge a line of the record.
std::string one_line(const Element& list) {
  std::string out;
  Reader texts(list.content);
  while (!texts.at_end()) {
    const auto text = texts.take(cmp_der::tag_utf8, "PKIFreeText");
    if (!text) break;
    if (!out.empty()) out += "; ";
    for (const char c : as_text(text->content)) out += c >= ' ' && c <= '~' ? c : '?';
    if (out.size() > text_octets_max) out.resize(text_octets_max);
  }
  return out;
}

struct StatusInfo {
  std::int64_t status = 0;
  std::string text;
};
/// PKIStatusInfo ::= SEQUENCE { status INTEGER, statusString PKIFreeText OPTIONAL, failInfo BIT STRING OPTIONAL }
Result<StatusInfo> read_status_info(const Element& info) {
  Reader parts(info.content);
  StatusInfo out;
  ASSIGN_OR_RETURN(const Element status, parts.take(cmp_der::tag_integer, "PKIStatusInfo"));
  ASSIGN_OR_RETURN(out.status, cmp_der::small_integer(status.content, "PKIStatusInfo"));
  if (parts.sees(cmp_der::tag_sequence)) {
    ASSIGN_OR_RETURN(const Element texts, parts.next());
    out.text = one_line(texts);
  }
  if (parts.sees(cmp_der::tag_bit_string)) TRY(parts.next());
  TRY(parts.finish("PKIStatusInfo"));
  return out;
}

Result<std::optional<UnixMs>> time_of(Reader& parts) {
  if (parts.at_end()) return std::optional<UnixMs>();
  ASSIGN_OR_RETURN(const Element time, parts.next());
  const bool utc = time.tag == cmp_der::tag_utc_time;
  if (!utc && time.tag != cmp_der::tag_generalized_time) return fail(ErrorCode::invalid_argument, "CRLStatus: thisUpdate is no time");
  const Asn1Time native(ASN1_STRING_type_new(utc ? V_ASN1_UTCTIME : V_ASN1_GENERALIZEDTIME));
  if (!native || ASN1_STRING_set(native.get(), time.content.data(), static_cast<int>(time.content.size())) != 1) return openssl_failure("CRLStatus");
  ASSIGN_OR_RETURN(const UnixMs at, read_time(native.get()));
  return std::optional<UnixMs>(at);
}

/// DistributionPointName's fullName, its one URL; or the name of an issuer.
Result<void> read_general_name(const Element& name, CmpListStatus& out) {
  if (name.tag == cmp_der::context_primitive(6)) {
    out.url = std::string(as_text(name.content));
    return {};
  }
  if (name.tag != cmp_der::context(4)) return fail(ErrorCode::invalid_argument, "CRLStatus: its source is neither a URL nor an issuer's name");
  out.issuer = to_bytes(name.content);
  return {};
}

Result<CmpListStatus> read_one_list_status(const Element& entry) {
  CmpListStatus out;
  Reader parts(entry.content);
  if (parts.sees(cmp_der::context(0))) {
    ASSIGN_OR_RETURN(const Element point, parts.next());
    ASSIGN_OR_RETURN(const Element names, cmp_der::inside(point, cmp_der::context(0), "CRLStatus: distribution point (fullName)"));
    Reader list(names.content);
    ASSIGN_OR_RETURN(const Element name, list.next());
    TRY(read_general_name(name, out));
  } else {
    ASSIGN_OR_RETURN(const Element issuer, parts.take(cmp_der::context(1), "CRLStatus: source"));
    ASSIGN_OR_RETURN(const Element names, cmp_der::inside(issuer, cmp_der::tag_sequence, "CRLStatus: issuer"));
    Reader list(names.content);
    ASSIGN_OR_RETURN(const Element name, list.next());
    TRY(read_general_name(name, out));
  }
  ASSIGN_OR_RETURN(out.this_update, time_of(parts));
  TRY(parts.finish("CRLStatus"));
  return out;
}

}  // namespace

Result<CmpCertificateRequest> read_cmp_certificate_request(const CmpMessage& message) {
  const ErrorScope errors;
  if (message.body() == CmpBody::p10cr) return read_pkcs10(message.content());
  ASSIGN_OR_RETURN(const Requests requests, (from_der<Requests, d2i_OSSL_CRMF_MSGS>(message.content(), "CertReqMessages")));
  if (to_der<i2d_OSSL_CRMF_MSGS>(requests.get()) != message.content()) return fail(ErrorCode::invalid_argument, "CertReqMessages: not DER of them");
  if (sk_OSSL_CRMF_MSG_num(requests.get()) != 1) return fail(ErrorCode::invalid_argument, "CertReqMessages: one request in a message is taken, not several");
  const OSSL_CRMF_MSG* const request = sk_OSSL_CRMF_MSG_value(requests.get(), 0);
  const OSSL_CRMF_CERTTEMPLATE* const wanted = OSSL_CRMF_MSG_get0_tmpl(request);
  CmpCertificateRequest out;
  out.id = OSSL_CRMF_MSG_get_certReqId(request);
  if (out.id != only_request_id) return fail(ErrorCode::invalid_argument, "CertRequest: certReqId must be 0");
  ASSIGN_OR_RETURN(out.key, key_of_template(wanted));
  ASSIGN_OR_RETURN(out.names, names_of_template(wanted));
  ASSIGN_OR_RETURN(out.possession, possession_of(message.content(), wanted));
  if (const OSSL_CRMF_CERTID* const old = OSSL_CRMF_MSG_get0_regCtrl_oldCertID(request); old != nullptr) {
    ASSIGN_OR_RETURN(out.renews, certificate_id(OSSL_CRMF_CERTID_get0_issuer(old), OSSL_CRMF_CERTID_get0_serialNumber(old), "oldCertID"));
  }
  return Result<CmpCertificateRequest>(std::move(out));
}

Result<CmpRevocationRequest> read_cmp_revocation(const CmpMessage& message) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const Element list, cmp_der::only(message.content(), cmp_der::tag_sequence, "RevReqContent"));
  ASSIGN_OR_RETURN(const Element details, cmp_der::only(list.content, cmp_der::tag_sequence, "RevDetails (one in a message)"));
  Reader parts(details.content);
  ASSIGN_OR_RETURN(const Element wanted, parts.take(cmp_der::tag_sequence, "RevDetails: certDetails"));
  ASSIGN_OR_RETURN(const CertificateTemplateOwner native,
                   (from_der<CertificateTemplateOwner, d2i_OSSL_CRMF_CERTTEMPLATE>(wanted.whole, "RevDetails: certDetails")));
  CmpRevocationRequest out;
  ASSIGN_OR_RETURN(out.certificate, certificate_id(OSSL_CRMF_CERTTEMPLATE_get0_issuer(native.get()), OSSL_CRMF_CERTTEMPLATE_get0_serialNumber(native.get()),
                                                   "RevDetails: certDetails"));
  if (parts.at_end()) return out;
  ASSIGN_OR_RETURN(const Element entries, parts.take(cmp_der::tag_sequence, "RevDetails: crlEntryDetails"));
  TRY(parts.finish("RevDetails"));
  ASSIGN_OR_RETURN(const X509Extensions extensions, (from_der<X509Extensions, d2i_X509_EXTENSIONS>(entries.whole, "RevDetails: crlEntryDetails")));
  int critical = -1;
  const Owned<ASN1_ENUMERATED, ASN1_ENUMERATED_free> reason(
      static_cast<ASN1_ENUMERATED*>(X509V3_get_d2i(extensions.get(), NID_crl_reason, &critical, nullptr)));
  if (!reason && critical != -1) return fail(ErrorCode::invalid_argument, "RevDetails: reasonCode is malformed, or there more than once");
  if (reason) out.reason = static_cast<int>(ASN1_ENUMERATED_get(reason.get()));
  return out;
}

Result<std::optional<CmpConfirmation>> read_cmp_confirmation(const CmpMessage& message) {
  ASSIGN_OR_RETURN(const Element list, cmp_der::only(message.content(), cmp_der::tag_sequence, "CertConfirmContent"));
  Reader entries(list.content);
  if (entries.at_end()) return std::optional<CmpConfirmation>();
  ASSIGN_OR_RETURN(const Element entry, entries.take(cmp_der::tag_sequence, "CertStatus"));
  TRY(entries.finish("CertConfirmContent (of one certificate)"));
  Reader parts(entry.content);
  CmpConfirmation out{.id = 0, .hash = {}, .hash_algorithm = {}, .accepted = true, .text = {}};
  ASSIGN_OR_RETURN(const Element hash, parts.take(cmp_der::tag_octet_string, "CertStatus: certHash"));
  out.hash = to_bytes(hash.content);
  ASSIGN_OR_RETURN(const Element id, parts.take(cmp_der::tag_integer, "CertStatus: certReqId"));
  ASSIGN_OR_RETURN(out.id, cmp_der::small_integer(id.content, "CertStatus: certReqId"));
  if (parts.sees(cmp_der::tag_sequence)) {
    ASSIGN_OR_RETURN(const Element info, parts.next());
    ASSIGN_OR_RETURN(StatusInfo status, read_status_info(info));
    out.accepted = status.status == 0 || status.status == status_granted_with_mods;
    out.text = std::move(status.text);
  }
  if (parts.sees(cmp_der::context(0))) {
    ASSIGN_OR_RETURN(const Element outer, parts.next());
    ASSIGN_OR_RETURN(const Element algorithm, cmp_der::inside(outer, cmp_der::tag_sequence, "CertStatus: hashAlg"));
    Reader inner(algorithm.content);
    ASSIGN_OR_RETURN(const Element kind, inner.take(cmp_der::tag_oid, "CertStatus: hashAlg"));
    out.hash_algorithm = to_bytes(kind.content);
  }
  TRY(parts.finish("CertStatus"));
  return std::optional<CmpConfirmation>(std::move(out));
}

bool confirms(const CmpConfirmation& confirmation, ByteView certificate_der) {
  const ErrorScope errors;
  if (!confirmation.hash_algorithm.empty()) {
    using Named = std::pair<std::string_view, const EVP_MD*>;
    const std::array<Named, 4> taken{Named{cmp_oid::sha256, EVP_sha256()}, Named{cmp_oid::sha384, EVP_sha384()}, Named{cmp_oid::sha512, EVP_sha512()},
                                     Named{cmp_oid::sm3, EVP_sm3()}};
    const auto* found = std::ranges::find(taken, as_text(confirmation.hash_algorithm), &Named::first);
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> hash{};
    unsigned int size = 0;
    return found != taken.end() && EVP_Digest(certificate_der.data(), certificate_der.size(), hash.data(), &size, found->second, nullptr) == 1 &&
           equal(confirmation.hash, ByteView(hash).first(size));
  }
  const auto certificate = from_der<X509Certificate, d2i_X509>(certificate_der, "certificate");
  if (!certificate) return false;
  const Asn1OctetString hash(X509_digest_sig(certificate->get(), nullptr, nullptr));
  return hash && octets_of(hash.get()) == confirmation.hash;
}

Result<std::int64_t> read_cmp_poll(const CmpMessage& message) {
  ASSIGN_OR_RETURN(const Element list, cmp_der::only(message.content(), cmp_der::tag_sequence, "PollReqContent"));
  ASSIGN_OR_RETURN(const Element entry, cmp_der::only(list.content, cmp_der::tag_sequence, "PollReqContent (one in a message)"));
  ASSIGN_OR_RETURN(const Element id, cmp_der::only(entry.content, cmp_der::tag_integer, "PollReqContent: certReqId"));
  return cmp_der::small_integer(id.content, "PollReqContent: certReqId");
}

Result<std::string> read_cmp_error(const CmpMessage& message) {
  ASSIGN_OR_RETURN(const Element content, cmp_der::only(message.content(), cmp_der::tag_sequence, "ErrorMsgContent"));
  Reader parts(content.content);
  ASSIGN_OR_RETURN(const Element info, parts.take(cmp_der::tag_sequence, "ErrorMsgContent"));
  ASSIGN_OR_RETURN(StatusInfo status, read_status_info(info));
  return std::move(status.text);
}

Result<std::vector<CmpQuestion>> read_cmp_questions(const CmpMessage& message) {
  ASSIGN_OR_RETURN(const Element list, cmp_der::only(message.content(), cmp_der::tag_sequence, "GenMsgContent"));
  std::vector<CmpQuestion> out;
  Reader entries(list.content);
  while (!entries.at_end()) {
    if (out.size() == cmp_questions_max) return fail(ErrorCode::invalid_argument, "GenMsgContent: over " + std::to_string(cmp_questions_max) + " questions");
    ASSIGN_OR_RETURN(const Element entry, entries.take(cmp_der::tag_sequence, "InfoTypeAndValue"));
    Reader parts(entry.content);
    ASSIGN_OR_RETURN(const Element type, parts.take(cmp_der::tag_oid, "InfoTypeAndValue"));
    CmpQuestion question;
    ASSIGN_OR_RETURN(question.type, cmp_oid::text_of(type.content));
    if (!parts.at_end()) {
      ASSIGN_OR_RETURN(const Element value, parts.next());
      question.value = to_bytes(value.whole);
    }
    TRY(parts.finish("InfoTypeAndValue"));
    out.push_back(std::move(question));
  }
  if (out.empty()) return fail(ErrorCode::invalid_argument, "GenMsgContent: asks nothing");
  return out;
}

Result<std::vector<CmpListStatus>> read_cmp_list_status(ByteView value) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const Element list, cmp_der::only(value, cmp_der::tag_sequence, "crlStatusList"));
  std::vector<CmpListStatus> out;
  Reader entries(list.content);
  while (!entries.at_end()) {
    if (out.size() == list_entries_max) return fail(ErrorCode::invalid_argument, "crlStatusList: over " + std::to_string(list_entries_max) + " lists");
    ASSIGN_OR_RETURN(const Element entry, entries.take(cmp_der::tag_sequence, "CRLStatus"));
    ASSIGN_OR_RETURN(CmpListStatus read, read_one_list_status(entry));
    out.push_back(std::move(read));
  }
  return out;
}

}  // namespace qanat::crypto
