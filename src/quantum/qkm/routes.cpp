#include "quantum/qkm/routes.hpp"

#include <algorithm>

namespace qanat::qkm {
namespace {

constexpr std::chrono::milliseconds ask_max{500};  // of the relay's time

bool is_no_answer(ErrorCode code) { return code == ErrorCode::unavailable || code == ErrorCode::deadline_exceeded || code == ErrorCode::internal; }

}  // namespace

bool Routes::can_be_followed(const Path& path, const ElementName& destination) const {
  return path.size() >= 2 && path.front() == self_ && path.back() == destination && neighbours_.contains(path[1]);
}

Result<std::vector<Routes::Path>> Routes::find(const ElementName& destination, std::size_t paths, Deadline deadline, const std::string& request_id) {
  {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(destination);
    if (known != known_.end() && known->second.asked_for >= paths && std::chrono::steady_clock::now() < known->second.until) return known->second.paths;
  }
  auto asked = ask_(destination, paths, deadline.sooner_of(ask_max), request_id);
  if (asked) {
    std::erase_if(*asked, [&](const Path& path) { return !can_be_followed(path, destination); });
    if (asked->empty())
      asked = Result<std::vector<Path>>(fail(ErrorCode::unavailable, "no route of the controller's to " + destination.text() + " can be followed"));
  }
  const std::lock_guard lock(mutex_);
  if (asked) {
    known_.insert_or_assign(destination, Known{.paths = *asked, .asked_for = paths, .until = std::chrono::steady_clock::now() + fresh_});
    return asked;
  }
  if (!is_no_answer(asked.error().code)) return asked;
  if (const auto known = known_.find(destination); known != known_.end()) return known->second.paths;
  if (neighbours_.contains(destination)) return std::vector<Path>{{self_, destination}};
  return asked;
}

void Routes::distrust(const Path& path) {
  if (path.empty()) return;
  const std::lock_guard lock(mutex_);
  const auto known = known_.find(path.back());
  if (known == known_.end()) return;
  known->second.until = {};
  // It goes to the end: whoever cannot ask tries another first.
  std::vector<Path>& paths = known->second.paths;
  const auto found = std::ranges::find(paths, path);
  if (found != paths.end()) std::rotate(found, found + 1, paths.end());
}

}  // namespace qanat::qkm
