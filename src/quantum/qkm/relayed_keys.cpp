#include "quantum/qkm/relayed_keys.hpp"

namespace qanat::qkm {
namespace {

using store::KeyState;

std::string what(const KeyId& id) { return "relayed key " + id.hex(); }
Bytes context(const KeyId& id) { return store::column_context("relayed_key.sealed", id.view()); }
std::int64_t number(UnixMs time) { return static_cast<std::int64_t>(time); }

}  // namespace

Result<void> RelayedKeys::add(store::Transaction& transaction, const RelayedKey& key, UnixMs now) {
  ASSIGN_OR_RETURN(const auto known, state_of(transaction, key.id));
  if (known) return fail(ErrorCode::conflict, what(key.id) + ": came before");
  ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(context(key.id), key.key));
  TRY(
      transaction.run("INSERT INTO relayed_key (key_id, near, peer_domain, path_id, relays, way, state, sealed, expires_ms, changed_ms)"
                      " VALUES (?, ?, ?, ?, ?, ?, 'generated', ?, ?, ?)",
                      {key.id.view(), static_cast<std::int64_t>(key.end), std::string_view(key.peer_domain), key.path_id.view(), std::int64_t{key.relays},
                       std::string_view(key.way), ByteView(sealed), number(key.expires_ms), number(now)}));
  return {};
}

Result<std::optional<KeyState>> RelayedKeys::state_of(store::Transaction& transaction, const KeyId& id) {
  std::optional<KeyState> state;
  TRY(transaction.query("SELECT state FROM relayed_key WHERE key_id = ?", {id.view()},
                        [&](const store::Row& row) { state = store::key_state_from_name(row.text(0)); }));
  return state;
}

Result<void> RelayedKeys::advance(store::Transaction& transaction, const KeyId& id, KeyState to, UnixMs now) {
  ASSIGN_OR_RETURN(const auto from, state_of(transaction, id));
  if (!from) return fail(ErrorCode::not_found, what(id) + ": is not here");
  TRY(store::check_transition(*from, to, what(id)));
  // A key that was handed out is never handed out again: its octets have no more business here.
  const bool keeps_octets = to == KeyState::generated || to == KeyState::reserved;
  const std::string_view sql = keeps_octets ? "UPDATE relayed_key SET state = ?, changed_ms = ? WHERE key_id = ?"
                                            : "UPDATE relayed_key SET state = ?, changed_ms = ?, sealed = NULL WHERE key_id = ?";
  TRY(transaction.run(sql, {store::name(to), number(now), id.view()}));
  return {};
}

Result<std::vector<KeyId>> RelayedKeys::reserve(store::Transaction& transaction, std::string_view peer_domain, const SidWk& sid_wk, std::size_t count,
                                                UnixMs now) {
  std::vector<KeyId> out;
  TRY(transaction.query(
      "SELECT key_id FROM relayed_key WHERE near = 1 AND peer_domain = ? AND state = 'generated' AND expires_ms > ? ORDER BY expires_ms LIMIT ?",
      {peer_domain, number(now), static_cast<std::int64_t>(count)}, [&](const store::Row& row) { out.emplace_back(row.blob(0)); }));
  for (const KeyId& id : out) {
    TRY(advance(transaction, id, KeyState::reserved, now));
    TRY(transaction.run("UPDATE relayed_key SET sid_wk = ? WHERE key_id = ?", {sid_wk.view(), id.view()}));
  }
  return out;
}

Result<std::vector<KeyId>> RelayedKeys::absent(store::Transaction& transaction, std::span<const KeyId> ids) {
  std::vector<KeyId> out;
  for (const KeyId& id : ids) {
    ASSIGN_OR_RETURN(const auto state, state_of(transaction, id));
    if (!state) out.push_back(id);
  }
  return out;
}

Result<void> RelayedKeys::reserve_far(store::Transaction& transaction, const KeyId& id, std::string_view peer_domain, const SidWk& sid_wk, UnixMs now) {
  std::optional<std::pair<std::int64_t, std::string>> found;
  std::int64_t expires = 0;
  TRY(transaction.query("SELECT near, peer_domain, expires_ms FROM relayed_key WHERE key_id = ?", {id.view()}, [&](const store::Row& row) {
    found = {row.integer(0), row.text(1)};
    expires = row.integer(2);
  }));
  if (!found) return fail(ErrorCode::not_found, what(id) + ": is not here");
  if (found->first != static_cast<std::int64_t>(End::far)) return fail(ErrorCode::denied, what(id) + ": was drawn here; only the other domain fetches it");
  if (found->second != peer_domain) return fail(ErrorCode::denied, what(id) + ": is not shared with domain " + std::string(peer_domain));
  TRY(advance(transaction, id, KeyState::reserved, now));
  if (expires <= number(now)) return fail(ErrorCode::not_found, what(id) + ": is past its time");
  TRY(transaction.run("UPDATE relayed_key SET sid_wk = ? WHERE key_id = ?", {sid_wk.view(), id.view()}));
  return {};
}

Result<RelayedKey> RelayedKeys::deliver(store::Transaction& transaction, const KeyId& id, UnixMs keep_until, UnixMs now) {
  RelayedKey out;
  out.id = id;
  Bytes sealed;
  TRY(transaction.query("SELECT near, peer_domain, path_id, relays, way, sealed FROM relayed_key WHERE key_id = ?", {id.view()}, [&](const store::Row& row) {
    out.end = row.integer(0) == 1 ? End::near : End::far;
    out.peer_domain = row.text(1);
    out.path_id = PathId(row.blob(2));
    out.relays = static_cast<std::uint8_t>(row.integer(3));
    out.way = row.text(4);
    if (!row.is_null(5)) sealed = row.blob(5);
  }));
  TRY(advance(transaction, id, KeyState::delivered, now));
  ASSIGN_OR_RETURN(out.key, device_.unseal(context(id), sealed));
  out.expires_ms = keep_until;
  TRY(transaction.run("UPDATE relayed_key SET expires_ms = ? WHERE key_id = ?", {number(keep_until), id.view()}));
  return Result<RelayedKey>(std::move(out));
}

Result<void> RelayedKeys::done(store::Transaction& transaction, const KeyId& id, Use use, UnixMs now) {
  ASSIGN_OR_RETURN(const auto state, state_of(transaction, id));
  if (state == KeyState::destroyed) return {};
  if (use == Use::confirmed) TRY(advance(transaction, id, KeyState::confirmed, now));
  return advance(transaction, id, KeyState::destroyed, now);
}

Result<std::vector<KeyId>> RelayedKeys::sweep(store::Transaction& transaction, UnixMs now) {
  std::vector<KeyId> out;
  TRY(transaction.query("SELECT key_id FROM relayed_key WHERE state <> 'destroyed' AND expires_ms <= ?", {number(now)},
                        [&](const store::Row& row) { out.emplace_back(row.blob(0)); }));
  for (const KeyId& id : out) TRY(advance(transaction, id, KeyState::destroyed, now));
  return out;
}

Result<std::vector<KeyId>> RelayedKeys::recover(store::Transaction& transaction, UnixMs now) {
  std::vector<KeyId> out;
  TRY(transaction.query("SELECT key_id FROM relayed_key WHERE state = 'reserved'", {},
                        [&](const store::Row& row) { out.emplace_back(row.blob(0)); }));
  for (const KeyId& id : out) TRY(advance(transaction, id, KeyState::destroyed, now));
  return out;
}

Result<void> RelayedKeys::forget(store::Transaction& transaction, UnixMs before) {
  TRY(transaction.run("DELETE FROM relayed_key WHERE state = 'destroyed' AND changed_ms < ?", {number(before)}));
  return {};
}

Result<std::map<std::string, std::int64_t>> RelayedKeys::stock(store::Transaction& transaction, UnixMs now) {
  std::map<std::string, std::int64_t> out;
  TRY(transaction.query("SELECT peer_domain, count(*) FROM relayed_key WHERE near = 1 AND state = 'generated' AND expires_ms > ? GROUP BY peer_domain",
                        {number(now)}, [&](const store::Row& row) { out[row.text(0)] = row.integer(1); }));
  return out;
}

}  // namespace qanat::qkm
