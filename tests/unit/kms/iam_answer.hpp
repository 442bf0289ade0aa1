// What IAM answers a KMS that asks for a subscriber's token, or for its grants, without the network in between.
#pragma once

#include "person.hpp"
#include "points/points.hpp"
#include "wire/base64.hpp"
#include "wire/token.hpp"

namespace qanat::kms {

struct IamSays {
  bool allowed = true;
  wire::Assurance token_level_max = wire::Assurance::disjoint_qkd_paths;
};

inline Result<wire::Json> iam_answer(test::TrustedNetwork& network, const node::MessageSigner& iam, points::Endpoint endpoint, const Person& holder,
                                     const IamSays& says) {
  const UnixMs now = SystemClock().now_ms();
  constexpr int strongest = static_cast<int>(wire::Assurance::disjoint_qkd_paths);
  if (endpoint == points::Endpoint::pm1_decide)
    return wire::Json::object({{"allowed", says.allowed}, {"reasons", wire::Json::array()}, {"level_max", strongest}, {"until_ms", 0}, {"decided_ms", now}});
  const wire::Token made{.uid = holder.terminal.uid,
                         .token_id = network.rng().id<wire::TokenId>(),
                         .kms_id = ElementName("kms-a"),
                         .holder = holder.fps,
                         .issued_ms = now,
                         .expires_ms = now + 60'000,
                         .level_max = says.token_level_max};
  ASSIGN_OR_RETURN(const auto message, wire::sign_message(network.suite(), 1, made, iam.signer, iam.fps, network.rng()));
  return wire::Json::object(
      {{"token", wire::to_base64(message.octets)}, {"classical", wire::to_base64(iam.classical.der())}, {"ml_dsa", wire::to_base64(iam.ml_dsa.der())}});
}

}  // namespace qanat::kms
