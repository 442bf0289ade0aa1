// Orders and their certificates: RFC 8555 §7.4. An order's request is durable before the desk is asked, and the desk gives the same
// certificate for the same request: whoever asks again after a crash gets what was issued.
#include <algorithm>

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "services/cas/acme/acme.hpp"
#include "services/cas/csp/places.hpp"
#include "wire/base64.hpp"

namespace qanat::cas {
namespace {

constexpr UnixMs acme_day = 86'400'000;
constexpr UnixMs order_lifetime = 7 * acme_day;        // until it is finalized
constexpr UnixMs processing_lifetime = 30 * acme_day;  // that operators have for approval
constexpr UnixMs invalid_kept = acme_day;              // for its client to see why
constexpr UnixMs authorization_lifetime = 30 * acme_day;
constexpr std::chrono::seconds desk_busy{5};       // when the desk did not answer: come again
constexpr std::chrono::seconds time_to_answer{1};  // of the request's time: where IAM is silent, the client is told to come again
constexpr std::size_t certificates_looked_at = 8;  // for one that holds
constexpr std::size_t common_name_max = 64;        // RFC 5280 appendix A, ub-common-name

std::string pem_certificate(ByteView der) {
  constexpr std::size_t line = 64;
  const std::string text = wire::to_base64(der);
  std::string out = "-----BEGIN CERTIFICATE-----\n";
  for (std::size_t at = 0; at < text.size(); at += line) out.append(text, at, line).push_back('\n');
  return out + "-----END CERTIFICATE-----\n";
}

/// The names that the certificate shall bear: the request's DNS names, and its common name, which is the first DNS name where it has none.
OrProblem<crypto::AskedNames> names_asked(const crypto::AskedNames& request) {
  crypto::AskedNames out;
  if (!request.uris.empty() || !request.mail.empty() || !request.addresses.empty())
    return refuse(ProblemType::bad_csr, "the CSR has names that are not of type dns");
  const auto add = [&](const std::string& name) -> OrProblem<std::string> {
    auto canonical = canonical_dns(name);
    if (!canonical) return refuse(ProblemType::bad_csr, "the CSR has a name that is not a DNS name: " + shown(name, common_name_max));
    if (std::ranges::find(out.dns, *canonical) == out.dns.end()) out.dns.push_back(*canonical);
    return *std::move(canonical);
  };
  for (const std::string& name : request.dns) TRY(add(name));
  if (!request.common_name.empty()) {
    ASSIGN_OR_RETURN(out.common_name, add(request.common_name));
  } else {
    const auto first = std::ranges::find_if(out.dns, [](const std::string& name) { return name.size() <= common_name_max; });
    if (first != out.dns.end()) out.common_name = *first;
  }
  return out;
}

OrProblem<crypto::SubjectRequest> request_in(ByteView csr) {
  auto request = crypto::SubjectRequest::parse(csr);
  if (!request) return refuse(ProblemType::bad_csr, "csr: " + request.error().message);
  return *std::move(request);
}

/// §7.4: exactly the order's names.
OrProblem<void> check_names(const crypto::AskedNames& asked, const AcmeOrder& order) {
  std::vector<std::string> names = asked.dns;
  std::ranges::sort(names);
  if (std::ranges::equal(names, order.names, {}, {}, &AcmeOrder::Name::dns)) return {};
  return refuse(ProblemType::bad_csr, "the CSR's names, common name included, are not exactly those of the order");
}

Finalization finalization_of(const AcmeOrder& order, const crypto::SubjectRequest& request, const crypto::AskedNames& names) {
  Bytes listed = to_bytes(names.common_name);
  for (const AcmeOrder::Name& each : order.names) {
    listed.push_back(0);  // no name holds it
    append(listed, as_bytes(each.dns));
  }
  const Bytes key = crypto::digest(crypto::Hash::sha256, request.key().der());
  const Bytes csr = crypto::digest(crypto::Hash::sha256, request.der());
  return {.csr = request.der(),
          .asked_hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat acme asked"), key, listed}),
          .request_hash = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat acme order"), as_bytes(order.id), csr})};
}

bool order_expired(const AcmeOrder& order, UnixMs now) { return order.status == OrderStatus::ready && order.expires <= now; }

Problem expired_problem() { return {ProblemType::malformed, "the order expired before it was finalized"}; }

}  // namespace

AcmeAnswer Acme::order_answer(unsigned status, const Pursued& pursued) const {
  const AcmeOrder& order = pursued.order;
  const bool late = order_expired(order, clock_.now_ms());
  wire::Json identifiers = wire::Json::array();
  wire::Json authorizations = wire::Json::array();
  for (const AcmeOrder::Name& each : order.names) {
    identifiers.push(dns_identifier(each.dns));
    authorizations.push(url("/acme/authz/") + each.authorization);
  }
  wire::Json body = wire::Json::object({{"status", late ? name(OrderStatus::invalid) : name(order.status)},
                                        {"expires", date_time(order.expires)},
                                        {"identifiers", identifiers},
                                        {"authorizations", authorizations},
                                        {"finalize", order_url(order.id) + "/finalize"}});
  if (!order.profile.empty()) body.set("profile", order.profile);
  if (!order.replaces.empty()) body.set("replaces", order.replaces);
  if (order.status == OrderStatus::valid) body.set("certificate", url("/acme/cert/") + order.id);
  if (late) body.set("error", expired_problem().json());
  if (order.status == OrderStatus::invalid) {
    if (auto problem = wire::Json::parse(order.problem)) body.set("error", *std::move(problem));
  }
  AcmeAnswer out = json_answer(status, body);
  out.fields.emplace_back("Location", order_url(order.id));
  if (order.status == OrderStatus::processing) out.fields.emplace_back("Retry-After", std::to_string(pursued.retry_after.count()));
  return out;
}

/// An account that holds a certificate orders as its holder: a registration's secret may be for one certificate alone, and its time may be over.
Result<std::optional<Acme::Standing>> Acme::standing_as_holder(const AcmeAccount& account) {
  ASSIGN_OR_RETURN(const std::vector<Bytes> serials, records_.certificates_of(account.id, certificates_looked_at, clock_.now_ms()));
  for (const Bytes& serial : serials) {
    auto der = desk_.find(serial);
    if (!der && der.error().code == ErrorCode::not_found) continue;
    if (!der) return fail(der.error());
    auto holder = desk_.holder_of(*der);
    if (!holder && holder.error().code == ErrorCode::denied) continue;  // revoked
    if (!holder) return fail(holder.error());
    if (holder->reference == account.reference) return Standing{.registration = *std::move(holder), .renews = *std::move(der)};
  }
  return std::nullopt;
}

OrProblem<Acme::Standing> Acme::standing_of(const AcmeAccount& account) {
  ASSIGN_OR_RETURN(auto as_holder, standing_as_holder(account));
  if (as_holder) return *std::move(as_holder);
  auto registration = desk_.registration(account.reference);
  if (registration) return Standing{.registration = *std::move(registration), .renews = {}};
  if (registration.error().code == ErrorCode::not_found) return refuse(ProblemType::unauthorized, "the account's registration is over");
  return refuse(registration.error());
}

/// RFC 9773 §5: a certificate of the same account that shares a name with the order.
OrProblem<void> Acme::check_replaced(const AcmeAccount& account, const OrderRequest& wanted) {
  if (wanted.replaces.empty()) return {};
  const auto id = parse_certificate_id(wanted.replaces);
  if (!id) return refuse(ProblemType::malformed, "replaces: not the identifier of a certificate");
  ASSIGN_OR_RETURN(const auto former, records_.order_of_certificate(id->serial));
  if (!former || former->account != account.id) return refuse(ProblemType::malformed, "replaces: not a certificate of this account");
  ASSIGN_OR_RETURN(const Bytes der, desk_.find(id->serial));
  ASSIGN_OR_RETURN(const crypto::SubjectCertificate certificate, crypto::SubjectCertificate::parse(der));
  if (certificate.issuer_key_id() != id->issuer_key_id) return refuse(ProblemType::malformed, "replaces: not a certificate of this server");
  const bool shared =
      std::ranges::any_of(former->names, [&](const AcmeOrder::Name& each) { return std::ranges::find(wanted.names, each.dns) != wanted.names.end(); });
  if (!shared) return refuse(ProblemType::malformed, "replaces: that certificate has none of the order's names");
  return {};
}

OrProblem<AcmeAnswer> Acme::new_order(const Call& call) {
  const UnixMs now = clock_.now_ms();
  const AcmeAccount& account = *call.account;
  ASSIGN_OR_RETURN(OrderRequest wanted, parse_order_request(call.payload));
  ASSIGN_OR_RETURN(const Standing standing, standing_of(account));
  const Registration& registration = standing.registration;
  if (!wanted.profile.empty() && wanted.profile != registration.profile->name) {
    return refuse(ProblemType::invalid_profile, "profile: the account's registration is for '" + std::string(registration.profile->name) + "'");
  }
  Problem rejected(ProblemType::rejected_identifier, "the account's registration does not allow every name: see the subproblems");
  AcmeOrder order{.id = {},
                  .account = account.id,
                  .reference = account.reference,
                  .status = OrderStatus::ready,
                  .names = {},
                  .profile = wanted.profile,
                  .replaces = wanted.replaces,
                  .made = now,
                  .expires = now + order_lifetime,
                  .csr = {},
                  .request_hash = {},
                  .ticket = {},
                  .problem = {},
                  .serial = {},
                  .chain = {}};
  for (const std::string& name : wanted.names) {
    const bool allowed = std::ranges::any_of(registration.dns, [&](const std::string& each) { return canonical_dns(each) == name; });
    order.names.push_back({.dns = name, .authorization = {}});
    if (!allowed)
      rejected.subproblems.push_back(
          {.type = ProblemType::rejected_identifier, .detail = "not a name of the registration", .identifier = dns_identifier(name)});
  }
  if (!rejected.subproblems.empty()) return refuse(std::move(rejected));
  TRY(check_replaced(account, wanted));
  auto opened = records_.open_order(std::move(order), now + authorization_lifetime, settings_.bounds);
  if (!opened && opened.error().code == ErrorCode::conflict) return refuse(ProblemType::already_replaced, opened.error().message);
  if (!opened) return refuse(opened.error());
  return order_answer(201, {.order = *std::move(opened), .retry_after = {}});
}

OrProblem<AcmeOrder> Acme::reread(std::string_view id) {
  ASSIGN_OR_RETURN(auto order, records_.order(id));
  if (!order) return refuse(Problem(ProblemType::malformed, "there is no such order").with_status(404));
  return *std::move(order);
}

OrProblem<AcmeOrder> Acme::own_order(const Call& call) {
  ASSIGN_OR_RETURN(AcmeOrder order, reread(call.request.parameters.front()));
  if (order.account != call.account->id) return refuse(Problem(ProblemType::malformed, "there is no such order").with_status(404));
  return order;
}

OrProblem<AcmeAnswer> Acme::order(const Call& call) {
  if (!is_get(call.payload)) return refuse(ProblemType::malformed, "an order is only read: the payload must be empty");
  ASSIGN_OR_RETURN(AcmeOrder order, own_order(call));
  ASSIGN_OR_RETURN(const Pursued pursued, pursue(std::move(order), call));
  return order_answer(200, pursued);
}

OrProblem<AcmeAnswer> Acme::finalize(const Call& call) {
  ASSIGN_OR_RETURN(AcmeOrder order, own_order(call));
  ASSIGN_OR_RETURN(const Bytes csr, parse_finalize_request(call.payload));
  const UnixMs now = clock_.now_ms();
  // A client whose answer was lost sends the same again.
  const bool again = !order.csr.empty() && order.csr == csr && order.status != OrderStatus::invalid;
  if (!again) {
    if (order.status != OrderStatus::ready || order_expired(order, now))
      return refuse(ProblemType::order_not_ready, "the order is " + std::string(order_expired(order, now) ? "expired" : name(order.status)));
    TRY(standing_of(*call.account));
    ASSIGN_OR_RETURN(const crypto::SubjectRequest request, request_in(csr));
    if (request.key().der() == call.key->key.spki()) return refuse(ProblemType::bad_csr, "the CSR is for the account's own key");
    ASSIGN_OR_RETURN(const crypto::AskedNames names, names_asked(request.names()));
    TRY(check_names(names, order));
    const auto begun = records_.begin(order.id, finalization_of(order, request, names), now + processing_lifetime, now);
    if (!begun && begun.error().code == ErrorCode::conflict) return refuse(ProblemType::order_not_ready, begun.error().message);
    if (!begun) return refuse(begun.error());
    node::crash_point("cas.acme.finalizing");
    ASSIGN_OR_RETURN(order, reread(order.id));
  }
  ASSIGN_OR_RETURN(const Pursued pursued, pursue(std::move(order), call));
  return order_answer(200, pursued);
}

OrProblem<Acme::Pursued> Acme::pursue(AcmeOrder order, const Call& call) {
  if (order.status != OrderStatus::processing) return Pursued{.order = std::move(order), .retry_after = {}};
  Result<Outcome> outcome = fail(ErrorCode::internal, "");
  if (!order.ticket.empty()) {
    outcome = desk_.collect(order.ticket);
  } else {
    ASSIGN_OR_RETURN(const crypto::SubjectRequest request, request_in(order.csr));
    ASSIGN_OR_RETURN(crypto::AskedNames names, names_asked(request.names()));
    ASSIGN_OR_RETURN(auto as_holder, standing_as_holder(*call.account));
    outcome = desk_.order({.protocol = Protocol::acme,
                           .reference = order.reference,
                           .key = request.key(),
                           .names = std::move(names),
                           .possession = Possession::proved,
                           .request_hash = order.request_hash,
                           .renews = as_holder ? std::move(as_holder->renews) : Bytes()},
                          Deadline(call.request.deadline.at() - time_to_answer), call.request.request_id);
  }
  if (!outcome) return take_refused(order, outcome.error());
  if (const auto* given = std::get_if<Given>(&*outcome)) return take_given(order, *given);
  const Waiting& waiting = std::get<Waiting>(*outcome);
  if (waiting.ticket != order.ticket) {
    TRY(records_.keep_ticket(order.id, waiting.ticket));
    order.ticket = waiting.ticket;
  }
  return Pursued{.order = std::move(order), .retry_after = waiting.retry_after};
}

OrProblem<Acme::Pursued> Acme::take_given(const AcmeOrder& order, const Given& given) {
  ASSIGN_OR_RETURN(const crypto::SubjectCertificate certificate, crypto::SubjectCertificate::parse(given.certificate));
  std::string chain = pem_certificate(given.certificate);
  for (const Bytes& issuer : given.chain) chain += pem_certificate(issuer);
  node::crash_point("cas.acme.issued");
  TRY(records_.complete(order.id, certificate.serial(), chain, certificate.not_after()));
  ASSIGN_OR_RETURN(AcmeOrder now_valid, reread(order.id));
  return Pursued{.order = std::move(now_valid), .retry_after = {}};
}

OrProblem<Acme::Pursued> Acme::take_refused(const AcmeOrder& order, const Error& error) {
  const UnixMs now = clock_.now_ms();
  switch (error.code) {
    case ErrorCode::invalid_argument:  // another CSR may fit
      TRY(records_.reopen(order.id, now + order_lifetime));
      return refuse(Problem(ProblemType::bad_csr, error.message).on_record());
    case ErrorCode::unavailable:
    case ErrorCode::deadline_exceeded:
    case ErrorCode::exhausted:  // the request stands: whoever asks for the order again has the desk asked again
      return Pursued{.order = order, .retry_after = desk_busy};
    case ErrorCode::internal:
      return refuse(Problem(error).on_record());
    case ErrorCode::unauthenticated:
    case ErrorCode::denied:
    case ErrorCode::not_found:
    case ErrorCode::conflict:
      break;
  }
  TRY(records_.give_up(order.id, Problem(ProblemType::unauthorized, error.message).json().dump(), now + invalid_kept));
  ASSIGN_OR_RETURN(AcmeOrder now_invalid, reread(order.id));
  return Pursued{.order = std::move(now_invalid), .retry_after = {}};
}

OrProblem<AcmeAnswer> Acme::certificate(const Call& call) {
  if (!is_get(call.payload)) return refuse(ProblemType::malformed, "a certificate is only read: the payload must be empty");
  ASSIGN_OR_RETURN(AcmeOrder order, own_order(call));
  if (order.status != OrderStatus::valid) return refuse(Problem(ProblemType::malformed, "the order has no certificate").with_status(404));
  AcmeAnswer out{.status = 200, .content_type = "application/pem-certificate-chain", .body = std::move(order.chain)};
  if (!settings_.ca_issuers.empty()) {
    ASSIGN_OR_RETURN(const crypto::SubjectRequest request, crypto::SubjectRequest::parse_unproved(order.csr));
    out.fields.emplace_back("Link", '<' + settings_.ca_issuers + ca_path(desk_.branch_for(request.key().algorithm())) + ">;rel=\"up\"");
  }
  return out;
}

}  // namespace qanat::cas
