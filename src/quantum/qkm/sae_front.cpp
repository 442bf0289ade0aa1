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
constexpr std::chrono::milliseconds stream_answer_grace{5000};  // beyond the longest time limit of a stream: its own refusal comes first

}  // namespace

SaeFront::SaeFront(SaeFrontPlace place, Parts parts, Ports ports, SaeSettings settings)
    : place_(std::move(place)),
      ports_(std::move(ports)),
      settings_(std::move(settings)),
      delivery_(delivery_place(), {.store = parts.store, .stock = parts.stock, .device = parts.device, .clock = parts.clock, .registry = settings_.registry},
                delivery_ports()),
      acks_(settings_.callbacks, [this](const std::string& kme) { return client_of(kme); }),
      neighbours_(neighbour_place(), {.store = parts.store, .device = parts.device, .clock = parts.clock, .registry = settings_.registry}, neighbour_ports()) {
  if (std::ranges::find(settings_.served, SaeStandard::etsi004) == settings_.served.end()) return;
  streams_.emplace(delivery_place(), DeliveryParts{.store = parts.store, .stock = parts.stock, .device = parts.device, .clock = parts.clock, .registry = settings_.registry},
                   delivery_ports(), settings_.streams);
}

DeliveryPlace SaeFront::delivery_place() const {
  DeliveryPlace out{.kme = place_.kme,
                    .domain = place_.domain,
                    .domains = place_.domains,
                    .neighbours = {},
                    .limits = {},
                    .max_key_count = settings_.max_key_count,
                    .lifetime = settings_.lifetime};
  out.domains.erase(place_.domain);
  for (const auto& [kme, settings] : settings_.kmes) out.neighbours.push_back(kme);
  return out;
}

DeliveryPorts SaeFront::delivery_ports() {
  return {.activate = ports_.activate,
          .record = ports_.record,
          // Every key of the stocks came under one-time pads of link keys; what they rest on besides is how keys get to this element from its own links. What
          // is proved of them stands with each chunk, and is looked at there.
          .meets = [quantum = place_.quantum_grade](const StockName&, const kme::Demands& demands) { return quantum || !demands.quantum; },
          .taken = ports_.taken,
          .hand_over = [this](kme::Order order, kme::Done<kme::Delivery> done) { neighbours_.hand_over(std::move(order), std::move(done)); }};
}

NeighbourPlace SaeFront::neighbour_place() const {
  NeighbourPlace out{.kmes = {}, .ack_callback_url = settings_.ack_callback_url};
  for (const auto& [kme, settings] : settings_.kmes) out.kmes.push_back(kme);
  out.offer_max = std::chrono::milliseconds(place_.offer_max_ms);
  out.void_max = settings_.lifetime;
  return out;
}

NeighbourPorts SaeFront::neighbour_ports() {
  return {.call = [this](const std::string& kme, std::string_view path, ByteView body, Deadline deadline) -> Result<net::Response> {
            ASSIGN_OR_RETURN(const net::ForeignUrl url, net::ForeignUrl::parse(settings_.kmes.at(kme).url + std::string(path)));
            return client_of(kme)->call("POST", url, "application/json", body, deadline);
          },
          .keep = [this](kme::ExternalKeys keys, kme::Done<void> done) { delivery_.accept(std::move(keys), std::move(done)); },
          .record = ports_.record};
}

Result<void> SaeFront::open_clients() {
  for (const auto& [kme, settings] : settings_.kmes) {
    ASSIGN_OR_RETURN(clients_[kme], net::ForeignClient::create(settings.tls));
  }
  const net::ForeignTls& listener = settings_.listener.tls;
  ASSIGN_OR_RETURN(clients_[""], net::ForeignClient::create({.chains = {listener.chains.front()}, .roots = listener.roots, .crls = listener.crls}));
  return {};
}

net::ForeignClient* SaeFront::client_of(const std::string& kme) const {
  const auto own = clients_.find(kme);
  return own != clients_.end() ? own->second.get() : clients_.at("").get();
}

std::vector<net::ForeignService> SaeFront::services() {
  std::vector<net::ForeignService> out;
  for (const SaeStandard standard : settings_.served) {
    switch (standard) {
      case SaeStandard::etsi014:
        out.push_back(kme::etsi014::make_service(delivery_, settings_.registry));
        break;
      case SaeStandard::skip:
        out.push_back(kme::skip::make_service(delivery_, settings_.registry));
        break;
      case SaeStandard::etsi020:
        out.push_back(kme::etsi020::make_service(
            delivery_, settings_.registry, [this](const std::string& kme, const std::string& url, std::string body) { acks_.send(kme, url, std::move(body)); },
            [this](const std::string& kme, std::vector<kme::etsi020::Ack> said, kme::Done<void> done) {
              neighbours_.acknowledged(kme, std::move(said), std::move(done));
            }));
        break;
      case SaeStandard::etsi004:  // no HTTP: start_streams()
        break;
    }
  }
  return out;
}

void SaeFront::record_refusal(const net::Refusal& refusal) {
  const auto written = ports_.record({.action = refusal.point.empty() ? "sae.connection" : refusal.point,
                                      .outcome = audit::outcome_of(refusal.code),
                                      .subject = refusal.peer,
                                      .object = "",
                                      .reason = refusal.reason,
                                      .request_id = ""});
  if (!written) node::log(node::LogLevel::error, "audit: {}", written.error().message);
}

Result<void> SaeFront::start() {
  if (std::ranges::find(settings_.served, SaeStandard::etsi020) != settings_.served.end()) TRY(open_clients());
  TRY(neighbours_.start());
  crls_.emplace(settings_.listener.tls);
  ASSIGN_OR_RETURN(listener_, net::ForeignListener::start(settings_.listener, services(), [this](const net::Refusal& refusal) { record_refusal(refusal); }));
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
  stream_crls_.emplace(settings.tls);
  ASSIGN_OR_RETURN(stream_listener_, net::start_foreign_listener(settings, kme::etsi004::make_protocol(*streams_, settings_.registry),
                                                                 [this](const net::Refusal& refusal) { record_refusal(refusal); }));
  node::log(node::LogLevel::note, "key streams for SAEs on port {}", stream_listener_->port());
  return {};
}

Result<wire::Json> SaeFront::activated(const Identity& sender, ByteView message) {
  ASSIGN_OR_RETURN(const Activation activation, read_activation(message));
  if (!activation.stream) return delivery_.activated(sender, activation);
  if (!streams_) return fail(ErrorCode::unavailable, "this QKM serves no streams");
  return streams_->heard(sender, activation);
}

Result<void> SaeFront::sweep() {
  neighbours_.look_at_clock();
  TRY(delivery_.sweep());
  if (streams_) TRY(streams_->sweep());
  if (listener_) TRY(crls_->look(*listener_));
  if (stream_listener_) TRY(stream_crls_->look(*stream_listener_));
  return {};
}

void SaeFront::stop() {
  if (listener_) listener_->stop(stop_grace);
  if (stream_listener_) stream_listener_->stop(std::chrono::milliseconds(0));  // those who wait for a chunk could wait for long
  if (streams_) streams_->stop();
  neighbours_.stop();
  delivery_.stop();
  acks_.stop();
}

}  // namespace qanat::qkm
