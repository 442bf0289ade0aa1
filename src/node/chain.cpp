// Chained connections of an element (net/chain.hpp): what names its ends, and what is said where one cannot be had.
#include "base/check.hpp"
#include "node/log.hpp"
#include "node/node.hpp"

namespace qanat::node {

Result<void> Node::expect_chained(const net::Request& request, ByteView identity, const Secret& extra) {
  if (!request.peer.exporter || !request.peer.certificate) {
    return fail(ErrorCode::invalid_argument, "chain: asked for over a connection that no certificate authenticated itself");
  }
  const net::ChainContext context{.identity = to_bytes(identity),
                                  .client = request.peer.certificate->fingerprint(crypto::Hash::sha256),
                                  .server = credentials().tls->chain.front().fingerprint(crypto::Hash::sha256),
                                  .policy_epoch = settings_.policy_epoch};
  return chained_keys_.expect({.identity = to_bytes(identity), .psk = net::chain_key(extra, *request.peer.exporter, context)}, *request.peer.certificate);
}

net::ChainedKey Node::chained_key(const net::ChainLink& link, Bytes identity, const Secret& extra) const {
  const net::ChainContext context{.identity = identity,
                                  .client = credentials().tls->chain.front().fingerprint(crypto::Hash::sha256),
                                  .server = link.server.fingerprint(crypto::Hash::sha256),
                                  .policy_epoch = settings_.policy_epoch};
  return {.identity = std::move(identity), .psk = net::chain_key(extra, link.exporter, context)};
}

void Node::chain(std::string_view peer, net::ChainNext next, net::ChainNeed need, std::chrono::milliseconds age_max) {
  const auto found = clients_.find(peer);
  CHECK(found != clients_.end());
  const auto fallen_back = [this, uri = found->second->target().expected.uri()](const Error& why) {
    log(LogLevel::warning, "{}: connected without a chained key: {}", uri, why.message);
    // The request goes on either way; where the record cannot be written, its own is refused.
    (void)record({.action = "chain.without", .outcome = audit::outcome_of(why.code), .subject = uri, .object = "", .reason = why.message, .request_id = ""});
  };
  found->second->chain({.next = std::move(next), .need = need, .age_max = age_max, .fallen_back = fallen_back});
}

}  // namespace qanat::node
