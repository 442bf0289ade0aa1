#include "services/kms/kma/key_history.hpp"

#include <algorithm>
#include <array>

#include "base/utf8.hpp"
#include "node/crash_point.hpp"
#include "services/kms/kma/charging_records.hpp"
#include "wire/json.hpp"

namespace qanat::kms {
namespace {

constexpr std::chrono::milliseconds turn_max{200};

// All that is left of a destroyed key: sealed_wk, answer and answer_digest are NULL, the state is known, and row_mac is of the row.
constexpr std::string_view finished_keys =
    "SELECT w.sid_wk, w.leg, w.expires_ms, w.sid_call, w.uid, w.peer_uid, w.peer_number, w.peer_kms, w.peer_fp_classical, w.peer_fp_ml_dsa, w.traffic,"
    " w.level_min, w.deliveries_max, w.deliveries, w.assurance, w.n_paths, w.path_min, w.th9, w.h_req, w.h_deliver, w.commitment, w.front_end,"
    " w.directory_epoch, w.ended_ms, w.ended_by, w.ended_why FROM working_key AS w WHERE w.sealed_wk IS NULL AND w.state = 'destroyed'";
constexpr std::string_view segment_columns =
    "s.number, s.life, s.front_end, s.began_ms, s.grown_ms, s.previous, s.records, s.octets, s.digest, s.keys, s.until_ms";

UnixMs earlier(UnixMs now, UnixMs span) { return now - std::min(now, span); }
/// A clock that was set back makes nothing older than it is.
bool is_within(UnixMs since, UnixMs now, UnixMs span) { return now < since || now - since < span; }

HistorySegment segment_of(const store::Row& row, int first) {
  return {.head = {.kms = {}, .life = row.integer(first + 1), .number = row.integer(first), .previous = row.blob(first + 5)},
          .front_end = row.text(first + 2),
          .began_ms = static_cast<UnixMs>(row.integer(first + 3)),
          .grown_ms = static_cast<UnixMs>(row.integer(first + 4)),
          .extent = {.records = row.integer(first + 6), .octets = row.integer(first + 7), .digest = row.blob(first + 8)},
          .keys = row.integer(first + 9),
          .until_ms = static_cast<UnixMs>(row.integer(first + 10))};
}

Result<wire::Json> cell(const store::Row& row, int column) {
  switch (row.type(column)) {
    case store::ColumnType::integer:
      return wire::Json(row.integer(column));
    case store::ColumnType::blob:
      return wire::Json(to_hex(row.blob(column)));
    case store::ColumnType::text: {
      const std::string text = row.text(column);
      if (!is_utf8(text)) return fail(ErrorCode::internal, "kms.db: a working key that this program did not write");
      return wire::Json(text);
    }
    case store::ColumnType::null:
      break;
  }
  return wire::Json();
}

/// A row of finished_keys, as the archive has it.
struct Finished {
  SidWk sid_wk;
  wire::Role leg{};
  UnixMs expires_ms = 0;
  std::string line;
};
Result<Finished> finished_of(const store::Row& row) {
  Finished out;
  ASSIGN_OR_RETURN(out.sid_wk, SidWk::parse(row.blob(0)));
  out.leg = static_cast<wire::Role>(row.integer(1));
  out.expires_ms = static_cast<UnixMs>(row.integer(2));
  wire::Json json = wire::Json::object({{"sid_wk", out.sid_wk.hex()}, {"leg", leg_name(out.leg)}});
  for (int column = 2; column < row.columns(); ++column) {
    if (row.is_null(column)) continue;
    ASSIGN_OR_RETURN(const wire::Json value, cell(row, column));
    json.set(row.name(column), value);
  }
  out.line = json.dump();
  if (out.line.size() > segment_line_max) return fail(ErrorCode::internal, "working key " + out.sid_wk.hex() + ": is too long for the archive");
  return out;
}

/// The oldest whose time was over before this. What is destroyed stays as it is: the same are due until they leave.
Result<std::vector<Finished>> due_before(store::Transaction& transaction, std::int64_t before) {
  std::vector<Finished> out;
  Result<void> read;
  const std::string due = std::string(finished_keys) + " AND w.expires_ms < ? ORDER BY w.expires_ms, w.sid_wk, w.leg LIMIT ?";
  TRY(transaction.query(due, {before, history_at_once}, [&](const store::Row& row) {
    auto one = finished_of(row);
    if (one) {
      out.push_back(*std::move(one));
    } else if (read) {
      read = fail(one.error());
    }
  }));
  TRY(read);
  return out;
}

Result<std::int64_t> life_of(store::Transaction& transaction) {
  std::int64_t out = 0;
  TRY(transaction.query("SELECT coalesce(max(number), 0) FROM incarnation", {}, [&](const store::Row& row) { out = row.integer(0); }));
  return out;
}

std::string describe(const HistorySegment& segment) {
  return segment.head.file_name() + ": " + std::to_string(segment.extent.records) + " keys, " + std::to_string(segment.extent.octets) + " octets";
}

}  // namespace

bool HistorySegment::operator==(const HistorySegment& other) const {
  return head.life == other.head.life && head.number == other.head.number && front_end == other.front_end && extent == other.extent;
}

Result<std::optional<HistorySegment>> newest_segment(store::Transaction& transaction) {
  std::optional<HistorySegment> out;
  TRY(transaction.query("SELECT " + std::string(segment_columns) + " FROM history_segment AS s ORDER BY s.number DESC LIMIT 1", {},
                        [&](const store::Row& row) { out = segment_of(row, 0); }));
  return out;
}

Result<std::vector<HistorySegment>> list_segments(store::Transaction& transaction, std::int64_t after) {
  std::vector<HistorySegment> out;
  TRY(transaction.query("SELECT " + std::string(segment_columns) + " FROM history_segment AS s WHERE s.number > ? ORDER BY s.number LIMIT ?",
                        {after, segments_per_page}, [&](const store::Row& row) { out.push_back(segment_of(row, 0)); }));
  return out;
}

Result<std::vector<ArchivedKey>> find_archived(store::Transaction& transaction, const SidWk& sid_wk) {
  std::vector<ArchivedKey> out;
  TRY(transaction.query(
      "SELECT u.leg, u.place, " + std::string(segment_columns) +
          " FROM used_session AS u JOIN history_segment AS s ON s.number = u.segment WHERE u.sid_wk = ? AND u.place < s.octets ORDER BY u.leg",
      {sid_wk.view()},
      [&](const store::Row& row) { out.push_back({.leg = static_cast<wire::Role>(row.integer(0)), .segment = segment_of(row, 2), .place = row.integer(1)}); }));
  return out;
}

/// What one transaction takes out of the database, after it is in the file.
struct KeyHistory::Batch {
  struct Key {
    SidWk sid_wk;
    wire::Role leg{};
    std::string line;
    std::int64_t place = 0;
  };
  std::int64_t before = 0;               // whose time was over before that
  std::optional<HistorySegment> newest;  // as it was found
  HistorySegment segment;                // as it is with these keys: the newest, or one that begins
  std::int64_t after = 0;                // octets of its file that stay
  std::string text;                      // what comes behind them
  std::vector<Key> keys;

  [[nodiscard]] bool begins() const noexcept { return after == 0; }
};

Result<std::optional<HistorySegment>> KeyHistory::newest() {
  ASSIGN_OR_RETURN(auto out, store_.look([](store::Transaction& transaction) { return newest_segment(transaction); }));
  if (out) ledger_.archived_until(out->until_ms);
  return out;
}

/// Where the lock was lost with its connection, another front end may have gone on.
Result<void> KeyHistory::check_newest(store::Transaction& transaction, const Batch& batch) {
  ASSIGN_OR_RETURN(const auto newest, newest_segment(transaction));
  if (newest == batch.newest) return {};
  return fail(ErrorCode::conflict, "the archive of keys: another front end has gone on with it");
}

Result<void> KeyHistory::open() {
  TRY(newest());
  return {};
}

bool KeyHistory::is_of_others(const std::optional<HistorySegment>& newest, UnixMs now) const {
  if (!newest || newest->front_end == settings_.front_end) return false;
  // A clock that is far from this one's tells nothing of it.
  const UnixMs off = now > newest->grown_ms ? now - newest->grown_ms : newest->grown_ms - now;
  return off < segment_left_after_ms;
}

bool KeyHistory::continues(const HistorySegment& newest, std::int64_t life, UnixMs now) const {
  return newest.head.life == life && newest.front_end == settings_.front_end && newest.extent.octets < settings_.octets_max &&
         is_within(newest.began_ms, now, segment_lasts_ms);
}

Result<bool> KeyHistory::is_due(store::Transaction& transaction, UnixMs now) const {
  bool due = false;
  TRY(transaction.query("SELECT 1 FROM working_key WHERE sealed_wk IS NULL AND state = 'destroyed' AND expires_ms < ? LIMIT 1",
                        {store::column(earlier(now, settings_.retention_ms))}, [&](const store::Row&) { due = true; }));
  return due;
}

Result<std::optional<KeyHistory::Batch>> KeyHistory::plan(store::Transaction& transaction, UnixMs now) const {
  Batch out;
  ASSIGN_OR_RETURN(out.newest, newest_segment(transaction));
  ASSIGN_OR_RETURN(const std::int64_t life, life_of(transaction));
  if (is_of_others(out.newest, now)) return std::optional<Batch>();
  out.before = store::column(earlier(now, settings_.retention_ms));
  ASSIGN_OR_RETURN(const std::vector<Finished> due, due_before(transaction, out.before));
  if (due.empty()) return std::optional<Batch>();
  if (out.newest && continues(*out.newest, life, now)) {
    out.segment = *out.newest;
    out.after = out.segment.extent.octets;
  } else {
    out.segment.head = {.kms = settings_.kms,
                        .life = life,
                        .number = out.newest ? out.newest->head.number + 1 : 1,
                        .previous = out.newest ? out.newest->extent.digest : Bytes()};
    out.segment.front_end = settings_.front_end;
    out.segment.began_ms = now;
    out.segment.keys = out.newest ? out.newest->keys : 0;
    out.segment.until_ms = out.newest ? out.newest->until_ms : 0;
    const std::string head = out.segment.head.line();
    out.segment.extent = SegmentExtent::begun_with(head);
    out.text = head + "\n";
  }
  out.segment.grown_ms = now;
  out.segment.keys += std::ssize(due);
  out.keys.reserve(due.size());
  for (const Finished& one : due) {
    out.keys.push_back({.sid_wk = one.sid_wk, .leg = one.leg, .line = one.line, .place = out.segment.extent.octets});
    out.segment.extent.add(one.line);
    out.segment.until_ms = std::max(out.segment.until_ms, one.expires_ms);
    out.text += one.line + "\n";
  }
  return std::optional<Batch>(std::move(out));
}

Result<void> KeyHistory::note_used(store::Transaction& transaction, const Batch& batch) {
  TRY(check_newest(transaction, batch));
  for (const Batch::Key& key : batch.keys) {
    // Noted already, where a process was killed before the keys had left.
    TRY(
        transaction.change("INSERT INTO used_session (sid_wk, leg, segment, place) VALUES (?, ?, ?, ?)"
                           " ON CONFLICT (sid_wk, leg) DO UPDATE SET segment = excluded.segment, place = excluded.place",
                           {key.sid_wk.view(), static_cast<std::int64_t>(key.leg), batch.segment.head.number, key.place}));
  }
  return {};
}

Result<void> KeyHistory::settle(store::Transaction& transaction, const Batch& batch, UnixMs now, const OwedId& id) const {
  TRY(check_newest(transaction, batch));
  const HistorySegment& segment = batch.segment;
  ASSIGN_OR_RETURN(const std::vector<Finished> due, due_before(transaction, batch.before));
  if (!std::ranges::equal(due, batch.keys, {}, &Finished::line, &Batch::Key::line))
    return fail(ErrorCode::conflict, "the archive of keys: what is due is not what was written into it just now");
  for (const Batch::Key& key : batch.keys) {
    TRY(transaction.change_one("DELETE FROM working_key WHERE sid_wk = ? AND leg = ?", {key.sid_wk.view(), static_cast<std::int64_t>(key.leg)}));
  }
  const SegmentExtent& extent = segment.extent;
  if (!batch.begins()) {
    return transaction.change_one("UPDATE history_segment SET grown_ms = ?, records = ?, octets = ?, digest = ?, keys = ?, until_ms = ? WHERE number = ?",
                                  {store::column(segment.grown_ms), extent.records, extent.octets, ByteView(extent.digest), segment.keys,
                                   store::column(segment.until_ms), segment.head.number});
  }
  TRY(transaction.change(
      "INSERT INTO history_segment (number, life, front_end, began_ms, grown_ms, previous, records, octets, digest, keys, until_ms)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {segment.head.number, segment.head.life, std::string_view(segment.front_end), store::column(segment.began_ms), store::column(segment.grown_ms),
       ByteView(segment.head.previous), extent.records, extent.octets, ByteView(extent.digest), segment.keys, store::column(segment.until_ms)}));
  if (!batch.newest) return {};
  const HistorySegment& last = *batch.newest;
  const std::array closed{OwedRecord{.action = "kp.archive.closed",
                                     .subject = "",
                                     .object = describe(last),
                                     .reason = "SHA-256 " + to_hex(last.extent.digest) + (last.front_end.empty() ? "" : " at front end " + last.front_end)}};
  return owe_records(transaction, id, closed, now);
}

Result<KeyHistory::Moved> KeyHistory::archive(UnixMs now, const OwedId& id) {
  Moved out;
  ASSIGN_OR_RETURN(const auto found, newest());  // another front end may have gone on
  if (is_of_others(found, now)) return out;
  ASSIGN_OR_RETURN(const bool due, store_.look([&](store::Transaction& transaction) { return is_due(transaction, now); }));
  if (!due) return out;
  const auto turn = store_.lock("archive of keys", Deadline::after(turn_max));
  if (!turn) return turn.error().code == ErrorCode::deadline_exceeded ? Result<Moved>(out) : Result<Moved>(fail(turn.error()));
  for (int i = 0; i < history_batches && !out.owes; ++i) {
    ASSIGN_OR_RETURN(const std::optional<Batch> batch, store_.transact([&](store::Transaction& transaction) { return plan(transaction, now); }));
    if (!batch) break;
    TRY(extend_segment(settings_.folder / batch->segment.head.file_name(), batch->after, batch->text));
    node::crash_point("kms.archive.written");
    // By itself: serialisable works that look whether a session was used would all meet one that also looks at what they put in.
    TRY(store_.transact([&](store::Transaction& transaction) { return note_used(transaction, *batch); }));
    node::crash_point("kms.archive.noted");
    TRY(store_.transact([&](store::Transaction& transaction) { return settle(transaction, *batch, now, id); }));
    node::crash_point("kms.archive.settled");
    ledger_.archived_until(batch->segment.until_ms);
    out.keys += std::ssize(batch->keys);
    out.owes = batch->begins() && batch->newest.has_value();
  }
  return out;
}

}  // namespace qanat::kms
