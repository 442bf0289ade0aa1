#include "node/recorded.hpp"

namespace qanat::node {

Result<net::Response> recorded(Node& node, std::string_view action, const net::Request& request, const std::function<Result<net::Response>(Deed&)>& work) {
  Deed deed{.subject = request.peer.identity ? request.peer.identity->uri() : request.peer.address, .object = ""};
  Result<net::Response> answer = work(deed);
  TRY(node.record({.action = action,
                   .outcome = answer ? audit::Outcome::success : audit::outcome_of(answer.error().code),
                   .subject = deed.subject,
                   .object = deed.object,
                   .reason = answer ? std::string_view() : std::string_view(answer.error().message),
                   .request_id = request.request_id}));
  return answer;
}

}  // namespace qanat::node
