// Rules that find anomalies in one subject's behaviour: each says in words what it saw, and which records made it. Thresholds are data. Pure.
#pragma once

#include <map>
#include <optional>
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
  [[nodiscard]] bool on(RuleKind rule) const { return (*this)(rule, "on") == 1; }
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

inline constexpr UnixMs second_ms = 1000;
inline constexpr std::int64_t hours_per_day = 24;
inline constexpr std::size_t evidence_max = 50;  // records that a finding names; a rate has its newest

/// What the register holds of a fresh record's subject, as far as the rules ask. Lists are of seq, in the order of their records' times.
struct Evidence {
  struct Hours {
    std::int64_t before = 0;  // records of the hours before the fresh one's
    std::int64_t days = 0;    // that they span
    std::int64_t near = 0;    // of them, those of the same hour of the day and its two neighbours
  };
  std::vector<std::int64_t> alike;               // rate: of the fresh one's action within the window, itself among them
  std::vector<std::int64_t> failed;              // refusals: failed attempts within the window, itself among them
  Hours hours;                                   // hour
  std::optional<StoredBehaviour> elsewhere;      // place: the newest key within `apart_s` from another KMS
  std::optional<std::int64_t> delivered_before;  // sequence: an earlier delivery of the session's key
  std::optional<StoredBehaviour> keyless_call;   // sequence: the oldest call of the day before that has settled and has no key
  std::vector<std::int64_t> unused_keys;         // keys: delivered within the window, longer ago than the grace, and no call came
};

/// What the fresh record brings to light.
std::vector<Finding> examine(const RuleSettings& rules, const Evidence& evidence, const StoredBehaviour& fresh);

// The words that the elements use: a KMS reports applications, a terminal its calls; the object of both is the session (SID_WK).
inline constexpr std::string_view action_application = "application";
inline constexpr std::string_view action_call = "call";
inline constexpr std::string_view outcome_delivered = "delivered";
inline constexpr std::string_view outcome_started = "started";
bool went_well(const BehaviourRecord& record) noexcept;
/// A key delivered.
bool delivers(const BehaviourRecord& record) noexcept;
/// Told by the KMS that serves the subject there. CMSP and CAS see everybody, and what one says of oneself has no place.
bool has_place(const StoredBehaviour& one) noexcept;
std::int64_t hours_of_epoch(UnixMs time) noexcept;
/// In UTC.
std::int64_t hour_of_day(std::int64_t hours_of_epoch) noexcept;

}  // namespace qanat::iam
