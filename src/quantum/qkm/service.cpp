#include "quantum/qkm/service.hpp"

#include <condition_variable>
#include <thread>

#include "node/log.hpp"
#include "node/recorded.hpp"
#include "quantum/qkm/central_node.hpp"
#include "quantum/qkm/controllers.hpp"
#include "quantum/qkm/link_handlers.hpp"
#include "quantum/qkm/stock.hpp"
#include "quantum/qkm/recording.hpp"
#include "quantum/qkm/sae_front.hpp"
#include "quantum/qkm/schema.hpp"
#include "wire/base64.hpp"

namespace qanat::qkm {
namespace {

constexpr std::chrono::milliseconds report_every{1000};
constexpr std::chrono::milliseconds relay_max{2000};  // of a relay beforehand
constexpr UnixMs forget_after_ms = 24ULL * 3600 * 1000;
constexpr std::int64_t evidence_max = 1000000;  // runs of destroyed keys; the audit record has them all
constexpr std::size_t swept_at_once_max = 1000;

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

/// Those to which keys are relayed beforehand.
std::vector<std::string> other_domains(const node::Node& node, const QkmSettings& settings) {
  std::vector<std::string> out;
  for (const auto& [domain, end_node] : settings.domains) {
    if (domain != node.identity().domain) out.push_back(domain);
  }
  return out;
}

std::vector<LinkId> link_ids(const QkmSettings& settings) {
  std::vector<LinkId> out;
  out.reserve(settings.links.size());
  for (const auto& [link, entry] : settings.links) out.push_back(link);
  return out;
}

}  // namespace

struct QkmService::Parts {
  Parts(node::Node& node_, QkmSettings settings_, std::unique_ptr<store::Store> store_, SiteWrapping wrapping_, std::optional<crypto::SiteKey> controller_key)
      : node(node_),
        settings(std::move(settings_)),
        store(std::move(store_)),
        wrapping(std::move(wrapping_)),
        trace(node.settings().state),
        commits(*store),
        stock(node.device()),
        link_keys(stock, ElementName(node.identity().name), settings.keys_max),
        relayed_keys(stock),
        given_keys(node.device()),
        links(link_ids(settings), settings.marks),
        controllers(node, settings),
        routes(
            ElementName(node.identity().name), neighbours_of(settings), settings.route_fresh,
            [this](const ElementName& to, std::size_t paths, Deadline deadline, const std::string& id) { return controllers.routes(to, paths, deadline, id); }),
        relay(place_of(node, settings), relay_parts(), ports()),
        central(make_central(std::move(controller_key))),
        supply({commits, relayed_keys, way(), routes, place_of(node, settings), node.clock(), arrivals, record(), given_keys}),
        supply_handlers({node, supply, wrapping, trace, arrivals, [this] { pool_filler.ring(); }}),
        link_handlers({node, commits, link_keys, links, arrivals, wrapping, settings}),
        pool_filler(other_domains(node, settings), [this](const std::string& domain) { return fill(domain); }) {
    if (settings.sae)
      sae.emplace(sae_place(), SaeFront::Parts{.store = *store, .stock = stock, .device = node.device(), .clock = node.clock()}, sae_ports(), *settings.sae);
  }

  node::Node& node;
  QkmSettings settings;
  std::unique_ptr<store::Store> store;
  SiteWrapping wrapping;
  node::StepTrace trace;
  Arrivals arrivals;  // keys came: link keys, far keys, near keys
  GroupCommit commits;
  KeyStock stock;
  LinkKeys link_keys;
  RelayedKeys relayed_keys;
  GivenKeys given_keys;
  Links links;
  Controllers controllers;
  Routes routes;
  RelayNode relay;
  std::optional<CentralNode> central;  // with a controller key
  KeySupply supply;
  SupplyHandlers supply_handlers;
  LinkHandlers link_handlers;
  PoolFiller pool_filler;
  std::optional<SaeFront> sae;

  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  std::thread housekeeper;
  std::thread reporter;

  RelayPorts ports();
  SaeFrontPlace sae_place() const;
  SaeFront::Ports sae_ports();
  decltype(RelayPorts::record) record() {
    return [this](std::span<const KeyEvent> events) { return record_together(node, events); };
  }
  RelayNode::Parts relay_parts() { return {commits, link_keys, relayed_keys, node.device(), node.clock(), arrivals}; }
  std::optional<CentralNode> make_central(std::optional<crypto::SiteKey> controller_key);
  /// How this QKM relays: by the configuration.
  KeySupply::Relay way();
  Result<Bytes> send(const ElementName& neighbour, ByteView message, Deadline deadline, const std::string& request_id);
  /// What a controller asks (Kq-2): on record, and acted upon only if it is one of this QKM's.
  template <class Order, class Act>
  Result<net::Response> from_controller(std::string_view action, const net::Request& request, Result<Order> (*read)(const wire::Json&), const Act& act);
  Result<net::Response> relayed(const net::Request& request);
  Result<net::Response> activated(const net::Request& request);
  Result<net::Response> status(const net::Request& request);
  Result<net::Response> report_x(const net::Request& request);
  Result<net::Response> take_delivery(const net::Request& request);
  Result<net::Response> drop_missing(const net::Request& request);
  Result<void> recover();
  Result<void> sweep();
  Result<void> fill(const std::string& domain);
  void describe(wire::Json& body);
  /// False when the service stops, after `span` otherwise.
  bool pause(std::chrono::milliseconds span);
};

RelayPorts QkmService::Parts::ports() {
  return {.send = [this](const ElementName& neighbour, ByteView message, Deadline deadline,
                         const std::string& id) { return send(neighbour, message, deadline, id); },
          .record = record()};
}

std::optional<CentralNode> QkmService::Parts::make_central(std::optional<crypto::SiteKey> controller_key) {
  if (!controller_key) return std::nullopt;
  return std::optional<CentralNode>(std::in_place, place_of(node, settings), relay_parts(), *std::move(controller_key),
                                    CentralNode::Ports{.order = [this](const points::CentralHandover& order, Deadline deadline,
                                                                       const std::string& id) { return controllers.order(order, deadline, id); },
                                                       .record = record()});
}

KeySupply::Relay QkmService::Parts::way() {
  return [this](const RelayOrder& order, Deadline deadline, const std::string& id) {
    // Between neighbours there is nothing to report: the link's own keys carry it.
    const bool by_controller = settings.relay == RelayWay::centralised && order.path.size() > 2;
    const KeyWay used = by_controller ? KeyWay::centralised : KeyWay::hop_by_hop;
    if ((order.ways & (1U << static_cast<unsigned>(used))) == 0)
      return Result<BatchId>(fail(ErrorCode::unavailable, std::string("this QKM relays ") + (by_controller ? "by a controller" : "hop by hop") + " over that path"));
    return by_controller ? central->relay(order, deadline, id) : relay.relay(order, deadline, id);
  };
}

Result<Bytes> QkmService::Parts::send(const ElementName& neighbour, ByteView message, Deadline deadline, const std::string& request_id) {
  auto response = node.call(points::Endpoint::x1_relay, neighbour.text(), message, deadline, request_id);
  if (!response) return fail(response.error());
  return std::move(response->body);
}

SaeFrontPlace QkmService::Parts::sae_place() const {
  return {.kme = node.identity().name, .domain = node.identity().domain, .domains = settings.domains, .quantum_grade = wrapping.grade() == "qkd"};
}

SaeFront::Ports QkmService::Parts::sae_ports() {
  return {.activate = [this](const ElementName& qkm, const wire::Json& activation, Deadline deadline) {
            return node.call_json(points::Endpoint::x1_activate, qkm.text(), activation, deadline, node.new_request_id());
          },
          .record = [this](const audit::Event& event) { return node.record(event); },
          .taken = [this] { pool_filler.ring(); }};
}

Result<net::Response> QkmService::Parts::relayed(const net::Request& request) {
  return node::refusal_recorded(node, "x-1.relay", request, "", [&]() -> Result<net::Response> {
    const Identity& sender = *request.peer.identity;
    const auto configured = node.settings().peers.find(sender.name);
    if (configured == node.settings().peers.end() || configured->second.expected != sender)
      return fail(ErrorCode::denied, sender.uri() + " is no neighbour of this QKM");
    ASSIGN_OR_RETURN(Bytes answer, relay.receive(ElementName(sender.name), request.body, request.deadline, request.request_id));
    return net::Response{.status = 200, .content_type = std::string(points::type_octets), .body = std::move(answer)};
  }());
}

Result<net::Response> QkmService::Parts::activated(const net::Request& request) {
  return node::refusal_recorded(node, "x-1.activate", request, "", [&]() -> Result<net::Response> {
    if (!sae) return fail(ErrorCode::unavailable, "this QKM serves no SAEs");
    ASSIGN_OR_RETURN(const wire::Json answer, sae->activated(*request.peer.identity, request.body));
    return node::json_response(answer);
  }());
}

Result<net::Response> QkmService::Parts::status(const net::Request& request) {
  return node::refusal_recorded(node, "km-3.status", request, "", [&]() -> Result<net::Response> {
    if (request.peer.identity->domain != node.identity().domain)
      return fail(ErrorCode::denied, "the stock of domain " + node.identity().domain + " is for its own KMS");
    wire::Json peers = wire::Json::array();
    for (const auto& [domain, end_node] : settings.domains) {
      ASSIGN_OR_RETURN(const std::int64_t keys, supply.stock(domain));
      peers.push(wire::Json::object({{"domain", domain}, {"stock", keys}, {"qkm", end_node.text()}}));
    }
    return node::json_response(wire::Json::object({{"peers", peers}}));
  }());
}

template <class Order, class Act>
Result<net::Response> QkmService::Parts::from_controller(std::string_view action, const net::Request& request, Result<Order> (*read)(const wire::Json&),
                                                         const Act& act) {
  return node::recorded(node, action, request, [&](node::Deed& deed) -> Result<net::Response> {
    if (!central || !controllers.has(*request.peer.identity)) return fail(ErrorCode::denied, request.peer.identity->uri() + " is no controller of this QKM");
    ASSIGN_OR_RETURN(const wire::Json body, wire::Json::parse(request.body));
    ASSIGN_OR_RETURN(const Order order, read(body));
    deed.object = order.relay.relay_id.hex();
    return act(order);
  });
}

Result<net::Response> QkmService::Parts::report_x(const net::Request& request) {
  return from_controller("kq-2.report", request, points::read_central_report_order, [&](const points::CentralReportOrder& order) -> Result<net::Response> {
    ASSIGN_OR_RETURN(const points::CentralReport report, central->report(order, request.deadline, request.request_id));
    return node::json_response(points::write(report));
  });
}

Result<net::Response> QkmService::Parts::take_delivery(const net::Request& request) {
  return from_controller("kq-2.deliver", request, points::read_central_handover, [&](const points::CentralHandover& delivery) -> Result<net::Response> {
    ASSIGN_OR_RETURN(const points::CentralAnswer answer, central->deliver(delivery, request.deadline, request.request_id));
    return node::json_response(points::write(answer));
  });
}

Result<net::Response> QkmService::Parts::drop_missing(const net::Request& request) {
  return from_controller("kq-2.missing", request, points::read_central_notice, [&](const points::CentralNotice& notice) -> Result<net::Response> {
    TRY(central->missing(notice));
    return net::Response{.status = 204, .content_type = "", .body = {}};
  });
}

Result<void> QkmService::Parts::recover() {
  std::vector<KeyEvent> events;
  TRY(store->transact([&](store::Transaction& transaction) -> Result<void> {
    const UnixMs now = node.clock().now_ms();
    ASSIGN_OR_RETURN(const std::vector<KeyRun> burnt, link_keys.recover(transaction, now));
    ASSIGN_OR_RETURN(const std::vector<KeyRun> lost, relayed_keys.recover(transaction, now));
    if (!burnt.empty()) events.push_back({.action = "link_key.burnt_at_start", .keys = text_of(burnt), .subject = "", .request_id = ""});
    if (!lost.empty()) events.push_back({.action = "relayed_key.destroyed_at_start", .keys = text_of(lost), .subject = "", .request_id = ""});
    return {};
  }));
  return record_together(node, events);
}

Result<void> QkmService::Parts::sweep() {
  std::vector<KeyEvent> events;
  TRY(commits.transact([&](store::Transaction& transaction) -> Result<void> {
    const UnixMs now = node.clock().now_ms();
    ASSIGN_OR_RETURN(const std::vector<KeyRun> expired, stock.sweep(transaction, swept_at_once_max, now));
    if (!expired.empty()) events.push_back({.action = "relayed_key.expired", .keys = text_of(expired), .subject = "", .request_id = ""});
    TRY(GivenKeys::sweep(transaction, now));
    return stock.forget(transaction, now - forget_after_ms, evidence_max);
  }));
  return record_together(node, events);
}

Result<void> QkmService::Parts::fill(const std::string& domain) {
  if (node.stopping()) return {};
  auto done = supply.fill(domain, settings.paths, settings.pool_target, Deadline::after(relay_max), node.new_request_id());
  if (!done) node::log(node::LogLevel::warning, "relay to domain {}: {}", domain, done.error().message);
  return done;
}

void QkmService::Parts::describe(wire::Json& body) {
  wire::Json list = wire::Json::array();
  for (const LinkView& link : links.view(node.clock().now_ms())) {
    list.push(wire::Json::object({{"link", link.link.text()},
                                  {"peer", settings.links.at(link.link).peer.text()},
                                  {"own_keys", link.stock.own},
                                  {"peer_keys", link.stock.peer},
                                  {"qber", link.report.qber},
                                  {"loss_db", link.report.loss_db},
                                  {"rate_bps", link.report.rate_bps},
                                  {"simulated", link.report.simulated},
                                  {"run", link.runs},
                                  {"alive", link.alive}}));
  }
  body.set("links", list);
  wire::Json list_of_pools = wire::Json::array();
  const auto pools = commits.transact([&](store::Transaction& transaction) { return relayed_keys.pools(transaction, "", node.clock().now_ms()); });
  for (const Pool& pool : pools.value_or(std::vector<Pool>())) {
    std::string path;
    for (const ElementName& hop : pool.path) path += (path.empty() ? "" : " ") + hop.text();
    list_of_pools.push(wire::Json::object({{"domain", pool.peer_domain}, {"path", path}, {"stock", pool.keys}}));
  }
  body.set("relayed_keys", list_of_pools);
  body.set("relay", settings.relay == RelayWay::centralised ? "centralised" : "hop_by_hop");
  body.set("grade", wrapping.grade());
  if (sae) body.set("saes", wire::Json::object({{"port", sae->port()}, {"stream_port", sae->stream_port()}, {"names", settings.sae->registry.all()->size()}}));
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
  std::optional<crypto::SiteKey> controller_key;
  if (!settings.controller_key.empty()) {
    ASSIGN_OR_RETURN(controller_key, crypto::SiteKey::read(settings.controller_key));
  }
  auto parts = std::make_unique<Parts>(node, std::move(settings), std::move(store), std::move(wrapping), std::move(controller_key));
  TRY(parts->recover());
  TRY(parts->link_handlers.refresh_stock());
  if (parts->sae) TRY(parts->sae->start());
  using points::Endpoint;
  if (parts->settings.km3_chained_alone)
    node.require_chained({Endpoint::km3_take, Endpoint::km3_fetch, Endpoint::km3_done, Endpoint::km3_status, Endpoint::km3_notice});
  node.describe_health([&those = *parts](wire::Json& body) { those.describe(body); });
  return std::unique_ptr<QkmService>(new QkmService(std::move(parts)));
}

std::vector<points::Handler> QkmService::handlers() {
  using points::Endpoint;
  Parts& parts = *parts_;
  return {
      {Endpoint::km3_take, [&](const net::Request& request) { return parts.supply_handlers.take(request); }},
      {Endpoint::km3_fetch, [&](const net::Request& request) { return parts.supply_handlers.fetch(request); }},
      {Endpoint::km3_chain, [&](const net::Request& request) { return parts.supply_handlers.chain(request); }},
      {Endpoint::km3_done, [&](const net::Request& request) { return parts.supply_handlers.done(request); }},
      {Endpoint::km3_status, [&](const net::Request& request) { return parts.status(request); }},
      {Endpoint::km3_notice, [&](const net::Request& request) { return parts.supply_handlers.notice(request); }},
      {Endpoint::kq2_report, [&](const net::Request& request) { return parts.report_x(request); }},
      {Endpoint::kq2_deliver, [&](const net::Request& request) { return parts.take_delivery(request); }},
      {Endpoint::kq2_missing, [&](const net::Request& request) { return parts.drop_missing(request); }},
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
    std::map<LinkId, bool> alive;  // as IAM knows it
    while (parts.pause(report_every)) {
      const std::vector<LinkView> seen = parts.links.view(parts.node.clock().now_ms());
      for (const LinkView& link : seen) {
        bool& known = alive[link.link];
        if (known == link.alive) continue;
        known = link.alive;
        parts.node.report({.about = "", .action = "link", .outcome = link.alive ? "up" : "down", .object = link.link.text()});
      }
      const auto changed = parts.controllers.report(seen);
      if (!changed) {
        node::log(node::LogLevel::debug, "report: {}", changed.error().message);
        continue;
      }
      for (const ElementName& destination : *changed) parts.routes.ask_again(destination);
    }
  });
  parts_->pool_filler.start();
}

void QkmService::stop() {
  {
    const std::lock_guard lock(parts_->mutex);
    parts_->stopping = true;
  }
  parts_->changed.notify_all();
  if (parts_->sae) parts_->sae->stop();
  parts_->pool_filler.stop();
  for (std::thread* thread : {&parts_->housekeeper, &parts_->reporter}) {
    if (thread->joinable()) thread->join();
  }
}

}  // namespace qanat::qkm
