#include "node/recorded.hpp"

namespace qanat::node {
namespace {

Result<void> record(Node& node, std::string_view action, const net::Request& request, const Deed& deed, const Result<net::Response>& answer) {
  return node.record({.action = action,
                      .outcome = answer ? audit::Outcome::success : audit::outcome_of(answer.error().code),
                      .subject = deed.subject,
                      .object = deed.object,
                      .reason = answer ? std::string_view() : std::string_view(answer.error().message),
                      .request_id = request.request_id});
}

std::string caller_of(const net::Request& request) { return request.peer.identity ? request.peer.identity->uri() : request.peer.address; }

}  // namespace

Result<net::Response> recorded(Node& node, std::string_view action, const net::Request& request, const std::function<Result<net::Response>(Deed&)>& work) {
  Deed deed{.subject = caller_of(request), .object = ""};
  Result<net::Response> answer = work(deed);
  TRY(record(node, action, request, deed, answer));
  return answer;
}

Result<net::Response> refusal_recorded(Node& node, std::string_view action, const net::Request& request, std::string_view object,
                                       Result<net::Response> answer) {
  if (!answer) TRY(record(node, action, request, {.subject = caller_of(request), .object = std::string(object)}, answer));
  return answer;
}

net::RefusalSink refusals_of(Node& node, std::string connection) {
  return [&node, connection = std::move(connection)](const net::Refusal& refusal) {
    const auto written = node.record({.action = refusal.point.empty() ? connection : refusal.point,
                                      .outcome = audit::outcome_of(refusal.code),
                                      .subject = refusal.peer,
                                      .object = "",
                                      .reason = refusal.reason,
                                      .request_id = ""});
    if (!written) log(LogLevel::error, "audit: {}", written.error().message);
  };
}

}  // namespace qanat::node
