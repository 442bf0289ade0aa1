#include "services/iam/uba/evidence.hpp"

#include <algorithm>
#include <cstdlib>
#include <ranges>

namespace qanat::iam {
namespace {

constexpr UnixMs day_ms = 86'400'000;
constexpr UnixMs history_ms = 30 * day_ms;  // how far back a rule may look
constexpr std::int64_t hours_kept = 30 * hours_per_day;
constexpr std::int64_t evidence_read_max = 2000;  // records that one answer rests on
constexpr std::string_view half_key = "key";
constexpr std::string_view half_call = "call";

UnixMs span(std::int64_t seconds) { return static_cast<UnixMs>(seconds) * second_ms; }
UnixMs back(UnixMs from, UnixMs by) { return from - std::min(from, by); }

struct Half {
  UnixMs time_ms = 0;
  std::int64_t seq = 0;
};

/// Records of the fresh one's subject and session, of this action and (unless empty) outcome, before or after it; the oldest first.
Result<std::vector<Half>> of_session(store::Transaction& transaction, const StoredBehaviour& fresh, std::string_view action, std::string_view outcome) {
  std::vector<Half> out;
  // The index behaviour_session has these two actions alone, and is used where a query says so in the same words.
  TRY(transaction.query(
      "SELECT time_ms, seq FROM behaviour WHERE uid = ?1 AND object = ?2 AND action = ?3 AND action IN ('application', 'call') AND (?4 = '' OR outcome = ?4) "
      "AND seq <> ?5 ORDER BY time_ms, seq LIMIT ?6",
      {std::string_view(fresh.record.uid.text()), std::string_view(fresh.record.object), action, outcome, fresh.seq, evidence_read_max},
      [&](const store::Row& row) {
        out.push_back({static_cast<UnixMs>(row.integer(0)), row.integer(1)});
      }));
  return out;
}

Result<void> open_half(store::Transaction& transaction, const StoredBehaviour& fresh, std::string_view half) {
  TRY(transaction.run("INSERT INTO half_session (uid, half, time_ms, seq) VALUES (?, ?, ?, ?)",
                      {std::string_view(fresh.record.uid.text()), half, store::column(fresh.record.time_ms), fresh.seq}));
  return {};
}
Result<void> close_halves(store::Transaction& transaction, const Uid& uid, std::string_view half, const std::vector<Half>& all) {
  for (const Half& one : all) {
    TRY(transaction.run("DELETE FROM half_session WHERE uid = ? AND half = ? AND time_ms = ? AND seq = ?",
                        {std::string_view(uid.text()), half, store::column(one.time_ms), one.seq}));
  }
  return {};
}

Result<void> take_in_key(store::Transaction& transaction, const StoredBehaviour& fresh) {
  ASSIGN_OR_RETURN(const std::vector<Half> calls, of_session(transaction, fresh, action_call, ""));
  if (calls.empty()) return open_half(transaction, fresh, half_key);
  return close_halves(transaction, fresh.record.uid, half_call, calls);
}

Result<void> take_in_call(store::Transaction& transaction, const StoredBehaviour& fresh) {
  TRY(transaction.run("INSERT INTO call_reporter (uid, last_ms) VALUES (?, ?) ON CONFLICT (uid) DO UPDATE SET last_ms = max(last_ms, excluded.last_ms)",
                      {std::string_view(fresh.record.uid.text()), store::column(fresh.record.time_ms)}));
  ASSIGN_OR_RETURN(const std::vector<Half> keys, of_session(transaction, fresh, action_application, outcome_delivered));
  if (keys.empty()) return fresh.record.outcome == outcome_started ? open_half(transaction, fresh, half_call) : Result<void>();
  return close_halves(transaction, fresh.record.uid, half_key, keys);
}

/// Of the fresh record's subject, of this action (empty: any), within the window that ends with it, newest first. Objects are left out: the index
/// behaviour_uid_time has the rest.
Result<std::vector<StoredBehaviour>> recent(store::Transaction& transaction, const StoredBehaviour& fresh, std::int64_t window_s, std::string_view action) {
  const Uid& uid = fresh.record.uid;
  const UnixMs until = fresh.record.time_ms;
  std::vector<StoredBehaviour> out;
  TRY(transaction.query(
      "SELECT seq, kms, time_ms, action, outcome FROM behaviour WHERE uid = ?1 AND time_ms > ?2 AND time_ms <= ?3 AND (?4 = '' OR action = ?4) "
      "ORDER BY time_ms DESC LIMIT ?5",
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

Result<void> gather_hours(store::Transaction& transaction, const RuleSettings& rules, const StoredBehaviour& fresh, Evidence& out) {
  if (!rules.on(RuleKind::hour)) return {};
  const std::string_view uid = fresh.record.uid.text();
  const std::int64_t hour = hours_of_epoch(fresh.record.time_ms);
  std::int64_t first = hour;
  TRY(transaction.query("SELECT hour FROM behaviour_hour WHERE uid = ? AND hour >= ? ORDER BY hour LIMIT 1", {uid, hour - hours_kept},
                        [&](const store::Row& row) { first = row.integer(0); }));
  out.hours.days = (hour - first) / hours_per_day;
  if (out.hours.days < rules(RuleKind::hour, "days_min")) return {};
  TRY(transaction.query("SELECT hour, records FROM behaviour_hour WHERE uid = ? AND hour >= ? AND hour <= ?", {uid, hour - hours_kept, hour},
                        [&](const store::Row& row) {
                          const std::int64_t apart = std::abs(hour_of_day(row.integer(0)) - hour_of_day(hour));
                          out.hours.before += row.integer(1);
                          if (apart <= 1 || apart == hours_per_day - 1) out.hours.near += row.integer(1);
                        }));
  --out.hours.before;  // the fresh one itself
  --out.hours.near;
  return {};
}

Result<void> gather_sequence(store::Transaction& transaction, const RuleSettings& rules, const StoredBehaviour& fresh, Evidence& out) {
  if (!rules.on(RuleKind::sequence)) return {};
  if (delivers(fresh.record)) {
    ASSIGN_OR_RETURN(const std::vector<Half> keys, of_session(transaction, fresh, action_application, outcome_delivered));
    const auto before = std::ranges::find_if(keys, [&](const Half& one) { return one.seq < fresh.seq; });
    if (before != keys.end()) out.delivered_before = before->seq;
  }
  // Judged when something later comes in, so that a report that was on its way is not missed.
  const UnixMs settled = back(fresh.record.time_ms, span(rules(RuleKind::sequence, "settle_s")));
  return transaction.query(
      "SELECT seq, (SELECT object FROM behaviour WHERE behaviour.seq = half_session.seq) FROM half_session WHERE uid = ? AND half = ? AND time_ms >= ? AND "
      "time_ms <= ? ORDER BY time_ms LIMIT 1",
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

}  // namespace

Result<void> take_in(store::Transaction& transaction, const StoredBehaviour& fresh) {
  TRY(transaction.run("INSERT INTO behaviour_hour (uid, hour, records) VALUES (?, ?, 1) ON CONFLICT (uid, hour) DO UPDATE SET records = records + 1",
                      {std::string_view(fresh.record.uid.text()), hours_of_epoch(fresh.record.time_ms)}));
  if (delivers(fresh.record)) return take_in_key(transaction, fresh);
  if (fresh.record.action == action_call) return take_in_call(transaction, fresh);
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

Result<void> prune(store::Transaction& transaction, const RuleSettings& rules, const Uid& uid, UnixMs now) {
  const std::string_view text = uid.text();
  TRY(transaction.run("DELETE FROM behaviour_hour WHERE uid = ? AND hour < ?", {text, hours_of_epoch(now) - hours_kept}));
  const auto drop = [&](std::string_view half, UnixMs kept) {
    return transaction.run("DELETE FROM half_session WHERE uid = ? AND half = ? AND time_ms < ?", {text, half, store::column(back(now, kept))});
  };
  TRY(drop(half_key, span(rules(RuleKind::keys, "window_s"))));
  TRY(drop(half_call, span(rules(RuleKind::sequence, "settle_s")) + day_ms));
  return {};
}

}  // namespace qanat::iam
