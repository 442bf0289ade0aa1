#include "services/cas/ceis/element_est.hpp"

#include <algorithm>
#include <array>

#include "crypto/kdf.hpp"
#include "crypto/x509_pkcs7.hpp"
#include "services/cas/ceis/names.hpp"
#include "services/cas/ceis/proof.hpp"
#include "wire/est.hpp"

namespace qanat::cas {
namespace {

using points::Endpoint;

struct EstRow {
  Endpoint endpoint;
  std::string_view action;  // in the audit record
};
constexpr std::array enrol_rows{EstRow{Endpoint::ce1_enrol, "ce-1.enrol"}, EstRow{Endpoint::ce4_enrol, "ce-4.enrol"}, EstRow{Endpoint::x4_enrol, "x-4.enrol"}};
constexpr std::array renew_rows{EstRow{Endpoint::ce1_reenrol, "ce-1.reenrol"}, EstRow{Endpoint::ce4_reenrol, "ce-4.reenrol"},
                                EstRow{Endpoint::x4_reenrol, "x-4.reenrol"}};
constexpr std::array ca_rows{EstRow{Endpoint::ce1_cacerts, "ce-1.cacerts"}, EstRow{Endpoint::ce4_cacerts, "ce-4.cacerts"},
                             EstRow{Endpoint::x4_cacerts, "x-4.cacerts"}, EstRow{Endpoint::ce2_cacerts, "ce-2.cacerts"}};

/// A request before its names are held against who asks.
struct ElementAsked {
  crypto::CertificateRequest request;
  Branch branch{};
};

Result<ElementAsked> read_request(ByteView body, const crypto::Suite& suite) {
  ASSIGN_OR_RETURN(const Bytes der, wire::parse_est_body(body));
  ASSIGN_OR_RETURN(crypto::CertificateRequest request, crypto::CertificateRequest::parse(der));
  for (const Branch branch : all_branches) {
    if (request.key_algorithm() == key_algorithm(suite, branch)) return ElementAsked{.request = std::move(request), .branch = branch};
  }
  return fail(ErrorCode::denied,
              "a request over a key of algorithm " + std::string(crypto::name(request.key_algorithm())) + ", which is not of suite " + std::string(suite.name));
}

/// An element that signs no messages has no use for a classical certificate.
Result<void> check_branch(const Identity& identity, Branch branch) {
  if (branch == Branch::ml_dsa || node::signs_messages(identity.kind)) return {};
  return fail(ErrorCode::denied, identity.uri() + " gets no classical certificate");
}

const Profile& profile_of(const Identity& identity) { return profile(identity.kind == Kind::op ? "operator" : "element"); }

/// The one-time secret of this identity that the password is.
Result<Expectation> find_expectation(std::vector<Expectation> expectations, const Identity& identity, const Secret& password) {
  const Secret key = proof_key_of(password);
  for (Expectation& expectation : expectations) {
    if (equal_secret(key, expectation.proof_key)) return Result<Expectation>(std::move(expectation));
  }
  // The same whether or not the element is expected: who has no secret does not learn which elements are.
  return fail(ErrorCode::unauthenticated, "the enrolment secret does not fit: " + identity.uri());
}

Result<void> check_new_key(const std::vector<Bytes>& live, const crypto::CertificateRequest& request) {
  for (const Bytes& der : live) {
    ASSIGN_OR_RETURN(const crypto::Certificate certificate, crypto::Certificate::parse(der));
    if (certificate.public_key() == request.public_key()) return fail(ErrorCode::denied, "a renewal takes a new key, this one has a certificate");
  }
  return {};
}

/// Names one use of one secret: a new key under the same secret is another request, the same key under a new secret too.
Bytes enrolment_hash(const Expectation& expectation, const crypto::CertificateRequest& request) {
  return crypto::digest(crypto::Hash::sha256,
                        {as_bytes("qanat element enrolment"), crypto::digest(crypto::Hash::sha256, request.der()), as_bytes(std::to_string(expectation.id))});
}

}  // namespace

std::vector<points::Handler> ElementEst::handlers() {
  std::vector<points::Handler> out;
  out.reserve(enrol_rows.size());
  for (const EstRow& row : enrol_rows) {
    out.push_back({row.endpoint, [this, row](const net::Request& request) {
                     return node::recorded(parts_.node, row.action, request, [&](node::Deed& deed) { return enrol(row.endpoint, request, deed); });
                   }});
  }
  for (const EstRow& row : renew_rows) {
    out.push_back({row.endpoint, [this, row](const net::Request& request) {
                     return node::recorded(parts_.node, row.action, request, [&](node::Deed& deed) { return renew(request, deed); });
                   }});
  }
  for (const auto& [row, overlap] :
       {std::pair{EstRow{Endpoint::ce3_enrol, "ce-3.enrol"}, Overlap::refused}, {EstRow{Endpoint::ce3_reenrol, "ce-3.reenrol"}, Overlap::renewal}}) {
    out.push_back({row.endpoint, [this, row, overlap](const net::Request& request) {
                     return node::recorded(parts_.node, row.action, request, [&](node::Deed& deed) { return certify_joint_key(request, deed, overlap); });
                   }});
  }
  for (const EstRow& row : ca_rows) {
    out.push_back(
        {row.endpoint, [this, row](const net::Request& request) { return node::refusal_recorded(parts_.node, row.action, request, "", ca_certificates()); }});
  }
  return out;
}

Result<net::Response> ElementEst::enrol(Endpoint endpoint, const net::Request& request, node::Deed& deed) {
  if (!request.authorization) return fail(ErrorCode::unauthenticated, "the enrolment secret is missing (HTTP Basic)");
  ASSIGN_OR_RETURN(const wire::BasicCredentials credentials, wire::parse_basic_authorization(*request.authorization));
  ASSIGN_OR_RETURN(ElementAsked asked, read_request(request.body, parts_.node.suite()));
  const std::optional<Identity>& named = asked.request.names().element;
  if (!named) return fail(ErrorCode::denied, "the request asks for no element's name");
  const Identity& identity = *named;
  deed.object = identity.uri();
  const points::EndpointRow& row = points::row(endpoint);
  if (!row.callers.has(identity.kind)) return fail(ErrorCode::denied, identity.uri() + " does not enrol by " + std::string(row.point));
  if (credentials.user != identity.name)
    return fail(ErrorCode::unauthenticated, "the secret is that of '" + credentials.user + "', the request is for " + identity.uri());
  ASSIGN_OR_RETURN(std::vector<Expectation> expectations, parts_.records.expectations(identity));
  ASSIGN_OR_RETURN(const Expectation expectation, find_expectation(std::move(expectations), identity, credentials.password));
  deed.subject = identity.uri();

  TRY(check_branch(identity, asked.branch));
  TRY(check_names(asked.request, element_names(identity)));
  Bytes request_hash = enrolment_hash(expectation, asked.request);
  const Bytes& used_for = expectation.used_for(asked.branch);
  if (!used_for.empty() && used_for != request_hash) {
    return fail(ErrorCode::conflict, "the enrolment secret of " + identity.uri() + " was used for another request");
  }
  Order order{.names = element_names(identity),
              .request_hash = std::move(request_hash),
              .expectation = expectation.id,
              .overlap = Overlap::refused,
              .lifetime = parts_.lifetime,
              .profile = &profile_of(identity),
              .ml_dsa = {},
              .classical = {}};
  (asked.branch == Branch::ml_dsa ? order.ml_dsa : order.classical) = std::move(asked.request);
  return issue(order, asked.branch, deed);
}

Result<net::Response> ElementEst::renew(const net::Request& request, node::Deed& deed) {
  // The listener has let nobody in without a certificate that is good now and names this element.
  const Identity& identity = *request.peer.identity;
  deed.object = identity.uri();
  ASSIGN_OR_RETURN(ElementAsked asked, read_request(request.body, parts_.node.suite()));
  TRY(check_branch(identity, asked.branch));
  // RFC 7030 §4.2.2: the names of a renewal are those of the certificate in force.
  TRY(check_names(asked.request, element_names(identity)));
  Bytes request_hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat element renewal"), asked.request.der()});
  ASSIGN_OR_RETURN(const bool known, parts_.records.knows(request_hash));
  if (!known) {
    ASSIGN_OR_RETURN(const std::vector<Bytes> live, parts_.records.live(identity, Held::alone, asked.branch, parts_.node.clock().now_ms()));
    TRY(check_new_key(live, asked.request));
    TRY(parts_.standing(identity, request.deadline, request.request_id));
  }
  Order order{.names = element_names(identity),
              .request_hash = std::move(request_hash),
              .expectation = std::nullopt,
              .overlap = Overlap::renewal,
              .lifetime = parts_.lifetime,
              .profile = &profile_of(identity),
              .ml_dsa = {},
              .classical = {}};
  (asked.branch == Branch::ml_dsa ? order.ml_dsa : order.classical) = std::move(asked.request);
  return issue(order, asked.branch, deed);
}

Result<net::Response> ElementEst::certify_joint_key(const net::Request& request, node::Deed& deed, Overlap overlap) {
  ASSIGN_OR_RETURN(ElementAsked asked, read_request(request.body, parts_.node.suite()));
  const std::optional<Identity>& named = asked.request.names().element;
  if (!named || !apps.has(named->kind)) return fail(ErrorCode::denied, "the request names no terminal or application");
  const Identity subject = *named;
  deed.object = subject.uri();
  if (asked.branch != Branch::ml_dsa) return fail(ErrorCode::denied, "jointly held keys are ML-DSA keys");
  TRY(check_names(asked.request, joint_names(subject)));
  Bytes request_hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat joint key"), asked.request.der()});
  ASSIGN_OR_RETURN(const bool known, parts_.records.knows(request_hash));
  if (!known) {
    ASSIGN_OR_RETURN(const std::vector<Bytes> live, parts_.records.live(subject, Held::jointly, asked.branch, parts_.node.clock().now_ms()));
    if (overlap == Overlap::renewal && live.empty())
      return fail(ErrorCode::conflict, subject.uri() + " has no jointly held key whose certificate could be renewed");
    TRY(check_new_key(live, asked.request));
    TRY(parts_.standing(subject, request.deadline, request.request_id));
  }
  const Profile& joint = profile("joint-signing");
  return issue({.names = joint_names(subject),
                .request_hash = std::move(request_hash),
                .expectation = std::nullopt,
                .overlap = overlap,
                .lifetime = joint.lifetime,
                .profile = &joint,
                .ml_dsa = std::move(asked.request),
                .classical = std::nullopt},
               Branch::ml_dsa, deed);
}

Result<net::Response> ElementEst::issue(const Order& order, Branch branch, node::Deed& deed) {
  const bool joint = order.profile->naming == Naming::joint;  // the record then names whose certificate it is: its subject is the CCS
  ASSIGN_OR_RETURN(const Issued issued, parts_.issuer.issue(order, parts_.node.clock().now_ms()));
  parts_.issued();
  const crypto::Certificate& certificate = *issued.of(branch);
  deed.object = (joint ? deed.object + " " : std::string()) + to_hex(certificate.serial());
  // RFC 7030 §4.2.3: the certificate alone; its issuer is in every element's trust folder, and at cacerts.
  const std::array alone{certificate.der()};
  ASSIGN_OR_RETURN(const Bytes envelope, crypto::make_certs_only(alone));
  return net::Response{.status = 200, .content_type = std::string(points::type_certs_only), .body = to_bytes(wire::est_body(envelope))};
}

Result<net::Response> ElementEst::ca_certificates() const {
  std::vector<Bytes> out;
  for (const Branch branch : all_branches) {
    out.push_back(parts_.authorities.of(branch).certificate.der());
    for (const Authority& earlier : parts_.authorities.earlier(branch)) out.push_back(earlier.certificate.der());
  }
  for (const crypto::Certificate& root : parts_.node.trust().roots()) out.push_back(root.der());
  ASSIGN_OR_RETURN(const Bytes envelope, crypto::make_certs_only(out));
  return net::Response{.status = 200, .content_type = std::string(points::type_certs_only), .body = to_bytes(wire::est_body(envelope))};
}

}  // namespace qanat::cas
