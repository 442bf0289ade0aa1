#include "services/iam/upm/tokens.hpp"

#include <algorithm>

namespace qanat::iam {

Question key_question() { return {.action = "key.apply", .point = "Km-1"}; }

Result<wire::Token> grant_token(const Subscriber& subscriber, const Decision& decision, const wire::Fingerprints& holder, const Identity& caller,
                                const TokenPolicy& policy, UnixMs now, crypto::Rng& rng) {
  const std::string who = "token for '" + subscriber.uid.text() + "'";
  // Names of elements are unique within a domain only.
  if (subscriber.home_kms.text() != caller.name || subscriber.domain != caller.domain) {
    return fail(ErrorCode::denied, who + ": " + caller.uri() + " is not its home KMS");
  }
  if (subscriber.standing != Standing::active) return fail(ErrorCode::denied, who + ": the subscriber is suspended");
  if (!subscriber.enrolled) return fail(ErrorCode::denied, who + ": the subscriber has not enrolled");
  if (!decision.allowed) return fail(ErrorCode::denied, who + ": " + decision.why());
  UnixMs expires = now + static_cast<UnixMs>(std::chrono::milliseconds(policy.lifetime).count());
  if (decision.until_ms != 0) expires = std::min(expires, decision.until_ms);
  return wire::Token{.uid = subscriber.uid,
                     .token_id = rng.id<wire::TokenId>(),
                     .kms_id = subscriber.home_kms,
                     .holder = holder,
                     .issued_ms = now,
                     .expires_ms = expires,
                     .level_max = std::min(policy.level_max, decision.level_max)};
}

}  // namespace qanat::iam
