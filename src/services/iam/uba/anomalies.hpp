// Anomalies: found in the transaction that brings the records in, kept with the records that made them, told to the CMSP.
#pragma once

#include "services/iam/outbox.hpp"
#include "services/iam/uba/rules.hpp"

namespace qanat::iam {

struct Anomaly {
  std::int64_t id = 0;
  std::string rule;
  std::string uid;
  UnixMs found_ms = 0;
  std::string why;
  std::vector<std::int64_t> records;
};
wire::Json to_json(const Anomaly& anomaly);

class Anomalies {
 public:
  /// `cmsp`: the peer that is told; empty: nobody is.
  Anomalies(store::Store& store, std::string cmsp) : store_(store), cmsp_(std::move(cmsp)) {}

  /// Of each subject in the fresh records. In the caller's transaction.
  Result<void> look(store::Transaction& transaction, const std::vector<StoredBehaviour>& fresh, UnixMs now);
  Result<std::vector<Anomaly>> list(const std::string& uid, std::int64_t after, std::int64_t limit);
  Result<std::int64_t> count();

  Result<RuleSettings> rules();
  /// The thresholds that are named; all in force from the next record on.
  Result<RuleSettings> change_rules(const wire::Json& set);

 private:
  static Result<RuleSettings> read_rules(store::Transaction& transaction);
  Result<void> keep(store::Transaction& transaction, const Uid& uid, const Finding& finding, UnixMs now);

  store::Store& store_;
  const std::string cmsp_;
};

}  // namespace qanat::iam
