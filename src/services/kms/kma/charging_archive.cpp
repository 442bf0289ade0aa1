#include "services/kms/kma/charging_archive.hpp"

#include <algorithm>
#include <map>

#include "services/kms/kma/record_chain.hpp"

namespace qanat::kms {
namespace {

constexpr std::string_view archive_label = "qanat charging archive 1\n";
constexpr UnixMs archive_day_ms = 86'400'000;
constexpr UnixMs archive_checked_every_ms = 3'600'000;
constexpr std::int64_t checked_at_once = 2'000;  // in one transaction

std::int64_t archive_day_of(UnixMs delivered_ms) { return static_cast<std::int64_t>(delivered_ms / archive_day_ms); }

/// What a day's guarded row says of its records.
struct ChargingDay {
  std::int64_t records = 0;
  Bytes digest;
};

Bytes first_digest(std::int64_t day) { return begin_chain(archive_label, std::to_string(day)); }
/// All that a record says is in its JSON text.
Bytes next_digest(ByteView before, const ChargingRecord& charge) { return next_in_chain(before, to_json(charge).dump()); }

Result<std::optional<ChargingDay>> find_day(store::Transaction& transaction, std::int64_t day) {
  std::optional<ChargingDay> out;
  TRY(transaction.query("SELECT records, digest FROM charging_day WHERE day = ?", {day},
                        [&](const store::Row& row) { out = ChargingDay{.records = row.integer(0), .digest = row.blob(1)}; }));
  return out;
}

/// The oldest of those that were delivered before; but not while the key lives: until then its terminal may confirm.
std::string due_charges() {
  return "SELECT " + std::string(charging_columns) + " FROM charging_record WHERE delivered_ms < ? AND expires_ms < ? AND " + std::string(counts_as_charge) +
         " ORDER BY delivered_ms, sid_wk, leg LIMIT ?";
}

/// A row's key as it stands there, which need not be what this program would write.
struct RowKey {
  Bytes sid_wk;
  std::int64_t leg = 0;
};

/// Why the guard does not let the row go; nothing if it does. The row stays in either case.
Result<std::optional<std::string>> why_it_stays(store::Transaction& transaction, const RowKey& key) {
  TRY(transaction.run("SAVEPOINT charge", {}));
  const auto gone = transaction.run("DELETE FROM charging_record WHERE sid_wk = ? AND leg = ?", {ByteView(key.sid_wk), key.leg});
  TRY(transaction.run("ROLLBACK TO charge", {}));
  TRY(transaction.run("RELEASE charge", {}));
  if (gone) return std::optional<std::string>();
  if (gone.error().code == ErrorCode::denied) return std::optional(gone.error().message);
  return fail(gone.error());
}

}  // namespace

Result<std::int64_t> archive_charging_records(store::Transaction& transaction, UnixMs delivered_before) {
  ASSIGN_OR_RETURN(
      const std::vector<ChargingRecord> due,
      read_charging_records(transaction, due_charges(), {store::column(delivered_before), store::column(delivered_before), charges_archived_at_once}));
  const std::string move = "INSERT INTO charging_archive (day, place, " + std::string(charging_columns) + ") SELECT ?, ?, " + std::string(charging_columns) +
                           " FROM charging_record WHERE sid_wk = ? AND leg = ?";
  struct Grown {
    ChargingDay day;
    bool is_new = false;
  };
  std::map<std::int64_t, Grown> days;
  for (const ChargingRecord& charge : due) {
    const std::int64_t number = archive_day_of(charge.delivered_ms);
    auto found = days.find(number);
    if (found == days.end()) {
      ASSIGN_OR_RETURN(const std::optional<ChargingDay> known, find_day(transaction, number));
      found = days.emplace(number, Grown{.day = known.value_or(ChargingDay{.records = 0, .digest = first_digest(number)}), .is_new = !known}).first;
    }
    ChargingDay& day = found->second.day;
    const auto leg = static_cast<std::int64_t>(charge.leg);
    TRY(transaction.run(move, {number, day.records, charge.sid_wk.view(), leg}));
    TRY(transaction.run("DELETE FROM charging_record WHERE sid_wk = ? AND leg = ?", {charge.sid_wk.view(), leg}));
    day.digest = next_digest(day.digest, charge);
    ++day.records;
  }
  for (const auto& [number, grown] : days) {
    if (grown.is_new) {
      TRY(transaction.run("INSERT INTO charging_day (day, records, digest) VALUES (?, ?, ?)", {number, grown.day.records, ByteView(grown.day.digest)}));
    } else {
      TRY(transaction.run("UPDATE charging_day SET records = ?, digest = ? WHERE day = ?", {grown.day.records, ByteView(grown.day.digest), number}));
    }
  }
  return std::ssize(due);
}

Result<std::int64_t> set_altered_charges_apart(store::Transaction& transaction, UnixMs delivered_before, const OwedId& owed) {
  struct Due {
    RowKey key;
    bool is_ours = false;
  };
  std::vector<Due> due;
  TRY(transaction.query(due_charges(), {store::column(delivered_before), store::column(delivered_before), charges_archived_at_once},
                        [&](const store::Row& row) {
                          due.push_back({.key = {.sid_wk = row.blob(0), .leg = row.integer(1)}, .is_ours = charging_record_of(row, 0).has_value()});
                        }));
  const std::string copy = "INSERT INTO charging_altered (why, " + std::string(charging_columns) + ") SELECT ?, " + std::string(charging_columns) +
                           " FROM charging_record WHERE sid_wk = ? AND leg = ?";
  std::vector<OwedRecord> records;
  for (const Due& one : due) {
    std::optional<std::string> why =
        "charging_record sid_wk=" + to_hex(one.key.sid_wk) + ", leg=" + std::to_string(one.key.leg) + ": is none that this program wrote";
    if (one.is_ours) {
      ASSIGN_OR_RETURN(why, why_it_stays(transaction, one.key));
    }
    if (!why) continue;
    TRY(transaction.run(copy, {std::string_view(*why), ByteView(one.key.sid_wk), one.key.leg}));
    records.push_back({.action = "kp.database.altered",
                       .subject = "",
                       .object = "kms.db",
                       .reason = "a charging record is set apart, and no charge: " + *why,
                       .outcome = audit::Outcome::failure});
  }
  TRY(owe_records(transaction, owed, records, delivered_before));
  return std::ssize(records);
}

Result<std::int64_t> archive_charges(store::Store& store, crypto::Rng& rng, UnixMs delivered_before) {
  std::int64_t out = 0;
  for (int i = 0; i < charges_batches; ++i) {
    const auto moved = store.transact([&](store::Transaction& transaction) { return archive_charging_records(transaction, delivered_before); });
    if (!moved) {
      const auto owed = rng.id<OwedId>();
      ASSIGN_OR_RETURN(const std::int64_t apart,
                       store.transact([&](store::Transaction& transaction) { return set_altered_charges_apart(transaction, delivered_before, owed); }));
      if (apart == 0) return fail(moved.error());
      continue;
    }
    out += *moved;
    if (*moved < charges_archived_at_once) break;
  }
  return out;
}

void describe_charges(store::Store& store, wire::Json& body) {
  std::int64_t apart = 0;
  const auto counted = store.look([&](store::Transaction& transaction) {
    return transaction.query("SELECT count(*) FROM charging_altered", {}, [&](const store::Row& row) { apart = row.integer(0); });
  });
  if (counted) body.set("charges_set_apart", apart);
}

Result<std::vector<ChargingRecord>> list_archived_charges(store::Transaction& transaction, const ChargingPlace& after, UnixMs until) {
  return read_charging_records(transaction,
                               "SELECT " + std::string(charging_columns) +
                                   " FROM charging_archive WHERE (delivered_ms, sid_wk, leg) > (?, ?, ?) AND delivered_ms < ?"
                                   " ORDER BY delivered_ms, sid_wk, leg LIMIT ?",
                               {store::column(after.delivered_ms), after.sid_wk.view(), after.leg, store::column(until), charges_per_page});
}

Result<void> forget_archived_charges(store::Transaction& transaction, UnixMs delivered_before) {
  const std::int64_t first_kept = archive_day_of(delivered_before);
  // Without its day's row a record is nobody's any more, and goes the next time if not now.
  TRY(transaction.run("DELETE FROM charging_day WHERE day < ?", {first_kept}));
  TRY(transaction.run("DELETE FROM charging_archive WHERE (day, place) IN (SELECT day, place FROM charging_archive WHERE day < ? ORDER BY day, place LIMIT ?)",
                      {first_kept, charges_forgotten_at_once}));
  return {};
}

/// What one transaction has seen; its first three are also where the check is.
struct ArchiveCheck::Seen {
  std::int64_t day = -1;  // -1: the archive has no day after the last
  std::int64_t place = 0;
  Bytes digest;         // over the day's records up to there; empty: the next day is to be begun
  bool at_end = false;  // of the day
  std::optional<ChargingDay> said;
  bool in_order = true;

  /// Done with the day, one way or the other.
  [[nodiscard]] bool is_over() const { return at_end || !in_order; }
};

namespace {

Result<void> put_place(store::Transaction& transaction, std::int64_t day, std::int64_t place, ByteView digest) {
  const store::Value so_far = digest.empty() ? store::Value() : store::Value(digest);
  ASSIGN_OR_RETURN(const std::int64_t there, transaction.run("UPDATE charging_check SET day = ?, place = ?, digest = ? WHERE id = 1", {day, place, so_far}));
  if (there == 0) TRY(transaction.run("INSERT INTO charging_check (id, day, place, digest) VALUES (1, ?, ?, ?)", {day, place, so_far}));
  return {};
}

}  // namespace

Result<ArchiveCheck::Seen> ArchiveCheck::look(store::Transaction& transaction, std::int64_t most) {
  Seen out;
  TRY(transaction.query("SELECT day, place, digest FROM charging_check WHERE id = 1", {}, [&](const store::Row& row) {
    out.day = row.integer(0);
    out.place = row.integer(1);
    if (!row.is_null(2)) out.digest = row.blob(2);
  }));
  if (out.digest.empty()) {
    const std::int64_t last = out.day;
    out = Seen{};
    TRY(transaction.query("SELECT day FROM charging_day WHERE day > ? ORDER BY day LIMIT 1", {last}, [&](const store::Row& row) { out.day = row.integer(0); }));
    if (out.day < 0 && last >= 0) TRY(put_place(transaction, -1, 0, {}));  // the next time from the first day on
    if (out.day < 0) return out;
    out.digest = first_digest(out.day);
  }
  std::int64_t rows = 0;
  TRY(transaction.query("SELECT place, " + std::string(charging_columns) + " FROM charging_archive WHERE day = ? AND place >= ? ORDER BY place LIMIT ?",
                        {out.day, out.place, most}, [&](const store::Row& row) {
                          ++rows;
                          const auto charge = charging_record_of(row, 1);
                          out.in_order = out.in_order && charge && row.integer(0) == out.place && archive_day_of(charge->delivered_ms) == out.day;
                          if (out.in_order) out.digest = next_digest(out.digest, *charge);
                          ++out.place;
                        }));
  out.at_end = rows < most;
  ASSIGN_OR_RETURN(out.said, find_day(transaction, out.day));
  TRY(put_place(transaction, out.day, out.is_over() ? 0 : out.place, out.is_over() ? ByteView() : ByteView(out.digest)));
  return out;
}

Result<std::optional<std::string>> ArchiveCheck::step(store::Store& store, UnixMs now, std::int64_t records) {
  if (now < again_ms_ && again_ms_ - now <= archive_checked_every_ms) return std::optional<std::string>();
  while (records > 0) {
    const std::int64_t most = std::min(records, checked_at_once);
    records -= most;
    ASSIGN_OR_RETURN(const Seen seen, store.transact([&](store::Transaction& transaction) { return look(transaction, most); }));
    if (seen.day < 0) {
      again_ms_ = now + archive_checked_every_ms;
      break;
    }
    if (!seen.is_over() || !seen.said) continue;  // no row of the day: forgotten meanwhile
    const bool sound = seen.in_order && seen.said->records == seen.place && seen.said->digest == seen.digest;
    if (sound || !told_.insert(seen.day).second) continue;
    return std::optional("table charging_archive: the records of day " + std::to_string(seen.day) +
                         " (of 86400 s since 1970) are not those that were archived: " + std::to_string(seen.place) + " were looked at, " +
                         std::to_string(seen.said->records) + " were left");
  }
  return std::optional<std::string>();
}

}  // namespace qanat::kms
