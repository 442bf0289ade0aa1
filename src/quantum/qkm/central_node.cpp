#include "quantum/qkm/central_node.hpp"

#include "node/crash_point.hpp"

namespace qanat::qkm {
namespace {

using points::CentralRelay;

constexpr int orders_max = 3;  // of one relay, while nodes have not got the chunks that were chosen

std::uint8_t last_hop(const CentralRelay& relay) { return static_cast<std::uint8_t>(relay.path.size() - 1); }

}  // namespace

Result<const LinkId*> CentralNode::link_to(const ElementName& neighbour) const {
  const auto link = place_.links.find(neighbour);
  if (link == place_.links.end()) return fail(ErrorCode::denied, neighbour.text() + " is no neighbour of " + place_.self.text());
  return &link->second;
}

void CentralNode::await_blocks(std::span<const KeyRun> runs, Deadline deadline) {
  const Deadline until = deadline.sooner_of(place_.block_wait);
  while (true) {
    const std::uint64_t seen = parts_.arrivals.count();
    const auto here = parts_.commits.transact([&](store::Transaction& transaction) { return parts_.link_keys.known(transaction, runs); });
    if (!here || *here || !parts_.arrivals.wait(seen, until)) return;
  }
}

Result<void> CentralNode::record(std::span<const KeyRun> runs, const ElementName& neighbour, const std::string& request_id) {
  const std::array events{KeyEvent{.action = "link_key.used", .keys = text_of(runs), .subject = neighbour.text(), .request_id = request_id}};
  return ports_.record(events);
}

Result<CentralNode::Ordered> CentralNode::order_once(const RelayOrder& order, const Secret& secrets, Deadline deadline, const std::string& request_id) {
  const ElementName& next = order.path[1];
  ASSIGN_OR_RETURN(const std::vector<Taken> taken, parts_.commits.transact([&](store::Transaction& transaction) {
    return parts_.link_keys.spend(transaction, place_.links.at(next), order.keys, order.demand, parts_.clock.now_ms());
  }));
  node::crash_point("qkm.central.spent");
  Ordered out{.handover = {.relay = {.relay_id = parts_.device.rng().id<BatchId>(),
                                     .origin_domain = place_.domain,
                                     .destination_domain = order.domain,
                                     .path = order.path,
                                     .keys = static_cast<std::uint16_t>(order.keys),
                                     .demand = order.demand},
                           .runs = runs_of(taken),
                           .proof = proof_of(taken),
                           .x = {}},
              .answer = {}};
  points::CentralHandover& handover = out.handover;
  TRY(record(handover.runs, next, request_id));
  Secret x = joined(taken);
  x.xor_with(secrets);
  handover.x = controller_key_.wrap(central_context(handover.relay, 0, handover.runs, handover.proof), x, parts_.device.rng());
  ASSIGN_OR_RETURN(out.answer, ports_.order(handover, deadline, request_id));
  return out;
}

// A node may lack a block that the node before it has, when its QKD lost it. What the first node named it drops itself; the controller has told the
// others. Then it is ordered anew, with other keys and as another relay.
Result<CentralNode::Ordered> CentralNode::order_until_whole(const RelayOrder& order, const Secret& secrets, Deadline deadline, const std::string& request_id) {
  for (int attempt = 1;; ++attempt) {
    ASSIGN_OR_RETURN(Ordered ordered, order_once(order, secrets, deadline, request_id));
    const points::CentralAnswer& answer = ordered.answer;
    if (answer.missing.empty()) return ordered;
    const std::string name = "relay " + ordered.handover.relay.relay_id.hex();
    if (answer.hop == 0 || answer.hop >= order.path.size()) return fail(ErrorCode::invalid_argument, name + ": its path has no such hop");
    if (answer.hop == 1) {
      if (!points::are_named(answer.missing, ordered.handover.runs)) return fail(ErrorCode::denied, name + ": misses chunks that were not named");
      TRY(parts_.commits.transact([&](store::Transaction& transaction) {
        return parts_.link_keys.drop(transaction, place_.links.at(order.path[1]), answer.missing, parts_.clock.now_ms());
      }));
    }
    if (attempt == orders_max || deadline.passed())
      return fail(ErrorCode::unavailable, name + ": " + order.path[answer.hop].text() + " has not got the link keys that the node before it has");
  }
}

Result<BatchId> CentralNode::relay(const RelayOrder& order, Deadline deadline, const std::string& request_id) {
  TRY(check_order(place_, order));
  const UnixMs expires = parts_.clock.now_ms() + static_cast<UnixMs>(place_.lifetime.count()) / 2;
  ASSIGN_OR_RETURN(const Secret secrets, parts_.device.random(order.keys * relay_secret_size));
  ASSIGN_OR_RETURN(const Ordered ordered, order_until_whole(order, secrets, deadline, request_id));
  const points::CentralRelay& relay = ordered.handover.relay;
  const points::KeyProof& proof = ordered.answer.proof;
  const std::string name = "relay " + relay.relay_id.hex();
  if (!equal_constant_time(ordered.answer.confirmation, relay_confirmation(secrets, relay.relay_id, proof)))
    return fail(ErrorCode::denied, name + ": " + order.path.back().text() + " holds other secrets");
  if (points::weaker(proof, ordered.handover.proof) != proof) return fail(ErrorCode::denied, name + ": is said to be worth more than its first hop");
  if (!order.demand.is_met_by(proof)) return fail(ErrorCode::exhausted, name + ": has " + points::describe(proof));
  const RelayedBatch batch{.id = relay.relay_id,
                           .end = End::near,
                           .peer_domain = order.domain,
                           .path = order.path,
                           .way = "by the controller, " + describe_way(order.path, ordered.handover.runs),
                           .keys = relayed_keys(secrets),
                           .expires_ms = expires,
                           .quality = {.proof = proof, .way = KeyWay::centralised}};
  TRY(parts_.commits.transact([&](store::Transaction& transaction) { return parts_.relayed_keys.add(transaction, batch, parts_.clock.now_ms()); }));
  return relay.relay_id;
}

Result<void> CentralNode::missing(const points::CentralNotice& notice) {
  const std::vector<ElementName>& path = notice.relay.path;
  if (notice.hop >= last_hop(notice.relay) || path[notice.hop] != place_.self)
    return fail(ErrorCode::denied, "relay " + notice.relay.relay_id.hex() + ": this hop of its path is not " + place_.self.text());
  ASSIGN_OR_RETURN(const LinkId* const link, link_to(path[notice.hop + 1U]));
  return parts_.commits.transact(
      [&](store::Transaction& transaction) { return parts_.link_keys.drop(transaction, *link, notice.missing, parts_.clock.now_ms()); });
}

Result<points::CentralReport> CentralNode::report(const points::CentralReportOrder& order, Deadline deadline, const std::string& request_id) {
  const std::vector<ElementName>& path = order.relay.path;
  if (order.hop == 0 || order.hop >= last_hop(order.relay) || path[order.hop] != place_.self)
    return fail(ErrorCode::denied, "relay " + order.relay.relay_id.hex() + ": this hop of its path is not " + place_.self.text());
  const ElementName& before = path[order.hop - 1U];
  const ElementName& after = path[order.hop + 1U];
  ASSIGN_OR_RETURN(const LinkId* const in, link_to(before));
  ASSIGN_OR_RETURN(const LinkId* const out, link_to(after));
  await_blocks(order.runs, deadline);
  std::vector<Taken> outgoing;
  points::KeyProof proof;
  ASSIGN_OR_RETURN(const KeyStock::Receipt receipt, parts_.commits.transact([&](store::Transaction& transaction) -> Result<KeyStock::Receipt> {
    const UnixMs now = parts_.clock.now_ms();
    ASSIGN_OR_RETURN(KeyStock::Receipt incoming, parts_.link_keys.receive(transaction, *in, order.runs, now));
    if (incoming.refusal) return Result<KeyStock::Receipt>(std::move(incoming));
    // The incoming keys are burnt whatever comes: the controller has them named.
    proof = points::weaker(order.proof, proof_of(incoming.keys));
    TRY(transaction.run("SAVEPOINT outgoing", {}));
    auto spent = parts_.link_keys.spend(transaction, *out, order.relay.keys, order.relay.demand, now);
    if (spent) {
      proof = points::together(proof, proof_of(*spent));
      outgoing = *std::move(spent);
      if (!order.relay.demand.is_met_by(proof))
        incoming.refusal = Error{ErrorCode::exhausted, "the path up to " + after.text() + " has " + points::describe(proof)};
    } else {
      incoming.refusal = spent.error();
    }
    // Where this hop refuses it uses up no key of the next link.
    if (incoming.refusal) TRY(transaction.run("ROLLBACK TO outgoing", {}));
    TRY(transaction.run("RELEASE outgoing", {}));
    return Result<KeyStock::Receipt>(std::move(incoming));
  }));
  node::crash_point("qkm.central.reported");
  if (!receipt.missing.empty()) return points::CentralReport{.runs = {}, .proof = {}, .x = {}, .missing = receipt.missing};
  if (receipt.refusal) return fail_in("relay " + order.relay.relay_id.hex(), *receipt.refusal);
  points::CentralReport report{.runs = runs_of(outgoing), .proof = proof, .x = {}};
  TRY(record(order.runs, before, request_id));
  TRY(record(report.runs, after, request_id));
  Secret x = joined(receipt.keys);
  x.xor_with(joined(outgoing));
  report.x = controller_key_.wrap(central_context(order.relay, order.hop, report.runs, proof), x, parts_.device.rng());
  return report;
}

Result<points::CentralAnswer> CentralNode::deliver(const points::CentralHandover& delivery, Deadline deadline, const std::string& request_id) {
  const CentralRelay& relay = delivery.relay;
  const std::string name = "relay " + relay.relay_id.hex();
  if (relay.path.back() != place_.self || relay.destination_domain != place_.domain)
    return fail(ErrorCode::denied, name + ": is not for " + place_.self.text());
  const auto origin = place_.end_nodes.find(relay.origin_domain);
  if (origin == place_.end_nodes.end() || origin->second != relay.path.front())
    return fail(ErrorCode::denied, name + ": " + relay.path.front().text() + " is not the QKM of domain " + relay.origin_domain);
  const ElementName& before = relay.path[relay.path.size() - 2];
  ASSIGN_OR_RETURN(const LinkId* const link, link_to(before));
  await_blocks(delivery.runs, deadline);
  ASSIGN_OR_RETURN(const KeyStock::Receipt receipt, parts_.commits.transact([&](store::Transaction& transaction) {
    return parts_.link_keys.receive(transaction, *link, delivery.runs, parts_.clock.now_ms());
  }));
  if (!receipt.missing.empty()) return points::CentralAnswer{.confirmation = {}, .proof = {}, .hop = last_hop(relay), .missing = receipt.missing};
  if (receipt.refusal) return fail_in(name, *receipt.refusal);
  const points::KeyProof proof = points::weaker(delivery.proof, proof_of(receipt.keys));
  TRY(record(delivery.runs, before, request_id));
  ASSIGN_OR_RETURN(Secret secrets, controller_key_.unwrap(central_context(relay, last_hop(relay), delivery.runs, delivery.proof), delivery.x));
  if (!relay.demand.is_met_by(proof)) return fail(ErrorCode::exhausted, name + ": has " + points::describe(proof));
  const Secret keys = joined(receipt.keys);
  if (secrets.size() != keys.size()) return fail(ErrorCode::invalid_argument, name + ": its x has not the size of its keys");
  secrets.xor_with(keys);
  const RelayedBatch batch{.id = relay.relay_id,
                           .end = End::far,
                           .peer_domain = relay.origin_domain,
                           .path = relay.path,
                           .way = "by the controller, " + describe_way(relay.path, delivery.runs),
                           .keys = relayed_keys(secrets),
                           .expires_ms = parts_.clock.now_ms() + static_cast<UnixMs>(place_.lifetime.count()),
                           .quality = {.proof = proof, .way = KeyWay::centralised}};
  TRY(parts_.commits.transact([&](store::Transaction& transaction) { return parts_.relayed_keys.add(transaction, batch, parts_.clock.now_ms()); }));
  node::crash_point("qkm.central.stored");
  parts_.arrivals.ring();
  return points::CentralAnswer{.confirmation = relay_confirmation(secrets, relay.relay_id, proof), .proof = proof, .hop = 0, .missing = {}};
}

}  // namespace qanat::qkm
