#include "quantum/qkm/recording.hpp"

#include <thread>

namespace qanat::qkm {
namespace {

constexpr std::size_t together_max = 8;

Result<void> record_one(node::Node& node, const KeyEvent& event) {
  return node.record({.action = event.action,
                      .outcome = audit::Outcome::success,
                      .subject = event.subject,
                      .object = event.key.hex(),
                      .reason = "",
                      .request_id = event.request_id});
}

}  // namespace

Result<void> record_together(node::Node& node, std::span<const KeyEvent> events) {
  while (!events.empty()) {
    const auto group = events.first(std::min(events.size(), together_max));
    events = events.subspan(group.size());
    std::vector<Result<void>> outcomes(group.size());
    {
      std::vector<std::jthread> writers;
      for (std::size_t i = 1; i < group.size(); ++i) writers.emplace_back([&, i] { outcomes[i] = record_one(node, group[i]); });
      outcomes[0] = record_one(node, group[0]);
    }
    for (const Result<void>& outcome : outcomes) TRY(outcome);
  }
  return {};
}

}  // namespace qanat::qkm
