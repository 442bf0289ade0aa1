#include "quantum/qkdnc/service.hpp"

#include "node/log.hpp"
#include "node/recorded.hpp"
#include "node/subscriber.hpp"
#include "quantum/qkdnc/sdn_view.hpp"
#include "wire/base64.hpp"

namespace qanat::qkdnc {
namespace {

constexpr std::size_t links_per_qkm_max = 64;
constexpr std::int64_t stock_max = std::int64_t{1} << 40;
constexpr std::int64_t term_max = std::int64_t{1} << 53;
constexpr double rate_max = 1e9;  // keys per second that a demand may name
constexpr double link_bps_max = 1e15;  // that a report may name
constexpr std::chrono::milliseconds look_every{250};
constexpr std::chrono::milliseconds tell_max{500};

Result<ReportedLink> read_link(const wire::Json& body) {
  TRY(body.only({"link", "peer", "stock", "rate_bps", "qber", "loss_db", "alive"}));
  ReportedLink out;
  ASSIGN_OR_RETURN(out.link, body.text("link"));
  ASSIGN_OR_RETURN(const std::string peer, body.text("peer"));
  ASSIGN_OR_RETURN(out.peer, node::parse_element_name(peer));
  ASSIGN_OR_RETURN(out.state.stock, body.integer("stock", 0, stock_max));
  ASSIGN_OR_RETURN(out.state.rate_bps, body.number("rate_bps"));
  if (!(out.state.rate_bps >= 0.0 && out.state.rate_bps <= link_bps_max)) return fail(ErrorCode::invalid_argument, "rate_bps: must be between 0 and 1e15");
  ASSIGN_OR_RETURN(out.state.qber, body.number("qber"));
  ASSIGN_OR_RETURN(const auto loss, body.optional_number("loss_db"));
  out.state.loss_db = loss.value_or(0.0);
  ASSIGN_OR_RETURN(out.state.alive, body.boolean("alive"));
  return out;
}

Result<Demand> read_demand(const net::Request& request) {
  ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
  TRY(body.only({"to", "paths", "priority", "keys_per_s"}));
  Demand out;
  out.from = ElementName(request.peer.identity->name);
  ASSIGN_OR_RETURN(const std::string to, body.text("to"));
  ASSIGN_OR_RETURN(out.to, node::parse_element_name(to));
  ASSIGN_OR_RETURN(const auto paths, body.optional_integer("paths", 1, static_cast<std::int64_t>(paths_max)));
  out.paths = static_cast<std::size_t>(paths.value_or(1));
  ASSIGN_OR_RETURN(const auto priority, body.optional_text("priority"));
  if (priority) {
    ASSIGN_OR_RETURN(out.priority, priority_from_name(*priority));
  }
  ASSIGN_OR_RETURN(const auto rate, body.optional_number("keys_per_s"));
  out.keys_per_s = rate.value_or(0.0);
  if (!(out.keys_per_s >= 0.0 && out.keys_per_s <= rate_max)) return fail(ErrorCode::invalid_argument, "keys_per_s: must be between 0 and 1e9");
  return out;
}

wire::Json describe(const Route& route) {
  wire::Json names = wire::Json::array();
  for (std::size_t i = 1; i < route.path.size(); ++i) names.push(route.path[i].text());
  return wire::Json::object({{"route", names}, {"path_id", route.id.hex()}});
}

wire::Json describe(const Claim& claim) {
  return wire::Json::object({{"name", claim.name.text()}, {"term", claim.term}, {"leads", claim.leads}});
}

Result<Claim> read_claim(const wire::Json& body, const std::string& speaker) {
  TRY(body.only({"name", "term", "leads"}));
  Claim out;
  ASSIGN_OR_RETURN(const std::string name, body.text("name"));
  if (name != speaker) return fail(ErrorCode::denied, "name: the caller is " + speaker);
  out.name = ElementName(name);
  ASSIGN_OR_RETURN(const std::int64_t term, body.integer("term", 0, term_max));
  out.term = static_cast<std::uint64_t>(term);
  ASSIGN_OR_RETURN(out.leads, body.boolean("leads"));
  return out;
}

/// The value of `name` in "qkdn_id=…".
std::string_view query_value(std::string_view query, std::string_view name) {
  if (!query.starts_with(name) || !query.substr(name.size()).starts_with('=')) return {};
  return query.substr(name.size() + 1);
}

}  // namespace

QkdncService::QkdncService(node::Node& node, QkdncSettings settings, std::unique_ptr<Records> records, std::uint64_t term, ControllerKeys keys)
    : node_(node),
      settings_(std::move(settings)),
      records_(std::move(records)),
      centralised_(std::move(keys), node.rng(), ports()),
      topology_(settings_.topology),
      leadership_({.self = ElementName(node.identity().name), .other = settings_.other, .silence_ms = settings_.takeover_ms}, term, node.clock().now_ms()) {}

Result<std::unique_ptr<QkdncService>> QkdncService::open(node::Node& node, QkdncSettings settings) {
  ASSIGN_OR_RETURN(auto records, Records::open(node.settings().state / "qkdnc.db"));
  ASSIGN_OR_RETURN(const std::uint64_t term, records->term());
  ASSIGN_OR_RETURN(const std::vector<Records::Known> known, records->known());
  ControllerKeys keys;
  for (const auto& [qkm, file] : settings.controller_keys) {
    ASSIGN_OR_RETURN(crypto::SiteKey key, crypto::SiteKey::read(file));
    keys.emplace(qkm, std::move(key));
  }
  std::unique_ptr<QkdncService> service(new QkdncService(node, std::move(settings), std::move(records), term, std::move(keys)));
  for (const Records::Known& one : known) service->topology_.remember(one.qkm, one.links);
  TRY(service->take_lead_if_due());
  node.describe_health([&those = *service](wire::Json& body) { those.describe(body); });
  return Result<std::unique_ptr<QkdncService>>(std::move(service));
}

Centralised::Ports QkdncService::ports() {
  return {.report = [this](const ElementName& qkm, const points::CentralReportOrder& order, Deadline deadline,
                           const std::string& id) -> Result<points::CentralReport> {
            ASSIGN_OR_RETURN(const wire::Json answer, node_.call_json(points::Endpoint::kq2_report, qkm.text(), points::write(order), deadline, id));
            return points::read_central_report(answer, order.relay.keys);
          },
          .deliver = [this](const ElementName& qkm, const points::CentralHandover& delivery, Deadline deadline,
                            const std::string& id) -> Result<points::CentralAnswer> {
            ASSIGN_OR_RETURN(const wire::Json answer, node_.call_json(points::Endpoint::kq2_deliver, qkm.text(), points::write(delivery), deadline, id));
            return points::read_central_answer(answer);
          },
          .missing = [this](const ElementName& qkm, const points::CentralNotice& notice, Deadline deadline, const std::string& id) -> Result<void> {
            TRY(node_.call_json(points::Endpoint::kq2_missing, qkm.text(), points::write(notice), deadline, id));
            return {};
          }};
}

std::vector<points::Handler> QkdncService::handlers() {
  using points::Endpoint;
  return {
      {Endpoint::kq2_state, [this](const net::Request& request) { return state(request); }},
      {Endpoint::kq2_route, [this](const net::Request& request) { return route(request); }},
      {Endpoint::kq2_relay, [this](const net::Request& request) { return relay(request); }},
      {Endpoint::x7_lead, [this](const net::Request& request) { return lead(request); }},
      {Endpoint::x8_nodes, [this](const net::Request& request) { return sdn(request); }},
  };
}

Result<net::Response> QkdncService::state(const net::Request& request) { return node::refusal_recorded(node_, "kq-2.state", request, "", heard_state(request)); }

/// Both controllers are told, so that the one that takes over knows the network already.
Result<net::Response> QkdncService::heard_state(const net::Request& request) {
  ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
  TRY(body.only({"links"}));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, body.array("links"));
  if (list.size() > links_per_qkm_max) return fail(ErrorCode::invalid_argument, "links: more than 64");
  std::vector<ReportedLink> links;
  for (const wire::Json& entry : list) {
    ASSIGN_OR_RETURN(ReportedLink link, read_link(entry));
    links.push_back(std::move(link));
  }
  const ElementName qkm(request.peer.identity->name);
  const std::lock_guard lock(mutex_);
  TRY(records_->store_shape(qkm, links));
  topology_.report(qkm, std::move(links), node_.clock().now_ms());
  wire::Json changed = wire::Json::array();
  for (const ElementName& destination : topology_.changed(qkm)) changed.push(destination.text());
  return node::json_response(wire::Json::object({{"leads", acts_}, {"changed", changed}}));
}

Result<net::Response> QkdncService::route(const net::Request& request) {
  ASSIGN_OR_RETURN(const Demand demand, read_demand(request));
  const auto found = [&]() -> Result<std::vector<Route>> {
    TRY(check_leads());
    const std::lock_guard lock(mutex_);
    return topology_.routes(demand, node_.clock().now_ms());
  }();
  if (!found) return fail(found.error());
  wire::Json routes = wire::Json::array();
  for (const Route& one : *found) routes.push(qkdnc::describe(one));
  return node::json_response(wire::Json::object({{"routes", routes}}));
}

Result<void> QkdncService::check_leads() const {
  const std::lock_guard lock(mutex_);
  if (acts_) return {};
  return fail(ErrorCode::unavailable, "controller " + node_.identity().name + " does not lead: ask the other one");
}

Result<net::Response> QkdncService::relay(const net::Request& request) {
  return node::recorded(node_, "kq-2.relay", request, [&](node::Deed& deed) -> Result<net::Response> {
    ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
    ASSIGN_OR_RETURN(const points::CentralHandover order, points::read_central_handover(body));
    deed.object = order.relay.relay_id.hex();
    TRY(check_leads());
    ASSIGN_OR_RETURN(const points::CentralAnswer answer, centralised_.relay(ElementName(request.peer.identity->name), order, request.deadline, request.request_id));
    return node::json_response(points::write(answer));
  });
}

Result<net::Response> QkdncService::lead(const net::Request& request) { return node::refusal_recorded(node_, "x-7.lead", request, "", heard_claim(request)); }

Result<net::Response> QkdncService::heard_claim(const net::Request& request) {
  ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const Claim other, read_claim(body, request.peer.identity->name));
  if (!settings_.other || other.name != *settings_.other) return fail(ErrorCode::denied, other.name.text() + " is not the second controller of this one");
  const std::lock_guard lock(mutex_);
  leadership_.heard(other, node_.clock().now_ms());
  acts_ = acts_ && leadership_.leads();
  return node::json_response(qkdnc::describe(leadership_.claim()));
}

Result<net::Response> QkdncService::sdn(const net::Request& request) {
  const auto view = [&] {
    const std::lock_guard lock(mutex_);
    return sdn_view(topology_, query_value(request.query, "qkdn_id"), node_.clock().now_ms());
  }();
  if (!view) return fail(view.error());
  return node::json_response(*view);
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
                                    {"stock", link.state.stock},
                                    {"rate_bps", link.state.rate_bps},
                                    {"qber", link.state.qber},
                                    {"loss_db", link.state.loss_db},
                                    {"alive", link.state.alive && topology_.is_fresh(entry, now)}}));
    }
  }
  const Topology::Counts counts = topology_.counts();
  body.set("leads", acts_);
  body.set("term", leadership_.term());
  body.set("routes_in_use", counts.routes_in_use);
  body.set("rerouted", counts.rerouted);
  body.set("links", list);
}

/// The term is durable before anybody is told a route under it.
Result<void> QkdncService::take_lead_if_due() {
  const std::lock_guard lock(mutex_);
  leadership_.tick(node_.clock().now_ms());
  if (!leadership_.leads() || acts_) return {};
  TRY(records_->store_term(leadership_.term()));
  acts_ = true;
  node::log(node::LogLevel::note, "leads, term {}", leadership_.term());
  node_.report({.about = "", .action = "lead", .outcome = "taken", .object = "term " + std::to_string(leadership_.term())});
  return {};
}

void QkdncService::tell_other() {
  if (!settings_.other) return;
  const Claim own = [this] {
    const std::lock_guard lock(mutex_);
    return leadership_.claim();
  }();
  const auto answer =
      node_.call_json(points::Endpoint::x7_lead, settings_.other->text(), qkdnc::describe(own), Deadline::after(tell_max), node_.new_request_id());
  if (!answer) {
    node::log(node::LogLevel::debug, "controller {}: {}", settings_.other->text(), answer.error().message);
    return;
  }
  const auto other = read_claim(*answer, settings_.other->text());
  if (!other) return;
  const std::lock_guard lock(mutex_);
  leadership_.heard(*other, node_.clock().now_ms());
  acts_ = acts_ && leadership_.leads();
}

void QkdncService::watch() {
  while (pause(look_every)) {
    tell_other();
    if (const auto led = take_lead_if_due(); !led) node::log(node::LogLevel::error, "leadership: {}", led.error().message);
    const std::lock_guard lock(mutex_);
    topology_.expire(node_.clock().now_ms());
  }
}

bool QkdncService::pause(std::chrono::milliseconds span) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, span, [this] { return stopping_; });
}

void QkdncService::start() {
  watcher_ = std::thread([this] { watch(); });
}

void QkdncService::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

}  // namespace qanat::qkdnc
