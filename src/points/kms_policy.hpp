// Mo-2: what CSO says to the KMSs, a signed JSON text (wire/signed_text.hpp) in an envelope, and what they say of their pools.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/json.hpp"

namespace qanat::points {

inline constexpr std::string_view kms_policy_label = "KmsPolicy";  // no message of QFC2 is named so
inline constexpr std::string_view kms_policy_query = "after=";     // and the version that the KMS has; 0: none

/// What is absent stays as the KMS is configured.
struct KmsPolicy {
  std::int64_t version = 0;  // 1, 2 …: a KMS never goes back
  std::uint32_t epoch = 0;   // the network's policy epoch that it is for: in another one it is not followed
  std::optional<std::int64_t> wk_lifetime_ms = {};
  std::optional<std::int64_t> quantum_paths = {};
  std::optional<std::int64_t> quantum_shares = {};
  std::optional<std::int64_t> quantum_reserve = {};  // keys of the stock that are for those who demand them
  std::optional<bool> pqc_fallback = {};             // false forbids it; true allows no more than the KMS's configuration does
  std::optional<bool> directory_fallback = {};       // the same of sessions by CMSP's directory while CMSP does not answer
  std::optional<bool> history = {};                  // the same of terminals' private encryption keys in history (kms.history)
  std::optional<std::int64_t> pool_low = {};         // water marks of the stocks for SAEs; both or neither
  std::optional<std::int64_t> pool_high = {};
  bool operator==(const KmsPolicy&) const = default;
};
/// invalid_argument names the member that is unknown or out of bounds.
Result<KmsPolicy> read_kms_policy(const wire::Json& json);
/// As operators give it, for that epoch: without `epoch`.
Result<KmsPolicy> read_kms_policy_order(const wire::Json& json, std::uint32_t epoch);
wire::Json to_json(const KmsPolicy& policy);

/// A count under a name: a state of working keys, a domain.
using NamedCounts = std::vector<std::pair<std::string, std::int64_t>>;

struct KmsState {
  std::int64_t policy = 0;  // version in force; 0: as configured
  std::uint32_t epoch = 0;
  NamedCounts working_keys = {};            // by state
  std::optional<NamedCounts> quantum = {};  // quantum keys ready, by domain; absent: the QKM did not say
  NamedCounts stocks = {};                  // keys for SAEs, by domain
  std::int64_t delivered_per_minute = 0;    // working keys
  std::int64_t history_keys = 0;            // private keys of terminals that history has; said where there are any
  bool operator==(const KmsState&) const = default;
};
Result<KmsState> read_kms_state(const wire::Json& json);
wire::Json to_json(const KmsState& state);

}  // namespace qanat::points
