#include "node/enrolment.hpp"

#include "base/secret_file.hpp"
#include "crypto/x509_pkcs7.hpp"
#include "node/crash_point.hpp"
#include "wire/est.hpp"

namespace qanat::node {
namespace {

constexpr std::size_t enrolment_secret_octets = 32;
constexpr unsigned status_ok = 200;

crypto::SubjectNames names_of(const Identity& identity) { return {.common_name = identity.name, .element = identity, .number = {}, .dns = {}}; }

/// The certificate that CAS gives for one request; nothing but its form is checked.
Result<crypto::Certificate> ask(const EstCaller& caller, net::Client& cas, points::Endpoint endpoint, ByteView request, const Secret* authorization,
                                Deadline deadline) {
  const points::EndpointRow& line = points::row(endpoint);
  const std::string body = wire::est_body(request);
  ASSIGN_OR_RETURN(const net::Response response, cas.call({.method = std::string(line.method),
                                                           .path = std::string(line.path),
                                                           .query = "",
                                                           .content_type = std::string(line.request_type),
                                                           .body = as_bytes(body),
                                                           .request_id = to_hex(caller.rng.bytes(8)),
                                                           .authorization = authorization},
                                                          deadline));
  if (response.status != status_ok) return fail(net::error_of(response));
  auto certificate = read_est_answer(response);
  if (!certificate) return fail(ErrorCode::internal, "what CAS answered: " + certificate.error().message);
  return certificate;
}

struct Certificates {
  std::optional<crypto::Certificate> ml_dsa;
  std::optional<crypto::Certificate> classical;  // nothing if there was no request
};

Result<Certificates> ask_both(const EstCaller& caller, net::Client& cas, points::Endpoint endpoint, const CredentialStore::Requests& requests,
                              const Secret* authorization, Deadline deadline) {
  Certificates out;
  ASSIGN_OR_RETURN(out.ml_dsa, ask(caller, cas, endpoint, requests.ml_dsa, authorization, deadline));
  if (requests.classical.empty()) return out;
  crash_point("node.enrol.half");
  ASSIGN_OR_RETURN(out.classical, ask(caller, cas, endpoint, requests.classical, authorization, deadline));
  return out;
}

/// The certificate and the issuing CA above it, if it is this element's and leads to a root of its trust folder.
Result<std::vector<crypto::Certificate>> chain_of(const EstCaller& caller, const std::optional<crypto::Certificate>& leaf) {
  if (!leaf) return std::vector<crypto::Certificate>();
  if (leaf->names().element != caller.identity) return fail(ErrorCode::denied, "CAS sent a certificate of " + leaf->subject());
  return issued_chain(caller.trust, *leaf, caller.clock.now_ms());
}

}  // namespace

points::Endpoint enrol_endpoint(Kind kind) noexcept {
  if (kind == Kind::kms) return points::Endpoint::ce1_enrol;
  if (qkdn.has(kind)) return points::Endpoint::ce4_enrol;
  return points::Endpoint::x4_enrol;
}

points::Endpoint reenrol_endpoint(Kind kind) noexcept {
  if (kind == Kind::kms) return points::Endpoint::ce1_reenrol;
  if (qkdn.has(kind)) return points::Endpoint::ce4_reenrol;
  return points::Endpoint::x4_reenrol;
}

Result<crypto::Certificate> read_est_answer(const net::Response& response) {
  if (!response.content_type.starts_with("application/pkcs7-mime")) {
    return fail(ErrorCode::invalid_argument, "EST: '" + response.content_type + "' is no certificate");
  }
  ASSIGN_OR_RETURN(const Bytes envelope, wire::parse_est_body(response.body));
  ASSIGN_OR_RETURN(const std::vector<Bytes> certificates, crypto::read_certs_only(envelope));
  if (certificates.size() != 1) return fail(ErrorCode::invalid_argument, "EST: " + std::to_string(certificates.size()) + " certificates for one request");
  return crypto::Certificate::parse(certificates.front());
}

Result<std::vector<crypto::Certificate>> issued_chain(const crypto::TrustStore& trust, const crypto::Certificate& leaf, UnixMs now) {
  TRY(trust.verify(leaf, now));
  // The folder may have changed since, or have the issuing CA among its roots.
  const crypto::Certificate* const issuer = trust.issuer_of(leaf);
  if (issuer == nullptr) return fail(ErrorCode::denied, leaf.subject() + ": its issuer is no issuing-*.pem of the trust folder");
  return std::vector<crypto::Certificate>{leaf, *issuer};
}

bool is_final_refusal(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
    case ErrorCode::denied:
    case ErrorCode::not_found:
    case ErrorCode::conflict: return true;
    case ErrorCode::unauthenticated:
    case ErrorCode::exhausted:
    case ErrorCode::unavailable:
    case ErrorCode::deadline_exceeded:
    case ErrorCode::internal: return false;
  }
  return false;
}

Result<void> enrol_by_secret(const EstCaller& caller, CredentialStore& store, net::Client& cas, const std::filesystem::path& secret_file, Deadline deadline) {
  const auto digits = read_secret_digits(secret_file, enrolment_secret_octets);
  if (!digits && digits.error().code == ErrorCode::not_found) {
    return fail(ErrorCode::not_found, secret_file.string() + ": no enrolment secret, and no certificate yet: ask the operator of CAS for a new one");
  }
  if (!digits) return fail(digits.error());
  ASSIGN_OR_RETURN(const CredentialStore::Requests requests, store.prepare(names_of(caller.identity), signs_messages(caller.identity.kind)));
  crash_point("node.enrol.prepared");
  const Secret authorization = wire::basic_authorization(caller.identity.name, *digits);
  const auto certificates = ask_both(caller, cas, enrol_endpoint(caller.identity.kind), requests, &authorization, deadline);
  if (!certificates) return fail_in("enrolment", certificates.error());
  ASSIGN_OR_RETURN(const std::vector<crypto::Certificate> ml_dsa, chain_of(caller, certificates->ml_dsa));
  ASSIGN_OR_RETURN(const std::vector<crypto::Certificate> classical, chain_of(caller, certificates->classical));
  crash_point("node.enrol.certified");
  TRY(store.finish(ml_dsa, classical, &*digits));
  crash_point("node.enrol.stored");
  return {};
}

Result<void> conclude_enrolment(CredentialStore& store, const std::filesystem::path& secret_file, const std::function<Result<void>()>& record) {
  ASSIGN_OR_RETURN(const std::optional<Secret> spent, store.unrecorded_enrolment());
  if (!spent) return {};
  TRY(record());
  const auto digits = read_secret_digits(secret_file, enrolment_secret_octets);
  std::error_code ignored;
  if (digits && equal_secret(*digits, *spent)) std::filesystem::remove(secret_file, ignored);
  return store.enrolment_recorded();
}

Result<void> renew_by_certificate(const EstCaller& caller, CredentialStore& store, net::Client& cas, Deadline deadline) {
  ASSIGN_OR_RETURN(const CredentialStore::Requests requests, store.prepare_next(names_of(caller.identity), signs_messages(caller.identity.kind)));
  crash_point("node.renew.prepared");
  const auto certificates = ask_both(caller, cas, reenrol_endpoint(caller.identity.kind), requests, nullptr, deadline);
  if (!certificates) {
    if (is_final_refusal(certificates.error().code)) TRY(store.drop_next());
    return fail_in("renewal", certificates.error());
  }
  // Where these fail, the keys stay: CAS gives the same certificates again once this element's trust folder has their issuer.
  ASSIGN_OR_RETURN(const std::vector<crypto::Certificate> ml_dsa, chain_of(caller, certificates->ml_dsa));
  ASSIGN_OR_RETURN(const std::vector<crypto::Certificate> classical, chain_of(caller, certificates->classical));
  crash_point("node.renew.certified");
  TRY(store.finish_next(ml_dsa, classical));
  crash_point("node.renew.stored");
  return {};
}

}  // namespace qanat::node
