// A key's policy: which application may do what with it, when and how often, and under which keys it may leave. Decisions alone; what was used stands in the rows.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "services/kms/csa/operations.hpp"
#include "wire/json.hpp"

namespace qanat::kms::csa {

inline constexpr std::size_t grants_max = 64;
inline constexpr std::size_t export_targets_max = 4;
inline constexpr std::int64_t per_minute_max = 1'000'000;
inline constexpr std::int64_t total_max = 1'000'000'000'000;

struct Grant {
  std::string caller;  // the identity of its certificate: "qanat://a/app3/billing"; of software of others "foreign:<name>"
  OperationSet operations;
  UnixMs not_before_ms = 0;
  UnixMs not_after_ms = 0;       // 0: no end
  std::int64_t per_minute = 0;   // 0: no limit
  std::int64_t total = 0;        // operations in the life of the grant; 0: no limit
  bool operator==(const Grant&) const = default;
};

/// A KEM public key under which the key may be exported.
struct ExportTarget {
  const Algorithm* kem;
  Bytes public_key;
  bool operator==(const ExportTarget&) const = default;
};

struct Policy {
  std::vector<Grant> grants;
  std::vector<ExportTarget> export_under;
  bool operator==(const Policy&) const = default;
};

inline constexpr std::string_view foreign_caller = "foreign:";

/// `{"grants":[{"caller":…,"operations":[…],"not_before_ms":…,"not_after_ms":…,"per_minute":…,"total":…}],"export_under":[{"algorithm":…,"public_key":…}]}`.
/// invalid_argument for a caller that is no identity of an application, one that is named twice, an operation that keys of this usage do not have.
Result<Policy> read_policy(const wire::Json& json, Usage usage);
wire::Json to_json(const Policy& policy);
wire::Json to_json(const Grant& grant);

/// The caller's grant, if it reaches to this operation now; `denied` otherwise, with the reason.
Result<const Grant*> permit(const Policy& policy, std::string_view caller, Operation operation, UnixMs now);

/// How often something was done in the present minute. In memory: a restart begins a new minute. Thread-safe.
class Rates {
 public:
  /// exhausted if that would be more than `per_minute` (0: no limit) under this name; counts it otherwise.
  Result<void> spend(const std::string& name, std::int64_t per_minute, UnixMs now);

 private:
  struct Window {
    UnixMs minute = 0;
    std::int64_t spent = 0;
  };
  std::mutex mutex_;
  std::map<std::string, Window> windows_;
};

}  // namespace qanat::kms::csa
