#include "services/iam/upm/tokens.hpp"

namespace qanat::iam {

Result<wire::Token> grant_token(const Subscriber& subscriber, const wire::Fingerprints& holder, const Identity& caller, const TokenPolicy& policy, UnixMs now,
                                crypto::Rng& rng) {
  const std::string who = "token for '" + subscriber.uid.text() + "'";
  // Names of elements are unique within a domain only.
  if (subscriber.home_kms.text() != caller.name || subscriber.domain != caller.domain) {
    return fail(ErrorCode::denied, who + ": " + caller.uri() + " is not its home KMS");
  }
  if (subscriber.standing != Standing::active) return fail(ErrorCode::denied, who + ": the subscriber is suspended");
  if (!subscriber.enrolled) return fail(ErrorCode::denied, who + ": the subscriber has not enrolled");
  return wire::Token{.uid = subscriber.uid,
                     .token_id = rng.id<wire::TokenId>(),
                     .kms_id = subscriber.home_kms,
                     .holder = holder,
                     .issued_ms = now,
                     .expires_ms = now + static_cast<UnixMs>(std::chrono::milliseconds(policy.lifetime).count()),
                     .level_max = policy.level_max};
}

}  // namespace qanat::iam
