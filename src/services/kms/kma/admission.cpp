#include "services/kms/kma/admission.hpp"

#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kma/replay.hpp"

namespace qanat::kms {

Result<std::optional<Bucket>> judge(store::Transaction& transaction, const MadeApplication& made, const Rate& rate, UnixMs now) {
  bool known = false;
  UnixMs forgotten = 0;
  UnixMs not_before = 0;
  Bucket bucket = full(rate, now);
  const std::string_view uid = made.uid.text();
  TRY(
      transaction.query("SELECT (SELECT count(*) FROM replay WHERE h_req = ?), (SELECT forget_ms FROM replay_forgotten WHERE id = 1),"
                        " (SELECT not_before_ms FROM incarnation ORDER BY number DESC LIMIT 1), (SELECT level_milli FROM application_rate WHERE uid = ?),"
                        " (SELECT at_ms FROM application_rate WHERE uid = ?)",
                        {made.h_req, uid, uid}, [&](const store::Row& row) {
                          known = row.integer(0) != 0;
                          if (!row.is_null(1)) forgotten = static_cast<UnixMs>(row.integer(1));
                          if (!row.is_null(2)) not_before = static_cast<UnixMs>(row.integer(2));
                          if (!row.is_null(3)) bucket = {.level_milli = row.integer(3), .at_ms = static_cast<UnixMs>(row.integer(4))};
                        }));
  TRY(check_is_of_life(made.ts_ms, not_before, "KeyRequest"));
  if (known) return std::optional<Bucket>{};
  TRY(check_can_be_new(made.forget_ms, forgotten));
  ASSIGN_OR_RETURN(const Bucket left, drawn(made.uid, bucket, rate, now));
  return std::optional<Bucket>(left);
}

Result<bool> take_on(store::Transaction& transaction, const MadeApplication& made, const Rate& rate, UnixMs now) {
  ASSIGN_OR_RETURN(const std::optional<Bucket> left, judge(transaction, made, rate, now));
  if (!left) return false;
  TRY(put_application(transaction, made.h_req, made.forget_ms));
  TRY(put_bucket(transaction, made.uid, *left));
  return true;
}

}  // namespace qanat::kms
