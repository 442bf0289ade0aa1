// Certificate status: OCSP requests and responses (RFC 6960, nonces as in RFC 9654).
#include <algorithm>

#include "crypto/x509_ocsp.hpp"

namespace qanat::crypto {
namespace {

constexpr UnixMs clock_skew_ms = 120'000;  // how far the responder's clock may be ahead of ours
constexpr int response_certificates_max = 4;

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

Result<void> check_signed_by(OCSP_BASICRESP* basic, const Certificate& signer) {
  const auto bad = [] { return fail(ErrorCode::denied, "status response: its signature does not hold under the issuing CA's key"); };
  const X509_ALGOR* algorithm = OCSP_resp_get0_tbs_sigalg(basic);
  const ASN1_OBJECT* oid = nullptr;
  X509_ALGOR_get0(&oid, nullptr, nullptr, algorithm);
  if (OBJ_obj2nid(oid) != key_row(signer.key_algorithm()).signature) return bad();
  Asn1OctetString id;
  if (signer.key_algorithm() == KeyAlgorithm::sm2) {
    id = new_distinguishing_id();
    if (!id) return openssl_failure("status response");
  }
  if (ASN1_item_verify_ex(ASN1_ITEM_rptr(OCSP_RESPDATA), algorithm, OCSP_resp_get0_signature(basic), OCSP_resp_get0_respdata(basic), id.get(),
                          X509_get0_pubkey(native(signer)), nullptr, nullptr) != 1) {
    return bad();
  }
  return {};
}

/// RFC 6960 §4.2.2.2: issued directly by the CA whose certificates it answers for, for this purpose alone. Its own revocation is not asked, so it must
/// say that it need not be (§4.2.2.2.1).
Result<void> check_delegated(const Certificate& responder, const Certificate& issuer, UnixMs now) {
  const auto no = [&](std::string_view why) { return fail(ErrorCode::denied, "status response: its responder " + responder.subject() + " " + std::string(why)); };
  X509* certificate = native(responder);
  if (X509_check_issued(native(issuer), certificate) != X509_V_OK || X509_verify(certificate, X509_get0_pubkey(native(issuer))) != 1) {
    return no("was not appointed by " + issuer.subject());
  }
  if (responder.is_ca() || (X509_get_extension_flags(certificate) & EXFLAG_XKUSAGE) == 0 || X509_get_extended_key_usage(certificate) != XKU_OCSP_SIGN) {
    return no("is not one for answers alone (extKeyUsage)");
  }
  if ((X509_get_key_usage(certificate) & KU_DIGITAL_SIGNATURE) == 0) return no("may not sign (keyUsage)");
  if (X509_get_ext_by_NID(certificate, NID_id_pkix_OCSP_noCheck, -1) < 0) return no("could be revoked itself");
  if (now < responder.not_before() || now >= responder.not_after()) return no("has a certificate that is not valid now");
  return {};
}

/// Signed by the issuing CA's own key, or by that of a responder whose certificate the response brings along.
Result<void> check_signature(OCSP_BASICRESP* basic, const Certificate& issuer, UnixMs now) {
  const Result<void> by_issuer = check_signed_by(basic, issuer);
  const STACK_OF(X509)* brought = OCSP_resp_get0_certs(basic);
  const int count = brought != nullptr ? sk_X509_num(brought) : 0;
  if (by_issuer || count <= 0) return by_issuer;
  if (count > response_certificates_max) return fail(ErrorCode::invalid_argument, "status response: brings too many certificates along");
  for (int i = 0; i < count; ++i) {
    // Read anew: with the identity of SM2, and within our bounds.
    const Bytes der = to_der<i2d_X509>(sk_X509_value(brought, i));
    const auto responder = Certificate::parse(der);
    if (responder && check_signed_by(basic, *responder)) return check_delegated(*responder, issuer, now);
  }
  return by_issuer;
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
  ASN1_GENERALIZEDTIME* revoked_at = nullptr;
  int reason = 0;
  const int status = OCSP_single_get0_status(single, &reason, &revoked_at, &this_update, &next_update);
  StatusAnswer out;
  ASSIGN_OR_RETURN(out.status, read_status(status));
  if (out.status == CertStatus::revoked) {
    ASSIGN_OR_RETURN(out.revoked_at, read_time(revoked_at));
    out.reason = std::max(reason, 0);  // absent: -1
  }
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

namespace {

/// A request of the elements' own kind: about one certificate.
Result<ParsedStatusRequest> read_single_request(ByteView der) {
  ASSIGN_OR_RETURN(ParsedStatusRequest parsed, read_status_request(der));
  if (parsed.ids.size() != 1) {
    return fail(ErrorCode::invalid_argument, "status request: asks for " + std::to_string(parsed.ids.size()) + " certificates where one belongs");
  }
  return Result<ParsedStatusRequest>(std::move(parsed));
}

}  // namespace

Result<StatusQuery> parse_status_request(ByteView der) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(ParsedStatusRequest parsed, read_single_request(der));
  StatusQuestion& question = parsed.questions.about.front();
  return StatusQuery{.serial = std::move(question.serial), .issuer_key_hash = std::move(question.issuer_key_hash), .nonce = std::move(parsed.questions.nonce)};
}

bool query_names_issuer(ByteView request_der, const Certificate& issuer) {
  const ErrorScope errors;
  const auto parsed = read_single_request(request_der);
  return parsed && names_issuer(parsed->questions.about.front(), issuer);
}

Result<StatusAnswer> verify_status_response(ByteView response_der, const Certificate& cert, const Certificate& issuer, ByteView nonce, UnixMs now) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const OcspBasic basic, open_response(response_der));
  TRY(check_signature(basic.get(), issuer, now));
  OCSP_SINGLERESP* single = find_answer(basic.get(), cert, issuer);
  if (single == nullptr) return fail(ErrorCode::denied, "status response: says nothing about " + cert.subject());
  ASSIGN_OR_RETURN(const Bytes answered, (read_nonce<OCSP_BASICRESP_get_ext_count, OCSP_BASICRESP_get_ext>(basic.get())));
  if (!nonce.empty() && !equal(answered, nonce)) return fail(ErrorCode::denied, "status response: its nonce is not the request's");
  return read_answer(single, now);
}

}  // namespace qanat::crypto
