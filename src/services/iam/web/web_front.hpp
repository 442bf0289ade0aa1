// IAM's listener for software that others wrote: OAuth 2.0 and SCIM 2.0 over TLS with certificates both ways ([iam.web]).
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "net/crl_watch.hpp"
#include "net/workers.hpp"
#include "node/config.hpp"
#include "services/iam/web/oauth.hpp"
#include "services/iam/web/scim.hpp"

namespace qanat::iam {

/// Table [iam.web]; without a certificate there is no listener.
struct WebSettings {
  std::optional<net::ForeignSettings> listener;
  std::string url = {};          // how it is reached from outside: "https://iam.example:8443"
  std::string scim_domain = {};  // of people of whom the directory names none; empty: IAM's own
  static WebSettings read(node::Config& iam);
};

/// What the listener serves. Whatever blocks is done by `workers`; what they do not take is refused at once (503). Both must outlive the service.
net::ForeignService oauth_service(OAuth& oauth, net::Workers& workers);
net::ForeignService scim_service(Scim& scim, net::Workers& workers);

class WebFront {
 public:
  static Result<std::unique_ptr<WebFront>> start(const net::ForeignSettings& settings, OAuth oauth, Scim scim, node::Node& node);
  ~WebFront() { stop(); }
  WebFront(const WebFront&) = delete;
  WebFront& operator=(const WebFront&) = delete;
  [[nodiscard]] std::uint16_t port() const noexcept { return listener_->port(); }
  void stop();

 private:
  WebFront(OAuth oauth, Scim scim, const net::ForeignTls& tls);
  /// Takes up the revocation lists where their file is another, until stop().
  void watch_lists();

  OAuth oauth_;
  Scim scim_;
  net::Workers workers_;
  net::CrlWatch crls_;
  std::unique_ptr<net::ForeignListener> listener_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // under mutex_
  std::thread watcher_;    // where there are such lists
};

}  // namespace qanat::iam
