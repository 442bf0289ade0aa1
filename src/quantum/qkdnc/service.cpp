#include "quantum/qkdnc/service.hpp"

#include "node/subscriber.hpp"

namespace qanat::qkdnc {
namespace {

constexpr std::size_t links_per_qkm_max = 64;
constexpr std::int64_t stock_max = std::int64_t{1} << 40;

Result<ReportedLink> read_link(const wire::Json& body) {
  TRY(body.only({"link", "peer", "stock", "rate_bps", "qber", "alive"}));
  ReportedLink out;
  ASSIGN_OR_RETURN(out.link, body.text("link"));
  ASSIGN_OR_RETURN(const std::string peer, body.text("peer"));
  ASSIGN_OR_RETURN(out.peer, node::parse_element_name(peer));
  ASSIGN_OR_RETURN(out.stock, body.integer("stock", 0, stock_max));
  ASSIGN_OR_RETURN(out.rate_bps, body.number("rate_bps"));
  ASSIGN_OR_RETURN(out.qber, body.number("qber"));
  ASSIGN_OR_RETURN(out.alive, body.boolean("alive"));
  return out;
}

}  // namespace

Result<std::unique_ptr<QkdncService>> QkdncService::open(node::Node& node, QkdncSettings settings) {
  std::unique_ptr<QkdncService> service(new QkdncService(node, settings));
  node.describe_health([&those = *service](wire::Json& body) { those.describe(body); });
  return Result<std::unique_ptr<QkdncService>>(std::move(service));
}

std::vector<points::Handler> QkdncService::handlers() {
  return {
      {points::Endpoint::kq2_state, [this](const net::Request& request) { return state(request); }},
      {points::Endpoint::kq2_route, [this](const net::Request& request) { return route(request); }},
  };
}

Result<net::Response> QkdncService::state(const net::Request& request) {
  ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
  TRY(body.only({"links"}));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, body.array("links"));
  if (list.size() > links_per_qkm_max) return fail(ErrorCode::invalid_argument, "links: more than 64");
  std::vector<ReportedLink> links;
  for (const wire::Json& entry : list) {
    ASSIGN_OR_RETURN(ReportedLink link, read_link(entry));
    links.push_back(std::move(link));
  }
  const std::lock_guard lock(mutex_);
  topology_.report(ElementName(request.peer.identity->name), std::move(links), node_.clock().now_ms());
  return net::Response{.status = 204, .content_type = "", .body = {}};
}

Result<net::Response> QkdncService::route(const net::Request& request) {
  ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
  TRY(body.only({"to"}));
  ASSIGN_OR_RETURN(const std::string text, body.text("to"));
  ASSIGN_OR_RETURN(const ElementName to, node::parse_element_name(text));
  const auto found = [&] {
    const std::lock_guard lock(mutex_);
    return topology_.route(ElementName(request.peer.identity->name), to, node_.clock().now_ms());
  }();
  if (!found) return fail(found.error());
  wire::Json names = wire::Json::array();
  for (std::size_t i = 1; i < found->path.size(); ++i) names.push(found->path[i].text());
  return node::json_response(wire::Json::object({{"route", names}, {"path_id", found->id.hex()}}));
}

void QkdncService::describe(wire::Json& body) {
  const std::lock_guard lock(mutex_);
  const UnixMs now = node_.clock().now_ms();
  wire::Json list = wire::Json::array();
  for (const auto& [qkm, entry] : topology_.entries()) {
    for (const ReportedLink& link : entry.links) {
      list.push(wire::Json::object({{"qkm", qkm.text()},
                                    {"link", link.link},
                                    {"peer", link.peer.text()},
                                    {"stock", link.stock},
                                    {"rate_bps", link.rate_bps},
                                    {"qber", link.qber},
                                    {"alive", link.alive && topology_.is_fresh(entry, now)}}));
    }
  }
  body.set("links", list);
}

}  // namespace qanat::qkdnc
