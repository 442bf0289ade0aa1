// The QKM's north side for software that others wrote: the registry, the delivery engine, and the listeners with one adapter per standard.
#pragma once

#include "net/foreign_client.hpp"
#include "net/workers.hpp"
#include "node/node.hpp"
#include "quantum/qkm/sae_delivery.hpp"
#include "quantum/qkm/sae_settings.hpp"

namespace qanat::qkm {

class SaeFront {
 public:
  /// `domains`: the QKM of each site that keys are shared with.
  SaeFront(node::Node& node, store::Store& store, KeyStock& stock, SaeSettings settings, std::map<std::string, ElementName> domains);

  /// Opens the listeners.
  Result<void> start();
  void stop();
  /// X-1 activate.
  Result<net::Response> activated(const net::Request& request);
  Result<void> sweep();
  [[nodiscard]] std::uint16_t port() const noexcept { return listener_ ? listener_->port() : 0; }
  [[nodiscard]] std::uint16_t stream_port() const noexcept { return stream_listener_ ? stream_listener_->port() : 0; }

 private:
  DeliveryPlace place(std::map<std::string, ElementName> domains) const;
  DeliveryPorts ports();
  Result<std::vector<net::ForeignService>> services();
  Result<void> start_streams();
  /// On an io thread: the acknowledgement waits for a thread of its own. Goes nowhere but where the configuration lets it.
  void send_ack(const std::string& kme, const std::string& url, std::string body);
  void record_refusal(const net::Refusal& refusal);

  node::Node& node_;
  const SaeSettings settings_;
  SaeDelivery delivery_;
  std::optional<SaeStreams> streams_;  // if they are served
  std::unique_ptr<net::ForeignClient> client_;  // of other makers' key managers
  net::Workers acks_;
  std::unique_ptr<net::ForeignListener> listener_;
  std::unique_ptr<net::ForeignListener> stream_listener_;
};

}  // namespace qanat::qkm
