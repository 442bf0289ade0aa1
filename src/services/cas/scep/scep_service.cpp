#include "services/cas/scep/scep_service.hpp"

#include <algorithm>
#include <array>

#include "crypto/x509_pkcs7.hpp"
#include "services/cas/scep/scep_query.hpp"

namespace qanat::cas {
namespace {

/// §3.5.2. SCEPStandard: AES-CBC, SHA-256 and POST. SHA-384 is not among the RFC's, but it is spoken here, and strongSwan 5.9.8, which takes the numbers of
/// capabilities for bits, does not begin without it.
constexpr std::string_view capabilities = "AES\nGetNextCACert\nPOSTPKIOperation\nRenewal\nSCEPStandard\nSHA-256\nSHA-384\nSHA-512\n";

constexpr std::string_view content_message = "application/x-pki-message";
constexpr std::string_view content_certificates = "application/x-x509-ca-ra-cert";
constexpr std::string_view content_next = "application/x-x509-next-ca-cert";
constexpr std::string_view retry_after_s = "10";

struct Place {
  std::string_view prefix;
  std::string_view path;
};
constexpr std::array places{Place{"/scep", "/scep"}, Place{"/cgi-bin/", "/cgi-bin/pkiclient.exe"}};
constexpr std::array<std::string_view, 2> methods{"GET", "POST"};
constexpr std::array<std::string_view, 3> questions{"GetCACaps", "GetCACert", "GetNextCACert"};

net::ForeignResponse failed(const Error& error) {
  switch (error.code) {
    case ErrorCode::invalid_argument:
      return net::text_response(400, error.message);
    case ErrorCode::unavailable:
    case ErrorCode::exhausted:
    case ErrorCode::deadline_exceeded: {
      net::ForeignResponse out = net::text_response(503, error.message);
      out.fields.emplace_back("Retry-After", retry_after_s);
      return out;
    }
    case ErrorCode::unauthenticated:
    case ErrorCode::denied:
    case ErrorCode::not_found:
    case ErrorCode::conflict:
    case ErrorCode::internal:
      break;
  }
  node::log(node::LogLevel::error, "SCEP: {}", error.message);
  return net::text_response(500, "the request could not be worked on");
}

/// The CA that a client names in its question (§4.2, "a string that represents the CA"): the name of a branch. Others mean the one that signs for what SCEP's
/// clients have.
Branch branch_of(std::string_view ca) {
  for (const Branch branch : {Branch::ml_dsa, Branch::classical}) {
    if (ca == name(branch)) return branch;
  }
  return Branch::devices;
}

}  // namespace

std::vector<EnrolmentService> ScepService::services() {
  std::vector<EnrolmentService> out;
  for (const Place& place : places) {
    EnrolmentService service{.prefix = std::string(place.prefix), .routes = {}, .refuse = net::text_response, .carrier = Carrier::any};
    for (const std::string_view method : methods) {
      service.routes.push_back({.point = "SCEP",
                                .method = std::string(method),
                                .pattern = std::string(place.path),
                                .body_max = method == "POST" ? crypto::scep_message_octets_max : 0,
                                .answer = [this, method](net::ForeignRequest& request) { return answer(method, request); }});
    }
    out.push_back(std::move(service));
  }
  return out;
}

net::ForeignResponse ScepService::answer(std::string_view method, const net::ForeignRequest& request) {
  const auto query = read_scep_query(request.query);
  if (!query) return net::text_response(400, query.error().message);
  if (query->operation == "PKIOperation") {
    if (method == "POST") return operation(request.body, request);
    const auto message = read_scep_message(query->message);
    return message ? operation(*message, request) : net::text_response(400, message.error().message);
  }
  if (std::ranges::find(questions, query->operation) == questions.end())
    return net::text_response(400, "operation is none of GetCACaps, GetCACert, GetNextCACert, PKIOperation");
  if (method != "GET") return net::text_response(405, query->operation + " is asked by GET");
  if (query->operation == "GetCACaps") return net::open_response("text/plain", to_bytes(capabilities));
  if (query->operation == "GetCACert") return certificates(query->message);
  return next_certificates();
}

/// The RA in force and the CA's certificates.
net::ForeignResponse ScepService::certificates(std::string_view ca) {
  const auto authorities = authorities_.at(clock_.now_ms());
  if (!authorities) return failed(authorities.error());
  std::vector<Bytes> list{(*authorities)->all.front().certificate};
  for (Bytes& each : desk_.ca_chain(branch_of(ca))) list.push_back(std::move(each));
  auto body = crypto::make_certs_only(list);
  return body ? net::open_response(content_certificates, *std::move(body)) : failed(body.error());
}

/// Of a CA that is to come its certificate, signed by the RA in force (§4.7): it has no RA of its own yet. Otherwise, what a client may not know is the CA in
/// force, if it came after the RA that the client trusts; that RA signs the answer, as long as its certificate holds.
net::ForeignResponse ScepService::next_certificates() {
  const auto authorities = authorities_.at(clock_.now_ms());
  if (!authorities) return failed(authorities.error());
  const ScepRas& known = **authorities;
  const std::optional<Succession> succession = desk_.succession();
  const bool to_come = succession && succession->to_come;
  if (!to_come && known.of_this_ca == known.all.size()) {
    return net::text_response(404, "no CA has succeeded that of the registration authority's certificate, and none is about to");
  }
  std::vector<Bytes> list;
  if (to_come) {
    list.push_back(succession->new_with_new);
  } else {
    list.push_back(known.all.front().certificate);
    for (Bytes& each : desk_.ca_chain(Branch::devices)) list.push_back(std::move(each));
  }
  const auto content = crypto::make_certs_only(list);
  auto body = content ? crypto::sign_next_certificates(*content, to_come ? known.all.front() : known.all.at(known.of_this_ca))
                      : Result<Bytes>(fail(content.error()));
  return body ? net::open_response(content_next, *std::move(body)) : failed(body.error());
}

net::ForeignResponse ScepService::operation(ByteView message, const net::ForeignRequest& request) {
  const auto authorities = authorities_.at(clock_.now_ms());
  if (!authorities) return failed(authorities.error());
  auto body = operation_.answer(message, **authorities, request.deadline, request.request_id);
  return body ? net::open_response(content_message, *std::move(body)) : failed(body.error());
}

}  // namespace qanat::cas
