// Mc-2 at CMSP: the last evidence of each KMS, judged, with its findings on record and in the health answer.
#pragma once

#include "node/node.hpp"
#include "node/recorded.hpp"
#include "points/kms_evidence.hpp"
#include "store/store.hpp"

namespace qanat::cmsp {

class Evidence {
 public:
  Evidence(node::Node& node, store::Store& store) : node_(node), store_(store), opened_ms_(node.clock().now_ms()) {}

  /// mc2_evidence: stored and judged; the findings are the answer. A finding that was not there the last time goes into the audit record (`mc-2.finding`)
  /// first.
  Result<net::Response> take(const net::Request& request, node::Deed& deed);
  /// "compliance": for each KMS among the peers when its evidence came and what was found, or that there is none.
  void describe(wire::Json& health);

 private:
  struct Last {
    points::KmsEvidence evidence;
    std::vector<std::string> findings;
    UnixMs received_ms = 0;
  };
  /// Of each front end.
  static Result<std::vector<Last>> last_of(store::Transaction& transaction, const std::string& kms);

  node::Node& node_;
  store::Store& store_;
  const UnixMs opened_ms_;
};

}  // namespace qanat::cmsp
