#include "services/cas/ceis/register_words.hpp"

namespace qanat::cas {
namespace {

Result<void> ask_register(node::Node& node, std::string_view member, const std::string& whom, Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(const std::string iam, node.peer_of(Kind::iam));
  const auto answer = node.call_json(points::Endpoint::x3_identity, iam, wire::Json::object({{member, whom}}), deadline, request_id);
  if (!answer && answer.error().code == ErrorCode::not_found)
    return fail(ErrorCode::denied, "'" + whom + "' is not in IAM's register: enter it there first (qanat iam create)");
  if (!answer) return fail(answer.error());
  ASSIGN_OR_RETURN(const std::string status, answer->text("status"));
  if (status != "active") return fail(ErrorCode::denied, "'" + whom + "' is " + status + " in IAM's register (qanat iam resume)");
  return {};
}

}  // namespace

Vouch vouch_of(node::Node& node) {
  return
      [&node](const Uid& subject, Deadline deadline, const std::string& request_id) { return ask_register(node, "uid", subject.text(), deadline, request_id); };
}

ElementStanding standing_of(node::Node& node) {
  return [&node](const Identity& element, Deadline deadline, const std::string& request_id) {
    return ask_register(node, "identity", element.uri(), deadline, request_id);
  };
}

}  // namespace qanat::cas
