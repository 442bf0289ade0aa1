#include "services/cas/ceis/front_desk.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "services/cas/ceis/lint.hpp"

namespace qanat::cas {
namespace {

constexpr std::size_t ticket_octets = 16;

constexpr std::array reasons{RevocationReason{"unspecified", 0}, RevocationReason{"keyCompromise", 1},        RevocationReason{"affiliationChanged", 3},
                             RevocationReason{"superseded", 4},  RevocationReason{"cessationOfOperation", 5}, RevocationReason{"privilegeWithdrawn", 9}};

/// Names one request at the desk: another registration, key or name makes another one, whatever hash the protocol has.
Bytes desk_hash(const Asked& asked, const crypto::AskedNames& names) {
  Bytes text;
  const auto put = [&](ByteView part) {
    const std::string length = std::to_string(part.size()) + ":";
    append(text, as_bytes(length));
    append(text, part);
  };
  put(as_bytes(name(asked.protocol)));
  put(as_bytes(asked.reference));
  put(asked.request_hash);
  put(asked.key.der());
  put(as_bytes(names.common_name));
  for (const std::string& one : names.dns) put(as_bytes(one));
  return crypto::digest(crypto::Hash::sha256, {as_bytes("qanat enrolment order"), text});
}

bool is_among(const std::vector<std::string>& names, const std::string& one) { return std::ranges::find(names, one) != names.end(); }

std::string in_quotes(std::string_view text) { return "'" + std::string(text.substr(0, 253)) + "'"; }

/// By a rule of the desk, which so tells itself from the lint's behind it.
std::unexpected<Error> refuse_order(std::string why) { return fail(ErrorCode::denied, "order: " + std::move(why)); }

/// The names of the certificate: what is asked, all of it registered; what is registered, where nothing is asked.
Result<crypto::AskedNames> names_within(const crypto::AskedNames& asked, const Registration& registration) {
  for (const auto* const list : {&asked.uris, &asked.mail, &asked.addresses}) {
    if (!list->empty()) return refuse_order(in_quotes(list->front()) + " is not registered: registrations have a common name and DNS names");
  }
  crypto::AskedNames out{.common_name = registration.common_name};
  if (!asked.common_name.empty() && asked.common_name != registration.common_name) {
    out.common_name = lower_case(asked.common_name);
    if (!is_among(registration.dns, out.common_name)) {
      return refuse_order("the common name " + in_quotes(asked.common_name) + " is not registered: " + in_quotes(registration.common_name) + " is");
    }
  }
  for (const std::string& one : asked.dns) {
    const std::string dns = lower_case(one);
    if (!is_among(registration.dns, dns)) return refuse_order("the DNS name " + in_quotes(one) + " is not registered");
    if (!is_among(out.dns, dns)) out.dns.push_back(dns);
  }
  if (asked.dns.empty()) out.dns = registration.dns;
  return out;
}

Result<void> check_possession(const Asked& asked, const Registration& registration) {
  if (asked.possession == Possession::proved || registration.profile->server_makes_keys) return {};
  if (asked.protocol == Protocol::cmp && registration.ra_vouches) return {};
  return refuse_order("registration " + registration.reference + " takes no other's word that the asker has the key");
}

}  // namespace

std::string_view name(Protocol protocol) noexcept {
  switch (protocol) {
    case Protocol::est:
      return "est";
    case Protocol::acme:
      return "acme";
    case Protocol::cmp:
      return "cmp";
    case Protocol::scep:
      return "scep";
    case Protocol::by_hand:
      return "by_hand";
  }
  return {};
}

std::span<const RevocationReason> all_revocation_reasons() noexcept { return reasons; }

FrontDesk::FrontDesk(node::Node& node, Records& records, const Authorities& authorities, std::string status_url, ApprovalTimes approval, DeskLinks links)
    : node_(node),
      records_(records),
      authorities_(authorities),
      status_url_(std::move(status_url)),
      approval_(approval),
      links_(std::move(links)),
      registrations_(records.store(), node.device()),
      orders_(records.store()),
      certificates_(records.store()),
      refusals_(node) {}

Result<Registration> FrontDesk::registration(std::string_view reference) {
  ASSIGN_OR_RETURN(Registration out, registrations_.find(reference));
  const bool over = out.closed || (out.not_after_ms != 0 && node_.clock().now_ms() >= out.not_after_ms);
  if (over) return fail(ErrorCode::not_found, "registration " + out.reference + " is over: an operator makes another one (qanat ca register)");
  return out;
}

Result<Secret> FrontDesk::secret_of(std::string_view reference) {
  TRY(registration(reference));
  return registrations_.secret(reference);
}

Result<SubjectCertificateRow> FrontDesk::row_of(ByteView certificate_der) {
  ASSIGN_OR_RETURN(const crypto::SubjectCertificate certificate, crypto::SubjectCertificate::parse(certificate_der));
  ASSIGN_OR_RETURN(std::optional<SubjectCertificateRow> row, certificates_.of_serial(certificate.serial()));
  if (!row || !equal(row->der, certificate_der)) return fail(ErrorCode::not_found, "the certificate was not issued here");
  return *std::move(row);
}

Result<Registration> FrontDesk::holder_of(ByteView certificate_der) {
  auto row = row_of(certificate_der);
  if (!row && row.error().code == ErrorCode::not_found) return fail(ErrorCode::denied, row.error().message);
  if (!row) return fail(row.error());
  if (row->registration.empty()) return fail(ErrorCode::denied, "the certificate is an element's, which enrols otherwise");
  const UnixMs now = node_.clock().now_ms();
  if (row->revoked) return fail(ErrorCode::denied, "the certificate is revoked");
  if (now >= row->intention.not_after || now < row->intention.not_before) return fail(ErrorCode::denied, "the certificate does not hold now");
  ASSIGN_OR_RETURN(Registration out, registrations_.find(row->registration));
  if (out.closed) return fail(ErrorCode::denied, "registration " + out.reference + " is closed");
  return out;
}

// ---- orders ----

Result<Outcome> FrontDesk::order(const Asked& asked, Deadline deadline, const std::string& request_id) {
  Trail trail{.who = asked.reference, .subject = {}, .object = asked.reference + " " + std::string(name(asked.protocol))};
  auto outcome = decide(asked, deadline, request_id, trail);
  return record(trail, std::move(outcome), request_id);
}

Result<Outcome> FrontDesk::record(const Trail& trail, Result<Outcome> outcome, const std::string& request_id) {
  const bool waits = outcome && std::holds_alternative<Waiting>(*outcome);
  const std::string reason = outcome ? (waits ? "waits for two operators" : "") : outcome.error().message;
  const audit::Outcome as = outcome ? audit::Outcome::success : audit::outcome_of(outcome.error().code);
  TRY(node_.record({.action = "ceis.order",
                    .outcome = as,
                    .subject = trail.subject ? trail.subject->text() : trail.who,
                    .object = trail.object,
                    .reason = reason,
                    .request_id = request_id}));
  if (trail.subject && !waits) refusals_.behaved(*trail.subject, "ceis.order", audit::name(as), trail.object);
  return outcome;
}

Result<Outcome> FrontDesk::decide(const Asked& asked, Deadline deadline, const std::string& request_id, Trail& trail) {
  const UnixMs now = node_.clock().now_ms();
  Passed passed;
  ASSIGN_OR_RETURN(passed.registration, registrations_.find(asked.reference));
  const Registration& registration = passed.registration;
  trail.subject = registration.subject;
  ASSIGN_OR_RETURN(passed.names, names_within(asked.names, registration));
  passed.hash = desk_hash(asked, passed.names);
  // The same request again gets what it got: nothing is decided anew.
  ASSIGN_OR_RETURN(const std::optional<SubjectCertificateRow> known, certificates_.of_request(passed.hash));
  if (known && known->issued) {
    trail.object += " " + to_hex(known->intention.serial);
    ASSIGN_OR_RETURN(Given out, given(*known, now));
    return Outcome(std::move(out));
  }
  if (asked.renews.empty() && registration.not_after_ms != 0 && now >= registration.not_after_ms) {
    return refuse_order("the secret of registration " + registration.reference + " is no longer taken: an operator makes another one");
  }
  TRY(check(asked, passed));
  if (registration.approval == Approval::four_eyes) {
    ASSIGN_OR_RETURN(const HeldOrder held, hold(asked, passed, deadline, request_id));
    trail.object += " " + held.ticket;
    if (held.state == OrderState::rejected) return fail(ErrorCode::denied, "order " + held.ticket + " was rejected: " + held.why);
    if (held.state == OrderState::waiting) return Outcome(Waiting{.ticket = held.ticket, .retry_after = approval_.retry_after});
  }
  TRY(links_.vouch(registration.subject, deadline, request_id));
  ASSIGN_OR_RETURN(const SubjectCertificateRow row, issue(asked, passed, now));
  trail.object += " " + to_hex(row.intention.serial);
  ASSIGN_OR_RETURN(Given out, given(row, now));
  return Outcome(std::move(out));
}

/// What does not depend on the time and on others' word; what it was asked with goes into `passed`.
Result<void> FrontDesk::check(const Asked& asked, Passed& passed) {
  const Registration& registration = passed.registration;
  if (registration.closed) return refuse_order("registration " + registration.reference + " is closed");
  if (!takes(*registration.profile, asked.key.algorithm())) {
    return refuse_order("profile " + std::string(registration.profile->name) + " takes no key of " + std::string(crypto::name(asked.key.algorithm())));
  }
  TRY(check_possession(asked, registration));
  if (asked.renews.empty()) return {};
  ASSIGN_OR_RETURN(const Registration holder, holder_of(asked.renews));
  if (holder.subject != registration.subject) {
    return refuse_order("the certificate that it was asked with is of '" + holder.subject.text() + "', the registration of '" + registration.subject.text() +
                        "'");
  }
  // RFC 9763: one of another profile (encryption beside signature) is bound to the one that it was asked with.
  if (holder.profile != registration.profile) passed.related = crypto::digest(crypto::Hash::sha256, asked.renews);
  return {};
}

/// The order as it stands with the operators. A new one is entered if IAM vouches for its subject.
Result<HeldOrder> FrontDesk::hold(const Asked& asked, const Passed& passed, Deadline deadline, const std::string& request_id) {
  TRY(expire_orders());
  ASSIGN_OR_RETURN(std::optional<HeldOrder> known, orders_.of_request(passed.hash));
  if (known) return *std::move(known);
  TRY(links_.vouch(passed.registration.subject, deadline, request_id));
  const UnixMs now = node_.clock().now_ms();
  return orders_.enter({.ticket = "o-" + to_hex(node_.rng().bytes(ticket_octets)),
                        .reference = asked.reference,
                        .request_hash = passed.hash,
                        .protocol = asked.protocol,
                        .public_key = asked.key.der(),
                        .names = passed.names,
                        .possession = asked.possession,
                        .renews = asked.renews,
                        .state = OrderState::waiting,
                        .why = "",
                        .made_ms = now,
                        .approved_by = {}},
                       now);
}

Result<void> FrontDesk::expire_orders() {
  const UnixMs now = node_.clock().now_ms();
  const auto span = static_cast<UnixMs>(std::chrono::milliseconds(approval_.expire).count());
  if (now < span) return {};
  const std::string why = "it expired: not approved within " + std::to_string(approval_.expire.count()) + " s (cas.approval_expires_s), ask by a new request";
  ASSIGN_OR_RETURN(const std::vector<HeldOrder> over, orders_.reject_older(now - span, why, now));
  for (const HeldOrder& order : over) {
    TRY(node_.record({.action = "ceis.order_expired",
                      .outcome = audit::Outcome::success,
                      .subject = node_.identity().uri(),
                      .object = order.reference + " " + std::string(name(order.protocol)) + " " + order.ticket,
                      .reason = why,
                      .request_id = ""}));
  }
  return {};
}

// ---- revocation, and what is there ----

Result<void> FrontDesk::revoke(ByteView certificate_der, int reason, std::string_view by, const std::string& request_id) {
  std::string object;
  std::string said = "reason " + std::to_string(reason);
  const auto work = [&]() -> Result<void> {
    if (std::ranges::find(reasons, reason, &RevocationReason::code) == reasons.end()) {
      return fail(ErrorCode::invalid_argument, "reason " + std::to_string(reason) + " is none of those for which certificates are revoked here");
    }
    ASSIGN_OR_RETURN(const SubjectCertificateRow row, row_of(certificate_der));
    object = to_hex(row.intention.serial);
    if (row.identity == node_.identity().uri()) return fail(ErrorCode::denied, "CAS does not revoke its own certificates: nobody could be told");
    ASSIGN_OR_RETURN(const bool changed, records_.revoke_certificate(row.intention.serial, reason, node_.clock().now_ms()));
    node::crash_point("cas.revoke.recorded");
    if (!changed) said = "it was revoked before";
    if (!changed) return {};
    const std::array serials{row.intention.serial};
    return links_.revoked(serials);
  };
  const Result<void> done = work();
  TRY(node_.record({.action = "ceis.revoke",
                    .outcome = done ? audit::Outcome::success : audit::outcome_of(done.error().code),
                    .subject = by,
                    .object = object,
                    .reason = done ? said : done.error().message,
                    .request_id = request_id}));
  return done;
}

Result<Bytes> FrontDesk::find(ByteView serial) {
  ASSIGN_OR_RETURN(const std::optional<SubjectCertificateRow> row, certificates_.of_serial(serial));
  if (!row || !row->issued) return fail(ErrorCode::not_found, "no certificate with this serial was issued here");
  return row->der;
}

void FrontDesk::refused(Protocol protocol, std::string_view reference, std::string_view why, const std::string& request_id) {
  std::optional<Uid> subject;
  if (const auto known = registrations_.find(reference)) subject = known->subject;
  refusals_.note(name(protocol), reference, subject, why, request_id);
}

std::vector<Bytes> FrontDesk::ca_chain(Branch branch) const {
  const crypto::Certificate& issuing = authorities_.of(branch).certificate;
  std::vector<Bytes> out{issuing.der()};
  if (branch == Branch::devices) return out;
  const crypto::TrustStore roots({}, node_.trust().roots());
  if (const crypto::Certificate* const root = roots.issuer_of(issuing); root != nullptr) out.push_back(root->der());
  return out;
}

std::optional<Succession> succession_at(const Authorities& authorities, UnixMs now) {
  const DeviceSuccession* const next = authorities.next_devices();
  const DeviceSuccession* const found = next != nullptr ? next : authorities.last_devices();
  if (found == nullptr || (next == nullptr && authorities.earlier_devices.empty())) return std::nullopt;
  const crypto::Certificate& old = next != nullptr ? authorities.of(Branch::devices).certificate : authorities.earlier_devices.front().certificate;
  if (next == nullptr && now >= old.not_after()) return std::nullopt;
  const auto der_of = [](const std::optional<crypto::Certificate>& link) { return link ? link->der() : Bytes(); };
  return Succession{.to_come = next != nullptr,
                    .old_with_old = old.der(),
                    .new_with_new = found->new_with_new.der(),
                    .new_with_old = der_of(found->new_with_old),
                    .old_with_new = der_of(found->old_with_new)};
}

std::optional<Succession> FrontDesk::succession() const { return succession_at(authorities_, node_.clock().now_ms()); }

Branch FrontDesk::branch_for(crypto::SubjectAlgorithm algorithm) const noexcept {
  switch (algorithm) {
    case crypto::SubjectAlgorithm::rsa:
    case crypto::SubjectAlgorithm::ecdsa_p256:
    case crypto::SubjectAlgorithm::ecdsa_p384:
      return Branch::devices;
    case crypto::SubjectAlgorithm::sm2:
      return Branch::classical;
    case crypto::SubjectAlgorithm::ml_dsa_44:
    case crypto::SubjectAlgorithm::ml_dsa_65:
    case crypto::SubjectAlgorithm::ml_dsa_87:
    case crypto::SubjectAlgorithm::ml_kem_768:
    case crypto::SubjectAlgorithm::ml_kem_1024:
      return Branch::ml_dsa;
  }
  return Branch::ml_dsa;
}

}  // namespace qanat::cas
