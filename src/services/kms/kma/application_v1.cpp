// Steps 4, 5, 10 and 11 in profile v1, the paper's own bytes.
#include "services/kms/kma/application.hpp"

#include "node/crash_point.hpp"
#include "services/kms/kim/successions.hpp"

namespace qanat::kms {
namespace {

constexpr std::string_view action_v1 = "km-1.application_v1";

std::unexpected<Error> denied(const std::string& why) { return fail(ErrorCode::denied, "KeyApplication (v1): " + why); }

}  // namespace

Result<net::Response> Application::apply_v1(const net::Request& http) {
  if (!settings_.profile_v1) {
    const std::string who = http.peer.identity ? http.peer.identity->uri() : http.peer.address;
    TRY(node_.record({.action = action_v1,
                      .outcome = audit::outcome_of(ErrorCode::denied),
                      .subject = who,
                      .object = "",
                      .reason = "profile v1 is off",
                      .request_id = http.request_id}));
    return fail(ErrorCode::denied, "profile v1 is off");
  }
  const auto message = wire::v1::parse_application(http.body);
  if (!message) {  // names no subscriber or session that could be relied on: on record under who sent it
    TRY(node_.record({.action = action_v1,
                      .outcome = audit::outcome_of(message.error().code),
                      .subject = http.peer.identity->uri(),
                      .object = "",
                      .reason = message.error().message,
                      .request_id = http.request_id}));
    return fail(message.error());
  }
  return recorded(http, action_v1, message->uid, message->sid_wk, granted_v1(http, *message));
}

Result<net::Response> Application::granted_v1(const net::Request& http, const wire::v1::KeyApplication& message) {
  const std::shared_ptr<const node::MessageSigner> own = node_.signer();
  TRY(check_kept(http, *own));
  ASSIGN_OR_RETURN(const std::shared_ptr<const KnownTerminal> known, terminal_of(http, message.uid));
  const Terminal& terminal = known->terminal;
  ASSIGN_OR_RETURN(const Asked asked, authenticate_v1(http, message, *known));
  // One that comes again costs as much as the first: what would tell them apart v1 does not have.
  TRY(store_.transact([&](store::Transaction& transaction) {
    return count_application(transaction, terminal.uid, settings_.policy.applications, node_.clock().now_ms());
  }));
  TRY(form_for(asked, settings_.policy));
  ASSIGN_OR_RETURN(Looked looked, store_.read([&](store::Transaction& transaction) { return look_up(transaction, asked, terminal.uid); }));
  TRY(injection_.go_without(looked.charged, terminal.uid, asked.sid_wk, http.request_id));  // its messages have no place for a charged key
  ASSIGN_OR_RETURN(Grant granted, grant(http, asked, *known, std::move(looked)));
  node::StepTrace::Timer step11(trace_, 11);
  ASSIGN_OR_RETURN(const Bytes octets, deliver_v1(http, asked, *known, granted.leg, std::move(granted.token), *own));
  const Bytes h_deliver = crypto::digest(node_.suite().hash, octets);
  const KeyUse use = use_by(terminal, asked.traffic);
  constexpr std::string_view why = "profile v1 has no acknowledgement: destroyed here at once";
  std::optional<Destroyed> gone;
  const auto owed_id = node_.rng().id<OwedId>();
  ASSIGN_OR_RETURN(const Handed handed, store_.transact([&](store::Transaction& transaction) -> Result<Handed> {
    ASSIGN_OR_RETURN(const Handed put_there, put(transaction, *known, granted, {.h_req = asked.hash, .h_deliver = h_deliver, .octets = {}}, use, nullptr));
    if (put_there != Handed::over) return put_there;
    ASSIGN_OR_RETURN(gone, ledger_.destroy(transaction, asked.sid_wk, asked.role, {.by = "kms", .why = std::string(why), .at_ms = use.now_ms}));
    const OwedRecord owed = end_of(*gone, "km-1.destroyed", why);
    TRY(owe_records(transaction, owed_id, {&owed, 1}, use.now_ms));
    return Handed::over;
  }));
  if (handed == Handed::token_ended) return token_ended(terminal);
  if (granted.others) agreement_.leg_changed(asked.sid_wk);
  const std::string reason = reason_of(granted);
  TRY(node_.record({.action = "km-1.delivered", .outcome = audit::Outcome::success, .subject = terminal.uid.text(), .object = asked.sid_wk.hex(),
                    .reason = reason + (reason.empty() ? "" : "; ") + gone->reason(why), .request_id = http.request_id}));
  paid_.add(owed_id);  // the record of the delivery says so, too
  node::crash_point("kms.wk.delivered");
  step11.done(asked.sid_wk.hex(), "working key for " + terminal.uid.text() + " in profile v1");
  return net::Response{.status = 200, .content_type = std::string(points::type_octets), .body = octets};
}

Result<Asked> Application::authenticate_v1(const net::Request& http, const wire::v1::KeyApplication& message, const KnownTerminal& known) {
  const Terminal& terminal = known.terminal;
  if (message.cert_sm2 != terminal.classical || message.cert_pqc != terminal.ml_dsa) return denied("brings other certificates than the terminal's");
  if (message.num_call == message.num_called) return denied("a call from " + message.num_call.text() + " to itself");
  // The paper's application does not say on which side of the call its sender is; its number does.
  const bool calls = message.num_call == terminal.number;
  if (!calls && message.num_called != terminal.number) return denied("neither number is that of " + terminal.uid.text());

  TRY(check_encryption_key(known, node_.clock().now_ms()));
  TRY(wire::v1::verify(message, {.point = known.classical.public_key(), .ml_dsa = known.ml_dsa.public_key()}));
  TRY(check_certificates(http, message.sid_wk, known));
  ASSIGN_OR_RETURN(const Traffic traffic, traffic_of(terminal.uid, known.ml_dsa));
  const crypto::Suite& suite = node_.suite();
  return Asked{.sid_wk = message.sid_wk,
               .sid_call = message.sid_call,
               .role = calls ? wire::Role::caller : wire::Role::callee,
               .num_call = message.num_call,
               .num_called = message.num_called,
               .min_assurance = wire::Assurance::local_rng,
               .token_ref = message.token.empty() ? Bytes(suite.digest) : crypto::digest(suite.hash, message.token),
               .fps = known.fps,
               .hash = crypto::digest(suite.hash, http.body),
               .traffic = traffic,
               .ephemeral = false,
               .says_directory = false};
}

Result<Bytes> Application::deliver_v1(const net::Request& http, const Asked& asked, const KnownTerminal& known, const StoredKey& leg, Bytes token,
                                      const node::MessageSigner& own) {
  ASSIGN_OR_RETURN(const crypto::EncapsulationKey key, pooled_key(http, asked.sid_wk, known, KnownBy::certificates));
  wire::v1::KeyDistribution message{.sid_wk = asked.sid_wk,
                                    .sid_call = asked.sid_call,
                                    .uid = known.terminal.uid,
                                    .encrypted_wk = {},
                                    .encap_sm2 = {},
                                    .encap_pqc = {},
                                    .sign_sm2 = {},
                                    .sign_pqc = {},
                                    .token = std::move(token)};
  TRY(wire::v1::seal_wk(message, key, leg.key.wk, node_.rng()));
  wire::v1::sign(message, own.signer, node_.rng());
  return wire::v1::encode(message);
}

}  // namespace qanat::kms
