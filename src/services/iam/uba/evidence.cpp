#include "services/iam/uba/evidence.hpp"

#include <algorithm>
#include <cstdlib>
#include <ranges>
#include <set>

namespace qanat::iam {
namespace {

constexpr UnixMs day_ms = 86'400'000;
constexpr UnixMs history_ms = 30 * day_ms;  // how far back `hour` looks, and a call says that its subject's calls are reported
constexpr std::int64_t hours_kept = 30 * hours_per_day;
constexpr std::int64_t evidence_read_max = 2000;  // records that one answer rests on
constexpr std::int64_t drop_max = 1000;           // in one report
constexpr UnixMs late_max = day_ms;               // so late may a report be, and is judged as if it had come in time
constexpr UnixMs ahead_max = day_ms;              // what is further ahead of IAM's clock is not taken in
constexpr std::string_view half_key = "key";
constexpr std::string_view half_call = "call";

UnixMs span(std::int64_t seconds) { return static_cast<UnixMs>(seconds) * second_ms; }
UnixMs back(UnixMs from, UnixMs by) { return from - std::min(from, by); }

/// Both find it in the index behaviour_session, which has these two actions alone: a query that does not say so word for word is not answered from it.
constexpr std::string_view any_call = "SELECT 1 FROM behaviour WHERE uid = ? AND object = ? AND action = 'call' AND action IN ('application', 'call') LIMIT 1";
constexpr std::string_view earlier_key =
    "SELECT seq FROM behaviour WHERE uid = ? AND object = ? AND action = 'application' AND action IN ('application', 'call') AND outcome = 'delivered' "
    "AND seq < ? ORDER BY time_ms LIMIT 1";

Result<bool> has_call(store::Transaction& transaction, const BehaviourRecord& record) {
  bool found = false;
  TRY(transaction.query(any_call, {std::string_view(record.uid.text()), std::string_view(record.object)}, [&](const store::Row&) { found = true; }));
  return found;
}
Result<std::optional<std::int64_t>> key_before(store::Transaction& transaction, const StoredBehaviour& fresh) {
  std::optional<std::int64_t> found;
  TRY(transaction.query(earlier_key, {std::string_view(fresh.record.uid.text()), std::string_view(fresh.record.object), fresh.seq},
                        [&](const store::Row& row) { found = row.integer(0); }));
  return found;
}

Result<void> open_half(store::Transaction& transaction, const StoredBehaviour& fresh, std::string_view half) {
  TRY(transaction.run(
      "INSERT OR IGNORE INTO half_session (uid, half, object, time_ms, seq) VALUES (?, ?, ?, ?, ?)",
      {std::string_view(fresh.record.uid.text()), half, std::string_view(fresh.record.object), store::column(fresh.record.time_ms), fresh.seq}));
  return {};
}
Result<void> close_half(store::Transaction& transaction, const BehaviourRecord& record, std::string_view half) {
  TRY(transaction.run("DELETE FROM half_session WHERE uid = ? AND half = ? AND object = ?",
                      {std::string_view(record.uid.text()), half, std::string_view(record.object)}));
  return {};
}

Result<void> take_in_key(store::Transaction& transaction, const StoredBehaviour& fresh) {
  ASSIGN_OR_RETURN(const bool called, has_call(transaction, fresh.record));
  return called ? close_half(transaction, fresh.record, half_call) : open_half(transaction, fresh, half_key);
}

Result<void> take_in_call(store::Transaction& transaction, const StoredBehaviour& fresh) {
  TRY(transaction.run("INSERT INTO call_reporter (uid, last_ms) VALUES (?, ?) ON CONFLICT (uid) DO UPDATE SET last_ms = max(last_ms, excluded.last_ms)",
                      {std::string_view(fresh.record.uid.text()), store::column(std::min(fresh.record.time_ms, fresh.received_ms))}));
  ASSIGN_OR_RETURN(const auto key, key_before(transaction, fresh));
  if (key) return close_half(transaction, fresh.record, half_key);
  return fresh.record.outcome == outcome_started ? open_half(transaction, fresh, half_call) : Result<void>();
}

/// Into the tables. Of a report all, before the rules look at one.
Result<void> take_in(store::Transaction& transaction, const StoredBehaviour& fresh) {
  if (fresh.record.time_ms > fresh.received_ms + ahead_max) return {};
  TRY(transaction.run("INSERT INTO behaviour_hour (uid, hour, records) VALUES (?, ?, 1) ON CONFLICT (uid, hour) DO UPDATE SET records = records + 1",
                      {std::string_view(fresh.record.uid.text()), hours_of_epoch(fresh.record.time_ms)}));
  if (delivers(fresh.record)) return take_in_key(transaction, fresh);
  if (fresh.record.action == action_call) return take_in_call(transaction, fresh);
  return {};
}

/// Of the fresh record's subject, of this action (empty: any), within the window that ends with it, newest first. Objects are left out: the index
/// behaviour_uid_time has the rest.
Result<std::vector<StoredBehaviour>> recent(store::Transaction& transaction, const StoredBehaviour& fresh, std::int64_t window_s, std::string_view action) {
  const Uid& uid = fresh.record.uid;
  const UnixMs until = fresh.record.time_ms;
  std::vector<StoredBehaviour> out;
  TRY(transaction.query(
      "SELECT seq, kms, time_ms, action, outcome FROM (SELECT seq, kms, time_ms, action, outcome FROM behaviour WHERE uid = ?1 AND time_ms > ?2 AND "
      "time_ms <= ?3 ORDER BY time_ms DESC LIMIT ?5) WHERE ?4 = '' OR action = ?4 ORDER BY time_ms DESC",
      {std::string_view(uid.text()), store::column(until) - store::column(span(window_s)), store::column(until), action, evidence_read_max},
      [&](const store::Row& row) {
        out.push_back({.seq = row.integer(0),
                       .reporter = row.text(1),
                       .record = {.time_ms = static_cast<UnixMs>(row.integer(2)), .uid = uid, .action = row.text(3), .outcome = row.text(4), .object = {}}});
      }));
  return out;
}

Result<void> gather_recent(store::Transaction& transaction, const RuleSettings& rules, const StoredBehaviour& fresh, Evidence& out) {
  if (rules.on(RuleKind::rate)) {
    ASSIGN_OR_RETURN(const auto alike, recent(transaction, fresh, rules(RuleKind::rate, "window_s"), fresh.record.action));
    for (const StoredBehaviour& one : alike | std::views::reverse) out.alike.push_back(one.seq);
  }
  if (rules.on(RuleKind::refusals) && !went_well(fresh.record)) {
    ASSIGN_OR_RETURN(const auto all, recent(transaction, fresh, rules(RuleKind::refusals, "window_s"), ""));
    for (const StoredBehaviour& one : all | std::views::reverse) {
      if (!went_well(one.record)) out.failed.push_back(one.seq);
    }
  }
  if (rules.on(RuleKind::place) && has_place(fresh)) {
    ASSIGN_OR_RETURN(const auto all, recent(transaction, fresh, rules(RuleKind::place, "apart_s"), fresh.record.action));
    const auto other = std::ranges::find_if(all, [&](const StoredBehaviour& one) { return one.reporter != fresh.reporter && has_place(one); });
    if (other != all.end()) out.elsewhere = *other;
  }
  return {};
}

/// Of the hours before the fresh record's own: what comes in the same one, in one report perhaps, does not make it usual.
Result<void> gather_hours(store::Transaction& transaction, const RuleSettings& rules, const StoredBehaviour& fresh, Evidence& out) {
  if (!rules.on(RuleKind::hour)) return {};
  const std::string_view uid = fresh.record.uid.text();
  const std::int64_t hour = hours_of_epoch(fresh.record.time_ms);
  std::int64_t first = hour;
  TRY(transaction.query("SELECT hour FROM behaviour_hour WHERE uid = ? AND hour >= ? AND hour < ? ORDER BY hour LIMIT 1", {uid, hour - hours_kept, hour},
                        [&](const store::Row& row) { first = row.integer(0); }));
  out.hours.days = (hour - first) / hours_per_day;
  if (out.hours.days < rules(RuleKind::hour, "days_min")) return {};
  return transaction.query("SELECT hour, records FROM behaviour_hour WHERE uid = ? AND hour >= ? AND hour < ?", {uid, hour - hours_kept, hour},
                           [&](const store::Row& row) {
                             const std::int64_t apart = std::abs(hour_of_day(row.integer(0)) - hour_of_day(hour));
                             out.hours.before += row.integer(1);
                             if (apart <= 1 || apart == hours_per_day - 1) out.hours.near += row.integer(1);
                           });
}

Result<void> gather_sequence(store::Transaction& transaction, const RuleSettings& rules, const StoredBehaviour& fresh, Evidence& out) {
  if (!rules.on(RuleKind::sequence)) return {};
  if (delivers(fresh.record)) {
    ASSIGN_OR_RETURN(out.delivered_before, key_before(transaction, fresh));
  }
  // Judged when something later comes in, so that a report that was on its way is not missed.
  const UnixMs settled = back(fresh.record.time_ms, span(rules(RuleKind::sequence, "settle_s")));
  return transaction.query(
      "SELECT seq, object FROM half_session WHERE uid = ? AND half = ? AND time_ms >= ? AND time_ms <= ? ORDER BY time_ms, seq LIMIT 1",
      {std::string_view(fresh.record.uid.text()), half_call, store::column(back(settled, day_ms)), store::column(settled)}, [&](const store::Row& row) {
        out.keyless_call = {.seq = row.integer(0), .reporter = {}, .record = {.uid = fresh.record.uid, .action = {}, .outcome = {}, .object = row.text(1)}};
      });
}

Result<void> gather_keys(store::Transaction& transaction, const RuleSettings& rules, const StoredBehaviour& fresh, Evidence& out) {
  if (!rules.on(RuleKind::keys)) return {};
  const std::string_view uid = fresh.record.uid.text();
  const UnixMs time = fresh.record.time_ms;
  bool reports_calls = false;  // if not, there is nothing to compare with
  TRY(transaction.query("SELECT 1 FROM call_reporter WHERE uid = ? AND last_ms >= ?", {uid, store::column(back(time, history_ms))},
                        [&](const store::Row&) { reports_calls = true; }));
  if (!reports_calls) return {};
  TRY(transaction.query("SELECT seq FROM half_session WHERE uid = ? AND half = ? AND time_ms > ? AND time_ms <= ? ORDER BY time_ms DESC LIMIT ?",
                        {uid, half_key, store::column(back(time, span(rules(RuleKind::keys, "window_s")))),
                         store::column(back(time, span(rules(RuleKind::keys, "grace_s")))), evidence_read_max},
                        [&](const store::Row& row) { out.unused_keys.push_back(row.integer(0)); }));
  std::ranges::reverse(out.unused_keys);
  return {};
}

Result<Evidence> gather(store::Transaction& transaction, const RuleSettings& rules, const StoredBehaviour& fresh) {
  Evidence out;
  TRY(gather_recent(transaction, rules, fresh, out));
  TRY(gather_hours(transaction, rules, fresh, out));
  TRY(gather_sequence(transaction, rules, fresh, out));
  TRY(gather_keys(transaction, rules, fresh, out));
  return out;
}

/// What no rule asks about any more, also if a report is late.
Result<void> prune(store::Transaction& transaction, const RuleSettings& rules, const Uid& uid, UnixMs now) {
  const std::string_view text = uid.text();
  TRY(transaction.run("DELETE FROM behaviour_hour WHERE uid = ? AND hour < ?", {text, hours_of_epoch(back(now, late_max)) - hours_kept}));
  const auto drop = [&](std::string_view half, UnixMs kept) {
    return transaction.run(
        "DELETE FROM half_session WHERE uid = ?1 AND half = ?2 AND object IN (SELECT object FROM half_session WHERE uid = ?1 AND half = ?2 "
        "AND time_ms < ?3 ORDER BY time_ms LIMIT ?4)",
        {text, half, store::column(back(now, kept + late_max)), drop_max});
  };
  TRY(drop(half_key, span(rules(RuleKind::keys, "window_s"))));
  TRY(drop(half_call, span(rules(RuleKind::sequence, "settle_s")) + day_ms));
  return {};
}

}  // namespace

Result<std::vector<std::pair<Uid, Finding>>> judge(store::Transaction& transaction, const RuleSettings& rules, const std::vector<StoredBehaviour>& fresh,
                                                   UnixMs now) {
  std::set<Uid> subjects;
  for (const StoredBehaviour& one : fresh) {
    TRY(take_in(transaction, one));
    subjects.insert(one.record.uid);
  }
  std::vector<std::pair<Uid, Finding>> out;
  for (const StoredBehaviour& one : fresh) {
    ASSIGN_OR_RETURN(const Evidence evidence, gather(transaction, rules, one));
    for (Finding& finding : examine(rules, evidence, one)) out.emplace_back(one.record.uid, std::move(finding));
  }
  for (const Uid& uid : subjects) TRY(prune(transaction, rules, uid, now));
  return out;
}

}  // namespace qanat::iam
