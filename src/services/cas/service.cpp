#include "services/cas/service.hpp"

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "node/subscriber.hpp"
#include "services/cas/ceis/names.hpp"
#include "services/cas/device_authority.hpp"
#include "services/cas/own.hpp"
#include "wire/base64.hpp"
#include "wire/qfc2_enrol.hpp"
#include "wire/signed.hpp"

namespace qanat::cas {
namespace {

using points::Endpoint;

struct TerminalEnrolment {
  Uid uid;
  wire::Framed<wire::Enrol> enrol;
};

Result<TerminalEnrolment> read_terminal_enrolment(ByteView body) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(body));
  TRY(json.only({"uid", "enrol"}));
  ASSIGN_OR_RETURN(const std::string uid_text, json.text("uid"));
  ASSIGN_OR_RETURN(Uid uid, node::parse_uid(uid_text));
  ASSIGN_OR_RETURN(const Bytes octets, json.base64("enrol"));
  ASSIGN_OR_RETURN(auto enrol, wire::parse<wire::Enrol>(octets));
  if (enrol.message.uid != uid) return fail(ErrorCode::invalid_argument, "the Enrol message is another subscriber's than '" + uid.text() + "'");
  return Result<TerminalEnrolment>(TerminalEnrolment{.uid = std::move(uid), .enrol = std::move(enrol)});
}

Result<Attested> read_attested(const wire::Json& json) {
  TRY(json.only({"uid", "number", "home_kms", "domain", "device"}));
  Attested out;
  ASSIGN_OR_RETURN(const std::string uid, json.text("uid"));
  ASSIGN_OR_RETURN(out.uid, node::parse_uid(uid));
  ASSIGN_OR_RETURN(const std::string number, json.text("number"));
  ASSIGN_OR_RETURN(out.number, node::parse_number(number));
  ASSIGN_OR_RETURN(const std::string home_kms, json.text("home_kms"));
  ASSIGN_OR_RETURN(out.home_kms, node::parse_element_name(home_kms));
  ASSIGN_OR_RETURN(out.domain, json.text("domain"));
  ASSIGN_OR_RETURN(const std::string device, json.text("device"));
  ASSIGN_OR_RETURN(out.device, node::parse_device(device));
  return out;
}

/// Who is not in the register, or suspended there, gets no certificate.
Result<void> read_vouched(const std::string& subject, const Result<wire::Json>& answer) {
  if (!answer && answer.error().code == ErrorCode::not_found) return fail(ErrorCode::denied, "'" + subject + "' is not in IAM's register: enter it there first (qanat iam create)");
  if (!answer) return fail(answer.error());
  ASSIGN_OR_RETURN(const std::string status, answer->text("status"));
  if (status != "active") return fail(ErrorCode::denied, "'" + subject + "' is " + status + " in IAM's register (qanat iam resume)");
  return {};
}

Result<void> check_attested(const Attested& attested, const wire::Enrol& enrol, const Identity& agent) {
  const bool fits = attested.uid == enrol.uid && attested.number == enrol.number && attested.home_kms == enrol.kms_id && attested.domain == agent.domain &&
                    attested.device == enrol.device_kind;
  if (!fits)
    return fail(ErrorCode::denied, "subscriber '" + enrol.uid.text() + "' is not entered at IAM with the number, KMS, domain and device of its request");
  return {};
}

}  // namespace

CasService::CasService(node::Node& node, CasSettings settings, Attest attest, Vouch vouch, ElementStanding standing, std::unique_ptr<Records> records,
                       Authorities authorities)
    : node_(node),
      settings_(std::move(settings)),
      attest_(std::move(attest)),
      records_(std::move(records)),
      authorities_(std::move(authorities)),
      issuer_(*records_, authorities_, node.rng(), settings_.front.url),
      responder_(*records_, authorities_, settings_.status_lifetime),
      csp_(node, settings_, *records_, authorities_),
      desk_(node, *records_, authorities_, settings_.front.url, settings_.approval_retry,
            {.vouch = std::move(vouch),
             .issued = [this] { csp_.issued(); },
             .revoked = [this](std::span<const Bytes> serials) { return csp_.revoked(serials); }}),
      registration_front_(node, desk_),
      enrolment_(node, *records_, authorities_, settings_, desk_, csp_),
      element_est_({.node = node,
                    .records = *records_,
                    .authorities = authorities_,
                    .issuer = issuer_,
                    .lifetime = settings_.element_lifetime,
                    .standing = std::move(standing),
                    .issued = [this] { csp_.issued(); }}) {}

Result<void> CasService::start() {
  desk_.start();
  csp_.serve_also(enrolment_.plain());
  TRY(csp_.start());
  return enrolment_.start();
}

void CasService::stop() {
  csp_.stop();  // its listener has a part of the enrolment's work to do
  enrolment_.stop();
  desk_.stop();
}

Result<std::unique_ptr<CasService>> CasService::open(node::Node& node, CasSettings settings) {
  Attest attest = [&node](const Uid& uid, ByteView message, const net::Request& request) -> Result<Attested> {
    ASSIGN_OR_RETURN(const std::string iam, node.peer_of(Kind::iam));
    const wire::Json body = wire::Json::object({{"uid", uid.text()}, {"enrol", wire::to_base64(message)}});
    ASSIGN_OR_RETURN(const wire::Json answer, node.call_json(Endpoint::x3_enrolment, iam, body, request.deadline, request.request_id));
    return read_attested(answer);
  };
  const auto standing_of = [&node](const std::string& member, const std::string& whom, Deadline deadline, const std::string& request_id) -> Result<void> {
    ASSIGN_OR_RETURN(const std::string iam, node.peer_of(Kind::iam));
    return read_vouched(whom, node.call_json(Endpoint::x3_identity, iam, wire::Json::object({{member, whom}}), deadline, request_id));
  };
  Vouch vouch = [standing_of](const Uid& subject, Deadline deadline, const std::string& request_id) { return standing_of("uid", subject.text(), deadline, request_id); };
  ElementStanding standing = [standing_of](const Identity& element, Deadline deadline, const std::string& request_id) {
    return standing_of("identity", element.uri(), deadline, request_id);
  };
  return open(node, std::move(settings), std::move(attest), std::move(vouch), std::move(standing));
}

Result<std::unique_ptr<CasService>> CasService::open(node::Node& node, CasSettings settings, Attest attest, Vouch vouch, ElementStanding standing) {
  ASSIGN_OR_RETURN(auto records, Records::open(node.settings().state / "cas.db", node.device()));
  ASSIGN_OR_RETURN(Authorities authorities, records->authorities(node.suite()));
  ASSIGN_OR_RETURN(const bool made, ensure_device_authority(*records, authorities, node.clock().now_ms(), node.rng()));
  if (made) {
    ASSIGN_OR_RETURN(authorities, records->authorities(node.suite()));
    TRY(node.record({.action = "authority.made",
                     .outcome = audit::Outcome::success,
                     .subject = node.identity().uri(),
                     .object = authorities.devices->certificate.subject(),
                     .reason = "",
                     .request_id = ""}));
  }
  std::unique_ptr<CasService> service(
      new CasService(node, std::move(settings), std::move(attest), std::move(vouch), std::move(standing), std::move(records), std::move(authorities)));
  const auto own = [&node, raw = service.get()](OwnRenewal renewal) {
    return own_credentials(node, raw->issuer_, raw->authorities_.ml_dsa, raw->settings_.element_lifetime, renewal);
  };
  ASSIGN_OR_RETURN(node::Credentials credentials, own(OwnRenewal::if_due));
  node.renew_by([own](Deadline) { return own(OwnRenewal::now); });
  node.use_credentials(std::move(credentials),
                       [raw = service.get()](const crypto::Certificate& certificate, Deadline) { return raw->local_status(certificate); });
  node.describe_health([raw = service.get()](wire::Json& body) {
    const auto counts = raw->records_->counts();
    raw->csp_.describe(body);
    if (counts) body.set("certificates_issued", counts->issued).set("certificates_revoked", counts->revoked);
  });
  return Result<std::unique_ptr<CasService>>(std::move(service));
}

std::vector<points::Handler> CasService::handlers() {
  std::vector<points::Handler> out = element_est_.handlers();
  out.push_back({Endpoint::ce1_terminal, [this](const net::Request& request) {
                   return node::recorded(node_, "ce-1.terminal", request, [&](node::Deed& deed) { return enrol_terminal(request, deed); });
                 }});
  out.push_back({Endpoint::x5_revoke, [this](const net::Request& request) {
                   return node::recorded(node_, "x-5.revoke", request, [&](node::Deed& deed) { return revoke(request, deed); });
                 }});
  out.push_back({Endpoint::x5_registration, [this](const net::Request& request) {
                   return node::recorded(node_, "x-5.registration", request, [&](node::Deed& deed) { return registration_front_.answer(request, deed); });
                 }});
  for (const Endpoint endpoint : {Endpoint::cq1_status, Endpoint::cq2_status, Endpoint::cq3_status, Endpoint::x4_status}) {
    out.push_back({endpoint, [this](const net::Request& request) { return status(request); }});
  }
  for (const Endpoint endpoint : {Endpoint::cd1_crl, Endpoint::cd2_crl, Endpoint::cd3_crl}) {
    out.push_back({endpoint, [this](const net::Request& request) { return node::refusal_recorded(node_, "cd.crl", request, request.query, list(request)); }});
  }
  return out;
}

Result<net::Response> CasService::enrol_terminal(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const TerminalEnrolment enrolment, read_terminal_enrolment(request.body));
  deed.object = enrolment.uid.text();
  const wire::Enrol& enrol = enrolment.enrol.message;
  const Identity& agent = *request.peer.identity;
  if (enrolment.enrol.header.suite != node_.suite().id) return fail(ErrorCode::denied, "the Enrol message is of another suite than this network's");
  if (enrol.kms_id.text() != agent.name) return fail(ErrorCode::denied, "the Enrol message is meant for " + enrol.kms_id.text() + ", not for " + agent.name);

  // The requests are looked at before IAM is asked: a secret is not spent on what would be refused.
  const crypto::SubjectNames names = terminal_names({.domain = agent.domain, .kind = enrol.device_kind, .name = enrol.uid.text()}, enrol.number);
  ASSIGN_OR_RETURN(crypto::CertificateRequest ml_dsa, check_request(enrol.csr_pq, names, crypto::ml_dsa_key(node_.suite())));
  ASSIGN_OR_RETURN(crypto::CertificateRequest classical, check_request(enrol.csr_classical, names, crypto::classical_key(node_.suite())));
  ASSIGN_OR_RETURN(const Attested attested, attest_(enrolment.uid, enrolment.enrol.octets, request));
  TRY(check_attested(attested, enrol, agent));
  node::crash_point("cas.terminal.attested");

  ASSIGN_OR_RETURN(const Issued issued,
                   issuer_.issue({.names = names,
                                  .request_hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat terminal enrolment"), enrolment.enrol.octets}),
                                  .expectation = std::nullopt,
                                  .overlap = Overlap::refused,
                                  .lifetime = settings_.terminal_lifetime,
                                  .profile = &profile("terminal-signing"),
                                  .ml_dsa = std::move(ml_dsa),
                                  .classical = std::move(classical)},
                                 node_.clock().now_ms()));
  csp_.issued();
  deed.object += " " + to_hex(issued.ml_dsa->serial());
  return chains(issued);
}

Result<net::Response> CasService::revoke(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  TRY(json.only({"identity"}));
  ASSIGN_OR_RETURN(const std::string uri, json.text("identity"));
  ASSIGN_OR_RETURN(const Identity identity, Identity::parse_uri(uri));
  deed.object = identity.uri();
  if (identity == node_.identity()) return fail(ErrorCode::denied, "CAS does not revoke its own certificate: nobody could be told");
  ASSIGN_OR_RETURN(const std::vector<Bytes> serials, records_->revoke(identity, node_.clock().now_ms()));
  node::crash_point("cas.revoke.recorded");
  TRY(csp_.revoked(serials));
  wire::Json list = wire::Json::array();
  for (const Bytes& serial : serials) {
    list.push(to_hex(serial));
    deed.object += " " + to_hex(serial);
  }
  return node::json_response(wire::Json::object({{"revoked", list}}));
}

Result<net::Response> CasService::status(const net::Request& request) const {
  return net::Response{.status = 200, .content_type = std::string(points::type_ocsp_response), .body = responder_.answer(request.body, node_.clock().now_ms())};
}

/// `branch=ml_dsa&list=full`: the names of csp/places.hpp.
Result<net::Response> CasService::list(const net::Request& request) const {
  const std::string_view query = request.query;
  for (const Branch branch : authorities_.branches()) {
    const std::string beginning = "branch=" + std::string(name(branch)) + "&list=";
    if (!query.starts_with(beginning)) continue;
    const auto found = csp_.list(branch, query.substr(beginning.size()));
    if (!found) return fail(ErrorCode::not_found, "there is no such revocation list");
    return net::Response{.status = 200, .content_type = std::string(points::type_crl), .body = found->der};
  }
  return fail(ErrorCode::invalid_argument, "the query must be branch=ml_dsa&list=full, or another branch or list");
}

Result<void> CasService::local_status(const crypto::Certificate& certificate) {
  ASSIGN_OR_RETURN(const crypto::CertStatus status, records_->status(certificate));
  switch (status) {
    case crypto::CertStatus::good:
      return {};
    case crypto::CertStatus::revoked:
      return fail(ErrorCode::denied, "certificate of " + certificate.subject() + " is revoked");
    case crypto::CertStatus::unknown:
      return fail(ErrorCode::denied, "certificate of " + certificate.subject() + " was not issued here");
  }
  return fail(ErrorCode::internal, "status: no such value");
}

net::Response CasService::chains(const Issued& issued) const {
  // A request that comes again gets what it got: perhaps of an earlier generation.
  const auto chain = [&](Branch branch, const crypto::Certificate& leaf) {
    const Authority* const issuer = authorities_.earlier(branch).empty() ? nullptr : authorities_.issuer_of(branch, leaf);
    return wire::Json::array({wire::to_base64(leaf.der()), wire::to_base64((issuer != nullptr ? *issuer : authorities_.of(branch)).certificate.der())});
  };
  return node::json_response(wire::Json::object({{"ml_dsa", chain(Branch::ml_dsa, *issued.ml_dsa)},
                                                 {"classical", chain(Branch::classical, *issued.classical)}}));
}

}  // namespace qanat::cas
