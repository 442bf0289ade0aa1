// The controller of the quantum key distribution network: hears the QKMs' reports and tells them the ways (Kq-2), shows the network to an SDN
// controller above, and keeps in step with a second controller. It never sees a key, also where it relays (centralised.hpp).
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "node/node.hpp"
#include "quantum/qkdnc/centralised.hpp"
#include "quantum/qkdnc/leadership.hpp"
#include "quantum/qkdnc/records.hpp"
#include "quantum/qkdnc/settings.hpp"

namespace qanat::qkdnc {

class QkdncService {
 public:
  static Result<std::unique_ptr<QkdncService>> open(node::Node& node, QkdncSettings settings);
  ~QkdncService() { stop(); }

  std::vector<points::Handler> handlers();
  /// Begins to watch over silence: of QKMs, and of the other controller.
  void start();
  void stop();

 private:
  using ControllerKeys = std::map<ElementName, crypto::SiteKey>;
  QkdncService(node::Node& node, QkdncSettings settings, std::unique_ptr<Records> records, std::uint64_t term, ControllerKeys keys);
  Result<net::Response> state(const net::Request& request);
  Result<net::Response> route(const net::Request& request);
  Result<net::Response> relay(const net::Request& request);
  Result<net::Response> lead(const net::Request& request);
  Result<net::Response> heard_state(const net::Request& request);
  Result<net::Response> heard_claim(const net::Request& request);
  Result<net::Response> sdn(const net::Request& request);
  [[nodiscard]] Centralised::Ports ports();
  /// unavailable unless this controller leads.
  [[nodiscard]] Result<void> check_leads() const;
  void describe(wire::Json& body);
  void watch();
  Result<void> take_lead_if_due();
  void tell_other();
  bool pause(std::chrono::milliseconds span);

  node::Node& node_;
  const QkdncSettings settings_;
  const std::unique_ptr<Records> records_;
  Centralised centralised_;
  mutable std::mutex mutex_;  // guards what is below
  Topology topology_;
  Leadership leadership_;
  bool acts_ = false;  // leads, and the term is stored
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread watcher_;
};

}  // namespace qanat::qkdnc
