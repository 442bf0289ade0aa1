#include "quantum/qkm/sae_front.hpp"

#include "kme/etsi014.hpp"
#include "node/log.hpp"

namespace qanat::qkm {
namespace {

constexpr std::chrono::milliseconds stop_grace{2000};

}  // namespace

SaeFront::SaeFront(node::Node& node, store::Store& store, KeyStock& stock, SaeSettings settings, std::map<std::string, ElementName> domains)
    : node_(node),
      settings_(std::move(settings)),
      delivery_(place(std::move(domains)),
                {.store = store, .stock = stock, .device = node.device(), .clock = node.clock(), .registry = settings_.registry}, ports()) {}

DeliveryPlace SaeFront::place(std::map<std::string, ElementName> domains) const {
  domains.erase(node_.identity().domain);
  return {.kme = node_.identity().name,
          .domain = node_.identity().domain,
          .domains = std::move(domains),
          .limits = {},
          .max_key_count = settings_.max_key_count,
          .lifetime = settings_.lifetime};
}

DeliveryPorts SaeFront::ports() {
  return {.activate = [this](const ElementName& qkm, const wire::Json& activation, Deadline deadline) {
            return node_.call_json(points::Endpoint::x1_activate, qkm.text(), activation, deadline, node_.new_request_id());
          },
          .record = [this](const audit::Event& event) { return node_.record(event); },
          // Stocks do not say yet over how many disjoint paths their keys came: an order that demands more than one is not met.
          .meets = [](const StockName&, const kme::Demands& demands) { return demands.paths <= 1 && !demands.quantum; }};
}

Result<void> SaeFront::start() {
  std::vector<net::ForeignService> services;
  for (const SaeStandard standard : settings_.served) {
    if (standard == SaeStandard::etsi014) services.push_back(kme::etsi014::make_service(delivery_, settings_.registry));
  }
  ASSIGN_OR_RETURN(listener_, net::ForeignListener::start(settings_.listener, std::move(services), [this](const net::Refusal& refusal) {
                     const auto written = node_.record({.action = refusal.point.empty() ? "sae.connection" : refusal.point,
                                                        .outcome = audit::outcome_of(refusal.code),
                                                        .subject = refusal.peer,
                                                        .object = "",
                                                        .reason = refusal.reason,
                                                        .request_id = ""});
                     if (!written) node::log(node::LogLevel::error, "audit: {}", written.error().message);
                   }));
  node::log(node::LogLevel::note, "keys for SAEs on port {}", listener_->port());
  return {};
}

void SaeFront::stop() {
  if (listener_) listener_->stop(stop_grace);
  delivery_.stop();
}

Result<net::Response> SaeFront::activated(const net::Request& request) {
  const Identity& sender = *request.peer.identity;
  auto answer = delivery_.activated(sender, request.body);
  if (answer) return node::json_response(*answer);
  TRY(node_.record({.action = "x-1.activate",
                    .outcome = audit::outcome_of(answer.error().code),
                    .subject = sender.uri(),
                    .object = "",
                    .reason = answer.error().message,
                    .request_id = request.request_id}));
  return fail(answer.error());
}

}  // namespace qanat::qkm
