#include "services/cas/service.hpp"

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "services/cas/ceis/names.hpp"
#include "services/cas/ceis/register_words.hpp"
#include "services/cas/closed_shop.hpp"
#include "services/cas/device_authority.hpp"
#include "services/cas/own.hpp"
#include "wire/base64.hpp"
#include "wire/signed.hpp"

namespace qanat::cas {
using points::Endpoint;

CasService::CasService(node::Node& node, CasSettings settings, TerminalWitnesses witnesses, Vouch vouch, std::unique_ptr<Records> records,
                       Authorities authorities)
    : node_(node),
      settings_(std::move(settings)),
      records_(std::move(records)),
      authorities_(std::move(authorities)),
      issuer_(*records_, authorities_, node.rng(), settings_.front.url),
      responder_(*records_, authorities_, settings_.status_lifetime),
      csp_(node, settings_, *records_, authorities_),
      desk_(node, *records_, authorities_, settings_.front.url, {.retry_after = settings_.approval_retry, .expire = settings_.approval_expires},
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
                    .standing = witnesses.standing,
                    .issued = [this] { csp_.issued(); }}),
      terminals_(node, settings_, *records_, authorities_, csp_, std::move(witnesses)) {}

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
  return open(node, std::move(settings), witnesses_of(node), vouch_of(node));
}

Result<std::unique_ptr<CasService>> CasService::open(node::Node& node, CasSettings settings, TerminalWitnesses witnesses, Vouch vouch) {
  ASSIGN_OR_RETURN(auto records, Records::open(node.settings().state / "cas.db", node.device()));
  ASSIGN_OR_RETURN(Authorities authorities, records->authorities(node.suite()));
  if (!authorities.devices) {
    ASSIGN_OR_RETURN(const Authority made, make_device_authority(authorities, node.clock().now_ms(), node.rng()));
    TRY(record_deed(node, "authority.made", made.certificate.subject()));  // before it can sign anything
    TRY(records->keep_device_authority(made));
    ASSIGN_OR_RETURN(authorities, records->authorities(node.suite()));
  }
  std::unique_ptr<CasService> service(
      new CasService(node, std::move(settings), std::move(witnesses), std::move(vouch), std::move(records), std::move(authorities)));
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
  for (points::Handler& one : terminals_.handlers()) out.push_back(std::move(one));
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

}  // namespace qanat::cas
