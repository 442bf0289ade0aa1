// Rules that find anomalies in one subject's behaviour: each says in words what it saw, and which records made it. Thresholds are data. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "services/iam/uba/behaviour.hpp"
#include "wire/json.hpp"

namespace qanat::iam {

enum class RuleKind : std::uint8_t { rate, refusals, hour, place, sequence, keys };
inline constexpr std::array all_rules{RuleKind::rate, RuleKind::refusals, RuleKind::hour, RuleKind::place, RuleKind::sequence, RuleKind::keys};
std::string_view name(RuleKind kind) noexcept;

/// A threshold: its name, what it is when nobody has set it, and its bounds.
struct Threshold {
  RuleKind rule;
  std::string_view name;
  std::int64_t standard;
  std::int64_t min;
  std::int64_t max;
  std::string_view says;
};
std::span<const Threshold> all_thresholds() noexcept;

/// The thresholds in force.
class RuleSettings {
 public:
  /// The standard ones.
  RuleSettings();
  [[nodiscard]] std::int64_t operator()(RuleKind rule, std::string_view threshold) const;
  /// {"rate": {"max": 20}}: what is named replaces; the rest stays. invalid_argument for what is no threshold or out of its bounds.
  Result<void> change(const wire::Json& json);
  [[nodiscard]] wire::Json to_json() const;
  [[nodiscard]] wire::Json to_json(RuleKind rule) const;

 private:
  std::map<std::pair<RuleKind, std::string_view>, std::int64_t> values_;
};

struct Finding {
  RuleKind rule{};
  std::string why;
  std::vector<std::int64_t> records;  // seq, in the order of their times
};

/// How far back the rules look, and at how many records at most.
inline constexpr UnixMs history_ms = 30ULL * 86'400'000;
inline constexpr std::int64_t history_max = 2000;
inline constexpr std::size_t evidence_max = 50;  // records that a finding names; a rate has its newest

/// `history`: the subject's records in the order of their times, the fresh one among them. What the fresh one brings to light.
std::vector<Finding> examine(const RuleSettings& rules, const std::vector<StoredBehaviour>& history, const StoredBehaviour& fresh);

}  // namespace qanat::iam
