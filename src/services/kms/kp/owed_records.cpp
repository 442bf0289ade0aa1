#include "services/kms/kp/owed_records.hpp"

#include <functional>
#include <limits>

#include "node/crash_point.hpp"

namespace qanat::kms {
namespace {

constexpr std::int64_t paid_at_once = 256;

struct OwedRow {
  OwedId id;
  std::int64_t place = 0;
  OwedRecord record;
};

Result<std::vector<OwedRow>> owed_where(store::Transaction& transaction, std::string_view condition, const store::Value& value) {
  std::vector<OwedRow> out;
  TRY(transaction.query("SELECT id, place, action, subject, object, reason FROM owed_record WHERE " + std::string(condition) +
                            " ORDER BY made_ms, id, place LIMIT ?",
                        {value, paid_at_once}, [&](const store::Row& row) {
                          out.push_back({.id = OwedId(row.blob(0)),
                                         .place = row.integer(1),
                                         .record = {.action = row.text(2), .subject = row.text(3), .object = row.text(4), .reason = row.text(5)}});
                        }));
  return out;
}

/// `find` is one transaction, and says of each record once that it is to be made here.
Result<void> pay(node::Node& node, store::Store& store, const std::function<Result<std::vector<OwedRow>>(store::Transaction&)>& find) {
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<OwedRow> owed, store.transact(find));
    if (owed.empty()) return {};
    for (const OwedRow& one : owed) {
      TRY(node.record({.action = one.record.action,
                       .outcome = audit::Outcome::success,
                       .subject = one.record.subject,
                       .object = one.record.object,
                       .reason = one.record.reason,
                       .request_id = ""}));
    }
    node::crash_point("kms.owed.recorded");
    TRY(store.transact([&](store::Transaction& transaction) -> Result<void> {
      for (const OwedRow& one : owed) TRY(transaction.run("DELETE FROM owed_record WHERE id = ? AND place = ?", {one.id.view(), one.place}));
      return {};
    }));
  }
}

}  // namespace

Result<void> owe_records(store::Transaction& transaction, const OwedId& id, std::span<const OwedRecord> records, UnixMs now) {
  std::int64_t place = 0;
  for (const OwedRecord& one : records) {
    TRY(transaction.run("INSERT INTO owed_record (id, place, action, subject, object, reason, made_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
                        {id.view(), place++, std::string_view(one.action), std::string_view(one.subject), std::string_view(one.object),
                         std::string_view(one.reason), store::column(now)}));
  }
  return {};
}

Result<void> pay_records(node::Node& node, store::Store& store, const OwedId& id) {
  return pay(node, store, [&](store::Transaction& transaction) { return owed_where(transaction, "id = ?", id.view()); });
}

Result<void> pay_records(node::Node& node, store::Store& store, Owed which) {
  const UnixMs now = node.clock().now_ms();
  const std::int64_t made_until = which == Owed::all ? std::numeric_limits<std::int64_t>::max() : store::column(now - std::min(now, owed_left_over_after_ms));
  return pay(node, store, [&](store::Transaction& transaction) -> Result<std::vector<OwedRow>> {
    ASSIGN_OR_RETURN(std::vector<OwedRow> owed, owed_where(transaction, "made_ms <= ?", made_until));
    if (which == Owed::all) return owed;
    // Taken up here: to other front ends they are young again, and left over if this one is killed, too.
    for (const OwedRow& one : owed)
      TRY(transaction.change("UPDATE owed_record SET made_ms = ? WHERE id = ? AND place = ?", {store::column(now), one.id.view(), one.place}));
    return owed;
  });
}

}  // namespace qanat::kms
