// The KMS's north side for software that others wrote: who the SAEs are (IAM), their keys (kme/stock), the stocks shared with other KMSs, and the listener with an
// adapter per standard.
#pragma once

#include "kme/stock/delivery.hpp"
#include "kme/stock/pool_filler.hpp"
#include "net/crl_watch.hpp"
#include "points/kms_policy.hpp"
#include "services/kms/sae/sae_directory.hpp"
#include "services/kms/sae/sae_settings.hpp"
#include "services/kms/sae/supply.hpp"

namespace qanat::kms {

class SaeFront {
 public:
  struct Parts {
    store::Store& store;
    crypto::CryptoDevice& device;  // a pool key's (kp/pool_keys.hpp)
    node::SenderDirectory& senders;
    Agreement& agreement;
  };
  SaeFront(node::Node& node, const Parts& parts, SaeSettings settings);
  ~SaeFront() { stop(); }

  /// Opens the listener.
  Result<void> open();
  /// Begins to ask IAM and to fill the stocks.
  void start();
  void stop();

  Result<net::Response> supply(const net::Request& request) { return supply_.offered(request); }  // km2_supply
  Result<net::Response> activate(const net::Request& request);                                    // km2_activate
  /// What IAM has told of a subject (Pm-1).
  void changed(const std::string& subject) { directory_.changed(subject); }
  /// Destroys what is past its time; to be called about once a second.
  Result<void> sweep();
  void describe(wire::Json& body);
  /// Keys in stock for each other domain.
  [[nodiscard]] points::NamedCounts stocks();
  [[nodiscard]] std::uint16_t port() const noexcept { return listener_ ? listener_->port() : 0; }

 private:
  kme::DeliveryPlace delivery_place() const;
  kme::DeliveryPorts delivery_ports();
  SaeDirectory::Ports directory_ports();
  Result<void> record_expired(std::span<const KeyRun> runs);

  node::Node& node_;
  store::Store& store_;
  const SaeSettings settings_;
  const std::map<std::string, ElementName> domains_;
  kme::KeyStock stock_;
  SaeDirectory directory_;
  Supply supply_;
  kme::PoolFiller filler_;
  kme::SaeDelivery delivery_;
  net::CrlWatch crls_;  // of the SAEs' certificates
  std::unique_ptr<net::ForeignListener> listener_;
};

}  // namespace qanat::kms
