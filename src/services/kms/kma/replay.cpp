#include "services/kms/kma/replay.hpp"

#include <algorithm>

namespace qanat::kms {
namespace {

constexpr std::int64_t forgotten_at_once = 20'000;

Result<UnixMs> forgotten_until(store::Transaction& transaction) {
  UnixMs out = 0;
  TRY(transaction.query("SELECT forget_ms FROM replay_forgotten WHERE id = 1", {}, [&](const store::Row& row) { out = static_cast<UnixMs>(row.integer(0)); }));
  return out;
}

}  // namespace

Result<void> check_can_be_new(UnixMs forget_ms, UnixMs forgotten) {
  if (forget_ms > forgotten) return {};
  return fail(ErrorCode::denied, "KeyRequest: is of a time whose applications are forgotten here: a clock was set back");
}

Result<void> put_application(store::Transaction& transaction, ByteView h_req, UnixMs forget_ms) {
  return transaction.change("INSERT INTO replay (h_req, forget_ms) VALUES (?, ?)", {h_req, store::column(forget_ms)});
}

Result<bool> remember_application(store::Transaction& transaction, ByteView h_req, UnixMs forget_ms) {
  bool known = false;
  UnixMs forgotten = 0;
  TRY(transaction.query("SELECT (SELECT count(*) FROM replay WHERE h_req = ?), (SELECT forget_ms FROM replay_forgotten WHERE id = 1)", {h_req},
                        [&](const store::Row& row) {
                          known = row.integer(0) != 0;
                          forgotten = static_cast<UnixMs>(row.integer(1));
                        }));
  if (known) return false;
  TRY(check_can_be_new(forget_ms, forgotten));
  TRY(put_application(transaction, h_req, forget_ms));
  return true;
}

Result<void> forget_applications(store::Transaction& transaction, UnixMs now) {
  UnixMs last = 0;
  // In the order of the index, so that a table of many costs no more than what is due.
  TRY(transaction.query("SELECT forget_ms FROM replay WHERE forget_ms < ? ORDER BY forget_ms DESC LIMIT 1", {store::column(now)},
                        [&](const store::Row& row) { last = static_cast<UnixMs>(row.integer(0)); }));
  if (last == 0) return {};
  ASSIGN_OR_RETURN(const UnixMs before, forgotten_until(transaction));
  ASSIGN_OR_RETURN(const std::int64_t there, transaction.run("UPDATE replay_forgotten SET forget_ms = ? WHERE id = 1", {store::column(std::max(last, before))}));
  if (there == 0) TRY(transaction.run("INSERT INTO replay_forgotten (id, forget_ms) VALUES (1, ?)", {store::column(std::max(last, before))}));
  // What is left of them is refused as known, and goes the next time.
  TRY(transaction.run("DELETE FROM replay WHERE h_req IN (SELECT h_req FROM replay WHERE forget_ms < ? ORDER BY forget_ms LIMIT ?)",
                      {store::column(now), forgotten_at_once}));
  return {};
}

}  // namespace qanat::kms
