// CSO towards the KMSs (Mo-2): operators give the policy, the KMSs fetch it signed and say how their pools are.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>

#include "node/node.hpp"
#include "node/recorded.hpp"
#include "services/cmsp/cso/kms_policies.hpp"

namespace qanat::cmsp {

class Orchestrator {
 public:
  Orchestrator(node::Node& node, store::Store& store) : node_(node), policies_(store) {}
  /// Reads what stands in the database.
  Result<void> open();

  Result<net::Response> order(const net::Request& request, node::Deed& deed);  // x5_kms_policy
  /// mo2_policy: 200 with the policy in its envelope; 204 if for as long as the request may wait there was none of another version than the KMS has. To wait
  /// takes a worker: at most half of them do, a further request is answered at once.
  Result<net::Response> give(const net::Request& request);
  Result<net::Response> take_state(const net::Request& request);  // mo2_state
  /// "kms_policy" and "kms".
  void describe(wire::Json& health);

 private:
  std::optional<points::KmsPolicy> other_than(std::int64_t version, Deadline deadline);

  node::Node& node_;
  KmsPolicies policies_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<points::KmsPolicy> latest_;  // under mutex_, as are the following
  std::size_t waiting_ = 0;
};

}  // namespace qanat::cmsp
