// What the desk issues, once an order has passed its rules: the intention durable before the signature, what is signed durable before it is handed out.
#include "node/crash_point.hpp"
#include "services/cas/ceis/front_desk.hpp"
#include "services/cas/ceis/lint.hpp"

namespace qanat::cas {
namespace {

constexpr std::int64_t renewals_live_max = 8;  // a holder that renews without end is stopped here
constexpr std::chrono::milliseconds collect_max{3000};

Draft draft_of(const Asked& asked, const Registration& registration, const crypto::AskedNames& names, const Intention& intention) {
  Draft out = draft_for(*registration.profile, asked.key, intention);
  out.names = names;
  out.allowed = {.common_name = registration.common_name, .dns = registration.dns};
  out.short_lived = registration.short_lived;
  return out;
}

std::optional<std::int64_t> live_beside(const Asked& asked, const Registration& registration) {
  if (registration.reusable) return std::nullopt;
  return asked.renews.empty() ? 0 : renewals_live_max;
}

}  // namespace

Result<SubjectCertificateRow> FrontDesk::issue(const Asked& asked, const Passed& passed, UnixMs now) {
  const Branch branch = branch_for(asked.key.algorithm());
  const crypto::Certificate& issuer = authorities_.of(branch).certificate;
  const std::chrono::milliseconds lifetime = lifetime_within(*passed.registration.profile, passed.registration.lifetime);
  SubjectIssuance issuance{.identity = subject_identity(passed.registration.subject),
                           .registration = passed.registration.reference,
                           .request_hash = passed.hash,
                           .live_max = live_beside(asked, passed.registration),
                           .intention = intention_under(branch, issuer, lifetime, now, node_.rng())};
  issuance.intention.key_hash = key_hash_of(asked.key.octets());
  // Before it is meant in earnest: what lint refuses leaves no row.
  TRY(lint(draft_of(asked, passed.registration, passed.names, issuance.intention), under(branch, issuer)));
  ASSIGN_OR_RETURN(SubjectCertificateRow row, certificates_.intend(issuance, now));
  node::crash_point("cas.ceis.intended");
  if (row.abandoned) return fail(ErrorCode::conflict, "this request was given up in favour of a later one");
  if (row.issued) return row;
  ASSIGN_OR_RETURN(const Bytes der, sign(asked, passed, row.intention));
  node::crash_point("cas.ceis.signed");
  ASSIGN_OR_RETURN(row, certificates_.complete(passed.hash, row.intention.serial, der));
  node::crash_point("cas.ceis.recorded");
  links_.issued();
  return row;
}

Result<Bytes> FrontDesk::sign(const Asked& asked, const Passed& passed, const Intention& intention) const {
  // The intention may be of an earlier attempt, whose draft nobody has seen now.
  const Draft draft = draft_of(asked, passed.registration, passed.names, intention);
  return sign_draft(draft, asked.key.der(), intention.branch, authorities_.of(intention.branch), status_url_, passed.related);
}

Result<Given> FrontDesk::given(const SubjectCertificateRow& row, UnixMs now) const {
  if (row.revoked) return fail(ErrorCode::denied, "the certificate of this request is revoked");
  if (row.intention.not_after <= now) return fail(ErrorCode::denied, "the certificate of this request has expired");
  return Given{.certificate = row.der, .chain = chain_of(row.intention.branch, row.generation)};
}

Result<Bytes> FrontDesk::issue_approved(const HeldOrder& order, Deadline deadline, const std::string& request_id) {
  Passed passed;
  ASSIGN_OR_RETURN(passed.registration, registrations_.find(order.reference));
  ASSIGN_OR_RETURN(crypto::SubjectPublicKey key, crypto::SubjectPublicKey::parse(order.public_key));
  // Names and hash are those that were decided when the order came in.
  passed.names = order.names;
  passed.hash = order.request_hash;
  const Asked asked{.protocol = order.protocol,
                    .reference = order.reference,
                    .key = std::move(key),
                    .names = order.names,
                    .possession = order.possession,
                    .request_hash = {},
                    .renews = order.renews};
  TRY(check(asked, passed));
  TRY(links_.vouch(passed.registration.subject, deadline, request_id));
  ASSIGN_OR_RETURN(const SubjectCertificateRow row, issue(asked, passed, node_.clock().now_ms()));
  return row.intention.serial;
}

Result<Outcome> FrontDesk::collect(std::string_view ticket) {
  TRY(expire_orders());
  ASSIGN_OR_RETURN(const HeldOrder order, orders_.find(ticket));
  if (order.state == OrderState::waiting) return Outcome(Waiting{.ticket = order.ticket, .retry_after = approval_.retry_after});
  if (order.state == OrderState::rejected) return fail(ErrorCode::denied, "order " + order.ticket + " was rejected: " + order.why);
  Trail trail{.who = order.reference, .subject = {}, .object = order.reference + " " + std::string(name(order.protocol)) + " " + order.ticket};
  const std::string request_id = node_.new_request_id();
  const auto take = [&]() -> Result<Outcome> {
    ASSIGN_OR_RETURN(std::optional<SubjectCertificateRow> row, certificates_.of_request(order.request_hash));
    if (!row || !row->issued) {
      // It was approved, and then the process died or IAM did not answer.
      TRY(issue_approved(order, Deadline::after(collect_max), request_id));
      ASSIGN_OR_RETURN(row, certificates_.of_request(order.request_hash));
      if (!row) return fail(ErrorCode::internal, "the certificate of order " + order.ticket + " is not in the record");
    }
    trail.object += " " + to_hex(row->intention.serial);
    ASSIGN_OR_RETURN(Given out, given(*row, node_.clock().now_ms()));
    return Outcome(std::move(out));
  };
  auto outcome = take();
  return record(trail, std::move(outcome), request_id);
}

std::vector<Bytes> FrontDesk::chain_of(Branch branch, std::int64_t generation) const {
  for (const Authority& earlier : authorities_.earlier(branch)) {
    if (earlier.generation == generation) return {earlier.certificate.der()};
  }
  return {authorities_.of(branch).certificate.der()};
}

}  // namespace qanat::cas
