// Km-1: what terminals ask about groups, up to the epoch that an order begins.
#include "services/kms/kma/groups.hpp"

#include "node/crash_point.hpp"
#include "node/log.hpp"
#include "services/kms/kim/successions.hpp"
#include "services/kms/kma/group_making.hpp"
#include "services/kms/kma/in_force.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kma/replay.hpp"

namespace qanat::kms {
namespace {

std::vector<Number> numbers_of(const wire::Roster& roster) {
  std::vector<Number> out;
  out.reserve(roster.size());
  for (const wire::GroupMember& member : roster) out.push_back(member.number);
  return out;
}

net::Response group_response(Bytes octets) { return {.status = 200, .content_type = std::string(points::type_qfc2), .body = std::move(octets)}; }

}  // namespace

Result<net::Response> Groups::answer(const net::Request& http) {
  const auto request = wire::parse<wire::GroupRequest>(http.body);
  bool unborn = false;
  auto answer = request ? granted(http, *request, unborn) : Result<net::Response>(fail(request.error()));
  if (answer) return answer;
  const std::string action = request ? "group." + std::string(wire::name(request->message.order)) : "km-1.group";
  TRY(node_.record({.action = action,
                    .outcome = audit::outcome_of(answer.error().code),
                    .subject = request ? request->message.uid.text() : http.peer.identity->uri(),
                    .object = request ? request->message.group.hex() : "",
                    .reason = answer.error().message,
                    .request_id = http.request_id}));
  if (unborn) {
    // On record first: until then its row is all that is left of the attempt.
    const auto forgotten = store_.transact([&](store::Transaction& transaction) { return forget_unborn_group(transaction, request->message.group); });
    if (!forgotten) node::log(node::LogLevel::warning, "group {}: {}", request->message.group.hex(), forgotten.error().message);
  }
  return answer;
}

Result<net::Response> Groups::granted(const net::Request& http, const Request& request, bool& unborn) {
  // One signer from beginning to end: the one that the terminal will check the answer by.
  const std::shared_ptr<const node::MessageSigner> own = node_.signer();
  TRY(check_kept(http, *own));
  ASSIGN_OR_RETURN(const Terminal terminal, authenticate(http, request));
  if (request.message.order == wire::GroupOrder::show) return show(request, terminal, *own);
  ASSIGN_OR_RETURN(const bool first, is_first(request));
  if (!first) return repeated(http, request, terminal);
  return order(http, request, terminal, *own, unborn);
}

Result<Terminal> Groups::authenticate(const net::Request& http, const Request& request) {
  const wire::GroupRequest& message = request.message;
  const auto denied = [](const std::string& why) { return fail(ErrorCode::denied, "GroupRequest: " + why); };
  ASSIGN_OR_RETURN(const std::optional<Terminal> terminal,
                   store_.transact([&](store::Transaction& transaction) { return find_terminal(transaction, message.uid); }));
  if (!terminal || !terminal->confirmed) return denied("no terminal " + message.uid.text() + " is enrolled at " + node_.identity().name);
  if (!http.peer.certificate || http.peer.certificate->der() != terminal->ml_dsa) return denied("the connection is not that of terminal " + message.uid.text());
  TRY(check_in_force(request, node_));
  if (message.kms_id != own_name()) return denied("is for KMS " + message.kms_id.text());
  if (message.number != terminal->number) return denied(message.number.text() + " is not the number of " + message.uid.text());
  if (message.fps != wire::fingerprints(node_.suite(), terminal->classical, terminal->ml_dsa)) return denied("names other certificates than the terminal's");
  TRY(agreement_.check_fresh(message.ts_ms, "GroupRequest"));
  ASSIGN_OR_RETURN(const crypto::Certificate classical, crypto::Certificate::parse(terminal->classical));
  const crypto::Certificate& ml_dsa = *http.peer.certificate;
  ASSIGN_OR_RETURN(const crypto::Verifier verifier,
                   crypto::Verifier::from_key(node_.suite(), {.point = classical.public_key(), .ml_dsa = ml_dsa.public_key()}));
  TRY(wire::verify(request, verifier, message.fps));
  TRY(node_.check_certificate(classical, http.deadline));
  TRY(node_.check_certificate(ml_dsa, http.deadline));
  return *terminal;
}

Result<bool> Groups::is_first(const Request& request) {
  const UnixMs forget = request.message.ts_ms + agreement_.clock_window_ms();
  return store_.transact([&](store::Transaction& transaction) -> Result<bool> {
    TRY(check_of_this_life(transaction, request.message.ts_ms, "GroupRequest"));
    ASSIGN_OR_RETURN(const bool first, remember_application(transaction, request.hash, forget));
    // An order that is refused after this costs its owner one application all the same; one that is carried out counts its other members in plan().
    if (first) TRY(count_application(transaction, request.message.uid, settings_.policy.applications, node_.clock().now_ms()));
    return first;
  });
}

Result<Bytes> Groups::state_of(const Request& request, const GroupRow& row, const Terminal& to, std::vector<Number> left_out, const node::MessageSigner& own) {
  const wire::GroupState state{.h_req = request.hash,
                               .group = row.group,
                               .epoch = row.epoch,
                               .nonce = row.nonce,
                               .uid = to.uid,
                               .kms_id = own_name(),
                               .ts_ms = node_.clock().now_ms(),
                               .owner = row.owner,
                               .roster = row.roster,
                               .left_out = std::move(left_out),
                               .fps = own.fps};
  ASSIGN_OR_RETURN(auto framed, wire::sign_message(node_.suite(), node_.settings().policy_epoch, state, own.signer, own.fps, node_.rng()));
  return std::move(framed.octets);
}

Result<net::Response> Groups::show(const Request& request, const Terminal& terminal, const node::MessageSigner& own) {
  const wire::GroupId& group = request.message.group;
  ASSIGN_OR_RETURN(const auto row, store_.transact([&](store::Transaction& transaction) -> Result<std::optional<GroupRow>> {
    // Like an order, also for who may not see it: signing the answer and recording the refusal cost as much.
    TRY(count_application(transaction, terminal.uid, settings_.policy.applications, node_.clock().now_ms()));
    return find_group(transaction, group);
  }));
  if (!row || row->epoch == 0) return fail(ErrorCode::not_found, "group " + group.hex() + " is not known here");
  if (!wire::has(row->roster, terminal.number))
    return fail(ErrorCode::denied, terminal.number.text() + " is not a member of group " + group.hex() + " in epoch " + std::to_string(row->epoch));
  ASSIGN_OR_RETURN(Bytes state, state_of(request, *row, terminal, {}, own));
  return group_response(std::move(state));
}

Result<net::Response> Groups::repeated(const net::Request& http, const Request& request, const Terminal& terminal) {
  const wire::GroupId& group = request.message.group;
  ASSIGN_OR_RETURN(auto row, store_.transact([&](store::Transaction& transaction) { return find_group(transaction, group); }));
  if (!row || row->h_req != request.hash || row->owner_uid != terminal.uid)
    return fail(ErrorCode::conflict, "GroupRequest: this order was made before, and there is no answer to it (any more)");
  TRY(node_.record({.action = "group.repeated",
                    .outcome = audit::Outcome::success,
                    .subject = terminal.uid.text(),
                    .object = group.hex(),
                    .reason = "the same order again: it gets the answer that it got",
                    .request_id = http.request_id}));
  return group_response(std::move(row->answer));
}

Result<Groups::Plan> Groups::plan(store::Transaction& transaction, const Request& request, const Terminal& owner) {
  const wire::GroupRequest& asked = request.message;
  const UnixMs now = node_.clock().now_ms();
  ASSIGN_OR_RETURN(auto row, find_group(transaction, asked.group));
  Plan out;
  if (asked.order == wire::GroupOrder::open) {
    out.before = {.group = asked.group,
                  .owner_uid = owner.uid,
                  .owner = owner.number,
                  .owner_kms = own_name(),
                  .begun = 1,
                  .epoch = 0,
                  .nonce = {},
                  .roster = {},
                  .h_req = {},
                  .answer = {},
                  .changed_ms = now};
  } else {
    if (!row || row->epoch == 0) return fail(ErrorCode::not_found, "group " + asked.group.hex() + " is not known here");
    if (row->owner_uid != owner.uid || row->owner_kms != own_name())
      return fail(ErrorCode::denied, "group " + asked.group.hex() + " is not " + owner.uid.text() + "'s to order");
    if (row->epoch != asked.epoch)
      return fail(ErrorCode::conflict,
                  "group " + asked.group.hex() + ": epoch " + std::to_string(row->epoch) + " is in force, the order follows " + std::to_string(asked.epoch));
    out.before = *std::move(row);
  }
  ASSIGN_OR_RETURN(out.members, members_after(numbers_of(out.before.roster), owner.number, asked.order, asked.members, settings_.policy.groups));
  // Each member's key is one: what guards the quantum stock against a caller guards it against a group. The owner's is counted since the order came.
  for (std::size_t i = 1; i < out.members.size(); ++i) TRY(count_application(transaction, owner.uid, settings_.policy.applications, now));
  if (asked.order == wire::GroupOrder::open) {
    TRY(add_group(transaction, out.before));
  } else {
    TRY(begin_epoch(transaction, out.before, now));
    ++out.before.begun;
  }
  return out;
}

Result<net::Response> Groups::order(const net::Request& http, const Request& request, const Terminal& owner, const node::MessageSigner& own, bool& unborn) {
  const wire::GroupRequest& asked = request.message;
  ASSIGN_OR_RETURN(const Access::Granted access, access_.token_for(owner, asked.fps, asked.token_ref, asked.min_assurance, http.deadline, http.request_id));
  if (asked.min_assurance > access.level_max) return fail(ErrorCode::denied, "the subscriber may not demand keys of this assurance");
  ASSIGN_OR_RETURN(const Traffic traffic, traffic_of(owner));
  ASSIGN_OR_RETURN(Plan begun, store_.transact([&](store::Transaction& transaction) { return plan(transaction, request, owner); }));
  node::crash_point("kms.group.begun");
  const wire::GroupEpoch which{.group = asked.group, .epoch = begun.before.begun, .nonce = node_.rng().id<wire::GroupNonce>()};
  const LevelTowards level_towards = [&](const std::string& domain) -> Result<wire::Assurance> {
    ASSIGN_OR_RETURN(const wire::Assurance level, access_.level_towards(owner, domain, asked.min_assurance, http.deadline, http.request_id));
    return std::min(level, access.level_max);
  };
  Making making{.http = http, .request = request, .owner = owner, .traffic = traffic, .level_towards = level_towards, .plan = std::move(begun), .which = which};
  auto answer = make_epoch(making, own);
  unborn = !answer && asked.order == wire::GroupOrder::open;
  return answer;
}

Result<void> Groups::add_leg(store::Transaction& transaction, const wire::GroupEpoch& which, const Terminal& member, const WorkingKey& like) {
  ASSIGN_OR_RETURN(const Traffic traffic, traffic_of(member));
  const SidWk sid_wk = wire::group_sid_wk(node_.suite(), which, member.number);
  TRY(ledger_.add(transaction, {.sid_wk = sid_wk,
                                .leg = wire::Role::callee,
                                .sid_call = wire::group_sid_call(node_.suite(), which, like.peer_number, member.number),
                                .uid = member.uid,
                                .wk = like.wk.duplicate(),
                                .assurance = like.assurance,
                                .n_paths = like.n_paths,
                                .path_min = like.path_min,
                                .th9 = wire::no_th9(node_.suite()),  // the key is the group's, and of no one agreement
                                .peer_uid = like.peer_uid,
                                .peer_number = like.peer_number,
                                .peer_kms = like.peer_kms,
                                .peer_fps = like.peer_fps,
                                .expires_ms = like.expires_ms,
                                .terms = settings_.policy.terms_for(traffic)}));
  return ledger_.advance(transaction, sid_wk, wire::Role::callee, store::KeyState::reserved);
}

Result<std::vector<Destroyed>> Groups::retire(store::Transaction& transaction, const GroupRow& row, std::uint32_t next_epoch) {
  const Ending ending{.by = "kms", .why = "epoch " + std::to_string(next_epoch) + " of its group is in force", .at_ms = node_.clock().now_ms()};
  std::vector<Destroyed> out;
  for (const wire::GroupMember& member : row.roster) {
    if (member.kms != own_name()) continue;
    ASSIGN_OR_RETURN(const auto legs, ledger_.living(transaction, wire::group_sid_wk(node_.suite(), row.in_force(), member.number)));
    for (const LivingLeg& leg : legs) {
      // One that is delivered goes when it is acknowledged, or at its time: its answer may have been lost.
      if (leg.state == store::KeyState::delivered || leg.state == store::KeyState::confirmed) continue;
      ASSIGN_OR_RETURN(Destroyed gone, ledger_.destroy(transaction, leg.sid_wk, leg.leg, ending));
      out.push_back(std::move(gone));
    }
  }
  return out;
}

Result<void> Groups::owe_gone(store::Transaction& transaction, const OwedId& id, const Gone& gone) {
  std::vector<OwedRecord> owed;
  owed.reserve(gone.retired.size() + gone.carriers.size());
  for (const Destroyed& one : gone.retired) owed.push_back(end_of(one, "wk.superseded", "a later epoch of its group is in force"));
  for (const Destroyed& one : gone.carriers) owed.push_back(end_of(one, "wk.carried", carried_why));
  return owe_records(transaction, id, owed, node_.clock().now_ms());
}

}  // namespace qanat::kms
