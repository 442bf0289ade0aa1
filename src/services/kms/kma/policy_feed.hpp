// Mo-2 at the KMS: asks CSO for its policy, in the background, and tells it how the pools are. Without CSO everything goes on under the last policy.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "node/node.hpp"
#include "node/senders.hpp"
#include "services/kms/kma/policy_in_force.hpp"

namespace qanat::kms {

class PolicyFeed {
 public:
  /// What this KMS says of itself; policy and epoch are put in here.
  using Describe = std::function<Result<points::KmsState>(Deadline)>;
  struct Pauses {
    std::chrono::milliseconds answered{1000};  // from one question to the next, at least
    std::chrono::milliseconds failed{5000};
    std::chrono::milliseconds report{5000};
  };

  PolicyFeed(node::Node& node, store::Store& store, node::SenderDirectory& senders, PolicyInForce& policy, Describe describe)
      : node_(node), store_(store), senders_(senders), policy_(policy), describe_(std::move(describe)) {}
  ~PolicyFeed() { stop(); }
  PolicyFeed(const PolicyFeed&) = delete;
  PolicyFeed& operator=(const PolicyFeed&) = delete;

  /// Nothing where this KMS has no CMSP among its peers.
  void start();
  /// Idempotent; waits for the question that is under way.
  void stop();

  /// One question: verified, recorded, durable and in force when it returns. True if there was a later policy.
  Result<bool> fetch(Deadline deadline);
  Result<void> report(Deadline deadline);

 private:
  void run();
  Result<points::KmsPolicy> open(ByteView envelope, const std::string& cmsp, Deadline deadline);
  Result<void> record(audit::Outcome outcome, const std::string& object, const std::string& reason, const std::string& request_id);

  node::Node& node_;
  store::Store& store_;
  node::SenderDirectory& senders_;
  PolicyInForce& policy_;
  const Describe describe_;
  const Pauses pauses_ = {};
  std::string refused_;  // the last refusal that is on record: it may come again every second
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::kms
