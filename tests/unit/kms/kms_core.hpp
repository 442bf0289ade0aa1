// A KMS with the other elements that it asks, as far as its tests need them: answers come from functions of the test, over real connections.
#pragma once

#include "net/server.hpp"
#include "services/kms/service.hpp"
#include "trusted_network.hpp"
#include "wire/base64.hpp"

namespace qanat::kms {

using points::Endpoint;
using test::identity;
using test::must;

inline const Identity kms_id = identity("qanat://a/kms/kms-a");

/// One element that answers.
class Double {
 public:
  using Answer = std::function<Result<net::Response>(const net::Request&)>;
  Double(test::TrustedNetwork& network, const Identity& who, std::vector<points::Handler> handlers) : who_(who) {
    const node::Credentials credentials = network.credentials(who);
    server_ = must(net::Server::start(
        {.address = "127.0.0.1", .port = 0, .limits = {}}, *credentials.tls, must(node::read_trust(network.trust())),
        points::routes(who.kind, std::move(handlers)), [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; }, [](const net::Refusal&) {}));
  }
  ~Double() { server_->stop(std::chrono::milliseconds(100)); }
  Double(const Double&) = delete;
  Double& operator=(const Double&) = delete;
  [[nodiscard]] net::Target target() const { return {.host = "127.0.0.1", .port = server_->port(), .expected = who_}; }

 private:
  Identity who_;
  std::unique_ptr<net::Server> server_;
};

inline std::unique_ptr<node::Node> open_kms_node(test::TrustedNetwork& network, const std::vector<const Double*>& peers, node::LocalStatus status) {
  node::Settings settings;
  settings.identity = kms_id;
  settings.state = network.state_of(kms_id);
  settings.trust = network.trust();
  settings.master_key = settings.state.string() + ".master";
  settings.suite = &network.suite();
  for (const Double* peer : peers) settings.peers.emplace(peer->target().expected.name, peer->target());
  auto node = must(node::Node::open(std::move(settings)));
  node->use_credentials(network.credentials(kms_id), std::move(status));
  return node;
}

inline std::filesystem::path write_site_key(const std::filesystem::path& folder) {
  std::ofstream(folder / "site.key") << std::string(64, 'a');
  std::filesystem::permissions(folder / "site.key", std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  return folder / "site.key";
}

}  // namespace qanat::kms
