#include "quantum/qkm/relay_node.hpp"

#include <algorithm>

#include "node/crash_point.hpp"

namespace qanat::qkm {
namespace {

std::string describe_way(const RelayHeader& header, const KeyId& pad, const KeyId& mac) {
  std::string over;
  for (std::size_t i = 1; i + 1 < header.path.size(); ++i) over += (i == 1 ? "" : ", ") + header.path[i].text();
  return (over.empty() ? "relayed directly" : "relayed over " + over) + ": link keys " + pad.hex() + " and " + mac.hex() + " used and destroyed";
}

}  // namespace

Result<RelayHeader> RelayNode::begin(const std::string& domain, Deadline deadline, const std::string& request_id) {
  const auto end_node = place_.end_nodes.find(domain);
  if (end_node == place_.end_nodes.end()) return fail(ErrorCode::not_found, "no QKM is configured for domain " + domain);
  ASSIGN_OR_RETURN(const std::vector<ElementName> onward, ports_.route(end_node->second, deadline, request_id));
  RelayHeader header;
  header.relay_id = parts_.device.rng().id<KeyId>();
  header.origin_domain = place_.domain;
  header.destination_domain = domain;
  header.path.push_back(place_.self);
  header.path.insert(header.path.end(), onward.begin(), onward.end());
  if (onward.empty() || header.destination() != end_node->second || header.path.size() > relay_nodes_max) {
    return fail(ErrorCode::unavailable, "the route to " + end_node->second.text() + " is none");
  }
  return header;
}

Result<KeyId> RelayNode::relay_to(const std::string& domain, Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(const RelayHeader header, begin(domain, deadline, request_id));
  // Counted from before the far end can have it, and half as long: what is handed out here can still be fetched there.
  const UnixMs expires = parts_.clock.now_ms() + static_cast<UnixMs>(place_.lifetime.count()) / 2;
  ASSIGN_OR_RETURN(const Secret secret, parts_.device.random(relay_secret_size));
  ASSIGN_OR_RETURN(const Crossed crossed, cross(header, secret, deadline, request_id));

  const Result<void> confirmed = [&]() -> Result<void> {
    if (!crossed.answer) return fail(crossed.answer.error());
    ASSIGN_OR_RETURN(const Bytes confirmation, parse_relay_answer(*crossed.answer, header.relay_id));
    if (equal_constant_time(confirmation, relay_confirmation(secret, header.relay_id))) return {};
    return fail(ErrorCode::denied, "relay " + header.relay_id.hex() + ": " + header.destination().text() + " holds another secret");
  }();
  if (!confirmed) {
    TRY(burn(crossed.pad_id, crossed.mac_id));
    return fail(confirmed.error());
  }
  const RelayedKey key{.id = header.relay_id,
                       .end = End::near,
                       .peer_domain = domain,
                       .path_id = path_id_of(header.path),
                       .relays = header.relays(),
                       .way = describe_way(header, crossed.pad_id, crossed.mac_id),
                       .key = relayed_key(secret),
                       .expires_ms = expires};
  TRY(parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    const UnixMs now = parts_.clock.now_ms();
    TRY(parts_.link_keys.destroy(transaction, crossed.pad_id, now));
    TRY(parts_.link_keys.destroy(transaction, crossed.mac_id, now));
    return parts_.relayed_keys.add(transaction, key, now);
  }));
  return header.relay_id;
}

Result<RelayNode::Crossed> RelayNode::cross(RelayHeader header, const Secret& secret, Deadline deadline, const std::string& request_id) {
  const ElementName next = header.receiver();
  const auto link = place_.links.find(next);
  if (link == place_.links.end()) return fail(ErrorCode::unavailable, next.text() + " is no neighbour of " + place_.self.text());
  ASSIGN_OR_RETURN(const HopKeys keys, parts_.store.transact([&](store::Transaction& transaction) {
    return parts_.link_keys.reserve(transaction, link->second, parts_.clock.now_ms());
  }));
  node::crash_point("qkm.relay.reserved");
  header.pad_id = keys.pad.id;
  header.mac_id = keys.mac.id;
  Crossed out{.pad_id = keys.pad.id, .mac_id = keys.mac.id, .answer = Bytes()};
  const std::array events{KeyEvent{.action = "link_key.used", .key = keys.pad.id, .subject = next.text(), .request_id = request_id},
                          KeyEvent{.action = "link_key.used", .key = keys.mac.id, .subject = next.text(), .request_id = request_id}};
  const auto sent = [&]() -> Result<Bytes> {
    TRY(ports_.record(events));
    ASSIGN_OR_RETURN(const Bytes message, protect(header, secret, keys.pad.key, keys.mac.key));
    return ports_.send(next, message, deadline, request_id);
  };
  out.answer = sent();
  node::crash_point("qkm.relay.sent");
  return Result<Crossed>(std::move(out));
}

Result<void> RelayNode::burn(const KeyId& pad_id, const KeyId& mac_id) {
  return parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    const UnixMs now = parts_.clock.now_ms();
    TRY(parts_.link_keys.destroy(transaction, pad_id, now));
    return parts_.link_keys.destroy(transaction, mac_id, now);
  });
}

Result<void> RelayNode::check(const ElementName& sender, const RelayHeader& header) const {
  const std::string relay = "relay " + header.relay_id.hex() + ": ";
  if (header.sender() != sender) return fail(ErrorCode::denied, relay + "its path does not lead over the sender");
  if (header.receiver() != place_.self) return fail(ErrorCode::denied, relay + "this hop of its path does not end here");
  if (!place_.links.contains(sender)) return fail(ErrorCode::denied, relay + "no link leads to " + sender.text());
  if (header.destination() != place_.self) return {};
  if (header.destination_domain != place_.domain) return fail(ErrorCode::denied, relay + "is for domain " + header.destination_domain);
  const auto origin = place_.end_nodes.find(header.origin_domain);
  if (origin == place_.end_nodes.end() || origin->second != header.origin()) {
    return fail(ErrorCode::denied, relay + header.origin().text() + " is not the QKM of domain " + header.origin_domain);
  }
  return {};
}

void RelayNode::await_block(const RelayHeader& header, Deadline deadline) {
  const Deadline until = deadline.sooner_of(place_.block_wait);
  while (true) {
    const std::uint64_t seen = parts_.arrivals.count();
    const auto here = parts_.store.transact([&](store::Transaction& transaction) -> Result<bool> {
      ASSIGN_OR_RETURN(const bool pad, parts_.link_keys.known(transaction, header.pad_id));
      if (!pad) return false;
      return parts_.link_keys.known(transaction, header.mac_id);
    });
    if (!here || *here || !parts_.arrivals.wait(seen, until)) return;
  }
}

Result<HopKeys> RelayNode::take_in(const RelayHeader& header, const std::string& request_id) {
  const LinkId& link = place_.links.at(header.sender());
  ASSIGN_OR_RETURN(LinkKeys::Receipt receipt, parts_.store.transact([&](store::Transaction& transaction) {
    return parts_.link_keys.receive(transaction, link, header.pad_id, header.mac_id, parts_.clock.now_ms());
  }));
  node::crash_point("qkm.relay.received");
  if (!receipt.keys) return fail_in("link " + link.text(), receipt.refusal);
  const std::array events{KeyEvent{.action = "link_key.used", .key = header.pad_id, .subject = header.sender().text(), .request_id = request_id},
                          KeyEvent{.action = "link_key.used", .key = header.mac_id, .subject = header.sender().text(), .request_id = request_id}};
  TRY(ports_.record(events));
  return Result<HopKeys>(std::move(*receipt.keys));
}

Result<Bytes> RelayNode::receive(const ElementName& sender, ByteView octets, Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(const RelayMessage message, parse_relay(octets));
  TRY(check(sender, message.header));
  await_block(message.header, deadline);
  ASSIGN_OR_RETURN(const HopKeys keys, take_in(message.header, request_id));
  ASSIGN_OR_RETURN(const Secret secret, unprotect(octets, message, keys.pad.key, keys.mac.key));
  if (message.header.destination() == place_.self) return keep(message.header, secret);
  return pass_on(message.header, secret, deadline, request_id);
}

Result<Bytes> RelayNode::pass_on(RelayHeader header, const Secret& secret, Deadline deadline, const std::string& request_id) {
  ++header.hop;
  ASSIGN_OR_RETURN(Crossed crossed, cross(std::move(header), secret, deadline, request_id));
  node::crash_point("qkm.relay.forwarded");
  TRY(burn(crossed.pad_id, crossed.mac_id));
  return std::move(crossed.answer);
}

Result<Bytes> RelayNode::keep(const RelayHeader& header, const Secret& secret) {
  const UnixMs now = parts_.clock.now_ms();
  const RelayedKey key{.id = header.relay_id,
                       .end = End::far,
                       .peer_domain = header.origin_domain,
                       .path_id = path_id_of(header.path),
                       .relays = header.relays(),
                       .way = describe_way(header, header.pad_id, header.mac_id),
                       .key = relayed_key(secret),
                       .expires_ms = now + static_cast<UnixMs>(place_.lifetime.count())};
  TRY(parts_.store.transact([&](store::Transaction& transaction) { return parts_.relayed_keys.add(transaction, key, now); }));
  node::crash_point("qkm.relay.stored");
  parts_.arrivals.ring();
  return write_relay_answer(header.relay_id, relay_confirmation(secret, header.relay_id));
}

}  // namespace qanat::qkm
