// What a load test leaves behind, judged when everything has stopped, from what is durable alone: audit records, the KMSs' ledgers and charging records, the
// QKMs' stocks.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "soak_load.hpp"
#include "soak_network.hpp"

namespace qanat::bench {

/// Uses of keys that audit records tell of. A key is used once: a link key at each end of its link, a relayed key by the KMS of each end, a working key's leg
/// by its terminal.
class KeyUses {
 public:
  /// One line of a record. `holder`: whose it is; the front ends of a KMS are one holder.
  void add(const std::string& holder, std::string_view line);

  [[nodiscard]] const std::vector<std::string>& findings() const { return findings_; }
  [[nodiscard]] std::size_t link_keys() const { return places_.size(); }
  [[nodiscard]] std::size_t relayed_keys() const { return relayed_; }
  [[nodiscard]] std::size_t deliveries() const { return deliveries_; }
  /// Ids of the link keys that this holder used.
  [[nodiscard]] const std::set<std::string>& link_keys_of(const std::string& holder) const;

 private:
  std::map<std::string, std::set<std::string>> uses_;    // by holder: what was done with what
  std::map<std::string, std::set<std::string>> used_;    // by holder: link keys
  std::map<std::string, std::set<std::string>> places_;  // by link key: holders
  std::size_t relayed_ = 0;
  std::size_t deliveries_ = 0;
  std::vector<std::string> findings_;
};

/// A row of a KMS's ledger with its charging record.
struct LegRow {
  std::string state;
  bool octets = false;  // of the key, sealed
  bool charged = false;
  bool confirmed = false;  // in the charging record
};
using LegKey = std::pair<SidWk, std::int64_t>;  // session, leg

/// Every row is as the lifecycle table has it, and every leg that a terminal opened (`legs`: those that this KMS served) is in the ledger and charged; one that
/// was acknowledged is destroyed.
std::vector<std::string> findings_in(const std::map<LegKey, LegRow>& rows, const std::vector<LegRecord>& legs);

struct Evidence {
  std::vector<std::string> findings;
  std::size_t records = 0;  // audit records, of all logs
  std::size_t charges = 0;
  std::size_t link_keys = 0;
  std::size_t relayed_keys = 0;
};
/// Of a network that has been stopped, with its database server still there. A failure: something could not be read.
Result<Evidence> gather(const SoakNetwork& network, const std::vector<LegRecord>& legs, const std::vector<crypto::Certificate>& roots);

}  // namespace qanat::bench
