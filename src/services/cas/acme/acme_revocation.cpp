// Revocation (RFC 8555 §7.6) and renewal information (RFC 9773).
#include <algorithm>

#include "services/cas/acme/acme.hpp"

namespace qanat::cas {
namespace {

constexpr UnixMs renewal_asked_again_max_s = 6 * 3600;
constexpr UnixMs renewal_asked_again_min_s = 60;  // RFC 9773 §4.3.2: not more often than a minute
constexpr UnixMs renewal_parts = 20;              // the window is a twentieth of the certificate's life long, and opens when a third of it is left

struct Window {
  UnixMs start = 0;
  UnixMs end = 0;
};

Window renewal_window(const crypto::SubjectCertificate& certificate) {
  const UnixMs life = certificate.not_after() - certificate.not_before();
  const UnixMs start = certificate.not_before() + life / 3 * 2;
  return {.start = start, .end = start + life / renewal_parts};
}

}  // namespace

OrProblem<void> Acme::may_revoke(const Call& call, const crypto::SubjectCertificate& certificate) {
  if (!call.account) {
    if (call.key->key.spki() == certificate.key().der()) return {};
    return refuse(ProblemType::unauthorized, "the request is not signed by the certificate's key");
  }
  ASSIGN_OR_RETURN(const auto order, records_.order_of_certificate(certificate.serial()));
  if (order && order->account == call.account->id) return {};
  const crypto::AskedNames& names = certificate.names();
  std::vector<std::string> canonical;
  canonical.reserve(names.dns.size());
  for (const std::string& name : names.dns) canonical.push_back(canonical_dns(name).value_or(""));
  ASSIGN_OR_RETURN(const bool authorized, records_.authorized_for(call.account->id, canonical, clock_.now_ms()));
  if (authorized && names.uris.empty() && names.mail.empty() && names.addresses.empty()) return {};
  return refuse(ProblemType::unauthorized, "the account did not order this certificate and has no authorization for each of its names");
}

OrProblem<AcmeAnswer> Acme::revoke(const Call& call) {
  ASSIGN_OR_RETURN(const RevocationRequest wanted, parse_revocation_request(call.payload));
  ASSIGN_OR_RETURN(const crypto::SubjectCertificate certificate, crypto::SubjectCertificate::parse(wanted.certificate));
  const auto issued = desk_.find(certificate.serial());
  if (!issued && issued.error().code != ErrorCode::not_found) return refuse(issued.error());
  if (!issued || *issued != wanted.certificate) return refuse(Problem(ProblemType::malformed, "the certificate was not issued here").with_status(404));
  TRY(may_revoke(call, certificate));
  // Who holds a certificate that stands is known; of one in time whose registration stands too, it can only be that it is revoked.
  ASSIGN_OR_RETURN(const auto order, records_.order_of_certificate(certificate.serial()));
  if (call.reference.empty() && order) call.reference = order->reference;
  const UnixMs now = clock_.now_ms();
  const bool in_time = certificate.not_before() <= now && now < certificate.not_after();
  if (order && in_time && desk_.registration(order->reference)) {
    const auto holder = desk_.holder_of(wanted.certificate);
    if (!holder && holder.error().code == ErrorCode::denied) return refuse(ProblemType::already_revoked, "the certificate is revoked already");
  }
  const std::string by = call.account ? "acme account " + call.account->id : std::string("acme, the certificate's key");
  TRY(desk_.revoke(wanted.certificate, wanted.reason, by, call.request.request_id));
  return AcmeAnswer{.status = 200, .content_type = {}, .body = {}};
}

OrProblem<AcmeAnswer> Acme::renewal_info(const Call& call) {
  const Problem unknown = Problem(ProblemType::malformed, "no certificate of this server has this identifier").with_status(404);
  const auto id = parse_certificate_id(call.request.parameters.front());
  if (!id)
    return refuse(
        Problem(ProblemType::malformed, "not the identifier of a certificate: base64url of its authority key identifier, '.', base64url of its serial"));
  const auto der = desk_.find(id->serial);
  if (!der) return refuse(der.error().code == ErrorCode::not_found ? unknown : Problem(der.error()));
  ASSIGN_OR_RETURN(const crypto::SubjectCertificate certificate, crypto::SubjectCertificate::parse(*der));
  if (certificate.issuer_key_id() != id->issuer_key_id) return refuse(unknown);
  Window window = renewal_window(certificate);
  const UnixMs life_s = (certificate.not_after() - certificate.not_before()) / 1000;
  const auto holder = desk_.holder_of(*der);
  if (!holder && holder.error().code == ErrorCode::denied) {  // revoked, or over: at once (§4.2)
    window.end = std::min(window.end, clock_.now_ms() - 60'000);
    window.start = std::min(window.start, window.end - 60'000);
  }
  const wire::Json body = wire::Json::object({{"suggestedWindow", wire::Json::object({{"start", date_time(window.start)}, {"end", date_time(window.end)}})}});
  AcmeAnswer out = json_answer(200, body);
  out.fields.emplace_back("Retry-After", std::to_string(std::clamp(life_s / renewal_parts, renewal_asked_again_min_s, renewal_asked_again_max_s)));
  return out;
}

}  // namespace qanat::cas
