#include "services/kms/kma/incarnation.hpp"

namespace qanat::kms {
namespace {

constexpr std::string_view is_backup = "backup";

Result<void> add_life(store::Transaction& transaction, UnixMs now, UnixMs not_before_ms, std::string_view cause) {
  TRY(transaction.run("INSERT INTO incarnation (number, began_ms, not_before_ms, cause) SELECT coalesce(max(number), 0) + 1, ?, ?, ? FROM incarnation",
                      {store::column(now), store::column(not_before_ms), cause}));
  return {};
}

Result<std::int64_t> destroy_keys(store::Transaction& transaction) {
  ASSIGN_OR_RETURN(const std::int64_t destroyed,
                   transaction.run("UPDATE working_key SET state = 'destroyed', sealed_wk = NULL WHERE state <> 'destroyed'", {}));
  for (const std::string_view sql :
       {"DELETE FROM pending_agreement", "DELETE FROM announced_session", "DELETE FROM prepared_encryption", "DELETE FROM token", "DELETE FROM peer_grant",
        // A private key that the terminal may have by now. If it has not, it enrols again.
        "UPDATE terminal SET answer = NULL, sealed_encryption = NULL WHERE sealed_encryption IS NOT NULL"}) {
    TRY(transaction.run(sql, {}));
  }
  return destroyed;
}

}  // namespace

Result<std::int64_t> begin_life(store::Transaction& transaction, UnixMs now, UnixMs not_before_ms, std::string_view cause) {
  ASSIGN_OR_RETURN(const std::int64_t destroyed, destroy_keys(transaction));
  TRY(add_life(transaction, now, not_before_ms, cause));
  return destroyed;
}

Result<void> check_of_this_life(store::Transaction& transaction, UnixMs ts_ms, std::string_view message) {
  UnixMs not_before = 0;
  TRY(transaction.query("SELECT not_before_ms FROM incarnation ORDER BY number DESC LIMIT 1", {},
                        [&](const store::Row& row) { not_before = static_cast<UnixMs>(row.integer(0)); }));
  if (ts_ms >= not_before) return {};
  return fail(ErrorCode::denied, std::string(message) + ": is from before the database was restored");
}

Result<void> mark_as_backup(store::Transaction& transaction, UnixMs now) {
  TRY(destroy_keys(transaction));
  return add_life(transaction, now, 0, is_backup);
}

Result<void> check_is_no_backup(store::Transaction& transaction) {
  bool backup = false;
  TRY(transaction.query("SELECT cause FROM incarnation ORDER BY number DESC LIMIT 1", {}, [&](const store::Row& row) { backup = row.text(0) == is_backup; }));
  if (!backup) return {};
  return fail(ErrorCode::denied, "this database is a backup: `qanat kms restore` makes it serve");
}

}  // namespace qanat::kms
