// Privilege management: who gets an access token, and what it says.
#pragma once

#include <chrono>

#include "crypto/random.hpp"
#include "services/iam/idm/subscribers.hpp"
#include "services/iam/upm/policy.hpp"
#include "wire/token.hpp"

namespace qanat::iam {

struct TokenPolicy {
  std::chrono::seconds lifetime{300};
  wire::Assurance level_max = wire::Assurance::disjoint_qkd_paths;
};

/// What a token of step 6 stands for: that its subscriber may apply for keys at its KMS, with some domain at least.
Question key_question();
/// The token of this subscriber for these certificates, up to the level and no longer than the grants say. `denied` if it is suspended, has never enrolled,
/// `caller` is not its home KMS, or `decision` (on key_question()) does not permit it.
Result<wire::Token> grant_token(const Subscriber& subscriber, const Decision& decision, const wire::Fingerprints& holder, const Identity& caller,
                                const TokenPolicy& policy, UnixMs now, crypto::Rng& rng);

}  // namespace qanat::iam
