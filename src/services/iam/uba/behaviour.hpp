// Behaviour records: what the KMSs report about their subscribers, kept in a hash chain so that a row that is changed or taken out later shows.
#pragma once

#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "store/store.hpp"

namespace qanat::iam {

inline constexpr std::size_t records_max = 64;       // in one report
inline constexpr std::size_t record_text_max = 128;  // octets of action, outcome and object each

struct BehaviourRecord {
  UnixMs time_ms = 0;
  Uid uid;
  std::string action;
  std::string outcome;
  std::string object;
};

class Behaviour {
 public:
  explicit Behaviour(store::Store& store) : store_(store) {}

  /// All or none. invalid_argument if there are none or too many, or a text is too long.
  Result<void> append(const ElementName& kms, const std::vector<BehaviourRecord>& records, UnixMs now);
  /// Number of records; `internal` names the first that does not fit its chain value.
  Result<std::int64_t> verify();

 private:
  store::Store& store_;
};

}  // namespace qanat::iam
