#include "quantum/qkm/service.hpp"

#include <condition_variable>
#include <thread>

#include "node/log.hpp"
#include "node/subscriber.hpp"
#include "quantum/qkm/link_handlers.hpp"
#include "quantum/qkm/recording.hpp"
#include "quantum/qkm/routes.hpp"
#include "quantum/qkm/sae_front.hpp"
#include "quantum/qkm/schema.hpp"

namespace qanat::qkm {
namespace {

constexpr std::chrono::milliseconds report_every{1000};
constexpr std::chrono::milliseconds report_max{1000};
constexpr std::chrono::milliseconds relay_max{2000};  // of a relay beforehand
constexpr std::chrono::milliseconds relay_look_every{500};
constexpr std::chrono::milliseconds relay_pause_max{8000};  // between attempts while relays fail
constexpr UnixMs forget_after_ms = 24ULL * 3600 * 1000;

RelayPlace place_of(const node::Node& node, const QkmSettings& settings) {
  RelayPlace out;
  out.self = ElementName(node.identity().name);
  out.domain = node.identity().domain;
  out.end_nodes = settings.domains;
  out.lifetime = settings.lifetime;
  for (const auto& [link, entry] : settings.links) out.links.emplace(entry.peer, link);
  return out;
}

std::set<ElementName> neighbours_of(const QkmSettings& settings) {
  std::set<ElementName> out;
  for (const auto& [link, entry] : settings.links) out.insert(entry.peer);
  return out;
}

std::vector<LinkId> link_ids(const QkmSettings& settings) {
  std::vector<LinkId> out;
  out.reserve(settings.links.size());
  for (const auto& [link, entry] : settings.links) out.push_back(link);
  return out;
}

Result<Routes::Nodes> ask_controller(node::Node& node, const ElementName& controller, const ElementName& destination, Deadline deadline,
                                     const std::string& request_id) {
  if (controller.empty()) return fail(ErrorCode::unavailable, "no controller is configured, and " + destination.text() + " is no neighbour");
  ASSIGN_OR_RETURN(const wire::Json answer,
                   node.call_json(points::Endpoint::kq2_route, controller.text(), wire::Json::object({{"to", destination.text()}}), deadline, request_id));
  TRY(answer.only({"route", "path_id"}));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, answer.texts("route"));
  Routes::Nodes out;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(ElementName hop, node::parse_element_name(name));
    out.push_back(std::move(hop));
  }
  ASSIGN_OR_RETURN(const std::string path, answer.text("path_id"));
  Routes::Nodes whole{ElementName(node.identity().name)};
  whole.insert(whole.end(), out.begin(), out.end());
  if (path != path_id_of(whole).hex()) return fail(ErrorCode::unavailable, "the controller's path id is not that of its route");
  return out;
}

}  // namespace

struct QkmService::Parts {
  Parts(node::Node& node_, QkmSettings settings_, std::unique_ptr<store::Store> store_, SiteWrapping wrapping_)
      : node(node_),
        settings(std::move(settings_)),
        store(std::move(store_)),
        wrapping(std::move(wrapping_)),
        trace(node.settings().state),
        link_keys(node.device(), ElementName(node.identity().name), settings.keys_max),
        relayed_keys(node.device()),
        links(link_ids(settings), settings.marks),
        routes(neighbours_of(settings), settings.route_fresh,
               [this](const ElementName& to, Deadline deadline, const std::string& id) { return ask_controller(node, settings.controller, to, deadline, id); }),
        relay(place_of(node, settings), {*store, link_keys, relayed_keys, node.device(), node.clock(), arrivals}, ports()),
        supply({*store, relayed_keys, relay, node.clock(), arrivals, [this](std::span<const KeyEvent> events) { return record_together(node, events); }}),
        supply_handlers({node, supply, wrapping, trace, [this] { pool_changed.ring(); }}),
        link_handlers({node, *store, link_keys, links, arrivals, wrapping, settings}),
        sae_stock(node.device()) {
    if (settings.sae) sae.emplace(node, *store, sae_stock, *settings.sae, settings.domains);
  }

  node::Node& node;
  QkmSettings settings;
  std::unique_ptr<store::Store> store;
  SiteWrapping wrapping;
  node::StepTrace trace;
  Arrivals arrivals;      // link keys and far keys
  Arrivals pool_changed;  // near keys were taken
  LinkKeys link_keys;
  RelayedKeys relayed_keys;
  Links links;
  Routes routes;
  RelayNode relay;
  KeySupply supply;
  SupplyHandlers supply_handlers;
  LinkHandlers link_handlers;
  KeyStock sae_stock;
  std::optional<SaeFront> sae;

  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  std::thread housekeeper;
  std::thread reporter;
  std::thread relayer;

  RelayPorts ports();
  Result<Bytes> send(const ElementName& neighbour, ByteView message, Deadline deadline, const std::string& request_id);
  Result<net::Response> relayed(const net::Request& request);
  Result<net::Response> activated(const net::Request& request);
  Result<net::Response> status(const net::Request& request);
  Result<void> recover();
  Result<void> sweep();
  Result<void> report();
  bool fill_pools();
  void describe(wire::Json& body);
  /// False when the service stops, after `span` otherwise.
  bool pause(std::chrono::milliseconds span);
};

RelayPorts QkmService::Parts::ports() {
  return {.send = [this](const ElementName& neighbour, ByteView message, Deadline deadline,
                         const std::string& id) { return send(neighbour, message, deadline, id); },
          .route = [this](const ElementName& to, Deadline deadline, const std::string& id) { return routes.find(to, deadline, id); },
          .record = [this](std::span<const KeyEvent> events) { return record_together(node, events); }};
}

Result<Bytes> QkmService::Parts::send(const ElementName& neighbour, ByteView message, Deadline deadline, const std::string& request_id) {
  auto response = node.call(points::Endpoint::x1_relay, neighbour.text(), message, deadline, request_id);
  if (!response) {
    for (const auto& [domain, end_node] : settings.domains) routes.distrust(end_node);
    return fail(response.error());
  }
  return std::move(response->body);
}

Result<net::Response> QkmService::Parts::relayed(const net::Request& request) {
  const Identity& sender = *request.peer.identity;
  const auto configured = node.settings().peers.find(sender.name);
  auto answer = [&]() -> Result<Bytes> {
    if (configured == node.settings().peers.end() || configured->second.expected != sender)
      return fail(ErrorCode::denied, sender.uri() + " is no neighbour of this QKM");
    return relay.receive(ElementName(sender.name), request.body, request.deadline, request.request_id);
  }();
  if (!answer) {
    TRY(node.record({.action = "x-1.relay",
                     .outcome = audit::outcome_of(answer.error().code),
                     .subject = sender.uri(),
                     .object = "",
                     .reason = answer.error().message,
                     .request_id = request.request_id}));
    return fail(answer.error());
  }
  return net::Response{.status = 200, .content_type = std::string(points::type_octets), .body = std::move(*answer)};
}

Result<net::Response> QkmService::Parts::activated(const net::Request& request) {
  if (!sae) return fail(ErrorCode::unavailable, "this QKM serves no SAEs");
  return sae->activated(request);
}

Result<net::Response> QkmService::Parts::status(const net::Request& request) {
  if (request.peer.identity->domain != node.identity().domain)
    return fail(ErrorCode::denied, "the stock of domain " + node.identity().domain + " is for its own KMS");
  ASSIGN_OR_RETURN(const auto stock, store->transact([&](store::Transaction& transaction) { return relayed_keys.stock(transaction, node.clock().now_ms()); }));
  wire::Json peers = wire::Json::array();
  for (const auto& [domain, end_node] : settings.domains) {
    const auto found = stock.find(domain);
    peers.push(wire::Json::object({{"domain", domain}, {"stock", found == stock.end() ? std::int64_t{0} : found->second}, {"qkm", end_node.text()}}));
  }
  return node::json_response(wire::Json::object({{"peers", peers}}));
}

Result<void> QkmService::Parts::recover() {
  std::vector<KeyEvent> events;
  TRY(store->transact([&](store::Transaction& transaction) -> Result<void> {
    const UnixMs now = node.clock().now_ms();
    ASSIGN_OR_RETURN(const std::vector<KeyId> burnt, link_keys.recover(transaction, now));
    ASSIGN_OR_RETURN(const std::vector<KeyId> lost, relayed_keys.recover(transaction, now));
    for (const KeyId& id : burnt) events.push_back({.action = "link_key.burnt_at_start", .key = id, .subject = "", .request_id = ""});
    for (const KeyId& id : lost) events.push_back({.action = "relayed_key.destroyed_at_start", .key = id, .subject = "", .request_id = ""});
    return {};
  }));
  return record_together(node, events);
}

Result<void> QkmService::Parts::sweep() {
  std::vector<KeyEvent> events;
  TRY(store->transact([&](store::Transaction& transaction) -> Result<void> {
    const UnixMs now = node.clock().now_ms();
    ASSIGN_OR_RETURN(const std::vector<KeyId> expired, relayed_keys.sweep(transaction, now));
    for (const KeyId& id : expired) events.push_back({.action = "relayed_key.expired", .key = id, .subject = "", .request_id = ""});
    TRY(link_keys.forget(transaction, now - forget_after_ms));
    return relayed_keys.forget(transaction, now - forget_after_ms);
  }));
  return record_together(node, events);
}

Result<void> QkmService::Parts::report() {
  if (settings.controller.empty()) return {};
  wire::Json list = wire::Json::array();
  for (const LinkView& link : links.view(node.clock().now_ms())) {
    list.push(wire::Json::object({{"link", link.link.text()},
                                  {"peer", settings.links.at(link.link).peer.text()},
                                  {"stock", link.stock.own},
                                  {"rate_bps", link.report.rate_bps},
                                  {"qber", link.report.qber},
                                  {"alive", link.alive}}));
  }
  TRY(node.call_json(points::Endpoint::kq2_state, settings.controller.text(), wire::Json::object({{"links", list}}), Deadline::after(report_max),
                     node.new_request_id()));
  return {};
}

/// True if every pool has what it should.
bool QkmService::Parts::fill_pools() {
  bool full = true;
  for (const auto& [domain, end_node] : settings.domains) {
    if (domain == node.identity().domain) continue;
    const auto missing = supply.missing(domain, settings.pool_target);
    for (std::size_t i = 0; missing && i < *missing && !node.stopping(); ++i) {
      const auto done = relay.relay_to(domain, Deadline::after(relay_max), node.new_request_id());
      if (done) continue;
      node::log(node::LogLevel::warning, "relay to domain {}: {}", domain, done.error().message);
      full = false;
      break;
    }
  }
  return full;
}

void QkmService::Parts::describe(wire::Json& body) {
  wire::Json list = wire::Json::array();
  for (const LinkView& link : links.view(node.clock().now_ms())) {
    list.push(wire::Json::object({{"link", link.link.text()},
                                  {"peer", settings.links.at(link.link).peer.text()},
                                  {"own_keys", link.stock.own},
                                  {"peer_keys", link.stock.peer},
                                  {"qber", link.report.qber},
                                  {"rate_bps", link.report.rate_bps},
                                  {"simulated", link.report.simulated},
                                  {"run", link.runs},
                                  {"alive", link.alive}}));
  }
  body.set("links", list);
  wire::Json pools = wire::Json::array();
  if (const auto stock = store->transact([&](store::Transaction& transaction) { return relayed_keys.stock(transaction, node.clock().now_ms()); })) {
    for (const auto& [domain, count] : *stock) pools.push(wire::Json::object({{"domain", domain}, {"stock", count}}));
  }
  body.set("relayed_keys", pools);
  body.set("grade", wrapping.grade());
}

bool QkmService::Parts::pause(std::chrono::milliseconds span) {
  std::unique_lock lock(mutex);
  return !changed.wait_for(lock, span, [this] { return stopping; });
}

QkmService::QkmService(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
QkmService::~QkmService() { stop(); }

Result<std::unique_ptr<QkmService>> QkmService::open(node::Node& node, QkmSettings settings) {
  ASSIGN_OR_RETURN(auto store, store::Store::open(node.settings().state / "qkm.db", migrations));
  ASSIGN_OR_RETURN(SiteWrapping wrapping, SiteWrapping::read(settings.site_key));
  auto parts = std::make_unique<Parts>(node, std::move(settings), std::move(store), std::move(wrapping));
  TRY(parts->recover());
  TRY(parts->link_handlers.refresh_stock());
  if (parts->sae) TRY(parts->sae->start());
  node.describe_health([&those = *parts](wire::Json& body) { those.describe(body); });
  return std::unique_ptr<QkmService>(new QkmService(std::move(parts)));
}

std::vector<points::Handler> QkmService::handlers() {
  using points::Endpoint;
  Parts& parts = *parts_;
  return {
      {Endpoint::km3_take, [&](const net::Request& request) { return parts.supply_handlers.take(request); }},
      {Endpoint::km3_fetch, [&](const net::Request& request) { return parts.supply_handlers.fetch(request); }},
      {Endpoint::km3_done, [&](const net::Request& request) { return parts.supply_handlers.done(request); }},
      {Endpoint::km3_status, [&](const net::Request& request) { return parts.status(request); }},
      {Endpoint::kq1_block, [&](const net::Request& request) { return parts.link_handlers.block(request); }},
      {Endpoint::kq1_control, [&](const net::Request& request) { return parts.link_handlers.control(request); }},
      {Endpoint::x1_relay, [&](const net::Request& request) { return parts.relayed(request); }},
      {Endpoint::x1_activate, [&](const net::Request& request) { return parts.activated(request); }},
  };
}

void QkmService::start() {
  parts_->housekeeper = std::thread([&parts = *parts_] {
    while (parts.pause(report_every)) {
      if (const auto swept = parts.sweep(); !swept) node::log(node::LogLevel::error, "sweep: {}", swept.error().message);
      if (const auto swept = parts.sae ? parts.sae->sweep() : Result<void>(); !swept) node::log(node::LogLevel::error, "sweep: {}", swept.error().message);
      if (const auto read = parts.link_handlers.refresh_stock(); !read) node::log(node::LogLevel::error, "stock: {}", read.error().message);
    }
  });
  parts_->reporter = std::thread([&parts = *parts_] {
    while (parts.pause(report_every)) {
      if (const auto told = parts.report(); !told) node::log(node::LogLevel::debug, "report: {}", told.error().message);
    }
  });
  parts_->relayer = std::thread([&parts = *parts_] {
    std::chrono::milliseconds pause = relay_look_every;
    while (parts.pause(std::chrono::milliseconds(0))) {
      const std::uint64_t seen = parts.pool_changed.count();
      pause = parts.fill_pools() ? relay_look_every : std::min(2 * pause, relay_pause_max);
      parts.pool_changed.wait(seen, Deadline::after(pause));
    }
  });
}

void QkmService::stop() {
  {
    const std::lock_guard lock(parts_->mutex);
    parts_->stopping = true;
  }
  parts_->changed.notify_all();
  parts_->pool_changed.ring();
  if (parts_->sae) parts_->sae->stop();
  for (std::thread* thread : {&parts_->housekeeper, &parts_->reporter, &parts_->relayer}) {
    if (thread->joinable()) thread->join();
  }
}

}  // namespace qanat::qkm
