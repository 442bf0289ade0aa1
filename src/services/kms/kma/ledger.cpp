#include "services/kms/kma/ledger.hpp"

namespace qanat::kms {
namespace {

using store::KeyState;

Bytes context(const SidWk& sid_wk, wire::Role leg) {
  return store::column_context("working_key.sealed_wk", concat({sid_wk.view(), Bytes{static_cast<std::uint8_t>(leg)}}));
}

std::int64_t number(wire::Role leg) { return static_cast<std::int64_t>(leg); }

std::string what(const SidWk& sid_wk, wire::Role leg) { return "working key " + sid_wk.hex() + (leg == wire::Role::caller ? " (caller)" : " (callee)"); }

Result<std::optional<KeyState>> state_of(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg) {
  std::optional<KeyState> state;
  TRY(transaction.query("SELECT state FROM working_key WHERE sid_wk = ? AND leg = ?", {sid_wk.view(), number(leg)},
                        [&](const store::Row& row) { state = store::key_state_from_name(row.text(0)); }));
  return state;
}

}  // namespace

Result<void> Ledger::add(store::Transaction& transaction, const WorkingKey& key) {
  ASSIGN_OR_RETURN(const auto known, state_of(transaction, key.sid_wk, key.leg));
  if (known) return fail(ErrorCode::conflict, what(key.sid_wk, key.leg) + ": this session was used before");
  ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(context(key.sid_wk, key.leg), key.wk));
  TRY(transaction.run(
      "INSERT INTO working_key (sid_wk, leg, state, sid_call, uid, sealed_wk, assurance, n_paths, path_min, th9, peer_uid, peer_number, peer_kms,"
      " peer_fp_classical, peer_fp_ml_dsa, expires_ms, front_end) VALUES (?, ?, 'generated', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {key.sid_wk.view(), number(key.leg), key.sid_call.view(), std::string_view(key.uid.text()), ByteView(sealed), static_cast<std::int64_t>(key.assurance),
       std::int64_t{key.n_paths}, std::int64_t{key.path_min}, ByteView(key.th9), std::string_view(key.peer_uid.text()),
       std::string_view(key.peer_number.text()), std::string_view(key.peer_kms.text()), ByteView(key.peer_fps.classical), ByteView(key.peer_fps.pq),
       static_cast<std::int64_t>(key.expires_ms), std::string_view(front_end_)}));
  return {};
}

Result<std::optional<StoredKey>> Ledger::find(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg) {
  std::optional<StoredKey> out;
  Bytes sealed;
  TRY(transaction.query(
      "SELECT state, sid_call, uid, sealed_wk, assurance, n_paths, path_min, th9, peer_uid, peer_number, peer_kms, peer_fp_classical, peer_fp_ml_dsa,"
      " h_deliver, expires_ms FROM working_key WHERE sid_wk = ? AND leg = ?",
      {sid_wk.view(), number(leg)}, [&](const store::Row& row) {
        out.emplace();
        out->state = store::key_state_from_name(row.text(0)).value_or(KeyState::destroyed);
        WorkingKey& key = out->key;
        key.sid_wk = sid_wk;
        key.leg = leg;
        key.sid_call = SidCall(row.blob(1));
        key.uid = Uid(row.text(2));
        if (!row.is_null(3)) sealed = row.blob(3);
        key.assurance = static_cast<wire::Assurance>(row.integer(4));
        key.n_paths = static_cast<std::uint8_t>(row.integer(5));
        key.path_min = static_cast<std::uint8_t>(row.integer(6));
        key.th9 = row.blob(7);
        key.peer_uid = Uid(row.text(8));
        key.peer_number = Number(row.text(9));
        key.peer_kms = ElementName(row.text(10));
        key.peer_fps = {.classical = row.blob(11), .pq = row.blob(12)};
        if (!row.is_null(13)) out->h_deliver = row.blob(13);
        key.expires_ms = static_cast<UnixMs>(row.integer(14));
      }));
  if (out && !sealed.empty()) {
    ASSIGN_OR_RETURN(out->key.wk, device_.unseal(context(sid_wk, leg), sealed));
  }
  return Result<std::optional<StoredKey>>(std::move(out));
}

Result<void> Ledger::advance(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, KeyState to) {
  ASSIGN_OR_RETURN(const auto from, state_of(transaction, sid_wk, leg));
  if (!from) return fail(ErrorCode::not_found, what(sid_wk, leg) + ": no such session");
  TRY(store::check_transition(*from, to, what(sid_wk, leg)));
  // The state that was read stands in the statement, too: what does not hold does not happen, whatever the database's isolation.
  const std::string_view sql = to == KeyState::destroyed ? "UPDATE working_key SET state = ?, sealed_wk = NULL WHERE sid_wk = ? AND leg = ? AND state = ?"
                                                         : "UPDATE working_key SET state = ? WHERE sid_wk = ? AND leg = ? AND state = ?";
  ASSIGN_OR_RETURN(const std::int64_t changed, transaction.run(sql, {store::name(to), sid_wk.view(), number(leg), store::name(*from)}));
  if (changed != 1) return fail(ErrorCode::conflict, what(sid_wk, leg) + ": is no longer " + std::string(store::name(*from)));
  return {};
}

Result<void> Ledger::delivered(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, ByteView h_deliver) {
  TRY(advance(transaction, sid_wk, leg, KeyState::delivered));
  TRY(transaction.run("UPDATE working_key SET h_deliver = ? WHERE sid_wk = ? AND leg = ?", {h_deliver, sid_wk.view(), number(leg)}));
  return {};
}

Result<std::vector<SidWk>> Ledger::sweep(store::Transaction& transaction, Sweep which, UnixMs now) {
  struct Leg {
    SidWk sid_wk;
    wire::Role leg;
  };
  std::vector<Leg> due;
  const auto take = [&](const store::Row& row) { due.push_back({SidWk(row.blob(0)), static_cast<wire::Role>(row.integer(1))}); };
  TRY(transaction.query("SELECT sid_wk, leg FROM working_key WHERE state <> 'destroyed' AND expires_ms <= ?", {store::column(now)}, take));
  if (which == Sweep::at_start) {
    TRY(transaction.query("SELECT sid_wk, leg FROM working_key WHERE state = 'generated' AND expires_ms > ? AND front_end = ?",
                          {store::column(now), std::string_view(front_end_)}, take));
  }
  std::vector<SidWk> out;
  for (const Leg& leg : due) {
    TRY(advance(transaction, leg.sid_wk, leg.leg, KeyState::destroyed));
    out.push_back(leg.sid_wk);
  }
  return out;
}

Result<std::vector<std::int64_t>> Ledger::census(store::Transaction& transaction) {
  std::vector<std::int64_t> out(store::all_key_states.size());
  TRY(transaction.query("SELECT state, count(*) FROM working_key GROUP BY state", {}, [&](const store::Row& row) {
    if (const auto state = store::key_state_from_name(row.text(0))) out[static_cast<std::size_t>(*state)] = row.integer(1);
  }));
  return out;
}

}  // namespace qanat::kms
