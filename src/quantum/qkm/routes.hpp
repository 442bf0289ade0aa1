// The ways to another QKM: asked of the controllers (Kq-2), kept for a few seconds, and found without them where that is possible.
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
  /// The nodes from this QKM to another, both included.
  using Path = std::vector<ElementName>;
  /// Up to `paths` of them, the best first, no two with a common node between the ends.
  using Ask = std::function<Result<std::vector<Path>>(const ElementName& destination, std::size_t paths, Deadline deadline, const std::string& request_id)>;

  Routes(ElementName self, std::set<ElementName> neighbours, std::chrono::milliseconds fresh, Ask ask)
      : self_(std::move(self)), neighbours_(std::move(neighbours)), fresh_(fresh), ask_(std::move(ask)) {}

  /// At least one path. When no controller answers: the routes it gave last, however old, or straight to a neighbour. A controller that says there
  /// is no route is believed.
  Result<std::vector<Path>> find(const ElementName& destination, std::size_t paths, Deadline deadline, const std::string& request_id);
  /// A relay over this path failed: a controller is asked again, and the path is the last to be tried if none answers.
  void distrust(const Path& path);

 private:
  struct Known {
    std::vector<Path> paths;
    std::size_t asked_for = 0;
    std::chrono::steady_clock::time_point until;
  };
  [[nodiscard]] bool can_be_followed(const Path& path, const ElementName& destination) const;

  const ElementName self_;
  const std::set<ElementName> neighbours_;
  const std::chrono::milliseconds fresh_;
  const Ask ask_;
  std::mutex mutex_;
  std::map<ElementName, Known> known_;
};

}  // namespace qanat::qkm
