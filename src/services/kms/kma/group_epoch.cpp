// An epoch of a group, made at its owner's KMS: where the members are, one agreement with each other domain, the key, and its coming into force. The owner's
// KMS tells the others first and has the epoch in force last: what is in force here was given to everybody who could be had.
#include <set>

#include "node/crash_point.hpp"
#include "node/log.hpp"
#include "services/kms/kma/group_making.hpp"

namespace qanat::kms {

using store::KeyState;

namespace {

net::Response state_response(Bytes octets) { return {.status = 200, .content_type = std::string(points::type_qfc2), .body = std::move(octets)}; }

std::string epoch_text(const wire::Roster& roster, wire::Assurance assurance, std::uint32_t epoch) {
  std::string out = "epoch " + std::to_string(epoch) + ", assurance " + std::to_string(static_cast<int>(assurance)) + ":";
  for (const wire::GroupMember& member : roster) out += " " + member.number.text();
  return out;
}

}  // namespace

Result<void> Groups::Making::leave_out(const std::vector<Number>& numbers, const Error& why) {
  const wire::GroupRequest& asked = request.message;
  for (const Number& number : numbers) {
    if (asked.order != wire::GroupOrder::leave && std::ranges::binary_search(asked.members, number)) return fail_in("group: " + number.text(), why);
    left_out.insert_or_assign(number, why.message);
  }
  return {};
}

Result<net::Response> Groups::make_epoch(Making& making, const node::MessageSigner& own) {
  TRY(locate(making));
  auto made = [&]() -> Result<Bytes> {
    TRY(agree(making));
    ASSIGN_OR_RETURN(const RestsOn rests_on, strength(making));
    GroupRow next = making.plan.before;
    next.epoch = making.which.epoch;
    next.nonce = making.which.nonce;
    next.roster.clear();
    for (const Terminal& member : making.here) next.roster.push_back({.number = member.number, .kms = own_name()});
    for (const auto& [kms, numbers] : making.elsewhere) {
      for (const Number& number : numbers) next.roster.push_back({.number = number, .kms = kms});
    }
    std::ranges::sort(next.roster, {}, &wire::GroupMember::number);
    if (next.roster.size() < wire::group_members_min) return fail(ErrorCode::unavailable, "group: nobody but its owner can be had now");
    node::crash_point("kms.group.agreed");

    ASSIGN_OR_RETURN(const Secret drawn, node_.device().random(wire::wk_size));
    std::vector<Secret> mixes;
    mixes.reserve(making.carriers.size());
    for (const Agreement::Agreed& carrier : making.carriers) mixes.push_back(wire::group_mix(node_.suite(), carrier.key.wk, carrier.key.sid_wk));
    const Secret wk = wire::group_wk(node_.suite(), making.which, drawn, mixes);
    TRY(carry(making, next, rests_on, wk));
    node::crash_point("kms.group.carried");

    std::vector<Number> left_out;
    left_out.reserve(making.left_out.size());
    for (const auto& [number, why] : making.left_out) left_out.push_back(number);
    next.h_req = making.request.hash;
    next.changed_ms = node_.clock().now_ms();
    ASSIGN_OR_RETURN(next.answer, state_of(making.request, next, making.owner, std::move(left_out), own));
    const auto owed = node_.rng().id<OwedId>();
    TRY(put_in_force(making, next, rests_on, wk, owed));
    node::crash_point("kms.group.in_force");
    TRY(store_.settle());  // an older copy of the database would have the leaver in again
    for (const Terminal& member : making.here) agreement_.leg_changed(wire::group_sid_wk(node_.suite(), making.which, member.number));
    TRY(record_epoch(making, next, rests_on, owed));
    return std::move(next.answer);
  }();
  if (!made) {
    give_up(making);
    return fail(std::move(made).error());
  }
  for (const Agreement::Agreed& carrier : making.carriers) agreement_.shares_done(carrier.shares, Agreement::Fate::used, making.http.request_id);
  return state_response(*std::move(made));
}

Result<void> Groups::locate(Making& making) {
  ASSIGN_OR_RETURN(std::vector<Terminal> here, store_.transact([&](store::Transaction& transaction) -> Result<std::vector<Terminal>> {
    std::vector<Terminal> out;
    for (const Number& number : making.plan.members) {
      ASSIGN_OR_RETURN(auto terminal, find_terminal(transaction, number));
      if (terminal && terminal->confirmed) out.push_back(*std::move(terminal));
    }
    return out;
  }));
  making.here = std::move(here);
  for (const Number& number : making.plan.members) {
    if (std::ranges::find(making.here, number, &Terminal::number) != making.here.end()) continue;
    const auto kms = announce(making, number);
    if (kms) {
      making.elsewhere[*kms].push_back(number);
    } else {
      TRY(making.leave_out({number}, kms.error()));
    }
  }
  std::set<std::string> domains{node_.identity().domain};
  for (const auto& [kms, numbers] : making.elsewhere) {
    ASSIGN_OR_RETURN(std::string domain, agreement_.domain_of(kms));
    domains.insert(std::move(domain));
  }
  return check_domains(domains.size(), settings_.policy.groups);
}

Asked Groups::session_with(const Making& making, const Number& number, const SidWk& sid_wk) const {
  const wire::GroupRequest& asked = making.request.message;
  return {.sid_wk = sid_wk,
          .sid_call = wire::group_sid_call(node_.suite(), making.which, making.owner.number, number),
          .role = wire::Role::caller,
          .num_call = making.owner.number,
          .num_called = number,
          .min_assurance = asked.min_assurance,
          .token_ref = asked.token_ref,
          .fps = asked.fps,
          .hash = making.request.hash,
          .traffic = making.traffic,
          .ephemeral = true,
          .says_directory = false};  // a group needs CMSP itself
}

Result<ElementName> Groups::announce(const Making& making, const Number& number) {
  const Asked session = session_with(making, number, wire::group_sid_wk(node_.suite(), making.which, number));
  ASSIGN_OR_RETURN(ElementName kms, agreement_.announce(session, making.owner, making.http.deadline, making.http.request_id));
  if (kms == own_name()) return fail(ErrorCode::not_found, number.text() + " has no enrolled terminal");
  TRY(agreement_.domain_of(kms));
  return kms;
}

Result<void> Groups::agree(Making& making) {
  // Within its own domain the owner needs a grant like any caller there (application.cpp).
  if (making.here.size() > 1) TRY(making.level_towards(node_.identity().domain));
  for (auto place = making.elsewhere.begin(); place != making.elsewhere.end();) {
    const Number& first = place->second.front();
    const Asked session = session_with(making, first, node_.rng().id<SidWk>());
    auto agreed = agreement_.propose(session, making.owner, making.level_towards, making.http.deadline, making.http.request_id);
    if (agreed && agreed->key.peer_kms != place->first) {
      agreement_.shares_done(agreed->shares, Agreement::Fate::unused, making.http.request_id);
      agreed = fail(ErrorCode::conflict, first.text() + " is served by another KMS by now");
    }
    if (agreed) {
      making.carriers.push_back(*std::move(agreed));
      ++place;
    } else {
      TRY(making.leave_out(place->second, agreed.error()));
      place = making.elsewhere.erase(place);
    }
  }
  return {};
}

Result<RestsOn> Groups::strength(const Making& making) const {
  RestsOn out;
  const auto weakest = std::ranges::min_element(making.carriers, {}, [](const Agreement::Agreed& carrier) { return carrier.key.assurance; });
  if (weakest != making.carriers.end()) out = {.assurance = weakest->key.assurance, .n_paths = weakest->key.n_paths, .path_min = weakest->key.path_min};
  const wire::Assurance demanded = std::max(making.request.message.min_assurance, settings_.policy.terms_for(making.traffic).level_min);
  if (out.assurance >= demanded) return out;
  return fail(ErrorCode::denied, "group: its key would rest on assurance " + std::to_string(static_cast<int>(out.assurance)) + ", demanded is " +
                                     std::to_string(static_cast<int>(demanded)));
}

Result<void> Groups::carry(Making& making, const GroupRow& next, const RestsOn& rests_on, const Secret& wk) {
  const crypto::Suite& suite = node_.suite();
  const std::uint32_t policy_epoch = node_.settings().policy_epoch;
  for (const Agreement::Agreed& carrier : making.carriers) {
    const WorkingKey& key = carrier.key;
    wire::GroupKey message{.sid_wk = key.sid_wk,
                           .h_accept = carrier.h_accept,
                           .kc_a = carrier.kc_a,
                           .group = next.group,
                           .epoch = next.epoch,
                           .nonce = next.nonce,
                           .owner = next.owner,
                           .roster = next.roster,
                           .assurance = rests_on.assurance,
                           .n_paths = rests_on.n_paths,
                           .path_min = rests_on.path_min,
                           .sealed = {}};
    ASSIGN_OR_RETURN(const wire::GroupKey sealed, wire::seal_group_key(suite, policy_epoch, std::move(message), key.wk, wk));
    ASSIGN_OR_RETURN(const auto sent, wire::frame(suite, policy_epoch, sealed));
    const auto taken = node_.call(points::Endpoint::km2_group, key.peer_kms.text(), sent.octets, making.http.deadline, making.http.request_id);
    if (taken) continue;
    // It may have been taken, and its answer lost. The others have theirs: the epoch goes on, and the answer says who may have to be added again.
    for (const Number& number : making.elsewhere.at(key.peer_kms)) making.left_out.insert_or_assign(number, taken.error().message);
  }
  return {};
}

Result<void> Groups::put_in_force(const Making& making, const GroupRow& next, const RestsOn& rests_on, const Secret& wk, const OwedId& owed) {
  const Terminal& owner = making.owner;
  WorkingKey like;
  like.assurance = rests_on.assurance;
  like.n_paths = rests_on.n_paths;
  like.path_min = rests_on.path_min;
  like.wk = wk.duplicate();
  like.peer_uid = owner.uid;
  like.peer_number = owner.number;
  like.peer_kms = own_name();
  like.peer_fps = wire::fingerprints(node_.suite(), owner.classical, owner.ml_dsa);
  like.expires_ms = expiry();
  const Ending carried{.by = "kms", .why = std::string(carried_why), .at_ms = node_.clock().now_ms()};
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    Gone gone;
    TRY(put_epoch_in_force(transaction, making.plan.before, next));
    ASSIGN_OR_RETURN(gone.retired, retire(transaction, making.plan.before, next.epoch));
    for (const Terminal& member : making.here) {
      // Whoever was revoked meanwhile gets nothing.
      ASSIGN_OR_RETURN(const auto still, find_terminal(transaction, member.uid));
      if (still && still->confirmed) TRY(add_leg(transaction, making.which, member, like));
    }
    for (const Agreement::Agreed& carrier : making.carriers) {
      ASSIGN_OR_RETURN(Destroyed ended, ledger_.destroy(transaction, carrier.key.sid_wk, wire::Role::caller, carried));
      gone.carriers.push_back(std::move(ended));
    }
    return owe_gone(transaction, owed, gone);
  });
}

Result<void> Groups::record_epoch(const Making& making, const GroupRow& next, const RestsOn& rests_on, const OwedId& owed) {
  const std::string action = "group." + std::string(wire::name(making.request.message.order));
  const std::string group = next.group.hex();
  for (const auto& [number, why] : making.left_out) {
    TRY(node_.record({.action = "group.left_out",
                      .outcome = audit::Outcome::failure,
                      .subject = number.text(),
                      .object = group,
                      .reason = why,
                      .request_id = making.http.request_id}));
  }
  TRY(pay_records(node_, store_, owed, making.http.request_id));
  return node_.record({.action = action,
                       .outcome = audit::Outcome::success,
                       .subject = making.owner.uid.text(),
                       .object = group,
                       .reason = epoch_text(next.roster, rests_on.assurance, next.epoch),
                       .request_id = making.http.request_id});
}

void Groups::give_up(const Making& making) {
  const Ending ending{.by = "kms", .why = "the epoch that it was for did not come about", .at_ms = node_.clock().now_ms()};
  for (const Agreement::Agreed& carrier : making.carriers) {
    agreement_.shares_done(carrier.shares, Agreement::Fate::unused, making.http.request_id);
    const auto owed_id = node_.rng().id<OwedId>();
    const auto destroyed = store_.transact([&](store::Transaction& transaction) -> Result<void> {
      ASSIGN_OR_RETURN(const Destroyed gone, ledger_.destroy(transaction, carrier.key.sid_wk, wire::Role::caller, ending));
      const OwedRecord owed = end_of(gone, "wk.carried", ending.why);
      return owe_records(transaction, owed_id, {&owed, 1}, ending.at_ms);
    });
    const auto told = destroyed ? pay_records(node_, store_, owed_id, making.http.request_id) : destroyed;
    if (!told) node::log(node::LogLevel::warning, "carrier {}: {}", carrier.key.sid_wk.hex(), told.error().message);
  }
}

}  // namespace qanat::kms
