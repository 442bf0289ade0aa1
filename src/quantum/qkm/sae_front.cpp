#include "quantum/qkm/sae_front.hpp"

#include <algorithm>

#include "kme/etsi004.hpp"
#include "kme/etsi014.hpp"
#include "kme/etsi020.hpp"
#include "kme/skip.hpp"
#include "node/log.hpp"

namespace qanat::qkm {
namespace {

constexpr std::chrono::milliseconds stop_grace{2000};
constexpr std::chrono::milliseconds ack_max{10000};
constexpr std::size_t acks_waiting_max = 1024;
constexpr std::chrono::milliseconds stream_answer_grace{5000};  // beyond the longest time limit of a stream: its own refusal comes first

}  // namespace

SaeFront::SaeFront(node::Node& node, store::Store& store, KeyStock& stock, SaeSettings settings, std::map<std::string, ElementName> domains)
    : node_(node),
      settings_(std::move(settings)),
      delivery_(place(domains), {.store = store, .stock = stock, .device = node.device(), .clock = node.clock(), .registry = settings_.registry}, ports()),
      acks_(1, acks_waiting_max) {
  if (std::ranges::find(settings_.served, SaeStandard::etsi004) == settings_.served.end()) return;
  streams_.emplace(place(domains), DeliveryParts{.store = store, .stock = stock, .device = node.device(), .clock = node.clock(), .registry = settings_.registry},
                   ports(), settings_.streams);
}

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

Result<std::vector<net::ForeignService>> SaeFront::services() {
  std::vector<net::ForeignService> out;
  for (const SaeStandard standard : settings_.served) {
    switch (standard) {
      case SaeStandard::etsi014:
        out.push_back(kme::etsi014::make_service(delivery_, settings_.registry));
        break;
      case SaeStandard::skip:
        out.push_back(kme::skip::make_service(delivery_, settings_.registry));
        break;
      case SaeStandard::etsi020: {
        ASSIGN_OR_RETURN(client_, net::ForeignClient::create({.chains = {settings_.listener.tls.chains.front()},
                                                              .roots = settings_.listener.tls.roots,
                                                              .crls = settings_.listener.tls.crls}));
        out.push_back(kme::etsi020::make_service(delivery_, settings_.registry, [this](const std::string& kme, const std::string& url, std::string body) {
          send_ack(kme, url, std::move(body));
        }));
        break;
      }
      case SaeStandard::etsi004:  // no HTTP: start_streams()
        break;
    }
  }
  return Result<std::vector<net::ForeignService>>(std::move(out));
}

void SaeFront::send_ack(const std::string& kme, const std::string& url, std::string body) {
  const auto allowed = settings_.callbacks.find(kme);
  const auto target = net::ForeignUrl::parse(url);
  if (allowed == settings_.callbacks.end() || !target || !url.starts_with(allowed->second)) {
    node::log(node::LogLevel::warning, "acknowledgement to {}: its callback address is not one that the configuration allows", kme);
    return;
  }
  const bool taken = acks_.submit([this, kme, target = *target, body = std::move(body)] {
    const auto answer = client_->call("POST", target, "application/json", as_bytes(body), Deadline::after(ack_max));
    if (!answer) node::log(node::LogLevel::warning, "acknowledgement to {}: {}", kme, answer.error().message);
  });
  if (!taken) node::log(node::LogLevel::warning, "acknowledgement to {}: too many wait", kme);
}

void SaeFront::record_refusal(const net::Refusal& refusal) {
  const auto written = node_.record({.action = refusal.point.empty() ? "sae.connection" : refusal.point,
                                     .outcome = audit::outcome_of(refusal.code),
                                     .subject = refusal.peer,
                                     .object = "",
                                     .reason = refusal.reason,
                                     .request_id = ""});
  if (!written) node::log(node::LogLevel::error, "audit: {}", written.error().message);
}

Result<void> SaeFront::start() {
  ASSIGN_OR_RETURN(std::vector<net::ForeignService> served, services());
  ASSIGN_OR_RETURN(listener_,
                   net::ForeignListener::start(settings_.listener, std::move(served), [this](const net::Refusal& refusal) { record_refusal(refusal); }));
  node::log(node::LogLevel::note, "keys for SAEs on port {}", listener_->port());
  return streams_ ? start_streams() : Result<void>();
}

/// The certificates, roots and rules of the other listener, on a port of its own.
Result<void> SaeFront::start_streams() {
  TRY(streams_->recover());
  net::ForeignSettings settings = settings_.listener;
  settings.port = settings_.stream_port;
  settings.limits.connections_max = settings_.stream_connections_max;
  settings.limits.request_max = std::chrono::milliseconds(settings_.streams.bounds.timeout_ms_max) + stream_answer_grace;
  ASSIGN_OR_RETURN(stream_listener_, net::start_foreign_listener(settings, kme::etsi004::make_protocol(*streams_, settings_.registry),
                                                                 [this](const net::Refusal& refusal) { record_refusal(refusal); }));
  node::log(node::LogLevel::note, "key streams for SAEs on port {}", stream_listener_->port());
  return {};
}

Result<void> SaeFront::sweep() {
  TRY(delivery_.sweep());
  return streams_ ? streams_->sweep() : Result<void>();
}

void SaeFront::stop() {
  if (listener_) listener_->stop(stop_grace);
  if (stream_listener_) stream_listener_->stop(std::chrono::milliseconds(0));  // those who wait for a chunk could wait for long
  if (streams_) streams_->stop();
  delivery_.stop();
  acks_.stop(net::Waiting::drop);
}

Result<net::Response> SaeFront::activated(const net::Request& request) {
  const Identity& sender = *request.peer.identity;
  auto answer = [&]() -> Result<wire::Json> {
    ASSIGN_OR_RETURN(const Activation activation, read_activation(request.body));
    if (!activation.stream) return delivery_.activated(sender, activation);
    if (!streams_) return fail(ErrorCode::unavailable, "this QKM serves no streams");
    return streams_->heard(sender, activation);
  }();
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
