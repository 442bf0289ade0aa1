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

audit::Outcome outcome_named(std::string_view text) {
  if (text == name(audit::Outcome::success)) return audit::Outcome::success;
  return text == name(audit::Outcome::refused) ? audit::Outcome::refused : audit::Outcome::failure;
}

Result<std::vector<OwedRow>> owed_where(store::Transaction& transaction, std::string_view condition, const store::Value& value) {
  std::vector<OwedRow> out;
  TRY(transaction.query("SELECT id, place, action, subject, object, reason, outcome FROM owed_record WHERE " + std::string(condition) +
                            " ORDER BY made_ms, id, place LIMIT ?",
                        {value, paid_at_once}, [&](const store::Row& row) {
                          out.push_back({.id = OwedId(row.blob(0)),
                                         .place = row.integer(1),
                                         .record = {.action = row.text(2),
                                                    .subject = row.text(3),
                                                    .object = row.text(4),
                                                    .reason = row.text(5),
                                                    .outcome = row.is_null(6) ? audit::Outcome::success : outcome_named(row.text(6))}});
                        }));
  return out;
}

/// `find` is one transaction, and says of each record once that it is to be made here.
Result<void> pay(node::Node& node, store::Store& store, const std::string& request_id,
                 const std::function<Result<std::vector<OwedRow>>(store::Transaction&)>& find) {
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<OwedRow> owed, store.transact(find));
    if (owed.empty()) return {};
    std::vector<audit::Event> events;
    events.reserve(owed.size());
    for (const OwedRow& one : owed) events.push_back(event_of(one.record, request_id));
    TRY(node.record(events));
    node::crash_point("kms.owed.recorded");
    TRY(store.transact([&](store::Transaction& transaction) -> Result<void> {
      for (const OwedRow& one : owed) TRY(transaction.change("DELETE FROM owed_record WHERE id = ? AND place = ?", {one.id.view(), one.place}));
      return {};
    }));
  }
}

}  // namespace

audit::Event event_of(const OwedRecord& record, std::string_view request_id) {
  return {.action = record.action,
          .outcome = record.outcome,
          .subject = record.subject,
          .object = record.object,
          .reason = record.reason,
          .request_id = request_id};
}

OwedRecord end_of(const Destroyed& gone, std::string_view action, std::string_view why) {
  return {.action = std::string(action), .subject = gone.uid.text(), .object = gone.sid_wk.hex(), .reason = gone.reason(why)};
}

std::string reason_with(std::string_view why, const Bytes& commitment) {
  Destroyed gone;
  gone.commitment = commitment;
  return gone.reason(why);
}

Result<void> owe_records(store::Transaction& transaction, const OwedId& id, std::span<const OwedRecord> records, UnixMs now) {
  std::int64_t place = 0;
  for (const OwedRecord& one : records) {
    TRY(transaction.change("INSERT INTO owed_record (id, place, action, subject, object, reason, outcome, made_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                           {id.view(), place++, std::string_view(one.action), std::string_view(one.subject), std::string_view(one.object),
                            std::string_view(one.reason), name(one.outcome), store::column(now)}));
  }
  return {};
}

Result<void> pay_records(node::Node& node, store::Store& store, const OwedId& id, const std::string& request_id) {
  return pay(node, store, request_id, [&](store::Transaction& transaction) { return owed_where(transaction, "id = ?", id.view()); });
}

Result<void> pay_records(node::Node& node, store::Store& store, Owed which) {
  const UnixMs now = node.clock().now_ms();
  const std::int64_t made_until = which == Owed::all ? std::numeric_limits<std::int64_t>::max() : store::column(now - std::min(now, owed_left_over_after_ms));
  return pay(node, store, "", [&](store::Transaction& transaction) -> Result<std::vector<OwedRow>> {
    ASSIGN_OR_RETURN(std::vector<OwedRow> owed, owed_where(transaction, "made_ms <= ?", made_until));
    if (which == Owed::all) return owed;
    // Taken up here: to other front ends they are young again, and left over if this one is killed, too.
    for (const OwedRow& one : owed)
      TRY(transaction.change("UPDATE owed_record SET made_ms = ? WHERE id = ? AND place = ?", {store::column(now), one.id.view(), one.place}));
    return owed;
  });
}

void PaidRecords::add(const OwedId& id) {
  const std::lock_guard lock(mutex_);
  if (paid_.size() == most) paid_.erase(paid_.begin(), paid_.begin() + most / 2);
  paid_.push_back(id);
}

Result<void> PaidRecords::forget(store::Store& store) {
  while (true) {
    std::vector<OwedId> some;
    {
      const std::lock_guard lock(mutex_);
      const std::size_t count = std::min(paid_.size(), static_cast<std::size_t>(paid_at_once));
      some.assign(paid_.end() - static_cast<std::ptrdiff_t>(count), paid_.end());
      paid_.resize(paid_.size() - count);
    }
    if (some.empty()) return {};
    const auto forgotten = store.transact([&](store::Transaction& transaction) -> Result<void> {
      for (const OwedId& id : some) TRY(transaction.change("DELETE FROM owed_record WHERE id = ?", {id.view()}));
      return {};
    });
    if (forgotten) continue;
    for (const OwedId& id : some) add(id);
    return fail(forgotten.error());
  }
}

}  // namespace qanat::kms
