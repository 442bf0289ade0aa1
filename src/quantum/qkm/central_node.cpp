#include "quantum/qkm/central_node.hpp"

#include "node/crash_point.hpp"

namespace qanat::qkm {
namespace {

using points::CentralRelay;

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

Result<BatchId> CentralNode::relay(const RelayOrder& order, Deadline deadline, const std::string& request_id) {
  TRY(check_order(place_, order));
  const ElementName& next = order.path[1];
  const UnixMs expires = parts_.clock.now_ms() + static_cast<UnixMs>(place_.lifetime.count()) / 2;
  ASSIGN_OR_RETURN(const Secret secrets, parts_.device.random(order.keys * relay_secret_size));
  ASSIGN_OR_RETURN(const std::vector<Taken> taken, parts_.commits.transact([&](store::Transaction& transaction) {
    return parts_.link_keys.spend(transaction, place_.links.at(next), order.keys, parts_.clock.now_ms());
  }));
  node::crash_point("qkm.central.spent");
  points::CentralHandover handover{.relay = {.relay_id = parts_.device.rng().id<BatchId>(),
                                             .origin_domain = place_.domain,
                                             .destination_domain = order.domain,
                                             .path = order.path,
                                             .keys = static_cast<std::uint16_t>(order.keys)},
                                   .runs = runs_of(taken),
                                   .x = {}};
  TRY(record(handover.runs, next, request_id));
  Secret x = joined(taken);
  x.xor_with(secrets);
  handover.x = controller_key_.wrap(central_context(handover.relay, 0, handover.runs), x, parts_.device.rng());
  ASSIGN_OR_RETURN(const Bytes confirmation, ports_.order(handover, deadline, request_id));
  if (!equal_constant_time(confirmation, relay_confirmation(secrets, handover.relay.relay_id)))
    return fail(ErrorCode::denied, "relay " + handover.relay.relay_id.hex() + ": " + order.path.back().text() + " holds other secrets");
  const RelayedBatch batch{.id = handover.relay.relay_id,
                           .end = End::near,
                           .peer_domain = order.domain,
                           .path = order.path,
                           .way = "by the controller, " + describe_way(order.path, handover.runs),
                           .keys = relayed_keys(secrets),
                           .expires_ms = expires};
  TRY(parts_.commits.transact([&](store::Transaction& transaction) { return parts_.relayed_keys.add(transaction, batch, parts_.clock.now_ms()); }));
  return handover.relay.relay_id;
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
  ASSIGN_OR_RETURN(const KeyStock::Receipt receipt, parts_.commits.transact([&](store::Transaction& transaction) -> Result<KeyStock::Receipt> {
    const UnixMs now = parts_.clock.now_ms();
    ASSIGN_OR_RETURN(KeyStock::Receipt incoming, parts_.link_keys.receive(transaction, *in, order.runs, now));
    if (incoming.refusal) return Result<KeyStock::Receipt>(std::move(incoming));
    auto spent = parts_.link_keys.spend(transaction, *out, order.relay.keys, now);
    if (spent) {
      outgoing = *std::move(spent);
    } else {
      incoming.refusal = spent.error();  // the incoming keys are burnt all the same: the controller has them named
    }
    return Result<KeyStock::Receipt>(std::move(incoming));
  }));
  node::crash_point("qkm.central.reported");
  if (receipt.refusal) return fail_in("relay " + order.relay.relay_id.hex(), *receipt.refusal);
  points::CentralReport report{.runs = runs_of(outgoing), .x = {}};
  TRY(record(order.runs, before, request_id));
  TRY(record(report.runs, after, request_id));
  Secret x = joined(receipt.keys);
  x.xor_with(joined(outgoing));
  report.x = controller_key_.wrap(central_context(order.relay, order.hop, report.runs), x, parts_.device.rng());
  return report;
}

Result<Bytes> CentralNode::deliver(const points::CentralHandover& delivery, Deadline deadline, const std::string& request_id) {
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
  if (receipt.refusal) return fail_in(name, *receipt.refusal);
  TRY(record(delivery.runs, before, request_id));
  ASSIGN_OR_RETURN(Secret secrets, controller_key_.unwrap(central_context(relay, last_hop(relay), delivery.runs), delivery.x));
  const Secret keys = joined(receipt.keys);
  if (secrets.size() != keys.size()) return fail(ErrorCode::invalid_argument, name + ": its x has not the size of its keys");
  secrets.xor_with(keys);
  const RelayedBatch batch{.id = relay.relay_id,
                           .end = End::far,
                           .peer_domain = relay.origin_domain,
                           .path = relay.path,
                           .way = "by the controller, " + describe_way(relay.path, delivery.runs),
                           .keys = relayed_keys(secrets),
                           .expires_ms = parts_.clock.now_ms() + static_cast<UnixMs>(place_.lifetime.count())};
  TRY(parts_.commits.transact([&](store::Transaction& transaction) { return parts_.relayed_keys.add(transaction, batch, parts_.clock.now_ms()); }));
  node::crash_point("qkm.central.stored");
  parts_.arrivals.ring();
  return relay_confirmation(secrets, relay.relay_id);
}

}  // namespace qanat::qkm
