// What a message must be of, whoever sent it, before anything that it says is looked at: this network's suite, and the policy epoch that is in force here.
#pragma once

#include "node/node.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

/// `denied`, by the message's name.
template <wire::Qfc2Message M>
Result<void> check_in_force(const wire::Framed<M>& framed, const node::Node& node) {
  const auto refused = [](const std::string& why) { return fail(ErrorCode::denied, std::string(wire::name(M::type)) + ": " + why); };
  if (framed.suite != &node.suite()) return refused("suite " + std::string(framed.suite->name) + " is not this network's");
  if (framed.header.policy_epoch != node.settings().policy_epoch)
    return refused("policy epoch " + std::to_string(framed.header.policy_epoch) + " is not in force");
  return {};
}

}  // namespace qanat::kms
