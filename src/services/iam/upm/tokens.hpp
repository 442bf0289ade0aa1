// Privilege management: who gets an access token, and what it says.
#pragma once

#include <chrono>

#include "crypto/random.hpp"
#include "services/iam/idm/subscribers.hpp"
#include "wire/token.hpp"

namespace qanat::iam {

struct TokenPolicy {
  std::chrono::seconds lifetime{300};
  wire::Assurance level_max = wire::Assurance::disjoint_qkd_paths;
};

/// The token of this subscriber for these certificates. `denied` if it is suspended, has never enrolled, or `caller` is not its home KMS.
Result<wire::Token> grant_token(const Subscriber& subscriber, const wire::Fingerprints& holder, const Identity& caller, const TokenPolicy& policy, UnixMs now,
                                crypto::Rng& rng);

}  // namespace qanat::iam
