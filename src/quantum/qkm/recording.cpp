#include "quantum/qkm/recording.hpp"

namespace qanat::qkm {
namespace {

constexpr std::size_t keys_text_max = 1000;  // of one record, which cuts off at 1024; what is longer goes into several

Result<void> record_part(node::Node& node, const KeyEvent& event, std::string_view keys) {
  return node.record(
      {.action = event.action, .outcome = audit::Outcome::success, .subject = event.subject, .object = keys, .reason = "", .request_id = event.request_id});
}

}  // namespace

Result<void> record_together(node::Node& node, std::span<const KeyEvent> events) {
  for (const KeyEvent& event : events) {
    std::string_view rest = event.keys;
    while (rest.size() > keys_text_max) {
      const std::size_t end = rest.rfind(' ', keys_text_max);
      if (end == std::string_view::npos) break;
      TRY(record_part(node, event, rest.substr(0, end)));
      rest.remove_prefix(end + 1);
    }
    TRY(record_part(node, event, rest));
  }
  return {};
}

}  // namespace qanat::qkm
