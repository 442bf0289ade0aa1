// Certificate status: OCSP requests and responses (RFC 6960, nonces as in RFC 9654).
#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {
namespace {

using OcspRequest = Owned<OCSP_REQUEST, OCSP_REQUEST_free>;
using OcspResponse = Owned<OCSP_RESPONSE, OCSP_RESPONSE_free>;
using OcspBasic = Owned<OCSP_BASICRESP, OCSP_BASICRESP_free>;
using OcspCertId = Owned<OCSP_CERTID, OCSP_CERTID_free>;

constexpr std::size_t max_nonce_octets = 128;  // RFC 9654 §2.1
constexpr UnixMs clock_skew_ms = 120'000;      // how far the responder's clock may be ahead of ours
constexpr std::array response_errors{OCSP_RESPONSE_STATUS_MALFORMEDREQUEST, OCSP_RESPONSE_STATUS_INTERNALERROR, OCSP_RESPONSE_STATUS_TRYLATER,
                                     OCSP_RESPONSE_STATUS_SIGREQUIRED, OCSP_RESPONSE_STATUS_UNAUTHORIZED};

/// SHA-1 here only names the issuer (RFC 6960 §4.1.1, what foreign clients send); no signature rests on it.
const EVP_MD* cert_id_digest(const ASN1_OBJECT* algorithm) {
  switch (OBJ_obj2nid(algorithm)) {
    case NID_sha1:
      return EVP_sha1();
    case NID_sha256:
      return EVP_sha256();
    default:
      return nullptr;
  }
}

OcspCertId cert_id(const EVP_MD* digest, const Certificate& issuer, const ASN1_INTEGER* serial) {
  return OcspCertId(OCSP_cert_id_new(digest, X509_get_subject_name(native(issuer)), X509_get0_pubkey_bitstr(native(issuer)), serial));
}

/// Content of the nonce extension: an OCTET STRING within the extension's own.
Result<Bytes> decode_nonce(X509_EXTENSION* extension) {
  const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(extension);
  const ByteView der(ASN1_STRING_get0_data(value), static_cast<std::size_t>(ASN1_STRING_length(value)));
  ASSIGN_OR_RETURN(const Asn1OctetString nonce, from_der<Asn1OctetString, d2i_ASN1_OCTET_STRING>(der, "nonce"));
  Bytes out = octets_of(nonce.get());
  if (out.empty() || out.size() > max_nonce_octets) {
    return fail(ErrorCode::invalid_argument, "nonce: " + std::to_string(out.size()) + " octets where 1 to " + std::to_string(max_nonce_octets) + " belong");
  }
  return out;
}

/// The nonce among an object's extensions, empty if there is none; a critical extension that we do not know is invalid_argument.
template <auto Count, auto Get, class T>
Result<Bytes> read_nonce(T* object) {
  Bytes nonce;
  for (int i = 0; i < Count(object); ++i) {
    X509_EXTENSION* extension = Get(object, i);
    if (OBJ_obj2nid(X509_EXTENSION_get_object(extension)) == NID_id_pkix_OCSP_Nonce) {
      if (!nonce.empty()) return fail(ErrorCode::invalid_argument, "status: more than one nonce");
      ASSIGN_OR_RETURN(nonce, decode_nonce(extension));
    } else if (X509_EXTENSION_get_critical(extension) != 0) {
      return fail(ErrorCode::invalid_argument, "status: holds a critical extension that is not known here");
    }
  }
  return nonce;
}

struct ParsedRequest {
  OcspRequest request;
  OCSP_CERTID* id = nullptr;  // within request
  const EVP_MD* digest = nullptr;
  const ASN1_INTEGER* serial = nullptr;  // within request
  StatusQuery query;
};

Result<ParsedRequest> parse_request(ByteView der) {
  ParsedRequest out;
  ASSIGN_OR_RETURN(out.request, from_der<OcspRequest, d2i_OCSP_REQUEST>(der, "status request"));
  const int count = OCSP_request_onereq_count(out.request.get());
  if (count != 1) return fail(ErrorCode::invalid_argument, "status request: asks for " + std::to_string(count) + " certificates where one belongs");
  OCSP_ONEREQ* one = OCSP_request_onereq_get0(out.request.get(), 0);
  out.id = OCSP_onereq_get0_id(one);
  ASN1_OCTET_STRING* name_hash = nullptr;
  ASN1_OBJECT* algorithm = nullptr;
  ASN1_OCTET_STRING* key_hash = nullptr;
  ASN1_INTEGER* serial = nullptr;
  if (OCSP_id_get0_info(&name_hash, &algorithm, &key_hash, &serial, out.id) != 1) return openssl_failure("status request");
  out.digest = cert_id_digest(algorithm);
  if (out.digest == nullptr) return fail(ErrorCode::invalid_argument, "status request: its CertID uses neither SHA-1 nor SHA-256");
  const int hash_octets = EVP_MD_get_size(out.digest);
  if (ASN1_STRING_length(name_hash) != hash_octets || ASN1_STRING_length(key_hash) != hash_octets) {
    return fail(ErrorCode::invalid_argument, "status request: a hash in its CertID has not the length of its algorithm");
  }
  out.serial = serial;
  ASSIGN_OR_RETURN(out.query.serial, read_serial(serial));
  out.query.issuer_key_hash = octets_of(key_hash);
  ASSIGN_OR_RETURN(out.query.nonce, (read_nonce<OCSP_REQUEST_get_ext_count, OCSP_REQUEST_get_ext>(out.request.get())));
  TRY(read_nonce<OCSP_ONEREQ_get_ext_count, OCSP_ONEREQ_get_ext>(one));
  return Result<ParsedRequest>(std::move(out));
}

bool names_issuer(const ParsedRequest& parsed, const Certificate& issuer) {
  const OcspCertId expected = cert_id(parsed.digest, issuer, parsed.serial);
  return expected && OCSP_id_issuer_cmp(parsed.id, expected.get()) == 0;
}

int openssl_status(CertStatus status) noexcept {
  switch (status) {
    case CertStatus::good:
      return V_OCSP_CERTSTATUS_GOOD;
    case CertStatus::revoked:
      return V_OCSP_CERTSTATUS_REVOKED;
    case CertStatus::unknown:
      return V_OCSP_CERTSTATUS_UNKNOWN;
  }
  return V_OCSP_CERTSTATUS_UNKNOWN;
}

Result<void> add_answer(OCSP_BASICRESP* basic, OCSP_CERTID* id, const StatusAnswer& answer) {
  if (answer.next_update <= answer.this_update) return fail(ErrorCode::invalid_argument, "status answer: nextUpdate is not later than thisUpdate");
  ASSIGN_OR_RETURN(const Asn1Time this_update, make_time(answer.this_update));
  ASSIGN_OR_RETURN(const Asn1Time next_update, make_time(answer.next_update));
  // revocationTime is mandatory, and the answer knows only that it lies no later than thisUpdate.
  ASN1_TIME* revoked_at = answer.status == CertStatus::revoked ? this_update.get() : nullptr;
  if (OCSP_basic_add1_status(basic, id, openssl_status(answer.status), OCSP_REVOKED_STATUS_NOSTATUS, revoked_at, this_update.get(), next_update.get()) ==
      nullptr) {
    return openssl_failure("status answer");
  }
  // OpenSSL offers only its own clock for producedAt, and no setter; the object is ours and not const.
  auto* produced_at = const_cast<ASN1_GENERALIZEDTIME*>(OCSP_resp_get0_produced_at(basic));
  if (ASN1_GENERALIZEDTIME_set(produced_at, static_cast<std::time_t>(answer.this_update / 1000)) == nullptr) return openssl_failure("status answer");
  return {};
}

/// The basic response within a successful one.
Result<OcspBasic> open_response(ByteView der) {
  ASSIGN_OR_RETURN(const OcspResponse response, from_der<OcspResponse, d2i_OCSP_RESPONSE>(der, "status response"));
  if (const int status = OCSP_response_status(response.get()); status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    return fail(ErrorCode::unavailable, "status response: the responder gives no status (" + std::string(OCSP_response_status_str(status)) + ")");
  }
  OcspBasic basic(OCSP_response_get1_basic(response.get()));
  if (!basic) return fail(ErrorCode::invalid_argument, "status response: not a basic response");
  return Result<OcspBasic>(std::move(basic));
}

/// Signed by the issuing CA's own key. Certificates that the response brings along are not looked at: no delegated responders.
Result<void> check_signature(OCSP_BASICRESP* basic, const Certificate& issuer) {
  const auto bad = [] { return fail(ErrorCode::denied, "status response: its signature does not hold under the issuing CA's key"); };
  const X509_ALGOR* algorithm = OCSP_resp_get0_tbs_sigalg(basic);
  const ASN1_OBJECT* oid = nullptr;
  X509_ALGOR_get0(&oid, nullptr, nullptr, algorithm);
  if (OBJ_obj2nid(oid) != key_row(issuer.key_algorithm()).signature) return bad();
  Asn1OctetString id;
  if (issuer.key_algorithm() == KeyAlgorithm::sm2) {
    id = new_distinguishing_id();
    if (!id) return openssl_failure("status response");
  }
  if (ASN1_item_verify_ex(ASN1_ITEM_rptr(OCSP_RESPDATA), algorithm, OCSP_resp_get0_signature(basic), OCSP_resp_get0_respdata(basic), id.get(),
                          X509_get0_pubkey(native(issuer)), nullptr, nullptr) != 1) {
    return bad();
  }
  return {};
}

/// The answer about `cert`, by a CertID of either digest.
OCSP_SINGLERESP* find_answer(OCSP_BASICRESP* basic, const Certificate& cert, const Certificate& issuer) {
  for (const EVP_MD* digest : {EVP_sha256(), EVP_sha1()}) {
    const OcspCertId id = cert_id(digest, issuer, X509_get0_serialNumber(native(cert)));
    const int at = id ? OCSP_resp_find(basic, id.get(), -1) : -1;
    if (at >= 0) return OCSP_resp_get0(basic, at);
  }
  return nullptr;
}

Result<CertStatus> read_status(int status) {
  switch (status) {
    case V_OCSP_CERTSTATUS_GOOD:
      return CertStatus::good;
    case V_OCSP_CERTSTATUS_REVOKED:
      return CertStatus::revoked;
    case V_OCSP_CERTSTATUS_UNKNOWN:
      return CertStatus::unknown;
    default:
      return fail(ErrorCode::invalid_argument, "status response: states no status");
  }
}

Result<StatusAnswer> read_answer(OCSP_SINGLERESP* single, UnixMs now) {
  ASN1_GENERALIZEDTIME* this_update = nullptr;
  ASN1_GENERALIZEDTIME* next_update = nullptr;
  const int status = OCSP_single_get0_status(single, nullptr, nullptr, &this_update, &next_update);
  StatusAnswer out;
  ASSIGN_OR_RETURN(out.status, read_status(status));
  TRY(read_nonce<OCSP_SINGLERESP_get_ext_count, OCSP_SINGLERESP_get_ext>(single));
  if (next_update == nullptr) return fail(ErrorCode::denied, "status response: does not say until when it holds");
  ASSIGN_OR_RETURN(out.this_update, read_time(this_update));
  ASSIGN_OR_RETURN(out.next_update, read_time(next_update));
  if (out.this_update > now + clock_skew_ms) return fail(ErrorCode::denied, "status response: holds only from " + readable_time(out.this_update));
  if (out.next_update < now) return fail(ErrorCode::denied, "status response: stale since " + readable_time(out.next_update));
  return out;
}

}  // namespace

Result<Bytes> make_status_request(const Certificate& cert, const Certificate& issuer, ByteView nonce) {
  const ErrorScope errors;
  if (nonce.size() > max_nonce_octets) return fail(ErrorCode::invalid_argument, "nonce: longer than " + std::to_string(max_nonce_octets) + " octets");
  if (X509_NAME_cmp(X509_get_issuer_name(native(cert)), X509_get_subject_name(native(issuer))) != 0) {
    return fail(ErrorCode::invalid_argument, "status request: " + issuer.subject() + " did not issue " + cert.subject());
  }
  const OcspRequest request(OCSP_REQUEST_new());
  OcspCertId id = cert_id(EVP_sha256(), issuer, X509_get0_serialNumber(native(cert)));
  if (!request || !id || OCSP_request_add0_id(request.get(), id.get()) == nullptr) return openssl_failure("status request");
  [[maybe_unused]] const auto* const owned_by_request = id.release();
  if (!nonce.empty()) {
    Bytes copy = to_bytes(nonce);
    if (OCSP_request_add1_nonce(request.get(), copy.data(), static_cast<int>(copy.size())) != 1) return openssl_failure("status request");
  }
  Bytes der = to_der<i2d_OCSP_REQUEST>(request.get());
  if (der.empty()) return openssl_failure("status request");
  return der;
}

Result<StatusQuery> parse_status_request(ByteView der) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(ParsedRequest parsed, parse_request(der));
  return std::move(parsed.query);
}

bool query_names_issuer(ByteView request_der, const Certificate& issuer) {
  const ErrorScope errors;
  const auto parsed = parse_request(request_der);
  return parsed && names_issuer(*parsed, issuer);
}

Result<Bytes> make_status_response(ByteView request_der, const StatusAnswer& answer, const Certificate& issuer, const PrivateKey& issuer_key) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(ParsedRequest parsed, parse_request(request_der));
  if (!names_issuer(parsed, issuer)) return fail(ErrorCode::denied, "status request: names another issuer than " + issuer.subject());
  ASSIGN_OR_RETURN(const EvpKey native_key, to_openssl(issuer_key));
  const OcspBasic basic(OCSP_BASICRESP_new());
  if (!basic) return openssl_failure("status response");
  TRY(add_answer(basic.get(), parsed.id, answer));
  Bytes& nonce = parsed.query.nonce;
  if (!nonce.empty() && OCSP_basic_add1_nonce(basic.get(), nonce.data(), static_cast<int>(nonce.size())) != 1) return openssl_failure("status response");
  if (issuer_key.algorithm != issuer.key_algorithm() || X509_check_private_key(native(issuer), native_key.get()) != 1) {
    return fail(ErrorCode::invalid_argument, "status response: the key is not the one of " + issuer.subject());
  }
  ASSIGN_OR_RETURN(const SigningContext signer, SigningContext::make(native_key.get(), issuer_key.algorithm));
  if (OCSP_basic_sign_ctx(basic.get(), native(issuer), signer.get(), nullptr, OCSP_NOCERTS | OCSP_RESPID_KEY | OCSP_NOTIME) != 1) {
    return openssl_failure("status response");
  }
  const OcspResponse response(OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get()));
  Bytes der = response ? to_der<i2d_OCSP_RESPONSE>(response.get()) : Bytes();
  if (der.empty()) return openssl_failure("status response");
  return der;
}

Bytes make_status_error(int response_status) {
  CHECK(std::ranges::find(response_errors, response_status) != response_errors.end());
  const OcspResponse response(OCSP_response_create(response_status, nullptr));
  CHECK(response);
  return to_der<i2d_OCSP_RESPONSE>(response.get());
}

Result<StatusAnswer> verify_status_response(ByteView response_der, const Certificate& cert, const Certificate& issuer, ByteView nonce, UnixMs now) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const OcspBasic basic, open_response(response_der));
  TRY(check_signature(basic.get(), issuer));
  OCSP_SINGLERESP* single = find_answer(basic.get(), cert, issuer);
  if (single == nullptr) return fail(ErrorCode::denied, "status response: says nothing about " + cert.subject());
  ASSIGN_OR_RETURN(const Bytes answered, (read_nonce<OCSP_BASICRESP_get_ext_count, OCSP_BASICRESP_get_ext>(basic.get())));
  if (!nonce.empty() && !equal(answered, nonce)) return fail(ErrorCode::denied, "status response: its nonce is not the request's");
  return read_answer(single, now);
}

}  // namespace qanat::crypto
