// The controller of the quantum key distribution network: hears the QKMs' reports and tells them the ways (Kq-2). It never sees a key, also
// where it relays (centralised.hpp).
#pragma once

#include <memory>
#include <mutex>

#include "node/node.hpp"
#include "quantum/qkdnc/centralised.hpp"
#include "quantum/qkdnc/settings.hpp"
#include "quantum/qkdnc/topology.hpp"

namespace qanat::qkdnc {

class QkdncService {
 public:
  static Result<std::unique_ptr<QkdncService>> open(node::Node& node, QkdncSettings settings);
  std::vector<points::Handler> handlers();

 private:
  QkdncService(node::Node& node, const QkdncSettings& settings, std::map<ElementName, crypto::SiteKey> keys);
  Result<net::Response> state(const net::Request& request);
  Result<net::Response> route(const net::Request& request);
  Result<net::Response> relay(const net::Request& request);
  void describe(wire::Json& body);

  node::Node& node_;
  std::mutex mutex_;
  Topology topology_;  // nothing is stored: QKMs report every second
  Centralised centralised_;
};

}  // namespace qanat::qkdnc
