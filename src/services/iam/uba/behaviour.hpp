// Behaviour records: what the elements report about subjects, kept in a hash chain so that a row that is changed or taken out later shows.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/identity.hpp"
#include "store/store.hpp"

namespace qanat::iam {

inline constexpr std::size_t records_max = 64;       // in one report
inline constexpr std::size_t record_text_max = 128;  // octets of action, outcome and object each
inline constexpr std::size_t report_id_max = 64;
inline constexpr std::int64_t page_max = 500;        // records in one answer

struct BehaviourRecord {
  UnixMs time_ms = 0;
  Uid uid;
  std::string action;
  std::string outcome;
  std::string object;
};

/// As it stands in the register.
struct StoredBehaviour {
  std::int64_t seq = 0;
  std::string reporter;  // the element that reported it: the place
  UnixMs received_ms = 0;
  BehaviourRecord record;
};

struct Report {
  Identity reporter;
  std::string id = {};  // as the reporter chose it; empty: none
  std::vector<BehaviourRecord> records = {};
};

struct BehaviourQuery {
  std::string uid;      // empty: all subjects
  std::string action;   // empty: any
  std::string outcome;  // empty: any
  UnixMs from_ms = 0;
  UnixMs until_ms = INT64_MAX;  // not included
  std::int64_t after = 0;       // seq: the page behind it
  std::int64_t limit = 100;
};

/// In the transaction that appends: what follows from the new records.
using AfterAppend = std::function<Result<void>(store::Transaction&, const std::vector<StoredBehaviour>& fresh)>;

class Behaviour {
 public:
  explicit Behaviour(store::Store& store) : store_(store) {}

  /// All or none, with what follows from them. invalid_argument if there are none or too many, or a text is too long. The reporter's last report again
  /// (by its id, if it has one) changes nothing.
  Result<void> append(const Report& report, UnixMs now, const AfterAppend& after = {});
  /// In the order in which they came in.
  Result<std::vector<StoredBehaviour>> query(const BehaviourQuery& wanted);
  /// Number of records; `internal` names the first that does not fit its chain value.
  Result<std::int64_t> verify();

 private:
  store::Store& store_;
};

}  // namespace qanat::iam
