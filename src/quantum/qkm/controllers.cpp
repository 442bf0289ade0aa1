#include "quantum/qkm/controllers.hpp"

#include <algorithm>

#include "node/subscriber.hpp"
#include "quantum/qkm/relay_message.hpp"

namespace qanat::qkm {
namespace {

constexpr std::chrono::milliseconds report_max{1000};

Result<Routes::Path> read_route(const wire::Json& route, const std::string& self) {
  TRY(route.only({"route", "path_id"}));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, route.texts("route"));
  Routes::Path out{ElementName(self)};
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(ElementName hop, node::parse_element_name(name));
    out.push_back(std::move(hop));
  }
  ASSIGN_OR_RETURN(const std::string id, route.text("path_id"));
  if (id != path_id_of(out).hex()) return fail(ErrorCode::unavailable, "the controller's path id is not that of its route");
  return out;
}

}  // namespace

Result<std::vector<Routes::Path>> read_routes(const wire::Json& answer, const std::string& self) {
  TRY(answer.only({"routes"}));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, answer.array("routes"));
  std::vector<Routes::Path> out;
  for (const wire::Json& entry : list) {
    ASSIGN_OR_RETURN(Routes::Path path, read_route(entry, self));
    // Whoever splits a key over them relies on it; so it is not only the controller's word.
    const bool apart = std::ranges::all_of(out, [&](const Routes::Path& other) { return are_disjoint(path, other); });
    if (apart) out.push_back(std::move(path));
  }
  if (out.empty()) return fail(ErrorCode::unavailable, "the controller has named none");
  return out;
}

bool Controllers::has(const Identity& caller) const {
  const auto peer = node_.settings().peers.find(caller.name);
  return std::ranges::find(settings_.controllers, ElementName(caller.name)) != settings_.controllers.end() && peer != node_.settings().peers.end() &&
         peer->second.expected == caller;
}

Result<wire::Json> Controllers::ask(points::Endpoint endpoint, const wire::Json& body, Deadline deadline, const std::string& request_id) {
  Result<wire::Json> answer = fail(ErrorCode::unavailable, "no controller is configured");
  for (std::size_t i = 0; i < settings_.controllers.size(); ++i) {
    // While another is left, one that is silent may not use up all the time.
    const auto left = static_cast<int>(settings_.controllers.size() - i);
    answer =
        node_.call_json(endpoint, settings_.controllers[i].text(), body, left == 1 ? deadline : deadline.sooner_of(deadline.remaining() / left), request_id);
    const bool has_answered = answer || (answer.error().code != ErrorCode::unavailable && answer.error().code != ErrorCode::deadline_exceeded);
    if (has_answered) return answer;
  }
  return answer;
}

Result<std::vector<Routes::Path>> Controllers::routes(const ElementName& destination, std::size_t paths, Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(
      const wire::Json answer,
      ask(points::Endpoint::kq2_route, wire::Json::object({{"to", destination.text()}, {"paths", static_cast<std::int64_t>(paths)}}), deadline, request_id));
  auto out = read_routes(answer, node_.identity().name);
  if (!out) return fail_in("route to " + destination.text(), out.error());
  return out;
}

Result<points::CentralAnswer> Controllers::order(const points::CentralHandover& order, Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(const wire::Json answer, ask(points::Endpoint::kq2_relay, points::write(order), deadline, request_id));
  return points::read_central_answer(answer);
}

Result<std::vector<ElementName>> Controllers::report(std::span<const LinkView> links) {
  wire::Json list = wire::Json::array();
  for (const LinkView& link : links) {
    list.push(wire::Json::object({{"link", link.link.text()},
                                  {"peer", settings_.links.at(link.link).peer.text()},
                                  {"stock", link.stock.own},
                                  {"rate_bps", link.report.rate_bps},
                                  {"qber", link.report.qber},
                                  {"loss_db", link.report.loss_db},
                                  {"alive", link.alive}}));
  }
  std::vector<ElementName> changed;
  Result<void> failed;
  bool any = settings_.controllers.empty();
  for (const ElementName& controller : settings_.controllers) {
    const auto told = node_.call_json(points::Endpoint::kq2_state, controller.text(), wire::Json::object({{"links", list}}), Deadline::after(report_max),
                                      node_.new_request_id());
    const auto names = told ? told->texts("changed") : Result<std::vector<std::string>>(fail(told.error()));
    if (!names) {
      failed = fail(names.error());
      continue;
    }
    any = true;
    for (const std::string& name : *names) changed.emplace_back(name);
  }
  if (!any) return fail(failed.error());
  return changed;
}

}  // namespace qanat::qkm
