#include "services/kms/kma/ledger.hpp"

#include "crypto/kdf.hpp"
#include "store/key_commitment.hpp"

namespace qanat::kms {
namespace {

using store::KeyState;
using store::Value;

Bytes row_key(const SidWk& sid_wk, wire::Role leg) { return concat({sid_wk.view(), Bytes{static_cast<std::uint8_t>(leg)}}); }

/// The sealed octets open in their own row alone, and only under the policy that they were made under.
Bytes context(const WorkingKey& key) {
  return store::column_context("working_key.sealed_wk", concat({row_key(key.sid_wk, key.leg), canonical(policy_of(key))}));
}

std::int64_t number(wire::Role leg) { return static_cast<std::int64_t>(leg); }

std::string what(const SidWk& sid_wk, wire::Role leg) { return "working key " + sid_wk.hex() + (leg == wire::Role::caller ? " (caller)" : " (callee)"); }

Result<std::optional<KeyState>> state_of(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg) {
  std::optional<KeyState> state;
  TRY(transaction.query("SELECT state FROM working_key WHERE sid_wk = ? AND leg = ?", {sid_wk.view(), number(leg)},
                        [&](const store::Row& row) { state = store::key_state_from_name(row.text(0)); }));
  return state;
}

Result<void> allowed(const WorkingKey& key, std::int64_t deliveries, const KeyUse& use) {
  const Verdict verdict = may(policy_of(key), use, {.rests_on = key.assurance, .deliveries = deliveries});
  if (verdict == Verdict::allowed) return {};
  return fail(ErrorCode::denied, what(key.sid_wk, key.leg) + ": " + std::string(text(verdict)));
}

/// `conflict` if the session has one of these legs already, in any state, or is in the archive; denied if their call has had keys between others, exhausted if
/// too many. They are of one session.
Result<void> check_new(store::Transaction& transaction, std::initializer_list<const WorkingKey*> legs) {
  const WorkingKey& first = **legs.begin();
  const WorkingKey* known = nullptr;
  bool between_others = false;
  std::int64_t legs_of_call = 0;
  TRY(transaction.query("SELECT 0, leg, uid, peer_number FROM working_key WHERE sid_wk = ? UNION ALL SELECT 1, leg, uid, peer_number FROM working_key WHERE sid_call = ?"
                        " UNION ALL SELECT 2, 0, '', '' FROM used_session WHERE sid_wk = ?",
                        {first.sid_wk.view(), first.sid_call.view(), first.sid_wk.view()}, [&](const store::Row& row) {
                          if (row.integer(0) == 1) ++legs_of_call;
                          if (row.integer(0) == 2) known = &first;
                          for (const WorkingKey* const leg : legs) {
                            if (row.integer(1) != number(leg->leg)) continue;
                            if (row.integer(0) == 0) known = leg;
                            between_others = between_others || row.text(2) != leg->uid.text() || row.text(3) != leg->peer_number.text();
                          }
                        }));
  if (known != nullptr) return fail(ErrorCode::conflict, what(known->sid_wk, known->leg) + ": this session was used before");
  if (between_others) return fail(ErrorCode::denied, "call " + first.sid_call.hex() + ": is between others");
  if (legs_of_call >= Ledger::legs_of_call_max) return fail(ErrorCode::exhausted, "call " + first.sid_call.hex() + ": has had too many keys of late");
  return {};
}

// The answer is wide and never changes, the row of its key is narrow and does: so it has a row of its own, written once, and the key's row (which is guarded) has
// its digest. Without the digest there the answer is not given.
Bytes digest_of(ByteView answer) { return answer.empty() ? Bytes() : crypto::digest(crypto::Hash::sha256, answer); }
Value octets_or_null(ByteView octets) { return octets.empty() ? Value() : Value(octets); }

Result<void> put_answer(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, ByteView answer) {
  if (answer.empty()) return {};
  return transaction.change("INSERT INTO delivered_answer (sid_wk, leg, octets) VALUES (?, ?, ?)", {sid_wk.view(), number(leg), answer});
}

Result<void> erase(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, KeyState from, const Ending& ending) {
  TRY(transaction.change_one("UPDATE working_key SET state = 'destroyed', sealed_wk = NULL, answer = NULL, answer_digest = NULL, ended_ms = ?, ended_by = ?, ended_why = ?"
                             " WHERE sid_wk = ? AND leg = ? AND state = ?",
                             {store::column(ending.at_ms), std::string_view(ending.by), std::string_view(ending.why), sid_wk.view(), number(leg), store::name(from)}));
  return transaction.change("DELETE FROM delivered_answer WHERE sid_wk = ? AND leg = ?", {sid_wk.view(), number(leg)});
}

void add_living(std::vector<LivingLeg>& out, const store::Row& row) {
  if (const auto state = store::key_state_from_name(row.text(3)))
    out.push_back({.sid_wk = SidWk(row.blob(0)),
                   .leg = static_cast<wire::Role>(row.integer(1)),
                   .uid = Uid(row.text(2)),
                   .state = *state,
                   .expires_ms = static_cast<UnixMs>(row.integer(4))});
}

/// A leg as its row says, its octets sealed (empty: it is destroyed).
struct SealedLeg {
  StoredKey stored;
  Bytes sealed;
};
Result<std::optional<SealedLeg>> read_leg(store::Transaction& transaction, const SidWk& sid_wk, std::string_view condition, std::initializer_list<Value> values) {
  std::optional<SealedLeg> out;
  TRY(transaction.query(
      "SELECT state, sid_call, uid, sealed_wk, assurance, n_paths, path_min, th9, peer_uid, peer_number, peer_kms, peer_fp_classical, peer_fp_ml_dsa,"
      " h_deliver, expires_ms, commitment, traffic, level_min, deliveries_max, deliveries, directory_epoch, leg FROM working_key WHERE sid_wk = ?" +
          std::string(condition),
      values, [&](const store::Row& row) {
        out.emplace();
        StoredKey& stored = out->stored;
        stored.state = store::key_state_from_name(row.text(0)).value_or(KeyState::destroyed);
        WorkingKey& key = stored.key;
        key.sid_wk = sid_wk;
        key.leg = static_cast<wire::Role>(row.integer(21));
        key.sid_call = SidCall(row.blob(1));
        key.uid = Uid(row.text(2));
        if (!row.is_null(3)) out->sealed = row.blob(3);
        key.assurance = static_cast<wire::Assurance>(row.integer(4));
        key.n_paths = static_cast<std::uint8_t>(row.integer(5));
        key.path_min = static_cast<std::uint8_t>(row.integer(6));
        key.th9 = row.blob(7);
        key.peer_uid = Uid(row.text(8));
        key.peer_number = Number(row.text(9));
        key.peer_kms = ElementName(row.text(10));
        key.peer_fps = {.classical = row.blob(11), .pq = row.blob(12)};
        if (!row.is_null(13)) stored.h_deliver = row.blob(13);
        key.expires_ms = static_cast<UnixMs>(row.integer(14));
        if (!row.is_null(15)) stored.commitment = row.blob(15);
        // An unknown name binds to other octets than the key was sealed under: it does not open.
        key.terms = {.traffic = traffic_from_name(row.text(16)).value_or(Traffic::voice),
                     .level_min = static_cast<wire::Assurance>(row.integer(17)),
                     .deliveries_max = static_cast<std::uint8_t>(row.integer(18))};
        stored.deliveries = row.integer(19);
        if (!row.is_null(20)) key.directory_epoch = row.integer(20);
      }));
  return Result<std::optional<SealedLeg>>(std::move(out));
}

}  // namespace

Result<void> Ledger::put(store::Transaction& transaction, const WorkingKey& key, KeyState state, const std::optional<Delivery>& delivery) {
  ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(context(key), key.wk));
  const Bytes commitment = store::key_commitment(store::KeyKind::working, row_key(key.sid_wk, key.leg), key.wk);
  const Bytes digest = delivery ? digest_of(delivery->octets) : Bytes();
  return transaction.change(
      "INSERT INTO working_key (sid_wk, leg, state, sid_call, uid, sealed_wk, assurance, n_paths, path_min, th9, peer_uid, peer_number, peer_kms,"
      " peer_fp_classical, peer_fp_ml_dsa, expires_ms, commitment, traffic, level_min, deliveries_max, front_end, directory_epoch, deliveries, h_req, h_deliver,"
      " answer_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {key.sid_wk.view(), number(key.leg), store::name(state), key.sid_call.view(), std::string_view(key.uid.text()), ByteView(sealed),
       static_cast<std::int64_t>(key.assurance),
       std::int64_t{key.n_paths}, std::int64_t{key.path_min}, ByteView(key.th9), std::string_view(key.peer_uid.text()),
       std::string_view(key.peer_number.text()), std::string_view(key.peer_kms.text()), ByteView(key.peer_fps.classical), ByteView(key.peer_fps.pq),
       static_cast<std::int64_t>(key.expires_ms), ByteView(commitment), name(key.terms.traffic), static_cast<std::int64_t>(key.terms.level_min),
       std::int64_t{key.terms.deliveries_max}, std::string_view(front_end_), key.directory_epoch ? Value(*key.directory_epoch) : Value(),
       std::int64_t{delivery ? 1 : 0}, delivery ? Value(delivery->h_req) : Value(), delivery ? Value(delivery->h_deliver) : Value(), octets_or_null(digest)});
}

Result<void> Ledger::add(store::Transaction& transaction, const WorkingKey& key) {
  TRY(check_new(transaction, {&key}));
  return put(transaction, key, KeyState::generated, {});
}

Result<void> Ledger::add_session(store::Transaction& transaction, const WorkingKey& key, const Delivery& delivery, const KeyUse& use, const WorkingKey& others) {
  CHECK(key.sid_wk == others.sid_wk && key.sid_call == others.sid_call && key.leg != others.leg);
  const std::string which = what(key.sid_wk, key.leg);
  TRY(store::check_transition(store::KeyKind::working, KeyState::generated, KeyState::reserved, which));
  TRY(store::check_transition(store::KeyKind::working, KeyState::reserved, KeyState::delivered, which));
  TRY(allowed(key, 0, use));
  TRY(check_new(transaction, {&key, &others}));
  TRY(put(transaction, key, KeyState::delivered, delivery));
  TRY(put_answer(transaction, key.sid_wk, key.leg, delivery.octets));
  return put(transaction, others, KeyState::reserved, {});
}

Result<std::optional<StoredKey>> Ledger::find(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg) {
  ASSIGN_OR_RETURN(std::optional<SealedLeg> read, read_leg(transaction, sid_wk, " AND leg = ?", {sid_wk.view(), number(leg)}));
  if (!read) return std::optional<StoredKey>{};
  if (!read->sealed.empty()) {
    ASSIGN_OR_RETURN(read->stored.key.wk, device_.unseal(context(read->stored.key), read->sealed));
  }
  return Result<std::optional<StoredKey>>(std::move(read->stored));
}

Result<std::optional<StoredKey>> Ledger::find_delivery(store::Transaction& transaction, const SidWk& sid_wk, const Uid& uid, ByteView h_deliver) {
  ASSIGN_OR_RETURN(std::optional<SealedLeg> read,
                   read_leg(transaction, sid_wk, " AND uid = ? AND h_deliver = ?", {sid_wk.view(), std::string_view(uid.text()), h_deliver}));
  if (!read) return std::optional<StoredKey>{};
  return Result<std::optional<StoredKey>>(std::move(read->stored));
}

Result<void> Ledger::advance(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, KeyState to) {
  ASSIGN_OR_RETURN(const auto from, state_of(transaction, sid_wk, leg));
  if (!from) return fail(ErrorCode::not_found, what(sid_wk, leg) + ": no such session");
  return advance(transaction, sid_wk, leg, *from, to);
}

Result<void> Ledger::advance(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, KeyState from, KeyState to) {
  CHECK(to != KeyState::destroyed);
  TRY(store::check_transition(store::KeyKind::working, from, to, what(sid_wk, leg)));
  // The state stands in the statement, too: what does not hold does not happen, whatever the database's isolation.
  return transaction.change_one("UPDATE working_key SET state = ? WHERE sid_wk = ? AND leg = ? AND state = ?",
                                {store::name(to), sid_wk.view(), number(leg), store::name(from)});
}

Result<void> Ledger::delivered(store::Transaction& transaction, const StoredKey& stored, const Delivery& delivery, const KeyUse& use) {
  const SidWk& sid_wk = stored.key.sid_wk;
  const wire::Role leg = stored.key.leg;
  TRY(store::check_transition(store::KeyKind::working, stored.state, KeyState::delivered, what(sid_wk, leg)));
  TRY(allowed(stored.key, stored.deliveries, use));
  const Bytes digest = digest_of(delivery.octets);
  ASSIGN_OR_RETURN(const std::int64_t changed,
                   transaction.run("UPDATE working_key SET state = 'delivered', deliveries = 1, h_req = ?, h_deliver = ?, answer_digest = ?"
                                   " WHERE sid_wk = ? AND leg = ? AND state = ?",
                                   {delivery.h_req, delivery.h_deliver, octets_or_null(digest), sid_wk.view(), number(leg), store::name(stored.state)}));
  if (changed == 1) return put_answer(transaction, sid_wk, leg, delivery.octets);
  ASSIGN_OR_RETURN(const auto now, state_of(transaction, sid_wk, leg));
  if (!now) return fail(ErrorCode::not_found, what(sid_wk, leg) + ": no such session");
  TRY(store::check_transition(store::KeyKind::working, *now, KeyState::delivered, what(sid_wk, leg)));
  return fail(ErrorCode::conflict, what(sid_wk, leg) + ": is no longer " + std::string(store::name(stored.state)));
}

Result<std::optional<Bytes>> Ledger::delivered_again(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, ByteView h_req, const KeyUse& use) {
  std::optional<Bytes> answer;
  Bytes digest;
  TRY(transaction.query("SELECT answer, octets, answer_digest FROM working_key LEFT JOIN delivered_answer"
                        " ON delivered_answer.sid_wk = working_key.sid_wk AND delivered_answer.leg = working_key.leg"
                        " WHERE working_key.sid_wk = ? AND working_key.leg = ? AND state = 'delivered' AND h_req = ?",
                        {sid_wk.view(), number(leg), h_req}, [&](const store::Row& row) {
                          if (!row.is_null(0)) {  // from before answers had rows of their own
                            answer = row.blob(0);
                          } else if (!row.is_null(2)) {
                            answer = row.is_null(1) ? Bytes() : row.blob(1);
                            digest = row.blob(2);
                          }
                        }));
  if (!answer) return std::optional<Bytes>{};
  if (!digest.empty() && digest_of(*answer) != digest) return fail(ErrorCode::denied, what(sid_wk, leg) + ": its answer was changed or taken out by another program");
  // The policy counts as it was sealed, not as the row may say now: find() opens the octets under it.
  ASSIGN_OR_RETURN(const auto stored, find(transaction, sid_wk, leg));
  CHECK(stored.has_value());
  TRY(allowed(stored->key, stored->deliveries, use));
  TRY(transaction.run("UPDATE working_key SET deliveries = deliveries + 1 WHERE sid_wk = ? AND leg = ?", {sid_wk.view(), number(leg)}));
  return answer;
}

Result<Destroyed> Ledger::destroy(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, const Ending& ending) {
  std::optional<KeyState> from;
  Destroyed out{.sid_wk = sid_wk, .leg = leg, .uid = {}, .commitment = {}};
  TRY(transaction.query("SELECT state, uid, commitment FROM working_key WHERE sid_wk = ? AND leg = ?", {sid_wk.view(), number(leg)},
                        [&](const store::Row& row) {
                          from = store::key_state_from_name(row.text(0));
                          out.uid = Uid(row.text(1));
                          if (!row.is_null(2)) out.commitment = row.blob(2);
                        }));
  if (!from) return fail(ErrorCode::not_found, what(sid_wk, leg) + ": no such session");
  TRY(store::check_transition(store::KeyKind::working, *from, KeyState::destroyed, what(sid_wk, leg)));
  TRY(erase(transaction, sid_wk, leg, *from, ending));
  return out;
}

Result<Destroyed> Ledger::confirmed(store::Transaction& transaction, const StoredKey& stored, const Ending& ending) {
  const WorkingKey& key = stored.key;
  TRY(store::check_transition(store::KeyKind::working, stored.state, KeyState::confirmed, what(key.sid_wk, key.leg)));
  TRY(store::check_transition(store::KeyKind::working, KeyState::confirmed, KeyState::destroyed, what(key.sid_wk, key.leg)));
  TRY(erase(transaction, key.sid_wk, key.leg, stored.state, ending));
  return Destroyed{.sid_wk = key.sid_wk, .leg = key.leg, .uid = key.uid, .commitment = stored.commitment};
}

Result<bool> Ledger::has_ended(store::Transaction& transaction, const WorkingKey& key, const Ending& ending) {
  bool out = false;
  TRY(transaction.query("SELECT 1 FROM working_key WHERE sid_wk = ? AND leg = ? AND state = 'destroyed' AND ended_by = ? AND ended_why = ?",
                        {key.sid_wk.view(), number(key.leg), std::string_view(ending.by), std::string_view(ending.why)}, [&](const store::Row&) { out = true; }));
  return out;
}

Result<std::optional<SidWk>> Ledger::former(store::Transaction& transaction, const WorkingKey& key) {
  std::optional<SidWk> out;
  TRY(transaction.query("SELECT sid_wk FROM working_key WHERE sid_call = ? AND leg = ? AND uid = ? AND sid_wk <> ? AND expires_ms < ?"
                        " AND h_deliver IS NOT NULL ORDER BY expires_ms DESC LIMIT 1",
                        {key.sid_call.view(), number(key.leg), std::string_view(key.uid.text()), key.sid_wk.view(), store::column(key.expires_ms)},
                        [&](const store::Row& row) { out = SidWk(row.blob(0)); }));
  return out;
}

Result<std::vector<Destroyed>> Ledger::supersede(store::Transaction& transaction, const WorkingKey& by, const Ending& ending) {
  std::vector<LivingLeg> former;
  TRY(transaction.query("SELECT sid_wk, leg, uid, state, expires_ms FROM working_key WHERE sid_call = ? AND leg = ? AND uid = ? AND sid_wk <> ? AND expires_ms < ?"
                        " AND state IN ('delivered', 'confirmed')",
                        {by.sid_call.view(), number(by.leg), std::string_view(by.uid.text()), by.sid_wk.view(), store::column(by.expires_ms)},
                        [&](const store::Row& row) { add_living(former, row); }));
  std::vector<Destroyed> out;
  for (const LivingLeg& leg : former) {
    TRY(store::advance(store::KeyKind::working, leg.state, store::KeyEvent::update, what(leg.sid_wk, leg.leg)));
    ASSIGN_OR_RETURN(Destroyed gone, destroy(transaction, leg.sid_wk, leg.leg, ending));
    out.push_back(std::move(gone));
  }
  return out;
}

Result<std::vector<LivingLeg>> Ledger::living(store::Transaction& transaction, const SidWk& sid_wk) {
  std::vector<LivingLeg> out;
  TRY(transaction.query("SELECT sid_wk, leg, uid, state, expires_ms FROM working_key WHERE sid_wk = ? AND state <> 'destroyed' ORDER BY leg", {sid_wk.view()},
                        [&](const store::Row& row) { add_living(out, row); }));
  return out;
}

Result<std::vector<LivingLeg>> Ledger::living(store::Transaction& transaction, const Uid& uid, const std::optional<LivingLeg>& after) {
  std::vector<LivingLeg> out;
  const LivingLeg from = after.value_or(LivingLeg{});  // no leg is of time 0
  TRY(transaction.query("SELECT sid_wk, leg, uid, state, expires_ms FROM working_key WHERE uid = ? AND sealed_wk IS NOT NULL AND (expires_ms, sid_wk, leg) > (?, ?, ?)"
                        " ORDER BY expires_ms, sid_wk, leg LIMIT ?",
                        {std::string_view(uid.text()), store::column(from.expires_ms), from.sid_wk.view(), number(from.leg), std::int64_t{living_at_once}},
                        [&](const store::Row& row) { add_living(out, row); }));
  return out;
}

Result<std::vector<Ledger::Due>> Ledger::due(store::Transaction& transaction, Sweep which, UnixMs now, const Due& after, std::int64_t most) {
  std::string sql = "SELECT expires_ms, sid_wk, leg FROM working_key WHERE sealed_wk IS NOT NULL AND (expires_ms, sid_wk, leg) > (?, ?, ?) AND ";
  std::vector<Value> values{store::column(after.expires_ms), after.sid_wk.view(), number(after.leg), store::column(now)};
  switch (which) {
    case Sweep::expired:
      sql += "expires_ms <= ?";
      break;
    case Sweep::at_start:
      sql += "(expires_ms <= ? OR (state = 'generated' AND front_end = ?))";
      values.emplace_back(std::string_view(front_end_));
      break;
    case Sweep::after_crash:
      sql += "(expires_ms <= ? OR (state NOT IN ('delivered', 'confirmed') AND front_end = ?))";
      values.emplace_back(std::string_view(front_end_));
      break;
  }
  values.emplace_back(most);
  std::vector<Due> out;
  TRY(transaction.query(sql + " ORDER BY expires_ms, sid_wk, leg LIMIT ?", std::span<const Value>(values), [&](const store::Row& row) {
    out.push_back({.expires_ms = static_cast<UnixMs>(row.integer(0)), .sid_wk = SidWk(row.blob(1)), .leg = static_cast<wire::Role>(row.integer(2))});
  }));
  return out;
}

Result<std::vector<Destroyed>> Ledger::sweep(store::Transaction& transaction, Sweep which, UnixMs now, std::span<const Due> legs) {
  const Ending ending{.by = "kms", .why = std::string(why(which)), .at_ms = now};
  std::vector<Destroyed> out;
  out.reserve(legs.size());
  for (const Due& leg : legs) {
    ASSIGN_OR_RETURN(Destroyed gone, destroy(transaction, leg.sid_wk, leg.leg, ending));
    out.push_back(std::move(gone));
  }
  return out;
}

Result<std::vector<Destroyed>> Ledger::destroy_of(store::Transaction& transaction, const Uid& uid, const Ending& ending) {
  std::vector<Due> legs;
  TRY(transaction.query(
      "SELECT sid_wk, leg FROM working_key WHERE sealed_wk IS NOT NULL AND uid = ?", {std::string_view(uid.text())},
      [&](const store::Row& row) { legs.push_back({.expires_ms = 0, .sid_wk = SidWk(row.blob(0)), .leg = static_cast<wire::Role>(row.integer(1))}); }));
  std::vector<Destroyed> out;
  out.reserve(legs.size());
  for (const Due& leg : legs) {
    ASSIGN_OR_RETURN(Destroyed gone, destroy(transaction, leg.sid_wk, leg.leg, ending));
    out.push_back(std::move(gone));
  }
  return out;
}

Result<void> withhold_answers(store::Transaction& transaction, const std::optional<std::string_view>& uid) {
  const std::string answers = "UPDATE working_key SET answer = NULL, answer_digest = NULL WHERE sealed_wk IS NOT NULL AND (answer IS NOT NULL OR answer_digest IS NOT NULL)";
  if (!uid) {
    TRY(transaction.run(answers, {}));
    TRY(transaction.run("DELETE FROM delivered_answer", {}));
    return {};
  }
  TRY(transaction.run(answers + " AND uid = ?", {*uid}));
  TRY(transaction.run("DELETE FROM delivered_answer WHERE (sid_wk, leg) IN (SELECT sid_wk, leg FROM working_key WHERE sealed_wk IS NOT NULL AND uid = ?)", {*uid}));
  return {};
}

std::string Destroyed::reason(std::string_view why) const {
  return std::string(why) + (why.empty() ? "(commitment " : " (commitment ") + (commitment.empty() ? "none" : to_hex(commitment)) + ")";
}

Result<std::vector<std::int64_t>> Ledger::census(store::Transaction& transaction, std::int64_t most) {
  std::vector<std::int64_t> out(store::all_key_states.size());
  const auto count = [&](std::string_view which) {
    const std::string legs = "SELECT state FROM working_key WHERE " + std::string(which) + " AND expires_ms >= 0 LIMIT ?";  // in the order of the state's index
    return transaction.query("SELECT state, count(*) FROM (" + legs + ") AS legs GROUP BY state", {most}, [&](const store::Row& row) {
      if (const auto state = store::key_state_from_name(row.text(0))) out[static_cast<std::size_t>(*state)] = row.integer(1);
    });
  };
  TRY(count("sealed_wk IS NOT NULL"));
  TRY(count("sealed_wk IS NULL"));
  return out;
}

}  // namespace qanat::kms
