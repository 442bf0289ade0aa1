// The QKM's north side for software that others wrote: the registry, the delivery engine, the listeners with one adapter per standard, and the way to
// key managers of other makers.
#pragma once

#include "net/crl_watch.hpp"
#include "net/foreign_client.hpp"
#include "quantum/qkm/sae_acks.hpp"
#include "quantum/qkm/stock.hpp"
#include "quantum/qkm/sae_neighbours.hpp"
#include "quantum/qkm/sae_settings.hpp"
#include "quantum/qkm/sae_streams.hpp"

namespace qanat::qkm {

/// Where the front stands, and what of the element it uses.
struct SaeFrontPlace {
  std::string kme;     // the element's name
  std::string domain;  // its site
  std::map<std::string, ElementName> domains;  // the QKM of each site that keys are shared with
  bool quantum_grade = false;                  // keys reach the stocks under symmetric keys, not under TLS alone
  UnixMs offer_max_ms = 8000;                  // for another maker's key manager to acknowledge keys
};

class SaeFront {
 public:
  struct Parts {
    store::Store& store;
    KeyStock& stock;
    crypto::CryptoDevice& device;
    const Clock& clock;
  };
  /// As in sae_delivery.hpp.
  struct Ports {
    decltype(DeliveryPorts::activate) activate;
    decltype(DeliveryPorts::record) record;
    decltype(DeliveryPorts::taken) taken = nullptr;
  };
  SaeFront(SaeFrontPlace place, Parts parts, Ports ports, SaeSettings settings);

  /// Opens the listeners.
  Result<void> start();
  void stop();
  /// X-1 activate: the answer.
  Result<wire::Json> activated(const Identity& sender, ByteView message);
  /// To be called about once a second.
  Result<void> sweep();
  [[nodiscard]] std::uint16_t port() const noexcept { return listener_ ? listener_->port() : 0; }
  [[nodiscard]] std::uint16_t stream_port() const noexcept { return stream_listener_ ? stream_listener_->port() : 0; }

 private:
  DeliveryPlace delivery_place() const;
  DeliveryPorts delivery_ports();
  NeighbourPlace neighbour_place() const;
  NeighbourPorts neighbour_ports();
  Result<void> open_clients();
  [[nodiscard]] net::ForeignClient* client_of(const std::string& kme) const;
  std::vector<net::ForeignService> services();
  Result<void> start_streams();
  void record_refusal(const net::Refusal& refusal);

  const SaeFrontPlace place_;
  const Ports ports_;
  const SaeSettings settings_;
  SaeDelivery delivery_;
  std::optional<SaeStreams> streams_;  // if they are served
  std::map<std::string, std::unique_ptr<net::ForeignClient>> clients_;  // by key manager; "": to those without settings of their own
  AckSender acks_;
  Neighbours neighbours_;
  std::unique_ptr<net::ForeignListener> listener_;
  std::unique_ptr<net::ForeignListener> stream_listener_;
  std::optional<net::CrlWatch> crls_;  // of each listener, once it is started
  std::optional<net::CrlWatch> stream_crls_;
};

}  // namespace qanat::qkm
