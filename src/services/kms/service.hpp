// The key management service of one domain: its modules and who answers which reference point.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "node/node.hpp"
#include "services/kms/settings.hpp"

namespace qanat::kms {

class KmsService {
 public:
  static Result<std::unique_ptr<KmsService>> open(node::Node& node, KmsSettings settings);
  ~KmsService();

  std::vector<points::Handler> handlers();
  /// Starts the sweeper that destroys keys past their time.
  void start();
  void stop();

 private:
  struct Parts;
  explicit KmsService(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace qanat::kms
