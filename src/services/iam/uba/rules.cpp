#include "services/iam/uba/rules.hpp"

#include <algorithm>
#include <array>

#include "base/check.hpp"

namespace qanat::iam {
namespace {

constexpr UnixMs hour_ms = 3'600'000;
constexpr std::int64_t day_s = 86'400;

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

std::vector<std::int64_t> newest(const std::vector<std::int64_t>& all) {
  return {all.size() > evidence_max ? all.end() - static_cast<std::ptrdiff_t>(evidence_max) : all.begin(), all.end()};
}

void look_at_rate(const RuleSettings& rules, const Evidence& evidence, const StoredBehaviour& fresh, std::vector<Finding>& out) {
  const std::int64_t max = rules(RuleKind::rate, "max");
  if (std::ssize(evidence.alike) <= max) return;
  out.push_back({RuleKind::rate,
                 std::to_string(evidence.alike.size()) + " times '" + fresh.record.action + "' within " + std::to_string(rules(RuleKind::rate, "window_s")) +
                     " s, where " + std::to_string(max) + " are usual",
                 newest(evidence.alike)});
}

void look_at_refusals(const RuleSettings& rules, const Evidence& evidence, const StoredBehaviour& fresh, std::vector<Finding>& out) {
  const std::int64_t max = rules(RuleKind::refusals, "max");
  if (went_well(fresh.record) || std::ssize(evidence.failed) <= max) return;
  out.push_back({RuleKind::refusals,
                 std::to_string(evidence.failed.size()) + " attempts failed within " + std::to_string(rules(RuleKind::refusals, "window_s")) + " s, where " +
                     std::to_string(max) + " are usual",
                 newest(evidence.failed)});
}

void look_at_hour(const RuleSettings& rules, const Evidence& evidence, const StoredBehaviour& fresh, std::vector<Finding>& out) {
  const auto& [before, days, near] = evidence.hours;
  if (before < rules(RuleKind::hour, "history_min") || days < rules(RuleKind::hour, "days_min")) return;
  if (near * 1000 >= rules(RuleKind::hour, "share_permille") * before) return;
  out.push_back({RuleKind::hour,
                 "at " + std::to_string(hour_of_day(hours_of_epoch(fresh.record.time_ms))) + " h UTC, about when " + std::to_string(near) + " of " +
                     std::to_string(before) + " records of " + std::to_string(days) + " days are",
                 {fresh.seq}});
}

void look_at_place(const RuleSettings& rules, const Evidence& evidence, const StoredBehaviour& fresh, std::vector<Finding>& out) {
  if (!has_place(fresh) || !evidence.elsewhere) return;
  const UnixMs apart = (fresh.record.time_ms - evidence.elsewhere->record.time_ms) / second_ms;
  out.push_back({RuleKind::place,
                 "at " + evidence.elsewhere->reporter + " and " + std::to_string(apart) + " s later at " + fresh.reporter + ", which nobody reaches within " +
                     std::to_string(rules(RuleKind::place, "apart_s")) + " s",
                 {evidence.elsewhere->seq, fresh.seq}});
}

/// A key that is delivered twice for one session, or a call for whose session this subject got no key.
void look_at_sequence(const RuleSettings& /*rules*/, const Evidence& evidence, const StoredBehaviour& fresh, std::vector<Finding>& out) {
  if (evidence.delivered_before) {
    out.push_back({RuleKind::sequence, "the key of session " + fresh.record.object + " was delivered a second time", {*evidence.delivered_before, fresh.seq}});
  }
  if (evidence.keyless_call) {
    out.push_back(
        {RuleKind::sequence, "a call in session " + evidence.keyless_call->record.object + ", for which no key was delivered", {evidence.keyless_call->seq}});
  }
}

void look_at_keys(const RuleSettings& rules, const Evidence& evidence, const StoredBehaviour& /*fresh*/, std::vector<Finding>& out) {
  const std::int64_t max = rules(RuleKind::keys, "unused_max");
  if (std::ssize(evidence.unused_keys) <= max) return;
  out.push_back({RuleKind::keys,
                 std::to_string(evidence.unused_keys.size()) + " keys were delivered and no call followed within " +
                     std::to_string(rules(RuleKind::keys, "grace_s")) + " s, where " + std::to_string(max) + " are usual",
                 newest(evidence.unused_keys)});
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

bool went_well(const BehaviourRecord& record) noexcept { return std::ranges::find(good_outcomes, record.outcome) != good_outcomes.end(); }

bool delivers(const BehaviourRecord& record) noexcept { return record.action == action_application && record.outcome == outcome_delivered; }

bool has_place(const StoredBehaviour& one) noexcept {
  return one.record.action == action_application && one.reporter != one.record.uid.text() && went_well(one.record);
}

std::int64_t hours_of_epoch(UnixMs time) noexcept { return static_cast<std::int64_t>(time / hour_ms); }
std::int64_t hour_of_day(std::int64_t hours_of_epoch) noexcept { return hours_of_epoch % hours_per_day; }

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

std::vector<Finding> examine(const RuleSettings& rules, const Evidence& evidence, const StoredBehaviour& fresh) {
  using Look = void (*)(const RuleSettings&, const Evidence&, const StoredBehaviour&, std::vector<Finding>&);
  constexpr std::array<std::pair<RuleKind, Look>, all_rules.size()> looks{{{RuleKind::rate, look_at_rate},
                                                                           {RuleKind::refusals, look_at_refusals},
                                                                           {RuleKind::hour, look_at_hour},
                                                                           {RuleKind::place, look_at_place},
                                                                           {RuleKind::sequence, look_at_sequence},
                                                                           {RuleKind::keys, look_at_keys}}};
  std::vector<Finding> out;
  for (const auto& [rule, look] : looks) {
    if (rules.on(rule)) look(rules, evidence, fresh, out);
  }
  return out;
}

}  // namespace qanat::iam
