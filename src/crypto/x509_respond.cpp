#include "crypto/x509_respond.hpp"

#include <openssl/bn.h>

#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "crypto/x509_ocsp.hpp"

namespace qanat::crypto {

struct StatusSigner::State {
  Certificate issuer;
  std::optional<Certificate> responder;
  EvpKey key;
  KeyAlgorithm algorithm{};
};

namespace {

constexpr std::array response_errors{OCSP_RESPONSE_STATUS_MALFORMEDREQUEST, OCSP_RESPONSE_STATUS_INTERNALERROR, OCSP_RESPONSE_STATUS_TRYLATER,
                                     OCSP_RESPONSE_STATUS_SIGREQUIRED, OCSP_RESPONSE_STATUS_UNAUTHORIZED};

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
  // revocationTime is mandatory; where the answer does not know it, it lies no later than thisUpdate.
  const UnixMs revoked_at = answer.revoked_at == 0 ? answer.this_update : std::min(answer.revoked_at, answer.this_update);
  ASSIGN_OR_RETURN(const Asn1Time revocation_time, make_time(revoked_at));
  ASN1_TIME* revoked = answer.status == CertStatus::revoked ? revocation_time.get() : nullptr;
  const int reason = answer.reason == 0 ? OCSP_REVOKED_STATUS_NOSTATUS : answer.reason;
  if (OCSP_basic_add1_status(basic, id, openssl_status(answer.status), reason, revoked, this_update.get(), next_update.get()) ==
      nullptr) {
    return openssl_failure("status answer");
  }
  return {};
}

Result<void> set_produced_at(OCSP_BASICRESP* basic, UnixMs at) {
  // OpenSSL offers only its own clock for producedAt, and no setter; the object is ours and not const.
  auto* produced_at = const_cast<ASN1_GENERALIZEDTIME*>(OCSP_resp_get0_produced_at(basic));
  if (ASN1_GENERALIZEDTIME_set(produced_at, static_cast<std::time_t>(at / 1000)) == nullptr) return openssl_failure("status answer");
  return {};
}

Result<Bytes> sign_response(OCSP_BASICRESP* basic, const StatusSigner::State& signer) {
  ASSIGN_OR_RETURN(const SigningContext context, SigningContext::make(signer.key.get(), signer.algorithm));
  const Certificate& named = signer.responder ? *signer.responder : signer.issuer;
  // The responder's certificate rides along; the CA's own is with whoever asks about what it issued.
  const unsigned long flags = OCSP_RESPID_KEY | OCSP_NOTIME | (signer.responder ? 0UL : static_cast<unsigned long>(OCSP_NOCERTS));
  if (OCSP_basic_sign_ctx(basic, native(named), context.get(), nullptr, flags) != 1) return openssl_failure("status response");
  const OcspResponse response(OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic));
  Bytes der = response ? to_der<i2d_OCSP_RESPONSE>(response.get()) : Bytes();
  if (der.empty()) return openssl_failure("status response");
  return der;
}

Result<void> add_nonce(OCSP_BASICRESP* basic, ByteView nonce) {
  if (nonce.empty()) return {};
  Bytes copy = to_bytes(nonce);
  if (OCSP_basic_add1_nonce(basic, copy.data(), static_cast<int>(copy.size())) != 1) return openssl_failure("status response");
  return {};
}

Result<Owned<ASN1_INTEGER, ASN1_INTEGER_free>> serial_number(const Bytes& serial) {
  const Owned<BIGNUM, BN_free> number(BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
  Owned<ASN1_INTEGER, ASN1_INTEGER_free> out(number ? BN_to_ASN1_INTEGER(number.get(), nullptr) : nullptr);
  if (!out) return openssl_failure("serial");
  return Result<Owned<ASN1_INTEGER, ASN1_INTEGER_free>>(std::move(out));
}

}  // namespace

Result<StatusSigner> StatusSigner::make(Certificate issuer, std::optional<Certificate> responder, const PrivateKey& key) {
  const ErrorScope errors;
  auto state = std::make_shared<State>(State{.issuer = std::move(issuer), .responder = std::move(responder), .key = nullptr, .algorithm = key.algorithm});
  ASSIGN_OR_RETURN(state->key, to_openssl(key));
  const Certificate& named = state->responder ? *state->responder : state->issuer;
  if (key.algorithm != named.key_algorithm() || X509_check_private_key(native(named), state->key.get()) != 1) {
    return fail(ErrorCode::invalid_argument, "status response: the key is not the one of " + named.subject());
  }
  StatusSigner out;
  out.state_ = std::move(state);
  return out;
}

const Certificate& StatusSigner::issuer() const noexcept { return state_->issuer; }
const Certificate& StatusSigner::certificate() const noexcept { return state_->responder ? *state_->responder : state_->issuer; }

Result<Bytes> StatusSigner::answer(std::span<const StatusLine> lines, ByteView nonce, UnixMs produced_at) const {
  const ErrorScope errors;
  const OcspBasic basic(OCSP_BASICRESP_new());
  if (!basic) return openssl_failure("status response");
  for (const StatusLine& line : lines) {
    ASSIGN_OR_RETURN(const auto serial, serial_number(line.serial));
    const OcspCertId id = cert_id(digest_of(line.hash), state_->issuer, serial.get());
    if (!id) return openssl_failure("status response");
    TRY(add_answer(basic.get(), id.get(), line.answer));
  }
  TRY(set_produced_at(basic.get(), produced_at));
  TRY(add_nonce(basic.get(), nonce));
  return sign_response(basic.get(), *state_);
}

Result<Bytes> make_status_response(ByteView request_der, const StatusAnswer& answer, const Certificate& issuer, const PrivateKey& issuer_key) {
  const ErrorScope errors;
  ASSIGN_OR_RETURN(const StatusQuery query, parse_status_request(request_der));
  if (!query_names_issuer(request_der, issuer)) return fail(ErrorCode::denied, "status request: names another issuer than " + issuer.subject());
  ASSIGN_OR_RETURN(const StatusQuestions questions, parse_status_questions(request_der));
  ASSIGN_OR_RETURN(const StatusSigner signer, StatusSigner::make(issuer, std::nullopt, issuer_key));
  const std::array lines{StatusLine{.hash = questions.about.front().hash, .serial = query.serial, .answer = answer}};
  return signer.answer(lines, query.nonce, answer.this_update);
}

Bytes make_status_error(int response_status) {
  CHECK(std::ranges::find(response_errors, response_status) != response_errors.end());
  const OcspResponse response(OCSP_response_create(response_status, nullptr));
  CHECK(response);
  return to_der<i2d_OCSP_RESPONSE>(response.get());
}

}  // namespace qanat::crypto
