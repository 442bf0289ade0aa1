// The way to another QKM: asked of the controller (Kq-2), kept for a few seconds, and found without it where that is possible.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/result.hpp"

namespace qanat::qkm {

class Routes {
 public:
  /// The nodes from the next hop to `destination`, both included.
  using Nodes = std::vector<ElementName>;
  using Ask = std::function<Result<Nodes>(const ElementName& destination, Deadline deadline, const std::string& request_id)>;

  Routes(std::set<ElementName> neighbours, std::chrono::milliseconds fresh, Ask ask)
      : neighbours_(std::move(neighbours)), fresh_(fresh), ask_(std::move(ask)) {}

  /// When the controller does not answer: the route it gave last, however old, or straight to a neighbour. A controller that says there is no
  /// route is believed.
  Result<Nodes> find(const ElementName& destination, Deadline deadline, const std::string& request_id);
  /// A relay over it failed: the controller is asked again.
  void distrust(const ElementName& destination);

 private:
  struct Known {
    Nodes nodes;
    std::chrono::steady_clock::time_point until;
  };
  const std::set<ElementName> neighbours_;
  const std::chrono::milliseconds fresh_;
  const Ask ask_;
  std::mutex mutex_;
  std::map<ElementName, Known> known_;
};

}  // namespace qanat::qkm
