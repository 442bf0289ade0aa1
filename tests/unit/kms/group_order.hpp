// A terminal's order about a group, signed.
#pragma once

#include "node/node.hpp"
#include "person.hpp"
#include "wire/group_schedule.hpp"

namespace qanat::kms {

inline Bytes signed_group_order(node::Node& node, const Person& who, const wire::GroupEpoch& after, wire::GroupOrder order, std::vector<Number> members,
                                const std::function<void(wire::GroupRequest&)>& change = {}) {
  wire::GroupRequest message{.group = after.group,
                             .order = order,
                             .epoch = after.epoch,
                             .uid = who.terminal.uid,
                             .number = who.terminal.number,
                             .kms_id = ElementName("kms-a"),
                             .nonce = node.rng().bytes(wire::nonce_size),
                             .ts_ms = SystemClock().now_ms(),
                             .min_assurance = wire::Assurance::local_rng,
                             .token_ref = Bytes(node.suite().digest),
                             .fps = who.fps,
                             .members = std::move(members)};
  if (change) change(message);
  return test::must(wire::sign_message(node.suite(), node.settings().policy_epoch, message, who.signer, who.fps, node.rng())).octets;
}

}  // namespace qanat::kms
