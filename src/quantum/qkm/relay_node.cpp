#include "quantum/qkm/relay_node.hpp"

#include <algorithm>
#include <set>

#include "node/crash_point.hpp"
#include "points/central_relay.hpp"

namespace qanat::qkm {
namespace {

constexpr int crossings_max = 3;  // of one hop, while the neighbour has not got the chunks that were chosen

}  // namespace

std::string text_of(std::span<const KeyRun> runs) {
  std::string out;
  for (const KeyRun& run : runs) out += (out.empty() ? "" : " ") + run.text();
  return out;
}

std::string describe_way(std::span<const ElementName> path, std::span<const KeyRun> runs) {
  std::string over;
  for (std::size_t i = 1; i + 1 < path.size(); ++i) over += (i == 1 ? "" : ", ") + path[i].text();
  return (over.empty() ? "relayed directly" : "relayed over " + over) + ": link keys " + text_of(runs) + " used and destroyed";
}

Result<void> check_order(const RelayPlace& place, const RelayOrder& order) {
  const auto end_node = place.end_nodes.find(order.domain);
  if (end_node == place.end_nodes.end()) return fail(ErrorCode::not_found, "no QKM is configured for domain " + order.domain);
  const std::set<ElementName> nodes(order.path.begin(), order.path.end());
  if (order.path.size() < 2 || order.path.size() > relay_nodes_max || nodes.size() != order.path.size() || order.path.front() != place.self ||
      order.path.back() != end_node->second) {
    return fail(ErrorCode::unavailable, "the route to " + end_node->second.text() + " is none");
  }
  if (!place.links.contains(order.path[1])) return fail(ErrorCode::unavailable, order.path[1].text() + " is no neighbour of " + place.self.text());
  if (order.keys == 0 || order.keys > relay_secrets_max) return fail(ErrorCode::invalid_argument, "a relay brings 1 to 256 keys");
  return {};
}

Result<BatchId> RelayNode::relay(const RelayOrder& order, Deadline deadline, const std::string& request_id) {
  TRY(check_order(place_, order));
  RelayHeader header;
  header.relay_id = parts_.device.rng().id<BatchId>();
  header.origin_domain = place_.domain;
  header.destination_domain = order.domain;
  header.path = order.path;
  header.secrets = static_cast<std::uint16_t>(order.keys);
  header.demand = order.demand;
  // Counted from before the far end can have it, and half as long: what is handed out here can still be fetched there.
  const UnixMs expires = parts_.clock.now_ms() + static_cast<UnixMs>(place_.lifetime.count()) / 2;
  ASSIGN_OR_RETURN(const Secret secrets, parts_.device.random(order.keys * relay_secret_size));
  ASSIGN_OR_RETURN(const Crossed crossed, cross(header, secrets, deadline, request_id));
  const points::KeyProof& proof = crossed.answer.proof;
  if (!equal_constant_time(crossed.answer.confirmation, relay_confirmation(secrets, header.relay_id, proof))) {
    return fail(ErrorCode::denied, "relay " + header.relay_id.hex() + ": " + header.destination().text() + " holds other secrets");
  }
  // What the other hops say cannot make this one's keys better.
  if (points::weaker(proof, crossed.proof) != proof)
    return fail(ErrorCode::denied, "relay " + header.relay_id.hex() + ": is said to be worth more than its first hop");
  if (!order.demand.is_met_by(proof)) return fail(ErrorCode::exhausted, "relay " + header.relay_id.hex() + ": has " + points::describe(proof));
  const RelayedBatch batch{.id = header.relay_id,
                           .end = End::near,
                           .peer_domain = order.domain,
                           .path = header.path,
                           .way = describe_way(header.path, crossed.runs),
                           .keys = relayed_keys(secrets),
                           .expires_ms = expires,
                           .quality = {.proof = proof, .way = KeyWay::hop_by_hop}};
  TRY(parts_.commits.transact([&](store::Transaction& transaction) { return parts_.relayed_keys.add(transaction, batch, parts_.clock.now_ms()); }));
  return header.relay_id;
}

// The neighbour may lack a block that this end has, when its QKD lost it: then other keys are taken, and what is left of that block is dropped.
Result<RelayNode::Crossed> RelayNode::cross(RelayHeader header, const Secret& secrets, Deadline deadline, const std::string& request_id) {
  for (int attempt = 1;; ++attempt) {
    ASSIGN_OR_RETURN(Crossed crossed, cross_once(header, secrets, deadline, request_id));
    if (!crossed.answer.confirmation.empty()) return crossed;
    const ElementName& next = header.receiver();
    if (!points::are_named(crossed.answer.missing, crossed.runs))
      return fail(ErrorCode::denied, "relay " + header.relay_id.hex() + ": " + next.text() + " misses chunks that were not named");
    TRY(parts_.commits.transact([&](store::Transaction& transaction) {
      return parts_.link_keys.drop(transaction, place_.links.at(next), crossed.answer.missing, parts_.clock.now_ms());
    }));
    if (attempt == crossings_max || deadline.passed())
      return fail(ErrorCode::unavailable, "relay " + header.relay_id.hex() + ": " + next.text() + " has not got the link keys that this end has");
  }
}

Result<RelayNode::Crossed> RelayNode::cross_once(RelayHeader& header, const Secret& secrets, Deadline deadline, const std::string& request_id) {
  const ElementName next = header.receiver();
  const auto link = place_.links.find(next);
  if (link == place_.links.end()) return fail(ErrorCode::unavailable, next.text() + " is no neighbour of " + place_.self.text());
  const points::KeyProof before = header.proof;
  const bool is_first = header.hop == 1;
  const auto all = [&](std::span<const Taken> taken) { return is_first ? proof_of(taken) : points::together(before, proof_of(taken)); };
  ASSIGN_OR_RETURN(const std::vector<Taken> taken, parts_.commits.transact([&](store::Transaction& transaction) -> Result<std::vector<Taken>> {
    ASSIGN_OR_RETURN(std::vector<Taken> out,
                     parts_.link_keys.reserve(transaction, link->second, header.secrets + 1U, header.demand, parts_.clock.now_ms()));
    // The failure undoes the claim: this hop uses nothing up.
    if (!header.demand.is_met_by(all(out)))
      return fail(ErrorCode::exhausted, "link " + link->second.text() + ": the path up to here has " + points::describe(all(out)) +
                                            "; wanted: " + points::describe(header.demand));
    return Result<std::vector<Taken>>(std::move(out));
  }));
  node::crash_point("qkm.relay.reserved");
  ASSIGN_OR_RETURN(const HopKeys keys, hop_keys(taken));
  header.runs = keys.runs;
  header.proof = all(taken);
  const points::KeyProof proof = header.proof;
  const auto sent = [&]() -> Result<RelayAnswer> {
    const std::array events{KeyEvent{.action = "link_key.used", .keys = text_of(keys.runs), .subject = next.text(), .request_id = request_id}};
    TRY(ports_.record(events));
    ASSIGN_OR_RETURN(const Bytes message, protect(header, secrets, keys));
    ASSIGN_OR_RETURN(const Bytes octets, ports_.send(next, message, deadline, request_id));
    return parse_relay_answer(octets, header.relay_id);
  };
  const auto answer = sent();
  node::crash_point("qkm.relay.sent");
  TRY(parts_.commits.transact([&](store::Transaction& transaction) { return parts_.link_keys.destroy(transaction, keys.runs, parts_.clock.now_ms()); }));
  header.proof = before;  // for another attempt
  if (!answer) return fail(answer.error());
  return Crossed{.runs = keys.runs, .proof = proof, .answer = *answer};
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

void RelayNode::await_blocks(const RelayHeader& header, Deadline deadline) {
  const Deadline until = deadline.sooner_of(place_.block_wait);
  while (true) {
    const std::uint64_t seen = parts_.arrivals.count();
    const auto here = parts_.commits.transact([&](store::Transaction& transaction) { return parts_.link_keys.known(transaction, header.runs); });
    if (!here || *here || !parts_.arrivals.wait(seen, until)) return;
  }
}

Result<KeyStock::Receipt> RelayNode::take_in(const RelayHeader& header, const std::string& request_id) {
  const LinkId& link = place_.links.at(header.sender());
  ASSIGN_OR_RETURN(KeyStock::Receipt receipt, parts_.commits.transact([&](store::Transaction& transaction) {
    return parts_.link_keys.receive(transaction, link, header.runs, parts_.clock.now_ms());
  }));
  node::crash_point("qkm.relay.received");
  // What a message names that is then refused is used up as far as it was here, or will be once it comes.
  const bool in_order = !receipt.refusal && receipt.missing.empty();
  const std::array events{KeyEvent{.action = in_order ? "link_key.used" : "link_key.burnt", .keys = text_of(header.runs), .subject = header.sender().text(), .request_id = request_id}};
  TRY(ports_.record(events));
  return Result<KeyStock::Receipt>(std::move(receipt));
}

Result<Bytes> RelayNode::receive(const ElementName& sender, ByteView octets, Deadline deadline, const std::string& request_id) {
  ASSIGN_OR_RETURN(RelayMessage message, parse_relay(octets));
  TRY(check(sender, message.header));
  await_blocks(message.header, deadline);
  ASSIGN_OR_RETURN(const KeyStock::Receipt receipt, take_in(message.header, request_id));
  if (!receipt.missing.empty()) return write_relay_missing(message.header.relay_id, receipt.missing);
  if (receipt.refusal) return fail_in("link " + place_.links.at(sender).text(), *receipt.refusal);
  ASSIGN_OR_RETURN(const HopKeys keys, hop_keys(receipt.keys));
  ASSIGN_OR_RETURN(const Secret secrets, unprotect(octets, message, keys));
  // What this end knows of the hop's keys counts as much as what the sender says.
  message.header.proof = points::weaker(message.header.proof, proof_of(receipt.keys));
  if (!message.header.demand.is_met_by(message.header.proof))
    return fail(ErrorCode::exhausted, "link " + place_.links.at(sender).text() + ": here its keys have " + points::describe(message.header.proof));
  if (message.header.destination() == place_.self) return keep(message.header, secrets);
  return pass_on(message.header, secrets, deadline, request_id);
}

Result<Bytes> RelayNode::pass_on(RelayHeader header, const Secret& secrets, Deadline deadline, const std::string& request_id) {
  ++header.hop;
  ASSIGN_OR_RETURN(const Crossed crossed, cross(header, secrets, deadline, request_id));
  node::crash_point("qkm.relay.forwarded");
  return write_relay_answer(header.relay_id, crossed.answer.proof, crossed.answer.confirmation);
}

Result<Bytes> RelayNode::keep(const RelayHeader& header, const Secret& secrets) {
  const UnixMs now = parts_.clock.now_ms();
  const RelayedBatch batch{.id = header.relay_id,
                           .end = End::far,
                           .peer_domain = header.origin_domain,
                           .path = header.path,
                           .way = describe_way(header.path, header.runs),
                           .keys = relayed_keys(secrets),
                           .expires_ms = now + static_cast<UnixMs>(place_.lifetime.count()),
                           .quality = {.proof = header.proof, .way = KeyWay::hop_by_hop}};
  TRY(parts_.commits.transact([&](store::Transaction& transaction) { return parts_.relayed_keys.add(transaction, batch, now); }));
  node::crash_point("qkm.relay.stored");
  parts_.arrivals.ring();
  return write_relay_answer(header.relay_id, header.proof, relay_confirmation(secrets, header.relay_id, header.proof));
}

}  // namespace qanat::qkm
