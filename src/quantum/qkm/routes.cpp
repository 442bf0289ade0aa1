#include "quantum/qkm/routes.hpp"

namespace qanat::qkm {
namespace {

constexpr std::chrono::milliseconds ask_max{500};  // of the relay's time

bool is_no_answer(ErrorCode code) { return code == ErrorCode::unavailable || code == ErrorCode::deadline_exceeded || code == ErrorCode::internal; }

}  // namespace

Result<Routes::Nodes> Routes::find(const ElementName& destination, Deadline deadline, const std::string& request_id) {
  {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(destination);
    if (known != known_.end() && std::chrono::steady_clock::now() < known->second.until) return known->second.nodes;
  }
  auto asked = ask_(destination, deadline.sooner_of(ask_max), request_id);
  if (asked && (asked->empty() || asked->back() != destination || !neighbours_.contains(asked->front()))) {
    asked = Result<Nodes>(fail(ErrorCode::unavailable, "the controller's route to " + destination.text() + " cannot be followed"));
  }
  const std::lock_guard lock(mutex_);
  if (asked) {
    known_.insert_or_assign(destination, Known{.nodes = *asked, .until = std::chrono::steady_clock::now() + fresh_});
    return asked;
  }
  if (!is_no_answer(asked.error().code)) return asked;
  if (const auto known = known_.find(destination); known != known_.end()) return known->second.nodes;
  if (neighbours_.contains(destination)) return Nodes{destination};
  return asked;
}

void Routes::distrust(const ElementName& destination) {
  const std::lock_guard lock(mutex_);
  const auto known = known_.find(destination);
  if (known != known_.end()) known->second.until = {};
}

}  // namespace qanat::qkm
