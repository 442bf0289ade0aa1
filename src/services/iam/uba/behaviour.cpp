#include "services/iam/uba/behaviour.hpp"

#include "crypto/kdf.hpp"
#include "node/crash_point.hpp"
#include "wire/writer.hpp"

namespace qanat::iam {
namespace {

constexpr wire::Bounds text_bounds{0, record_text_max};
constexpr std::size_t chain_size = 32;

Result<Bytes> link(ByteView before, std::string_view kms, UnixMs received, const BehaviourRecord& record) {
  wire::Writer out;
  out.raw(before);
  out.opaque("kms", kms, {1, 64});
  out.u64(received);
  out.u64(record.time_ms);
  out.opaque("uid", record.uid.text(), {1, 64});
  out.opaque("action", record.action, text_bounds);
  out.opaque("outcome", record.outcome, text_bounds);
  out.opaque("object", record.object, text_bounds);
  ASSIGN_OR_RETURN(const Bytes octets, std::move(out).finish());
  return crypto::digest(crypto::Hash::sha256, octets);
}

constexpr std::string_view behaviour_columns = "SELECT seq, kms, received_ms, time_ms, uid, action, outcome, object FROM behaviour ";

StoredBehaviour stored_behaviour(const store::Row& row) {
  return {.seq = row.integer(0),
          .reporter = row.text(1),
          .received_ms = static_cast<UnixMs>(row.integer(2)),
          .record = {
              .time_ms = static_cast<UnixMs>(row.integer(3)), .uid = Uid(row.text(4)), .action = row.text(5), .outcome = row.text(6), .object = row.text(7)}};
}

}  // namespace

Result<void> Behaviour::append(const Report& report, UnixMs now, const AfterAppend& after) {
  const std::vector<BehaviourRecord>& records = report.records;
  const std::string& reporter = report.reporter.name;
  const std::string uri = report.reporter.uri();
  if (records.empty() || records.size() > records_max) {
    return fail(ErrorCode::invalid_argument, std::to_string(records.size()) + " records where 1 to " + std::to_string(records_max) + " belong");
  }
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    bool known = false;
    TRY(transaction.query("SELECT 1 FROM last_report WHERE reporter = ? AND report = ?", {std::string_view(uri), std::string_view(report.id)},
                          [&](const store::Row&) { known = true; }));
    if (known) return {};
    if (!report.id.empty()) {
      TRY(transaction.run("INSERT OR REPLACE INTO last_report (reporter, report) VALUES (?, ?)", {std::string_view(uri), std::string_view(report.id)}));
    }
    Bytes chain(chain_size);
    std::int64_t seq = 0;
    TRY(transaction.query("SELECT seq, chain FROM behaviour ORDER BY seq DESC LIMIT 1", {}, [&](const store::Row& row) {
      seq = row.integer(0);
      chain = row.blob(1);
    }));
    std::vector<StoredBehaviour> fresh;
    for (const BehaviourRecord& record : records) {
      ASSIGN_OR_RETURN(chain, link(chain, reporter, now, record));
      TRY(transaction.run(
          "INSERT INTO behaviour (seq, kms, received_ms, time_ms, uid, action, outcome, object, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
          {++seq, std::string_view(reporter), static_cast<std::int64_t>(now), static_cast<std::int64_t>(record.time_ms), std::string_view(record.uid.text()),
           std::string_view(record.action), std::string_view(record.outcome), std::string_view(record.object), ByteView(chain)}));
      fresh.push_back({.seq = seq, .reporter = reporter, .received_ms = now, .record = record});
    }
    if (after) TRY(after(transaction, fresh));
    return {};
  }));
  node::crash_point("iam.behaviour.appended");
  return {};
}

Result<std::vector<StoredBehaviour>> Behaviour::query(const BehaviourQuery& wanted) {
  std::vector<StoredBehaviour> out;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query(std::string(behaviour_columns) +
                                 "WHERE seq > ?1 AND (?2 = '' OR uid = ?2) AND (?3 = '' OR action = ?3) AND (?4 = '' OR outcome = ?4) AND time_ms >= ?5 AND "
                                 "time_ms < ?6 ORDER BY seq LIMIT ?7",
                             {wanted.after, std::string_view(wanted.uid), std::string_view(wanted.action), std::string_view(wanted.outcome),
                              store::column(wanted.from_ms), store::column(wanted.until_ms), wanted.limit},
                             [&](const store::Row& row) { out.push_back(stored_behaviour(row)); });
  }));
  return out;
}

Result<std::int64_t> Behaviour::verify() {
  return store_.transact([&](store::Transaction& transaction) -> Result<std::int64_t> {
    Bytes chain(chain_size);
    std::int64_t count = 0;
    Result<void> outcome;
    TRY(transaction.query(
        "SELECT seq, kms, received_ms, time_ms, uid, action, outcome, object, chain FROM behaviour ORDER BY seq", {}, [&](const store::Row& row) {
          if (!outcome) return;
          const BehaviourRecord record{
              .time_ms = static_cast<UnixMs>(row.integer(3)), .uid = Uid(row.text(4)), .action = row.text(5), .outcome = row.text(6), .object = row.text(7)};
          const auto wanted = link(chain, row.text(1), static_cast<UnixMs>(row.integer(2)), record);
          chain = row.blob(8);
          ++count;
          if (!wanted || *wanted != chain || row.integer(0) != count) {
            outcome = fail(ErrorCode::internal, "behaviour record " + std::to_string(row.integer(0)) + " was altered, or one before it is gone");
          }
        }));
    TRY(outcome);
    return count;
  });
}

}  // namespace qanat::iam
