#include "services/kms/csa/key_rows.hpp"

#include <algorithm>
#include <array>
#include <map>

namespace qanat::kms::csa {
namespace {

Error damaged(const CsaKeyId& id, std::string_view what) { return {ErrorCode::internal, "csa key " + id.hex() + ": " + std::string(what)}; }

Result<State> parse_state(const CsaKeyId& id, std::string_view text) {
  for (const State state : all_states) {
    if (name(state) == text) return state;
  }
  return fail(damaged(id, "a state that is none"));
}

/// A row as it was read; what its texts mean is decided after the query.
struct KeyRow {
  std::string label, algorithm, usage, owner, origin, state, suspended_from;
  std::int64_t version = 0, minimum = 0, created_ms = 0;
  std::optional<UnixMs> delete_ms;
  UnixMs not_after_ms = 0;
};

Result<Policy> load_policy(store::Transaction& transaction, const CsaKeyId& id) {
  Policy out;
  std::vector<std::string> operations;
  TRY(transaction.query("SELECT caller, operations, not_before_ms, not_after_ms, per_minute, total FROM csa_grant WHERE key_id = ? ORDER BY caller", {id.view()},
                        [&](const store::Row& row) {
                          out.grants.push_back({.caller = row.text(0),
                                                .operations = {},
                                                .not_before_ms = static_cast<UnixMs>(row.integer(2)),
                                                .not_after_ms = static_cast<UnixMs>(row.integer(3)),
                                                .per_minute = row.integer(4),
                                                .total = row.integer(5)});
                          operations.push_back(row.text(1));
                        }));
  for (std::size_t i = 0; i < out.grants.size(); ++i) {
    ASSIGN_OR_RETURN(out.grants[i].operations, parse_operations(operations[i]));
  }
  std::vector<std::pair<std::string, Bytes>> targets;
  TRY(transaction.query("SELECT algorithm, public_key FROM csa_export_target WHERE key_id = ? ORDER BY public_key", {id.view()},
                        [&](const store::Row& row) { targets.emplace_back(row.text(0), row.blob(1)); }));
  for (auto& [algorithm, public_key] : targets) {
    ASSIGN_OR_RETURN(const Algorithm* kem, find_algorithm(algorithm));
    out.export_under.push_back({.kem = kem, .public_key = std::move(public_key)});
  }
  return out;
}

Result<void> insert_policy(store::Transaction& transaction, const CsaKeyId& id, const Policy& policy, const std::map<std::string, std::int64_t>& used) {
  for (const Grant& grant : policy.grants) {
    const auto before = used.find(grant.caller);
    const std::string operations = to_text(grant.operations);
    TRY(transaction.run(
        "INSERT INTO csa_grant (key_id, caller, operations, not_before_ms, not_after_ms, per_minute, total, used) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        {id.view(), std::string_view(grant.caller), std::string_view(operations), store::column(grant.not_before_ms), store::column(grant.not_after_ms),
         grant.per_minute, grant.total, before == used.end() ? std::int64_t{0} : before->second}));
  }
  for (const ExportTarget& target : policy.export_under) {
    TRY(transaction.run("INSERT INTO csa_export_target (key_id, algorithm, public_key) VALUES (?, ?, ?)",
                        {id.view(), target.kem->name, ByteView(target.public_key)}));
  }
  return {};
}

store::Value time_or_null(const std::optional<UnixMs>& time) { return time ? store::Value(store::column(*time)) : store::Value(); }

KeyVersion version_of(const store::Row& row) {
  return {.version = static_cast<std::uint32_t>(row.integer(0)),
          .sealed = row.is_null(1) ? std::nullopt : std::optional(row.blob(1)),
          .public_key = row.blob(2),
          .created_ms = static_cast<UnixMs>(row.integer(3)),
          .commitment = row.is_null(4) ? Bytes() : row.blob(4)};
}

}  // namespace

Result<void> insert_key(store::Transaction& transaction, const Key& key) {
  TRY(transaction.run(
      "INSERT INTO csa_key (key_id, label, algorithm, purpose, owner, origin, state, current_version, minimum_version, created_ms, delete_ms, creation_id,"
      " creation_digest, not_after_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {key.id.view(), std::string_view(key.label), key.algorithm->name, name(key.usage), std::string_view(key.owner), name(key.origin), name(key.state),
       store::column(key.version), store::column(key.minimum), store::column(key.created_ms), time_or_null(key.delete_ms),
       key.creation_id.empty() ? store::Value() : store::Value(std::string_view(key.creation_id)),
       key.creation_id.empty() ? store::Value() : store::Value(ByteView(key.creation_digest)),
       time_or_null(key.not_after_ms == 0 ? std::nullopt : std::optional(key.not_after_ms))}));
  return insert_policy(transaction, key.id, key.policy, {});
}

Result<void> insert_version(store::Transaction& transaction, const CsaKeyId& id, const KeyVersion& version) {
  const store::Value sealed = version.sealed ? store::Value(ByteView(*version.sealed)) : store::Value();
  const store::Value commitment = version.commitment.empty() ? store::Value() : store::Value(ByteView(version.commitment));
  const bool named = !version.rotation_id.empty();
  TRY(transaction.run("INSERT INTO csa_version (key_id, version, sealed, public_key, created_ms, seals_reserved, commitment, rotated_by, rotation_id)"
                      " VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?)",
                      {id.view(), store::column(version.version), sealed, ByteView(version.public_key), store::column(version.created_ms), commitment,
                       named ? store::Value(std::string_view(version.rotated_by)) : store::Value(), named ? store::Value(std::string_view(version.rotation_id)) : store::Value()}));
  return {};
}

Result<std::optional<Created>> find_created(store::Transaction& transaction, std::string_view owner, std::string_view creation_id) {
  std::optional<Created> out;
  TRY(transaction.query("SELECT key_id, creation_digest FROM csa_key WHERE owner = ? AND creation_id = ?", {owner, creation_id},
                        [&](const store::Row& row) { out = Created{.id = CsaKeyId(row.blob(0)), .digest = row.blob(1)}; }));
  return out;
}

Result<std::optional<Rotated>> find_rotated(store::Transaction& transaction, std::string_view caller, std::string_view rotation_id) {
  std::optional<Rotated> out;
  TRY(transaction.query("SELECT version, sealed, public_key, created_ms, commitment, key_id FROM csa_version WHERE rotated_by = ? AND rotation_id = ?", {caller, rotation_id},
                        [&](const store::Row& row) { out = Rotated{.key = CsaKeyId(row.blob(5)), .version = version_of(row)}; }));
  return Result<std::optional<Rotated>>(std::move(out));
}

Result<Key> load_key(store::Transaction& transaction, const CsaKeyId& id) {
  std::optional<KeyRow> found;
  TRY(transaction.query(
      "SELECT label, algorithm, purpose, owner, state, current_version, minimum_version, created_ms, delete_ms, origin, not_after_ms, suspended_from FROM csa_key WHERE key_id = ?",
      {id.view()},
      [&](const store::Row& row) {
        found = KeyRow{.label = row.text(0),
                       .algorithm = row.text(1),
                       .usage = row.text(2),
                       .owner = row.text(3),
                       .origin = row.text(9),
                       .state = row.text(4),
                       .suspended_from = row.is_null(11) ? std::string() : row.text(11),
                       .version = row.integer(5),
                       .minimum = row.integer(6),
                       .created_ms = row.integer(7),
                       .delete_ms = row.is_null(8) ? std::nullopt : std::optional(static_cast<UnixMs>(row.integer(8))),
                       .not_after_ms = row.is_null(10) ? 0 : static_cast<UnixMs>(row.integer(10))};
      }));
  if (!found) return fail(ErrorCode::not_found, "no key " + id.hex());
  Key out{.id = id,
          .label = std::move(found->label),
          .owner = std::move(found->owner),
          .origin = found->origin == name(Origin::made) ? Origin::made : Origin::imported,
          .version = static_cast<std::uint32_t>(found->version),
          .minimum = static_cast<std::uint32_t>(found->minimum),
          .created_ms = static_cast<UnixMs>(found->created_ms),
          .delete_ms = found->delete_ms,
          .not_after_ms = found->not_after_ms,
          .policy = {}};
  const auto algorithm = find_algorithm(found->algorithm);
  if (!algorithm) return fail(damaged(id, "an algorithm that is none"));
  out.algorithm = *algorithm;
  const auto usage = parse_usage(found->usage, *out.algorithm);
  if (!usage) return fail(damaged(id, "a usage that is none"));
  out.usage = *usage;
  ASSIGN_OR_RETURN(out.state, parse_state(id, found->state));
  if (out.state == State::suspended && !found->suspended_from.empty()) {
    ASSIGN_OR_RETURN(out.suspended_from, parse_state(id, found->suspended_from));
  }
  ASSIGN_OR_RETURN(out.policy, load_policy(transaction, id));
  return out;
}

Result<KeyVersion> load_version(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t version) {
  std::optional<KeyVersion> found;
  TRY(transaction.query("SELECT version, sealed, public_key, created_ms, commitment FROM csa_version WHERE key_id = ? AND version = ?", {id.view(), store::column(version)},
                        [&](const store::Row& row) { found = version_of(row); }));
  if (!found) return fail(ErrorCode::not_found, "key " + id.hex() + " has no version " + std::to_string(version));
  if (!found->sealed) return fail(ErrorCode::not_found, "version " + std::to_string(version) + " of key " + id.hex() + " is destroyed");
  return *std::move(found);
}

Result<std::vector<KeyVersion>> load_versions(store::Transaction& transaction, const CsaKeyId& id) {
  std::vector<KeyVersion> out;
  TRY(transaction.query("SELECT version, sealed, public_key, created_ms, commitment FROM csa_version WHERE key_id = ? ORDER BY version", {id.view()},
                        [&](const store::Row& row) { out.push_back(version_of(row)); }));
  return out;
}

Result<void> set_current(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t from, std::uint32_t to) {
  ASSIGN_OR_RETURN(const std::int64_t changed, transaction.run("UPDATE csa_key SET current_version = ? WHERE key_id = ? AND current_version = ?",
                                                               {store::column(to), id.view(), store::column(from)}));
  if (changed != 1) return fail(ErrorCode::conflict, "key " + id.hex() + " has got another version meanwhile");
  return {};
}

Result<void> raise_current(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t to) {
  TRY(transaction.run("UPDATE csa_key SET current_version = ? WHERE key_id = ? AND current_version < ?", {store::column(to), id.view(), store::column(to)}));
  return {};
}

Result<void> set_minimum(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t minimum) {
  TRY(transaction.run("UPDATE csa_key SET minimum_version = ? WHERE key_id = ?", {store::column(minimum), id.view()}));
  return {};
}

Result<void> set_state(store::Transaction& transaction, const CsaKeyId& id, State from, State to, std::optional<UnixMs> delete_ms) {
  ASSIGN_OR_RETURN(const std::int64_t changed, transaction.run("UPDATE csa_key SET state = ?, delete_ms = ? WHERE key_id = ? AND state = ?",
                                                               {name(to), time_or_null(delete_ms), id.view(), name(from)}));
  if (changed != 1) return fail(ErrorCode::conflict, "key " + id.hex() + " is not " + std::string(name(from)) + " any more");
  return {};
}

Result<void> replace_policy(store::Transaction& transaction, const CsaKeyId& id, const Policy& policy) {
  std::map<std::string, std::int64_t> used;
  TRY(transaction.query("SELECT caller, used FROM csa_grant WHERE key_id = ?", {id.view()}, [&](const store::Row& row) { used[row.text(0)] = row.integer(1); }));
  TRY(transaction.run("DELETE FROM csa_grant WHERE key_id = ?", {id.view()}));
  TRY(transaction.run("DELETE FROM csa_export_target WHERE key_id = ?", {id.view()}));
  return insert_policy(transaction, id, policy, used);
}

Result<std::vector<Erased>> erase_below(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t version) {
  std::vector<Erased> out;
  TRY(transaction.query("SELECT version, commitment FROM csa_version WHERE key_id = ? AND version < ? AND sealed IS NOT NULL ORDER BY version", {id.view(), store::column(version)},
                        [&](const store::Row& row) {
                          out.push_back({.version = static_cast<std::uint32_t>(row.integer(0)), .commitment = row.is_null(1) ? Bytes() : row.blob(1)});
                        }));
  TRY(transaction.run("UPDATE csa_version SET sealed = NULL WHERE key_id = ? AND version < ?", {id.view(), store::column(version)}));
  return Result<std::vector<Erased>>(std::move(out));
}

Result<void> spend_total(store::Transaction& transaction, const CsaKeyId& id, const Grant& grant) {
  if (grant.total == 0) return {};
  ASSIGN_OR_RETURN(const std::int64_t changed, transaction.run("UPDATE csa_grant SET used = used + 1 WHERE key_id = ? AND caller = ? AND used < total",
                                                               {id.view(), std::string_view(grant.caller)}));
  if (changed != 1) return fail(ErrorCode::exhausted, "the grant of " + grant.caller + " has been used " + std::to_string(grant.total) + " times, which is all");
  return {};
}

Result<std::int64_t> reserve_seals(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t version, std::int64_t block, std::int64_t max) {
  std::int64_t reserved = max;
  TRY(transaction.query("SELECT seals_reserved FROM csa_version WHERE key_id = ? AND version = ?", {id.view(), store::column(version)},
                        [&](const store::Row& row) { reserved = row.integer(0); }));
  const std::int64_t given = std::min(block, max - reserved);
  if (given <= 0) return 0;
  // Of two front ends of one database that read the same number, one counts.
  ASSIGN_OR_RETURN(const std::int64_t changed, transaction.run("UPDATE csa_version SET seals_reserved = ? WHERE key_id = ? AND version = ? AND seals_reserved = ?",
                                                               {reserved + given, id.view(), store::column(version), reserved}));
  if (changed != 1) return fail(ErrorCode::unavailable, "key " + id.hex() + ": its nonces are being counted elsewhere: ask again");
  return given;
}

Result<std::int64_t> count_owned(store::Transaction& transaction, std::string_view owner) {
  std::int64_t out = 0;
  TRY(transaction.query("SELECT COUNT(*) FROM csa_key WHERE owner = ? AND state <> 'destroyed'", {owner}, [&](const store::Row& row) { out = row.integer(0); }));
  return out;
}

Result<std::vector<CsaKeyId>> list_ids(store::Transaction& transaction, std::optional<std::string_view> caller, const std::optional<CsaKeyId>& after, std::size_t limit) {
  std::vector<CsaKeyId> out;
  const auto each = [&](const store::Row& row) { out.push_back(CsaKeyId(row.blob(0))); };
  static constexpr std::array<std::uint8_t, 1> before_all{0};  // shorter than any id, and not above it
  const ByteView from = after ? after->view() : ByteView(before_all);
  if (caller) {
    TRY(transaction.query("SELECT key_id FROM csa_key WHERE key_id > ? AND (owner = ? OR key_id IN (SELECT key_id FROM csa_grant WHERE caller = ?)) ORDER BY key_id LIMIT ?",
                          {from, *caller, *caller, store::column(limit)}, each));
  } else {
    TRY(transaction.query("SELECT key_id FROM csa_key WHERE key_id > ? ORDER BY key_id LIMIT ?", {from, store::column(limit)}, each));
  }
  return out;
}

Result<std::vector<CsaKeyId>> list_past(store::Transaction& transaction, UnixMs now) {
  std::vector<CsaKeyId> out;
  TRY(transaction.query("SELECT key_id FROM csa_key WHERE state = 'enabled' AND not_after_ms IS NOT NULL AND not_after_ms <= ? ORDER BY not_after_ms LIMIT 100",
                        {store::column(now)}, [&](const store::Row& row) { out.push_back(CsaKeyId(row.blob(0))); }));
  return out;
}

Result<std::vector<CsaKeyId>> list_enabled_before(store::Transaction& transaction, UnixMs now, std::size_t limit) {
  std::vector<CsaKeyId> out;
  TRY(transaction.query("SELECT key_id FROM csa_key WHERE state = 'suspended' AND suspended_from = 'enabled' AND (not_after_ms IS NULL OR not_after_ms > ?) ORDER BY key_id LIMIT ?",
                        {store::column(now), store::column(limit)}, [&](const store::Row& row) { out.push_back(CsaKeyId(row.blob(0))); }));
  return out;
}

Result<std::int64_t> count_suspended(store::Transaction& transaction) {
  std::int64_t out = 0;
  TRY(transaction.query("SELECT COUNT(*) FROM csa_key WHERE state = 'suspended'", {}, [&](const store::Row& row) { out = row.integer(0); }));
  return out;
}

Result<std::vector<CsaKeyId>> list_due(store::Transaction& transaction, UnixMs now) {
  std::vector<CsaKeyId> out;
  TRY(transaction.query("SELECT key_id FROM csa_key WHERE delete_ms IS NOT NULL AND delete_ms <= ? ORDER BY delete_ms LIMIT 100", {store::column(now)},
                        [&](const store::Row& row) { out.push_back(CsaKeyId(row.blob(0))); }));
  return out;
}

Result<void> insert_challenge(store::Transaction& transaction, const Challenge& challenge, std::int64_t max) {
  std::int64_t unanswered = 0;
  TRY(transaction.query("SELECT COUNT(*) FROM csa_challenge WHERE verifier = ?", {std::string_view(challenge.verifier)},
                        [&](const store::Row& row) { unanswered = row.integer(0); }));
  if (unanswered >= max) return fail(ErrorCode::exhausted, challenge.verifier + " has " + std::to_string(max) + " challenges that are not answered");
  TRY(transaction.run("INSERT INTO csa_challenge (challenge, key_id, verifier, context, expires_ms) VALUES (?, ?, ?, ?, ?)",
                      {ByteView(challenge.challenge), challenge.key.view(), std::string_view(challenge.verifier), std::string_view(challenge.context),
                       store::column(challenge.expires_ms)}));
  return {};
}

Result<std::optional<Challenge>> take_challenge(store::Transaction& transaction, ByteView challenge) {
  std::optional<Challenge> out;
  TRY(transaction.query("SELECT key_id, verifier, context, expires_ms FROM csa_challenge WHERE challenge = ?", {challenge}, [&](const store::Row& row) {
    out = Challenge{.challenge = to_bytes(challenge),
                    .key = CsaKeyId(row.blob(0)),
                    .verifier = row.text(1),
                    .context = row.text(2),
                    .expires_ms = static_cast<UnixMs>(row.integer(3))};
  }));
  ASSIGN_OR_RETURN(const std::int64_t changed, transaction.run("DELETE FROM csa_challenge WHERE challenge = ?", {challenge}));
  if (changed != 1) return std::optional<Challenge>();  // somebody else has just taken it
  return out;
}

Result<void> forget_challenges(store::Transaction& transaction, UnixMs now) {
  TRY(transaction.run("DELETE FROM csa_challenge WHERE expires_ms <= ?", {store::column(now)}));
  return {};
}

}  // namespace qanat::kms::csa
