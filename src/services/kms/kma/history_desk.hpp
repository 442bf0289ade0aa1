// The KMS's side of the archive of keys: kept up in the background, and asked by operators: which segments there are and what they digest to, and what
// was written of one session.
#pragma once

#include "node/node.hpp"
#include "services/kms/kma/key_history.hpp"
#include "services/kms/settings.hpp"

namespace qanat::kms {

class HistoryDesk {
 public:
  HistoryDesk(node::Node& node, store::Store& store, Ledger& ledger, const KmsSettings& settings);

  /// Before anything is served.
  Result<void> open() { return history_.open(); }
  /// Every second or so, by one thread: the next finished keys; after a failure not for half a minute. A segment that is closed is on record.
  Result<void> keep_up();
  /// What there is of working keys, for the health answer.
  void describe(wire::Json& body);
  /// x5_archive: {"after": a page's "next", 0 for the first} → {"segments": […], "next"}; {"sid_wk"} → {"keys": [{"leg", "file", "place", "key": the line, if
  /// the file is at this front end}]}, not_found if the session is not in the archive.
  Result<net::Response> answer(const net::Request& request);

 private:
  Result<wire::Json> segments(std::int64_t after);
  Result<wire::Json> keys(const SidWk& sid_wk);

  node::Node& node_;
  store::Store& store_;
  Ledger& ledger_;
  KeyHistory history_;
  std::chrono::steady_clock::time_point not_before_{};
};

}  // namespace qanat::kms
