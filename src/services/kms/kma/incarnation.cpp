#include "services/kms/kma/incarnation.hpp"

#include <array>

#include "services/kms/csa/lifecycle.hpp"
#include "services/kms/csa/seal_budget.hpp"

namespace qanat::kms {
namespace {

constexpr std::string_view is_backup = "backup";

Result<void> add_life(store::Transaction& transaction, UnixMs now, UnixMs not_before_ms, std::string_view cause) {
  TRY(transaction.run("INSERT INTO incarnation (number, began_ms, not_before_ms, cause) SELECT coalesce(max(number), 0) + 1, ?, ?, ? FROM incarnation",
                      {store::column(now), store::column(not_before_ms), cause}));
  return {};
}

// These two say that the database was put back by somebody: was_put_back() looks for them.
constexpr std::string_view is_restored = "restored";
constexpr std::string_view is_accepted = "accepted";

constexpr std::string_view name(NewLife why) {
  switch (why) {
    case NewLife::other_history:
      return "other history";
    case NewLife::accepted:
      return is_accepted;
    case NewLife::restored:
      return is_restored;
  }
  return {};
}

constexpr std::array forgotten{
    std::string_view("DELETE FROM delivered_answer"), std::string_view("DELETE FROM pending_agreement"), std::string_view("DELETE FROM announced_session"), std::string_view("DELETE FROM prepared_encryption"),
    std::string_view("DELETE FROM standby_pair"), std::string_view("DELETE FROM quantum_key"), std::string_view("DELETE FROM token"), std::string_view("DELETE FROM peer_grant"), std::string_view("DELETE FROM csa_challenge"),
    std::string_view("DELETE FROM call_group"),  // the numbers of its epochs may have gone on
    // An order whose key was collected since.
    std::string_view("DELETE FROM recovery_signature"), std::string_view("DELETE FROM recovery_order"),
    // A private key that the terminal may have by now. If it has not, it enrols again.
    std::string_view("UPDATE terminal SET answer = NULL, sealed_encryption = NULL WHERE sealed_encryption IS NOT NULL"),
    // What SAEs could fetch here, and what is shared with other KMSs for them: the other end finds that it is not here.
    std::string_view("DELETE FROM key_chunk"), std::string_view("DELETE FROM sae_key"), std::string_view("UPDATE key_stock SET own = 0, peer = 0"),
    std::string_view("UPDATE key_run SET state = 'destroyed' WHERE state <> 'destroyed'"),
    // Keys of applications (csa), which are used often and stay. Some were destroyed or trimmed since, perhaps: each waits until an operator has looked (no step of its
    // life: in which state it is, is not known, in which it was stands beside it; one that is past its time is not enabled again by that, csa/lifecycle.hpp). How many
    // nonces they have had, and how often they were used, is not known any more: they seal under new versions, and no total has anything left.
    std::string_view("UPDATE csa_key SET suspended_from = state, state = 'suspended' WHERE state <> 'destroyed' AND state <> 'suspended'"),
    std::string_view("UPDATE csa_version SET seals_reserved = 4294967296 WHERE sealed IS NOT NULL"), std::string_view("UPDATE csa_grant SET used = total WHERE total > 0")};
static_assert(csa::name(csa::State::suspended) == "suspended" && csa::name(csa::State::destroyed) == "destroyed" && csa::SealLimits{}.max == 4294967296);
// A medium still has the keys that are gone here, and had charges that are not known any more: it is told to wipe itself when it asks, and another is registered.
constexpr std::array charged_forgotten{
    std::string_view("DELETE FROM injected_key"), std::string_view("UPDATE medium SET state = 'wiped', sealed_transport = NULL WHERE state <> 'wiped'"),
    std::string_view("UPDATE medium_set SET next_index = free_index WHERE next_index <> free_index"), std::string_view("UPDATE charge SET answer = NULL WHERE answer IS NOT NULL")};

Result<std::int64_t> destroy_keys(store::Transaction& transaction, UnixMs now, NewLife why) {
  ASSIGN_OR_RETURN(const std::int64_t destroyed,
                   transaction.run("UPDATE working_key SET state = 'destroyed', sealed_wk = NULL, answer = NULL, answer_digest = NULL, ended_ms = ?, ended_by = 'kms', ended_why = ?"
                                   " WHERE state <> 'destroyed'",
                                   {store::column(now), name(why)}));
  for (const std::string_view sql : forgotten) TRY(transaction.run(sql, {}));
  if (why == NewLife::restored) {
    for (const std::string_view sql : charged_forgotten) TRY(transaction.run(sql, {}));
  }
  return destroyed;
}

}  // namespace

Result<std::int64_t> begin_life(store::Transaction& transaction, UnixMs now, UnixMs not_before_ms, NewLife why) {
  ASSIGN_OR_RETURN(const std::int64_t destroyed, destroy_keys(transaction, now, why));
  TRY(add_life(transaction, now, not_before_ms, name(why)));
  return destroyed;
}

Result<void> check_of_this_life(store::Transaction& transaction, UnixMs ts_ms, std::string_view message) {
  UnixMs not_before = 0;
  TRY(transaction.query("SELECT not_before_ms FROM incarnation ORDER BY number DESC LIMIT 1", {},
                        [&](const store::Row& row) { not_before = static_cast<UnixMs>(row.integer(0)); }));
  return check_is_of_life(ts_ms, not_before, message);
}

Result<void> check_is_of_life(UnixMs ts_ms, UnixMs not_before_ms, std::string_view message) {
  if (ts_ms >= not_before_ms) return {};
  return fail(ErrorCode::denied, std::string(message) + ": is from before the database was restored");
}

Result<bool> was_put_back(store::Transaction& transaction, UnixMs since_ms) {
  bool out = false;
  TRY(transaction.query("SELECT number FROM incarnation WHERE cause IN (?, ?) AND began_ms >= ? LIMIT 1", {is_restored, is_accepted, store::column(since_ms)},
                        [&](const store::Row&) { out = true; }));
  return out;
}

Result<void> mark_as_backup(store::Transaction& transaction, UnixMs now) {
  TRY(destroy_keys(transaction, now, NewLife::restored));
  return add_life(transaction, now, 0, is_backup);
}

Result<void> check_is_no_backup(store::Transaction& transaction) {
  bool backup = false;
  TRY(transaction.query("SELECT cause FROM incarnation ORDER BY number DESC LIMIT 1", {}, [&](const store::Row& row) { backup = row.text(0) == is_backup; }));
  if (!backup) return {};
  return fail(ErrorCode::denied, "this database is a backup: `qanat kms restore` makes it serve");
}

}  // namespace qanat::kms
