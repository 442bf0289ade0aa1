// The agent of a gateway (DEV-1) as a process: its tunnels at work, Dx-1 towards the agents at their other ends.
#pragma once

#include <memory>

#include "node/node.hpp"
#include "terminal/gateway/settings.hpp"

namespace qanat::terminal::gateway {

class GatewayService {
 public:
  static Result<std::unique_ptr<GatewayService>> open(node::Node& node, const GatewaySettings& settings);
  ~GatewayService();

  std::vector<points::Handler> handlers();
  /// A thread for each tunnel, and one that waits for SIGHUP, which the process must have blocked: every tunnel then changes its key.
  void start();
  void stop();

 private:
  struct Parts;
  explicit GatewayService(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace qanat::terminal::gateway
