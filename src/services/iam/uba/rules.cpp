#include "services/iam/uba/rules.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "base/check.hpp"

namespace qanat::iam {
namespace {

constexpr UnixMs second_ms = 1000;
constexpr UnixMs hour_of_day_ms = 3'600'000;
constexpr std::int64_t hours_per_day = 24;
constexpr std::int64_t day_s = 86'400;

// The words that the elements use: a KMS reports applications, a terminal its calls; the object of both is the session (SID_WK).
constexpr std::string_view action_application = "application";
constexpr std::string_view action_call = "call";
constexpr std::string_view outcome_delivered = "delivered";
// Every other outcome is a failed attempt. The elements' words stand in node/behaviour.cpp and beside Node::report().
constexpr std::array good_outcomes{std::string_view("delivered"), std::string_view("success"), std::string_view("started"), std::string_view("ended"),
                                   std::string_view("stopped"),   std::string_view("opened"),  std::string_view("notified"), std::string_view("issued"),
                                   std::string_view("revoked"),   std::string_view("renewed"), std::string_view("taken"),   std::string_view("up")};

constexpr std::array thresholds{
    Threshold{RuleKind::rate, "on", 1, 0, 1, "1: the rule is in force"},
    Threshold{RuleKind::rate, "max", 30, 1, 1'000'000, "so many records of one action within the window are usual"},
    Threshold{RuleKind::rate, "window_s", 60, 1, day_s, "the window, seconds"},
    Threshold{RuleKind::refusals, "on", 1, 0, 1, "1: the rule is in force"},
    Threshold{RuleKind::refusals, "max", 5, 1, 1'000'000, "so many refused attempts within the window are usual"},
    Threshold{RuleKind::refusals, "window_s", 300, 1, day_s, "the window, seconds"},
    Threshold{RuleKind::hour, "on", 1, 0, 1, "1: the rule is in force"},
    Threshold{RuleKind::hour, "history_min", 50, 1, 2000, "nothing is unusual before so many records"},
    Threshold{RuleKind::hour, "days_min", 7, 1, 30, "nor before the records span so many days"},
    Threshold{RuleKind::hour, "share_permille", 10, 0, 500, "an hour (and its neighbours) with less of the records is unusual"},
    Threshold{RuleKind::place, "on", 1, 0, 1, "1: the rule is in force"},
    Threshold{RuleKind::place, "apart_s", 300, 1, day_s, "nobody is served at two places within so many seconds"},
    Threshold{RuleKind::sequence, "on", 1, 0, 1, "1: the rule is in force"},
    Threshold{RuleKind::sequence, "settle_s", 30, 0, 3600, "reports of two elements may be so many seconds out of order"},
    Threshold{RuleKind::keys, "on", 1, 0, 1, "1: the rule is in force"},
    Threshold{RuleKind::keys, "unused_max", 3, 0, 1'000'000, "so many keys without a call within the window are usual"},
    Threshold{RuleKind::keys, "grace_s", 300, 1, day_s, "a key may wait so long for its call"},
    Threshold{RuleKind::keys, "window_s", 3600, 1, 30 * day_s, "the window, seconds"},
};

using Records = std::vector<StoredBehaviour>;

bool went_well(const BehaviourRecord& record) { return std::ranges::find(good_outcomes, record.outcome) != good_outcomes.end(); }

UnixMs span(std::int64_t seconds) { return static_cast<UnixMs>(seconds) * second_ms; }

bool within(const StoredBehaviour& one, const StoredBehaviour& fresh, UnixMs window) {
  return one.record.time_ms <= fresh.record.time_ms && fresh.record.time_ms - one.record.time_ms < window;
}

std::vector<std::int64_t> newest(const std::vector<std::int64_t>& all) {
  return {all.size() > evidence_max ? all.end() - static_cast<std::ptrdiff_t>(evidence_max) : all.begin(), all.end()};
}

void look_at_rate(const RuleSettings& rules, const Records& history, const StoredBehaviour& fresh, std::vector<Finding>& out) {
  const std::int64_t max = rules(RuleKind::rate, "max");
  const std::int64_t window_s = rules(RuleKind::rate, "window_s");
  std::vector<std::int64_t> found;
  for (const StoredBehaviour& one : history) {
    if (one.record.action == fresh.record.action && within(one, fresh, span(window_s))) found.push_back(one.seq);
  }
  if (std::ssize(found) <= max) return;
  out.push_back({RuleKind::rate,
                 std::to_string(found.size()) + " times '" + fresh.record.action + "' within " + std::to_string(window_s) + " s, where " + std::to_string(max) +
                     " are usual",
                 newest(found)});
}

void look_at_refusals(const RuleSettings& rules, const Records& history, const StoredBehaviour& fresh, std::vector<Finding>& out) {
  if (went_well(fresh.record)) return;
  const std::int64_t max = rules(RuleKind::refusals, "max");
  const std::int64_t window_s = rules(RuleKind::refusals, "window_s");
  std::vector<std::int64_t> found;
  for (const StoredBehaviour& one : history) {
    if (!went_well(one.record) && within(one, fresh, span(window_s))) found.push_back(one.seq);
  }
  if (std::ssize(found) <= max) return;
  out.push_back({RuleKind::refusals,
                 std::to_string(found.size()) + " attempts failed within " + std::to_string(window_s) + " s, where " + std::to_string(max) + " are usual",
                 newest(found)});
}

std::int64_t hour_of(const StoredBehaviour& one) { return static_cast<std::int64_t>(one.record.time_ms / hour_of_day_ms) % hours_per_day; }

void look_at_hour(const RuleSettings& rules, const Records& history, const StoredBehaviour& fresh, std::vector<Finding>& out) {
  std::int64_t before = 0;
  std::int64_t near = 0;
  UnixMs first = fresh.record.time_ms;
  const std::int64_t hour = hour_of(fresh);
  for (const StoredBehaviour& one : history) {
    if (one.seq == fresh.seq || one.record.time_ms > fresh.record.time_ms) continue;
    ++before;
    first = std::min(first, one.record.time_ms);
    const std::int64_t apart = std::abs(hour_of(one) - hour);
    if (apart <= 1 || apart == hours_per_day - 1) ++near;
  }
  const std::int64_t days = static_cast<std::int64_t>((fresh.record.time_ms - first) / span(day_s));
  if (before < rules(RuleKind::hour, "history_min") || days < rules(RuleKind::hour, "days_min")) return;
  if (near * 1000 >= rules(RuleKind::hour, "share_permille") * before) return;
  out.push_back({RuleKind::hour,
                 "at " + std::to_string(hour) + " h UTC, about when " + std::to_string(near) + " of " + std::to_string(before) + " records of " +
                     std::to_string(days) + " days are",
                 {fresh.seq}});
}

void look_at_place(const RuleSettings& rules, const Records& history, const StoredBehaviour& fresh, std::vector<Finding>& out) {
  // The KMS that delivers a key is where the subject is; CMSP and CAS see everybody, and what one says of oneself has no place.
  const auto at_a_place = [](const StoredBehaviour& one) {
    return one.record.action == action_application && one.reporter != one.record.uid.text() && went_well(one.record);
  };
  if (!at_a_place(fresh)) return;
  const std::int64_t apart_s = rules(RuleKind::place, "apart_s");
  const StoredBehaviour* other = nullptr;
  for (const StoredBehaviour& one : history) {
    if (one.seq == fresh.seq || one.reporter == fresh.reporter || !at_a_place(one)) continue;
    if (within(one, fresh, span(apart_s))) other = &one;
  }
  if (other == nullptr) return;
  const UnixMs apart = (fresh.record.time_ms - other->record.time_ms) / second_ms;
  out.push_back({RuleKind::place,
                 "at " + other->reporter + " and " + std::to_string(apart) + " s later at " + fresh.reporter + ", which nobody reaches within " +
                     std::to_string(apart_s) + " s",
                 {other->seq, fresh.seq}});
}

bool delivers(const StoredBehaviour& one) { return one.record.action == action_application && one.record.outcome == outcome_delivered; }

/// A key that is delivered twice for one session, or a call for whose session this subject got no key.
void look_at_sequence(const RuleSettings& rules, const Records& history, const StoredBehaviour& fresh, std::vector<Finding>& out) {
  if (delivers(fresh)) {
    for (const StoredBehaviour& one : history) {
      if (one.seq == fresh.seq || !delivers(one) || one.record.object != fresh.record.object || one.seq > fresh.seq) continue;
      out.push_back({RuleKind::sequence, "the key of session " + fresh.record.object + " was delivered a second time", {one.seq, fresh.seq}});
      return;
    }
  }
  // Judged when something later comes in, so that a report that was on its way is not missed.
  const UnixMs settle = span(rules(RuleKind::sequence, "settle_s"));
  for (const StoredBehaviour& one : history) {
    if (one.record.action != action_call || one.record.outcome != "started" || one.record.time_ms + settle > fresh.record.time_ms) continue;
    if (one.record.time_ms + settle + span(day_s) < fresh.record.time_ms) continue;  // its application may be out of sight
    const bool has_key =
        std::ranges::any_of(history, [&](const StoredBehaviour& other) { return delivers(other) && other.record.object == one.record.object; });
    if (has_key) continue;
    out.push_back({RuleKind::sequence, "a call in session " + one.record.object + ", for which no key was delivered", {one.seq}});
    return;
  }
}

void look_at_keys(const RuleSettings& rules, const Records& history, const StoredBehaviour& fresh, std::vector<Finding>& out) {
  std::set<std::string_view> called;
  for (const StoredBehaviour& one : history) {
    if (one.record.action == action_call) called.insert(one.record.object);
  }
  if (called.empty()) return;  // this subject's terminal does not report calls: nothing to compare with
  const UnixMs grace = span(rules(RuleKind::keys, "grace_s"));
  const UnixMs window = span(rules(RuleKind::keys, "window_s"));
  const std::int64_t max = rules(RuleKind::keys, "unused_max");
  std::vector<std::int64_t> unused;
  for (const StoredBehaviour& one : history) {
    if (!delivers(one) || called.contains(one.record.object) || one.record.time_ms + grace > fresh.record.time_ms || !within(one, fresh, window)) continue;
    unused.push_back(one.seq);
  }
  if (std::ssize(unused) <= max) return;
  out.push_back({RuleKind::keys,
                 std::to_string(unused.size()) + " keys were delivered and no call followed within " + std::to_string(grace / second_ms) + " s, where " +
                     std::to_string(max) + " are usual",
                 newest(unused)});
}

}  // namespace

std::string_view name(RuleKind kind) noexcept {
  switch (kind) {
    case RuleKind::rate:
      return "rate";
    case RuleKind::refusals:
      return "refusals";
    case RuleKind::hour:
      return "hour";
    case RuleKind::place:
      return "place";
    case RuleKind::sequence:
      return "sequence";
    case RuleKind::keys:
      return "keys";
  }
  return "?";
}

std::span<const Threshold> all_thresholds() noexcept { return thresholds; }

RuleSettings::RuleSettings() {
  for (const Threshold& one : thresholds) values_.emplace(std::pair(one.rule, one.name), one.standard);
}

std::int64_t RuleSettings::operator()(RuleKind rule, std::string_view threshold) const {
  const auto found = values_.find({rule, threshold});
  CHECK(found != values_.end());
  return found->second;
}

Result<void> RuleSettings::change(const wire::Json& json) {
  for (const std::string& rule : json.names()) {
    const auto kind = std::ranges::find(all_rules, rule, [](RuleKind one) { return name(one); });
    if (kind == all_rules.end()) return fail(ErrorCode::invalid_argument, "there is no rule '" + rule.substr(0, record_text_max) + "'");
    ASSIGN_OR_RETURN(const wire::Json set, json.object(rule));
    for (const std::string& threshold : set.names()) {
      const auto row = std::ranges::find_if(thresholds, [&](const Threshold& one) { return one.rule == *kind && one.name == threshold; });
      if (row == thresholds.end())
        return fail(ErrorCode::invalid_argument, "rule " + rule + " has no threshold '" + threshold.substr(0, record_text_max) + "'");
      ASSIGN_OR_RETURN(const std::int64_t value, set.integer(threshold, row->min, row->max));
      values_.insert_or_assign(std::pair(row->rule, row->name), value);
    }
  }
  return {};
}

wire::Json RuleSettings::to_json(RuleKind rule) const {
  wire::Json out = wire::Json::object();
  for (const Threshold& one : thresholds) {
    if (one.rule == rule) out.set(one.name, (*this)(rule, one.name));
  }
  return out;
}

wire::Json RuleSettings::to_json() const {
  wire::Json out = wire::Json::object();
  for (const RuleKind rule : all_rules) out.set(name(rule), to_json(rule));
  return out;
}

std::vector<Finding> examine(const RuleSettings& rules, const std::vector<StoredBehaviour>& history, const StoredBehaviour& fresh) {
  using Look = void (*)(const RuleSettings&, const Records&, const StoredBehaviour&, std::vector<Finding>&);
  constexpr std::array<std::pair<RuleKind, Look>, all_rules.size()> looks{{{RuleKind::rate, look_at_rate},
                                                                           {RuleKind::refusals, look_at_refusals},
                                                                           {RuleKind::hour, look_at_hour},
                                                                           {RuleKind::place, look_at_place},
                                                                           {RuleKind::sequence, look_at_sequence},
                                                                           {RuleKind::keys, look_at_keys}}};
  std::vector<Finding> out;
  for (const auto& [rule, look] : looks) {
    if (rules(rule, "on") == 1) look(rules, history, fresh, out);
  }
  return out;
}

}  // namespace qanat::iam
