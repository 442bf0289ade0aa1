#include "services/cas/service.hpp"

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "services/cas/ceis/names.hpp"
#include "services/cas/ceis/proof.hpp"
#include "services/cas/own.hpp"
#include "wire/base64.hpp"
#include "wire/signed.hpp"

namespace qanat::cas {
namespace {

using points::Endpoint;

constexpr std::size_t enrol_nonce_size = 32;
constexpr std::size_t enrol_proof_size = 32;

struct ElementEnrolment {
  Identity identity;
  ElementRequest request;
};

Result<ElementEnrolment> read_element_enrolment(ByteView body) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(body));
  TRY(json.only({"identity", "nonce", "proof", "ml_dsa", "classical"}));
  ElementEnrolment out;
  ASSIGN_OR_RETURN(const std::string uri, json.text("identity"));
  ASSIGN_OR_RETURN(out.identity, Identity::parse_uri(uri));
  ASSIGN_OR_RETURN(out.request.nonce, json.hex("nonce"));
  ASSIGN_OR_RETURN(out.request.proof, json.hex("proof"));
  ASSIGN_OR_RETURN(out.request.ml_dsa, json.base64("ml_dsa"));
  if (json.has("classical")) {
    ASSIGN_OR_RETURN(out.request.classical, json.base64("classical"));
  }
  if (out.request.nonce.size() != enrol_nonce_size || out.request.proof.size() != enrol_proof_size) {
    return fail(ErrorCode::invalid_argument, "nonce and proof must have 32 octets each");
  }
  return out;
}

/// The one-time secret of this identity by which the proof was made.
Result<Expectation> find_expectation(std::vector<Expectation> expectations, const ElementEnrolment& enrolment) {
  if (expectations.empty()) return fail(ErrorCode::not_found, enrolment.identity.uri() + " is not expected to enrol");
  Result<void> outcome;
  for (Expectation& expectation : expectations) {
    outcome = check_proof(enrolment.request, expectation.proof_key);
    if (outcome) return Result<Expectation>(std::move(expectation));
  }
  return fail(outcome.error());
}

/// Names one use of one secret: new keys under the same secret are another request, the same keys under a new secret too. The nonce is not
/// part of it, because an element that asks again after a crash draws a new one.
Bytes element_request_hash(const Expectation& expectation, const ElementEnrolment& enrolment) {
  const std::string id = std::to_string(expectation.id);
  const Bytes ml_dsa = crypto::digest(crypto::Hash::sha256, enrolment.request.ml_dsa);
  const Bytes classical = crypto::digest(crypto::Hash::sha256, enrolment.request.classical);
  return crypto::digest(crypto::Hash::sha256, {as_bytes("qanat element enrolment"), ml_dsa, classical, as_bytes(id)});
}

std::string_view action_of(Endpoint endpoint) {
  if (endpoint == Endpoint::ce1_enrol) return "ce-1.enrol";
  if (endpoint == Endpoint::ce4_enrol) return "ce-4.enrol";
  return "x-4.enrol";
}

}  // namespace

CasService::CasService(node::Node& node, CasSettings settings, TerminalWitnesses witnesses, std::unique_ptr<Records> records, Authorities authorities)
    : node_(node),
      settings_(std::move(settings)),
      records_(std::move(records)),
      authorities_(std::move(authorities)),
      issuer_(*records_, authorities_, node.rng(), settings_.front.url),
      responder_(*records_, authorities_, settings_.status_lifetime),
      csp_(node, settings_, *records_, authorities_),
      terminals_(node, settings_, *records_, authorities_, csp_, std::move(witnesses)) {}

Result<std::unique_ptr<CasService>> CasService::open(node::Node& node, CasSettings settings) {
  return open(node, std::move(settings), witnesses_of(node));
}

Result<std::unique_ptr<CasService>> CasService::open(node::Node& node, CasSettings settings, TerminalWitnesses witnesses) {
  ASSIGN_OR_RETURN(auto records, Records::open(node.settings().state / "cas.db", node.device()));
  ASSIGN_OR_RETURN(Authorities authorities, records->authorities(node.suite()));
  std::unique_ptr<CasService> service(new CasService(node, std::move(settings), std::move(witnesses), std::move(records), std::move(authorities)));
  ASSIGN_OR_RETURN(node::Credentials credentials, own_credentials(node, service->issuer_, service->authorities_.ml_dsa, service->settings_.element_lifetime));
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
  std::vector<points::Handler> out;
  for (const Endpoint endpoint : {Endpoint::ce1_enrol, Endpoint::ce4_enrol, Endpoint::x4_enrol}) {
    out.push_back({endpoint, [this, endpoint](const net::Request& request) {
                     return node::recorded(node_, action_of(endpoint), request, [&](node::Deed& deed) { return enrol_element(endpoint, request, deed); });
                   }});
  }
  for (points::Handler& one : terminals_.handlers()) out.push_back(std::move(one));
  out.push_back({Endpoint::x5_revoke, [this](const net::Request& request) {
                   return node::recorded(node_, "x-5.revoke", request, [&](node::Deed& deed) { return revoke(request, deed); });
                 }});
  for (const Endpoint endpoint : {Endpoint::cq1_status, Endpoint::cq2_status, Endpoint::cq3_status, Endpoint::x4_status}) {
    out.push_back({endpoint, [this](const net::Request& request) { return status(request); }});
  }
  for (const Endpoint endpoint : {Endpoint::cd1_crl, Endpoint::cd2_crl, Endpoint::cd3_crl}) {
    out.push_back({endpoint, [this](const net::Request& request) { return node::refusal_recorded(node_, "cd.crl", request, request.query, list(request)); }});
  }
  return out;
}

Result<net::Response> CasService::enrol_element(Endpoint endpoint, const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const ElementEnrolment enrolment, read_element_enrolment(request.body));
  const Identity& identity = enrolment.identity;
  deed.object = identity.uri();
  const points::EndpointRow& row = points::row(endpoint);
  if (!row.callers.has(identity.kind)) return fail(ErrorCode::denied, identity.uri() + " does not enrol by " + std::string(row.point));
  ASSIGN_OR_RETURN(std::vector<Expectation> expectations, records_->expectations(identity));
  ASSIGN_OR_RETURN(const Expectation expectation, find_expectation(std::move(expectations), enrolment));
  deed.subject = identity.uri();

  const bool two = node::signs_messages(identity.kind);
  if (two == enrolment.request.classical.empty()) {
    return fail(ErrorCode::invalid_argument,
                identity.uri() + (two ? ": a request for the classical certificate is missing" : ": gets no classical certificate"));
  }
  const crypto::SubjectNames names = element_names(identity);
  ASSIGN_OR_RETURN(crypto::CertificateRequest ml_dsa, check_request(enrolment.request.ml_dsa, names, crypto::ml_dsa_key(node_.suite())));
  std::optional<crypto::CertificateRequest> classical;
  if (two) {
    ASSIGN_OR_RETURN(classical, check_request(enrolment.request.classical, names, crypto::classical_key(node_.suite())));
  }
  const Bytes request_hash = element_request_hash(expectation, enrolment);
  if (!expectation.used_for.empty() && expectation.used_for != request_hash) {
    return fail(ErrorCode::conflict, "the enrolment secret of " + identity.uri() + " was used for another request");
  }
  ASSIGN_OR_RETURN(const Issued issued, issuer_.issue({.names = names,
                                                       .request_hash = request_hash,
                                                       .expectation = expectation.id,
                                                       .overlap = Overlap::refused,
                                                       .lifetime = settings_.element_lifetime,
                                                       .ml_dsa = std::move(ml_dsa),
                                                       .classical = std::move(classical)},
                                                      node_.clock().now_ms()));
  csp_.issued();
  deed.object = to_hex(issued.ml_dsa.serial());
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
  for (const Branch branch : all_branches) {
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
  return node::json_response(wire::Json::object({{"ml_dsa", chain(Branch::ml_dsa, issued.ml_dsa)},
                                                 {"classical", issued.classical ? chain(Branch::classical, *issued.classical) : wire::Json::array()}}));
}

}  // namespace qanat::cas
