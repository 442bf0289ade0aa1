// The quantum key manager of one site: takes blocks from its QKDs, relays keys with its neighbours, supplies the KMS of its domain.
#pragma once

#include <memory>
#include <vector>

#include "node/node.hpp"
#include "quantum/qkm/settings.hpp"

namespace qanat::qkm {

class QkmService {
 public:
  static Result<std::unique_ptr<QkmService>> open(node::Node& node, QkmSettings settings);
  ~QkmService();

  std::vector<points::Handler> handlers();
  /// Starts what runs by itself: relaying beforehand, reports to the controller, destroying what is past its time.
  void start();
  void stop();

 private:
  struct Parts;
  explicit QkmService(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace qanat::qkm
