// One end of one quantum link as a process: makes blocks with the other end while its QKM wants keys, and brings them there. What the
// keys come from is the driver's matter (driver.hpp); what was simulated says so wherever it is shown.
#pragma once

#include <memory>
#include <vector>

#include "node/node.hpp"
#include "quantum/qkd/process/settings.hpp"

namespace qanat::qkd {

class QkdService {
 public:
  static Result<std::unique_ptr<QkdService>> open(node::Node& node, QkdSettings settings);
  ~QkdService();

  std::vector<points::Handler> handlers();
  /// Starts the work with the QKM and, at Bob's end, the dialling.
  void start();
  void stop();

 private:
  struct Parts;
  explicit QkdService(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace qanat::qkd
