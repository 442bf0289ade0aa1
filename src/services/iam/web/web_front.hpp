// IAM's listener for software that others wrote: OAuth 2.0 over TLS with certificates both ways ([iam.web]).
#pragma once

#include <memory>
#include <optional>

#include "net/foreign.hpp"
#include "net/workers.hpp"
#include "node/config.hpp"
#include "services/iam/web/oauth.hpp"

namespace qanat::iam {

/// Table [iam.web]; without a port there is no listener.
struct WebSettings {
  std::optional<net::ForeignSettings> listener;
  static WebSettings read(node::Config& iam);
};

class WebFront {
 public:
  static Result<std::unique_ptr<WebFront>> start(const net::ForeignSettings& settings, OAuth oauth, node::Node& node);
  ~WebFront() { stop(); }
  WebFront(const WebFront&) = delete;
  WebFront& operator=(const WebFront&) = delete;
  [[nodiscard]] std::uint16_t port() const noexcept { return listener_->port(); }
  void stop();

 private:
  explicit WebFront(OAuth oauth);
  net::ForeignService service();

  OAuth oauth_;
  net::Workers workers_;
  std::unique_ptr<net::ForeignListener> listener_;
};

}  // namespace qanat::iam
