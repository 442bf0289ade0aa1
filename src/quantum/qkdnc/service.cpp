#include "quantum/qkdnc/service.hpp"

#include "node/recorded.hpp"
#include "node/subscriber.hpp"
#include "wire/base64.hpp"

namespace qanat::qkdnc {
namespace {

constexpr std::size_t links_per_qkm_max = 64;
constexpr std::int64_t routes_max = 8;
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
  std::map<ElementName, crypto::SiteKey> keys;
  for (const auto& [qkm, file] : settings.controller_keys) {
    ASSIGN_OR_RETURN(crypto::SiteKey key, crypto::SiteKey::read(file));
    keys.emplace(qkm, std::move(key));
  }
  std::unique_ptr<QkdncService> service(new QkdncService(node, settings, std::move(keys)));
  node.describe_health([&those = *service](wire::Json& body) { those.describe(body); });
  return Result<std::unique_ptr<QkdncService>>(std::move(service));
}

QkdncService::QkdncService(node::Node& node, const QkdncSettings& settings, std::map<ElementName, crypto::SiteKey> keys)
    : node_(node),
      topology_(settings.report_fresh_ms),
      centralised_(
          std::move(keys), node.rng(),
          {.report = [this](const ElementName& qkm, const points::CentralReportOrder& order, Deadline deadline,
                            const std::string& id) -> Result<points::CentralReport> {
             ASSIGN_OR_RETURN(const wire::Json answer, node_.call_json(points::Endpoint::kq2_report, qkm.text(), points::write(order), deadline, id));
             return points::read_central_report(answer, order.relay.keys);
           },
           .deliver = [this](const ElementName& qkm, const points::CentralHandover& delivery, Deadline deadline, const std::string& id) -> Result<Bytes> {
             ASSIGN_OR_RETURN(const wire::Json answer, node_.call_json(points::Endpoint::kq2_deliver, qkm.text(), points::write(delivery), deadline, id));
             TRY(answer.only({"confirmation"}));
             return answer.base64("confirmation");
           }}) {}

std::vector<points::Handler> QkdncService::handlers() {
  return {
      {points::Endpoint::kq2_state, [this](const net::Request& request) { return state(request); }},
      {points::Endpoint::kq2_route, [this](const net::Request& request) { return route(request); }},
      {points::Endpoint::kq2_relay, [this](const net::Request& request) { return relay(request); }},
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
  TRY(body.only({"to", "paths"}));
  ASSIGN_OR_RETURN(const std::string text, body.text("to"));
  ASSIGN_OR_RETURN(const ElementName to, node::parse_element_name(text));
  ASSIGN_OR_RETURN(const auto paths, body.optional_integer("paths", 1, routes_max));
  const auto found = [&] {
    const std::lock_guard lock(mutex_);
    return topology_.routes(ElementName(request.peer.identity->name), to, static_cast<std::size_t>(paths.value_or(1)), node_.clock().now_ms());
  }();
  if (!found) return fail(found.error());
  wire::Json list = wire::Json::array();
  for (const Route& one : *found) {
    wire::Json names = wire::Json::array();
    for (std::size_t i = 1; i < one.path.size(); ++i) names.push(one.path[i].text());
    list.push(wire::Json::object({{"route", names}, {"path_id", one.id.hex()}}));
  }
  return node::json_response(wire::Json::object({{"routes", list}}));
}

Result<net::Response> QkdncService::relay(const net::Request& request) {
  return node::recorded(node_, "kq-2.relay", request, [&](node::Deed& deed) -> Result<net::Response> {
    ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
    ASSIGN_OR_RETURN(const points::CentralHandover order, points::read_central_handover(body));
    deed.object = order.relay.relay_id.hex();
    ASSIGN_OR_RETURN(const Bytes confirmation, centralised_.relay(ElementName(request.peer.identity->name), order, request.deadline, request.request_id));
    return node::json_response(wire::Json::object({{"confirmation", wire::to_base64(confirmation)}}));
  });
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
