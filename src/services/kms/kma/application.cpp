#include "services/kms/kma/application.hpp"

#include <algorithm>

#include "node/crash_point.hpp"
#include "services/kms/kim/successions.hpp"
#include "services/kms/kma/charging_records.hpp"
#include "services/kms/kma/in_force.hpp"
#include "services/kms/kp/encryption_keys.hpp"

namespace qanat::kms {

using store::KeyState;

namespace {

constexpr int deliveries_tried = 3;  // IAM may end a token just now and grant another, and so may the terminal's other applications

/// Whom the table lets in here is an application or a device.
Traffic traffic_from(const net::Request& http) {
  const auto traffic = traffic_of(http.peer.identity->kind);
  CHECK(traffic.has_value());
  return *traffic;
}

}  // namespace

Result<net::Response> Application::apply(const net::Request& http) {
  const auto request = wire::parse<wire::KeyRequest>(http.body);
  if (!request) {  // names no subscriber or session that could be relied on: on record under who sent it
    TRY(node_.record({.action = "km-1.application", .outcome = audit::outcome_of(request.error().code), .subject = http.peer.identity->uri(), .object = "",
                      .reason = request.error().message, .request_id = http.request_id}));
    return fail(request.error());
  }
  return recorded(http, "km-1.application", request->message.uid, request->message.sid_wk, granted(http, *request));
}

Result<net::Response> Application::recorded(const net::Request& http, std::string_view action, const Uid& uid, const SidWk& sid_wk,
                                            Result<net::Response> answer) {
  if (!answer) {
    TRY(node_.record({.action = action, .outcome = audit::outcome_of(answer.error().code), .subject = uid.text(), .object = sid_wk.hex(),
                      .reason = answer.error().message, .request_id = http.request_id}));
  }
  return answer;
}

Result<net::Response> Application::granted(const net::Request& http, const Request& request) {
  Applicant applicant;
  Result<net::Response> answer = answered(http, request, applicant);
  if (!answer && applicant.owed) TRY(store_.transact([&](store::Transaction& transaction) { return remember(transaction, request); }));
  return answer;
}

Result<net::Response> Application::answered(const net::Request& http, const Request& request, Applicant& applicant) {
  // One signer from beginning to end: the one that the terminal will check the delivery by.
  const std::shared_ptr<const node::MessageSigner> own = node_.signer();
  TRY(check_kept(http, *own));
  const Asked asked = asked_of(request, traffic_from(http));
  std::optional<JointDelivery::Coming> coming(std::in_place, joint_);
  TRY(authenticate(http, request, asked, applicant));
  const Terminal& terminal = applicant.known->terminal;
  if (!applicant.owed) coming.reset();  // others are needed, who may take their time
  if (!applicant.first) return repeated(http, request, terminal);
  ASSIGN_OR_RETURN(const std::optional<SpentKey> injected, injection_.spend(http, request, applicant.looked.charged));
  ASSIGN_OR_RETURN(Grant granted, grant(http, asked, *applicant.known, std::move(applicant.looked)));
  node::StepTrace::Timer step11(trace_, 11);
  for (int turn = 0; turn < deliveries_tried; ++turn) {
    if (turn > 0) {
      coming.reset();
      TRY(grant_anew(http, asked, terminal, granted));
    }
    ASSIGN_OR_RETURN(Message delivery, deliver(http, request, applicant, granted.leg, std::move(granted.token), injected, *own, coming));
    ASSIGN_OR_RETURN(const Handed handed, hand_over(http, asked, *applicant.known, granted, applicant.owed ? &request : nullptr, *coming, delivery, own));
    if (handed == Handed::token_ended) continue;
    applicant.owed = false;
    if (handed == Handed::made_before) return repeated(http, request, terminal);
    step11.done(asked.sid_wk.hex(), "working key sealed to " + terminal.uid.text() + " under both encapsulations" + (injected ? " and a charged key" : ""));
    return net::Response{.status = 200, .content_type = std::string(points::type_qfc2), .body = std::move(delivery.octets)};
  }
  return token_ended(terminal);
}

std::unexpected<Error> Application::token_ended(const Terminal& terminal) {
  return fail(ErrorCode::unavailable, "the access token of " + terminal.uid.text() + " was ended while its application was under way; apply again");
}

Result<void> Application::grant_anew(const net::Request& http, const Asked& asked, const Terminal& terminal, Grant& granted) {
  const WorkingKey& key = granted.leg.key;
  // What another application brought counts as it is: were it replaced, that one would have to begin anew.
  ASSIGN_OR_RETURN(std::optional<Access::Granted> held, store_.look([&](store::Transaction& transaction) {
    return Access::held_now(transaction, terminal.uid, key.assurance, node_.clock().now_ms());
  }));
  if (!held) {
    ASSIGN_OR_RETURN(held, access_.token_for(terminal, asked.fps, asked.token_ref, asked.min_assurance, http.deadline, http.request_id));
  }
  ASSIGN_OR_RETURN(const std::string domain, agreement_.domain_of(key.peer_kms));
  ASSIGN_OR_RETURN(const wire::Assurance level, access_.level_towards(terminal, domain, asked.min_assurance, http.deadline, http.request_id));
  if (std::min(level, held->level_max) < key.assurance)
    return fail(ErrorCode::denied, "what the subscriber was granted has changed: the key rests on assurance " + std::to_string(static_cast<int>(key.assurance)));
  granted.token = std::move(held->token);
  granted.under = std::move(held->digest);
  return {};
}

Result<Application::Grant> Application::grant(const net::Request& http, const Asked& asked, const KnownTerminal& known, Looked looked) {
  const Terminal& terminal = known.terminal;
  node::crash_point("kms.application.checked");
  node::StepTrace::Timer step6(trace_, 6);
  Access::Granted access;
  if (looked.token) {
    access = *std::move(looked.token);
  } else {
    ASSIGN_OR_RETURN(access, access_.token_for(terminal, asked.fps, asked.token_ref, asked.min_assurance, http.deadline, http.request_id));
  }
  step6.done(asked.sid_wk.hex(), access.token.empty() ? "the token from earlier still holds" : "new token for " + terminal.uid.text() + " from IAM");
  if (asked.min_assurance > access.level_max) return fail(ErrorCode::denied, "the subscriber may not demand keys of this assurance");

  const LevelTowards level_towards = [&](const std::string& domain) -> Result<wire::Assurance> {
    if (looked.own_domain && domain == node_.identity().domain) return std::min(*looked.own_domain, access.level_max);
    ASSIGN_OR_RETURN(const wire::Assurance level, access_.level_towards(terminal, domain, asked.min_assurance, http.deadline, http.request_id));
    return std::min(level, access.level_max);
  };
  ASSIGN_OR_RETURN(Leg leg, leg_for(http, asked, known, looked, level_towards));
  const wire::Assurance rests_on = leg.stored.key.assurance;
  if (rests_on < asked.min_assurance) {
    return fail(ErrorCode::denied, "the key would rest on assurance " + std::to_string(static_cast<int>(rests_on)) + ", the terminal demands " +
                                       std::to_string(static_cast<int>(asked.min_assurance)));
  }
  return Result<Grant>(Grant{.token = std::move(access.token),
                             .under = std::move(access.digest),
                             .leg = std::move(leg.stored),
                             .others = std::move(leg.others),
                             .choice = std::move(leg.choice)});
}

Result<Handed> Application::hand_over(const net::Request& http, const Asked& asked, const KnownTerminal& known, const Grant& granted, const Request* owed,
                                      JointDelivery::Coming& coming, Message& message, const std::shared_ptr<const node::MessageSigner>& own) {
  const KeyUse use = use_by(known.terminal, asked.traffic);
  const std::string session = asked.sid_wk.hex();
  const std::string reason = reason_of(granted);
  const auto work = [&](store::Transaction& transaction, const Delivery& delivery) { return put(transaction, known, granted, delivery, use, owed); };
  const auto committed = [&] {
    if (granted.others) agreement_.leg_changed(asked.sid_wk);
  };
  ASSIGN_OR_RETURN(const Handed handed, joint_.hand_over(coming, {.message = message, .own = own, .h_req = asked.hash, .work = work, .committed = committed,
                                                                  .event = {.action = "km-1.delivered", .outcome = audit::Outcome::success,
                                                                            .subject = known.terminal.uid.text(), .object = session, .reason = reason,
                                                                            .request_id = http.request_id}}));
  if (handed == Handed::over) node::crash_point("kms.wk.delivered");
  return handed;
}

// Durable before it is sent: a key that left is never delivered to another application. And before it is on record: of two applications for one leg, or of
// one before and one after a crash, only that which took the key says so.
Result<Handed> Application::put(store::Transaction& transaction, const KnownTerminal& known, const Grant& granted, const Delivery& delivery, const KeyUse& use,
                                const Request* owed) {
  const Terminal& terminal = known.terminal;
  const WorkingKey& key = granted.leg.key;
  TRY(check_unchanged(transaction, terminal, known.digest));
  ASSIGN_OR_RETURN(const bool held, Access::is_held(transaction, terminal.uid, granted.under, use.now_ms));
  if (!held) return Handed::token_ended;
  if (owed != nullptr) {
    ASSIGN_OR_RETURN(const bool first, remember(transaction, *owed));
    if (!first) return Handed::made_before;
  }
  if (granted.others) {
    TRY(ledger_.add_session(transaction, key, delivery, use, *granted.others));
  } else {
    TRY(ledger_.delivered(transaction, granted.leg, delivery, use));
  }
  TRY(add_charging_record(transaction, {.sid_wk = key.sid_wk,
                                        .leg = key.leg,
                                        .sid_call = key.sid_call,
                                        .uid = terminal.uid,
                                        .number = terminal.number,
                                        .peer_uid = key.peer_uid,
                                        .peer_number = key.peer_number,
                                        .peer_kms = key.peer_kms,
                                        .traffic = use.traffic,
                                        .assurance = key.assurance,
                                        .n_paths = key.n_paths,
                                        .delivered_ms = use.now_ms,
                                        .expires_ms = key.expires_ms,
                                        .confirmed_ms = {},
                                        .directory_epoch = key.directory_epoch}));
  return Handed::over;
}

std::string Application::reason_of(const Grant& granted) {
  if (!granted.leg.key.directory_epoch) return granted.choice;
  return granted.choice + (granted.choice.empty() ? "" : "; ") + "granted by CMSP's directory " + std::to_string(*granted.leg.key.directory_epoch) +
         ": CMSP did not answer";
}

Result<net::Response> Application::repeated(const net::Request& http, const Request& request, const Terminal& terminal) {
  const wire::KeyRequest& asked = request.message;
  ASSIGN_OR_RETURN(std::optional<Bytes> answer, store_.transact([&](store::Transaction& transaction) {
    return ledger_.delivered_again(transaction, asked.sid_wk, asked.role, request.hash, use_by(terminal, traffic_from(http)));
  }));
  if (!answer) return fail(ErrorCode::conflict, "KeyRequest: this application was made before (replay)");
  TRY(node_.record({.action = "km-1.repeated",
                    .outcome = audit::Outcome::success,
                    .subject = terminal.uid.text(),
                    .object = asked.sid_wk.hex(),
                    .reason = "the same application again: it gets the answer that it got",
                    .request_id = http.request_id}));
  return net::Response{.status = 200, .content_type = std::string(points::type_qfc2), .body = *std::move(answer)};
}

Result<std::shared_ptr<const KnownTerminal>> Application::terminal_of(const net::Request& http, const Uid& uid) {
  const auto not_enrolled = [&] { return fail(ErrorCode::denied, "no terminal " + uid.text() + " is enrolled at " + node_.identity().name); };
  ASSIGN_OR_RETURN(const std::optional<TerminalLook> look, store_.look([&](store::Transaction& transaction) { return look_at_terminal(transaction, uid); }));
  if (!look || !look->confirmed) return not_enrolled();
  const auto is_its_own = [&](const Bytes& ml_dsa) { return http.peer.certificate && http.peer.certificate->der() == ml_dsa; };
  const auto other = [&] { return fail(ErrorCode::denied, "the connection is not that of terminal " + uid.text()); };
  if (auto known = terminals_.kept(*look)) return is_its_own(known->terminal.ml_dsa) ? Result<std::shared_ptr<const KnownTerminal>>(std::move(known)) : other();
  ASSIGN_OR_RETURN(const std::optional<Terminal> row, store_.look([&](store::Transaction& transaction) { return find_terminal(transaction, uid); }));
  if (!row || !row->confirmed) return not_enrolled();
  if (!is_its_own(row->ml_dsa)) return other();
  return terminals_.of(*row);
}

Result<std::shared_ptr<const KnownTerminal>> Application::callee_of(const Asked& asked, const TerminalLook& called) {
  if (auto known = terminals_.kept(called); known && called.confirmed) return known;
  ASSIGN_OR_RETURN(const std::optional<Terminal> row, store_.look([&](store::Transaction& transaction) { return find_terminal(transaction, called.uid); }));
  if (!row || !row->confirmed || row->number != asked.num_called) return fail(ErrorCode::not_found, asked.num_called.text() + " has no enrolled terminal");
  return terminals_.of(*row);  // it will apply in a moment
}

bool Application::is_straight(const Request& request, const Looked& looked) const {
  if (!request.message.ext.empty() || looked.charged != ChargedNeed::none) return false;  // charged keys are burnt, and that none is needed is on record
  if (!looked.token || !looked.own_domain) return false;
  if (request.message.role == wire::Role::caller) return looked.called.has_value();
  return looked.leg && looked.leg->state != KeyState::generated && looked.leg->key.peer_kms.text() == node_.identity().name;
}

Result<void> Application::authenticate(const net::Request& http, const Request& request, const Asked& asked, Applicant& out) {
  ASSIGN_OR_RETURN(out.known, terminal_of(http, request.message.uid));
  const std::shared_ptr<const KnownTerminal>& known = out.known;
  TRY(check_envelope(request, *known));
  TRY(wire::verify(request, known->verifier, request.message.fps));
  TRY(store_.read([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::optional<Bucket> left, judge(transaction, made_by(request), settings_.policy.applications, node_.clock().now_ms()));
    out.first = left.has_value();
    ASSIGN_OR_RETURN(out.looked, look_up(transaction, asked, known->terminal.uid));
    return {};
  }));
  out.owed = out.first && is_straight(request, out.looked);
  if (out.first && !out.owed) {
    ASSIGN_OR_RETURN(out.first, store_.transact([&](store::Transaction& transaction) { return remember(transaction, request); }));
  }
  if (out.first) {
    ASSIGN_OR_RETURN(out.form, form_for(asked, settings_.policy));
  }
  const auto good = check_certificates(http, request.message.sid_wk, *known);
  if (good) return {};
  out.by = KnownBy::charged_key;
  TRY(injection_.judged(known->terminal, good.error(), http.deadline));
  if (out.first) {
    TRY(injection_.admit(http, request, known->terminal, good.error()));
  } else if (!settings_.symmetric_mode || good.error().code != ErrorCode::unavailable) {
    return fail(good.error());  // otherwise it was admitted when it came first, and gets what it got then
  }
  return {};
}

Result<void> Application::check_certificates(const net::Request& http, const SidWk& sid_wk, const KnownTerminal& known) {
  node::StepTrace::Timer step5(trace_, 5);
  for (const crypto::Certificate* certificate : {&known.classical, &*http.peer.certificate}) {
    const bool hasty = node::in_haste(http.deadline);
    const auto good = node_.check_certificate(*certificate, http.deadline);
    if (good) continue;
    // Who had its time and did not answer is silent. Where the sender left too little, nothing is known, and nothing follows: no symmetric mode by haste.
    if (good.error().code == ErrorCode::deadline_exceeded && !hasty) return fail(ErrorCode::unavailable, good.error().message);
    return fail(good.error());
  }
  step5.done(sid_wk.hex(), "both certificates of " + known.terminal.uid.text() + " are good");
  return {};
}

Result<void> Application::check_envelope(const Request& request, const KnownTerminal& known) const {
  const wire::KeyRequest& message = request.message;
  const Terminal& terminal = known.terminal;
  const auto denied = [](const std::string& why) { return fail(ErrorCode::denied, "KeyRequest: " + why); };
  TRY(check_in_force(request, node_));
  if (message.kms_id.text() != node_.identity().name) return denied("is for KMS " + message.kms_id.text());
  if (message.fps != known.fps) return denied("names other certificates than the terminal's");
  if (message.enc_kid != terminal.enc_kid) return denied("names another encryption key than the terminal's");
  const Number& own = message.role == wire::Role::caller ? message.num_call : message.num_called;
  if (own != terminal.number) return denied(own.text() + " is not the number of " + terminal.uid.text());
  if ((message.flags & ~(wire::flag_eph | wire::flag_inj | wire::flag_sym)) != 0) return denied("asks for something that is not in force here (flags " + std::to_string(message.flags) + ")");
  const UnixMs now = node_.clock().now_ms();
  TRY(check_encryption_key(known, now));
  const UnixMs off = message.ts_ms > now ? message.ts_ms - now : now - message.ts_ms;
  const auto window = static_cast<UnixMs>(settings_.clock_window.count());
  if (off > window) return denied("its time is " + std::to_string(off) + " ms off, more than the clock window");
  // Whoever had a key of that time, had it for an application of at most a window later. Fresh ones are later still (settings.cpp), unless a clock was set back.
  const UnixMs archived = ledger_.archived_until();
  if (archived != 0 && message.ts_ms <= archived + window) return denied("is of a time whose keys are in the archive: a clock was set back");
  return {};
}

MadeApplication Application::made_by(const Request& request) const {
  // Kept for as long as check_envelope would let the same octets through: both sides of the window.
  const UnixMs forget = request.message.ts_ms + static_cast<UnixMs>(settings_.clock_window.count());
  return {.h_req = request.hash, .uid = request.message.uid, .ts_ms = request.message.ts_ms, .forget_ms = forget};
}

Result<bool> Application::remember(store::Transaction& transaction, const Request& request) {
  return take_on(transaction, made_by(request), settings_.policy.applications, node_.clock().now_ms());
}

Result<Application::Looked> Application::look_up(store::Transaction& transaction, const Asked& asked, const Uid& uid) {
  Looked out;
  ASSIGN_OR_RETURN(out.charged, injection_.need_of(transaction, uid));
  ASSIGN_OR_RETURN(out.token, access_.still_holds(transaction, uid, asked.token_ref, asked.min_assurance));
  ASSIGN_OR_RETURN(out.own_domain, access_.known_level(transaction, uid, node_.identity().domain, asked.min_assurance));
  if (asked.role == wire::Role::caller) {
    ASSIGN_OR_RETURN(out.called, look_at_terminal(transaction, asked.num_called));
  } else {
    ASSIGN_OR_RETURN(out.leg, ledger_.find(transaction, asked.sid_wk, asked.role));
  }
  return Result<Looked>(std::move(out));
}

Result<Application::Leg> Application::leg_for(const net::Request& http, const Asked& asked, const KnownTerminal& known, Looked& looked,
                                              const LevelTowards& level_towards) {
  const Terminal& terminal = known.terminal;
  if (asked.role == wire::Role::caller) {
    if (looked.called) {
      TRY(level_towards(node_.identity().domain));
      ASSIGN_OR_RETURN(const std::shared_ptr<const KnownTerminal> callee, callee_of(asked, *looked.called));
      TRY(check_encryption_key(*callee, node_.clock().now_ms()));
      return draw_local(asked, known, *callee, http.request_id);
    }
    ASSIGN_OR_RETURN(const Choice choice, agreement_.as_caller(asked, terminal, level_towards, http.deadline, http.request_id));
    ASSIGN_OR_RETURN(auto leg, store_.look([&](store::Transaction& transaction) { return ledger_.find(transaction, asked.sid_wk, asked.role); }));
    if (!leg) return fail(ErrorCode::internal, "working key " + asked.sid_wk.hex() + " is not in the ledger");
    return Result<Leg>(Leg{.stored = *std::move(leg), .others = {}, .choice = describe(choice)});
  }
  const bool is_there = looked.leg && looked.leg->state != KeyState::generated;
  ASSIGN_OR_RETURN(StoredKey leg, is_there ? Result<StoredKey>(*std::move(looked.leg))
                                           : agreement_.wait_for_leg(asked.sid_wk, terminal, http.deadline.sooner_of(settings_.callee_wait)));
  // What the caller's side announced must be what the callee was told over SIP; otherwise somebody pretends to call.
  if (leg.key.uid != terminal.uid || leg.key.sid_call != asked.sid_call || leg.key.peer_number != asked.num_call) {
    return fail(ErrorCode::denied, "session " + asked.sid_wk.hex() + " is between others");
  }
  ASSIGN_OR_RETURN(const std::string domain, agreement_.domain_of(leg.key.peer_kms));
  TRY(level_towards(domain));
  if (leg.key.directory_epoch && !asked.says_directory) return fail(ErrorCode::denied, "CMSP's directory granted the session, which profile v1 could not say");
  if (leg.state == KeyState::suspended) return fail(ErrorCode::denied, "session " + asked.sid_wk.hex() + ": its key is suspended by order");
  if (leg.state != KeyState::reserved) return fail(ErrorCode::conflict, "session " + asked.sid_wk.hex() + ": its key was delivered before");
  return Result<Leg>(Leg{.stored = std::move(leg), .others = {}, .choice = {}});
}

Result<Application::Leg> Application::draw_local(const Asked& asked, const KnownTerminal& caller, const KnownTerminal& callee, const std::string& request_id) {
  const KeyTerms own = settings_.policy.terms_for(asked.traffic);
  const wire::Assurance demanded = std::max(asked.min_assurance, own.level_min);
  const Choice choice = choose({.same_domain = true, .ephemeral = asked.ephemeral, .demanded = demanded, .policy = {}, .live = {}});
  if (choice.source == Source::none)
    return fail(ErrorCode::denied, "the key would rest on assurance 1, the terminal demands " + std::to_string(static_cast<int>(demanded)));
  ASSIGN_OR_RETURN(const Traffic called, traffic_of(callee.terminal.uid, callee.ml_dsa));
  node::StepTrace::Timer step7(trace_, 7);
  ASSIGN_OR_RETURN(const Secret wk, node_.device().random(wire::wk_size));
  const UnixMs expires = node_.clock().now_ms() + static_cast<UnixMs>(agreement_.terms()->wk_lifetime.count());
  const auto leg_of = [&](wire::Role role, const KnownTerminal& owner, const KnownTerminal& peer, const KeyTerms& terms) {
    return WorkingKey{.sid_wk = asked.sid_wk,
                      .leg = role,
                      .sid_call = asked.sid_call,
                      .uid = owner.terminal.uid,
                      .wk = wk.duplicate(),
                      .assurance = wire::Assurance::local_rng,
                      .n_paths = 0,
                      .path_min = 0,
                      .th9 = wire::no_th9(node_.suite()),
                      .peer_uid = peer.terminal.uid,
                      .peer_number = peer.terminal.number,
                      .peer_kms = ElementName(node_.identity().name),
                      .peer_fps = peer.fps,
                      .expires_ms = expires,
                      .terms = terms};
  };
  Leg out{.stored = {.key = leg_of(wire::Role::caller, caller, callee, own), .state = KeyState::reserved, .h_deliver = {}, .deliveries = 0, .commitment = {}},
          .others = leg_of(wire::Role::callee, callee, caller, settings_.policy.terms_for(called)),
          .choice = describe(choice)};
  node::crash_point("kms.local.drawn");
  step7.done(asked.sid_wk.hex(), "working key from the crypto device (request " + request_id + "); " + describe(choice));
  return Result<Leg>(std::move(out));
}

Result<crypto::EncapsulationKey> Application::pooled_key(const net::Request& http, const SidWk& sid_wk, const KnownTerminal& known, KnownBy by) {
  node::StepTrace::Timer step10(trace_, 10);
  if (by == KnownBy::charged_key) {
    if (!known.bundle) return fail(known.bundle.error());
    step10.done(sid_wk.hex(), "encryption keys of " + known.terminal.uid.text() + " from the pool; their certificates could not be checked");
    return known.terminal.encryption;
  }
  TRY(check_encryption_certificates(node_, known, http.deadline));
  step10.done(sid_wk.hex(), "encryption keys of " + known.terminal.uid.text() + " from the pool, their certificates are good");
  return known.terminal.encryption;
}

Result<Application::Message> Application::deliver(const net::Request& http, const Request& request, const Applicant& applicant, const StoredKey& leg, Bytes token,
                                                  const std::optional<SpentKey>& injected, const node::MessageSigner& own,
                                                  std::optional<JointDelivery::Coming>& coming) {
  const crypto::Suite& suite = node_.suite();
  const wire::KeyRequest& asked = request.message;
  ASSIGN_OR_RETURN(const crypto::EncapsulationKey key, pooled_key(http, asked.sid_wk, *applicant.known, applicant.by));
  if (!coming) coming.emplace(joint_);  // what is left is arithmetic
  const Result<crypto::Encapsulator>& encapsulator = applicant.known->encapsulator;
  if (!encapsulator) return fail(encapsulator.error());
  ASSIGN_OR_RETURN(const crypto::Encapsulation fixed, encapsulator->encapsulate(crypto::KemForm::to_static, node_.rng()));
  Secret ss = wire::hybrid_secret(suite, wire::transcript(fixed, key), wire::deliver_context(request.hash));
  // What the application proves beyond need is not said to have been needed.
  auto flags = static_cast<std::uint8_t>(applicant.by == KnownBy::charged_key ? asked.flags : asked.flags & ~wire::flag_sym);
  if (leg.key.directory_epoch) flags |= wire::flag_directory;
  wire::KeyDeliver message{.h_req = request.hash, .sid_wk = asked.sid_wk, .sid_call = asked.sid_call, .uid = asked.uid, .kms_id = asked.kms_id,
                           .nonce = node_.rng().bytes(wire::nonce_size), .ts_ms = node_.clock().now_ms(), .expiry_ms = leg.key.expires_ms, .flags = flags,
                           .enc_kid = applicant.known->terminal.enc_kid, .ct_classical = fixed.ct_classical, .ct_ml_kem = fixed.ct_ml_kem, .eph_ct_classical = {},
                           .eph_ct_ml_kem = {}, .sealed = {}, .fps = own.fps};
  if (applicant.form == Encapsulation::series) {
    ASSIGN_OR_RETURN(const crypto::Encapsulation fresh, crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, asked.ephemeral, node_.rng()));
    ss = wire::mix_ephemeral(suite, ss, wire::transcript(fresh, asked.ephemeral));
    message.eph_ct_classical = fresh.ct_classical;
    message.eph_ct_ml_kem = fresh.ct_ml_kem;
  }
  if (injected) ss = wire::mix_injected(suite, ss, injected->key, injected->index, request.hash);
  const bool counts = injected && wire::counts(injected->charged);
  const wire::KeyDeliverPayload payload{.wk = leg.key.wk.duplicate(), .assurance = leg.key.assurance, .injected = counts, .n_paths = leg.key.n_paths,
                                        .path_min = leg.key.path_min, .peer_uid = leg.key.peer_uid, .peer_num = leg.key.peer_number,
                                        .peer_kms = leg.key.peer_kms, .peer_fps = leg.key.peer_fps, .th9 = leg.key.th9, .token = std::move(token)};
  ASSIGN_OR_RETURN(const wire::KeyDeliver sealed, wire::seal_key_deliver(suite, node_.settings().policy_epoch, std::move(message), ss, payload));
  return wire::frame(suite, node_.settings().policy_epoch, sealed);
}

Result<net::Response> Application::acknowledge(const net::Request& http) {
  ASSIGN_OR_RETURN(const auto ack, wire::parse<wire::DeliverAck>(http.body));
  TRY(check_in_force(ack, node_));
  const wire::DeliverAck& message = ack.message;
  ASSIGN_OR_RETURN(const std::shared_ptr<const KnownTerminal> known, terminal_of(http, message.uid));
  const Terminal& terminal = known->terminal;
  TRY(wire::verify(ack, known->verifier, known->fps));
  const UnixMs now = node_.clock().now_ms();
  const std::string why = message.ok ? "" : "the terminal could not use the key";
  const Ending ending{.by = terminal.uid.text(), .why = message.ok ? "acknowledged" : why, .at_ms = now};
  const std::string superseded = "a later key of its call is confirmed: " + message.sid_wk.hex();
  const auto owed_id = node_.rng().id<OwedId>();
  ASSIGN_OR_RETURN(const std::vector<OwedRecord> owed, store_.transact([&](store::Transaction& transaction) -> Result<std::vector<OwedRecord>> {
    ASSIGN_OR_RETURN(const auto leg, ledger_.find_delivery(transaction, message.sid_wk, terminal.uid, message.h_deliver));
    if (!leg) return fail(ErrorCode::not_found, "DeliverAck: no delivery on session " + message.sid_wk.hex() + " to " + message.uid.text());
    std::vector<OwedRecord> out;
    if (leg->state == KeyState::destroyed) {
      ASSIGN_OR_RETURN(const bool so, ledger_.has_ended(transaction, leg->key, ending));
      if (so) return out;  // the answer to it was lost
    }
    if (message.ok) {
      ASSIGN_OR_RETURN(const Destroyed own, ledger_.confirmed(transaction, *leg, ending));
      out.push_back(end_of(own, "km-1.destroyed", why));
      TRY(confirm_charging_record(transaction, message.sid_wk, leg->key.leg, now));
      // The last key of the same call that this one takes the place of, here or gone; and those that were still here.
      ASSIGN_OR_RETURN(const std::optional<SidWk> before, ledger_.former(transaction, leg->key));
      if (before) {
        out.push_back({.action = "wk.updated", .subject = terminal.uid.text(), .object = message.sid_wk.hex(),
                       .reason = "in a running call it takes the place of " + before->hex()});
      }
      ASSIGN_OR_RETURN(const std::vector<Destroyed> former,
                       ledger_.supersede(transaction, leg->key, {.by = terminal.uid.text(), .why = superseded, .at_ms = now}));
      for (const Destroyed& one : former) out.push_back(end_of(one, "wk.superseded", superseded));
    } else {
      ASSIGN_OR_RETURN(const Destroyed own, ledger_.destroy(transaction, message.sid_wk, leg->key.leg, ending));
      out.push_back(end_of(own, "km-1.destroyed", why));
      out.back().outcome = audit::Outcome::failure;
    }
    TRY(owe_records(transaction, owed_id, out, now));
    return Result<std::vector<OwedRecord>>(std::move(out));
  }));
  if (owed.empty()) return net::Response{.status = 204, .content_type = "", .body = {}};
  node::crash_point("kms.wk.destroyed");
  std::vector<audit::Event> events;
  events.reserve(owed.size());
  for (const OwedRecord& one : owed) events.push_back(event_of(one, http.request_id));
  TRY(node_.record(events));
  paid_.add(owed_id);
  return net::Response{.status = 204, .content_type = "", .body = {}};
}

}  // namespace qanat::kms
