// Km-2: the key of an epoch at the KMS of a domain that has members in the group.
#include <set>

#include "node/crash_point.hpp"
#include "services/kms/kma/groups.hpp"
#include "services/kms/kma/in_force.hpp"
#include "services/kms/kma/pending.hpp"

namespace qanat::kms {

using store::KeyState;

namespace {

std::unexpected<Error> key_denied(const std::string& why) { return fail(ErrorCode::denied, "GroupKey: " + why); }

wire::GroupEpoch epoch_of(const wire::GroupKey& said) { return {.group = said.group, .epoch = said.epoch, .nonce = said.nonce}; }

/// The agreement that the message confirms, as KmsConfirm would.
Result<Pending> awaited(store::Transaction& transaction, const crypto::Suite& suite, const wire::GroupKey& said, const Identity& from, UnixMs now) {
  ASSIGN_OR_RETURN(std::optional<Pending> found, find_pending(transaction, said.sid_wk));
  if (!found || found->confirmed || found->expires_ms <= now) return fail(ErrorCode::not_found, "GroupKey: no agreement on session " + said.sid_wk.hex() + " waits for it");
  if (found->kms_a != from || found->h_accept != said.h_accept || !equal_constant_time(found->h_kc_a, hash_of_confirmation(suite, said.kc_a)))
    return key_denied("key confirmation does not hold");
  return *std::move(found);
}

}  // namespace

Result<std::vector<Groups::Place>> Groups::places_of(const wire::GroupKey& said, const ElementName& from) {
  std::vector<Place> out;
  for (const wire::GroupMember& member : said.roster) {
    if (member.kms != own_name()) continue;
    ASSIGN_OR_RETURN(Agreement::Announced there, agreement_.announced(wire::group_sid_wk(node_.suite(), epoch_of(said), member.number)));
    wire::SessionFields& session = there.session;
    if (there.directory_epoch) return key_denied(member.number.text() + " was announced by CMSP's directory, and a group needs CMSP's own word");
    // CMSP has let this owner reach this member, for this group and this epoch, through this KMS.
    if (session.kms_a != from || session.num_call != said.owner || session.num_called != member.number ||
        session.sid_call != wire::group_sid_call(node_.suite(), epoch_of(said), said.owner, member.number)) {
      return key_denied(member.number.text() + " was announced for something else");
    }
    out.push_back({.number = member.number, .session = std::move(session)});
  }
  if (out.empty()) return key_denied("none of the members is served here");
  return out;
}

Result<net::Response> Groups::take_key(const net::Request& http) {
  ASSIGN_OR_RETURN(const auto message, wire::parse<wire::GroupKey>(http.body));
  const wire::GroupKey& said = message.message;
  const Identity& from = *http.peer.identity;
  const GroupLimits& limits = settings_.policy.groups;
  TRY(check_in_force(message, node_));
  if (std::ssize(said.roster) > limits.members)
    return key_denied(std::to_string(said.roster.size()) + " members, policy allows " + std::to_string(limits.members));
  std::set<ElementName> kmss;
  for (const wire::GroupMember& member : said.roster) {
    // A message may name whatever is printable; the row keeps the roster as a list with commas.
    if (member.kms.text().contains(',')) return key_denied("its roster names '" + member.kms.text() + "' as a KMS");
    kmss.insert(member.kms);
  }
  TRY(check_domains(kmss.size(), limits));
  ASSIGN_OR_RETURN(const std::vector<Place> places, places_of(said, ElementName(from.name)));
  const auto owed = node_.rng().id<OwedId>();
  ASSIGN_OR_RETURN(const Taken taken, store_.transact([&](store::Transaction& transaction) { return take(transaction, message, from, places, owed); }));
  node::crash_point("kms.group.taken");
  TRY(store_.settle());  // an older copy of the database would have a leaver in again
  TRY(pay_records(node_, store_, owed, http.request_id));
  TRY(node_.record({.action = "km-2.group",
                    .outcome = audit::Outcome::success,
                    .subject = places.front().session.uid_a.text(),
                    .object = said.group.hex(),
                    .reason = "epoch " + std::to_string(said.epoch) + ", assurance " + std::to_string(static_cast<int>(said.assurance)) + ": " +
                              std::to_string(taken.members) + " members are served here",
                    .request_id = http.request_id}));
  for (const Place& place : places) agreement_.leg_changed(place.session.sid_wk);
  agreement_.shares_done(taken.shares, Agreement::Fate::used, http.request_id);
  return net::Response{.status = 204, .content_type = "", .body = {}};
}

Result<Groups::Taken> Groups::take(store::Transaction& transaction, const wire::Framed<wire::GroupKey>& message, const Identity& from,
                                   const std::vector<Place>& places, const OwedId& owed) {
  const wire::GroupKey& said = message.message;
  const UnixMs now = node_.clock().now_ms();
  ASSIGN_OR_RETURN(Pending pending, awaited(transaction, node_.suite(), said, from, now));
  ASSIGN_OR_RETURN(const auto carrier, ledger_.find(transaction, said.sid_wk, wire::Role::callee));
  if (!carrier || carrier->state != KeyState::generated) return fail(ErrorCode::conflict, "GroupKey: the key of session " + said.sid_wk.hex() + " is gone");
  if (carrier->key.peer_number != said.owner) return key_denied("session " + said.sid_wk.hex() + " is not the owner's");
  if (carrier->key.directory_epoch) return key_denied("session " + said.sid_wk.hex() + " was opened by CMSP's directory, and a group needs CMSP's own word");
  ASSIGN_OR_RETURN(Secret wk, wire::open_group_key(message, carrier->key.wk));

  ASSIGN_OR_RETURN(const auto known, find_group(transaction, said.group));
  GroupRow next{.group = said.group,
                .owner_uid = places.front().session.uid_a,
                .owner = said.owner,
                .owner_kms = ElementName(from.name),
                .begun = said.epoch,
                .epoch = said.epoch,
                .nonce = said.nonce,
                .roster = said.roster,
                .h_req = {},
                .answer = {},
                .changed_ms = now};
  Taken out;
  Gone gone;
  if (known) {
    if (known->owner_kms != next.owner_kms || known->owner_uid != next.owner_uid || known->owner != next.owner)
      return key_denied("group " + said.group.hex() + " is another's");
    if (known->epoch >= said.epoch)
      return fail(ErrorCode::conflict, "GroupKey: epoch " + std::to_string(known->epoch) + " of group " + said.group.hex() + " is known here already");
    TRY(put_epoch_in_force(transaction, *known, next));
    ASSIGN_OR_RETURN(gone.retired, retire(transaction, *known, said.epoch));
  } else {
    TRY(add_group(transaction, next));
  }

  // What KMS-A says it rests on, and not more than what this end knows of its own carrier.
  const bool weaker = carrier->key.assurance < said.assurance;
  WorkingKey like;
  like.wk = std::move(wk);
  like.assurance = weaker ? carrier->key.assurance : said.assurance;
  like.n_paths = weaker ? carrier->key.n_paths : said.n_paths;
  like.path_min = weaker ? carrier->key.path_min : said.path_min;
  like.peer_uid = next.owner_uid;
  like.peer_number = next.owner;
  like.peer_kms = next.owner_kms;
  like.peer_fps = wire::no_fingerprints(node_.suite());
  like.expires_ms = expiry();
  for (const Place& place : places) {
    ASSIGN_OR_RETURN(const auto member, find_terminal(transaction, place.number));
    if (!member || !member->confirmed) continue;  // revoked since it was announced
    if (!place.session.uid_b.empty() && member->uid != place.session.uid_b) continue;  // another's number since then
    TRY(add_leg(transaction, epoch_of(said), *member, like));
    ++out.members;
  }
  ASSIGN_OR_RETURN(Destroyed ended,
                   ledger_.destroy(transaction, said.sid_wk, wire::Role::callee, {.by = "kms", .why = std::string(carried_why), .at_ms = now}));
  gone.carriers.push_back(std::move(ended));
  TRY(owe_gone(transaction, owed, gone));
  TRY(drop_pending(transaction, said.sid_wk));
  out.shares = std::move(pending.shares);
  return Result<Taken>(std::move(out));
}

}  // namespace qanat::kms
