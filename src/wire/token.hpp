// Step 6: the access token that IAM gives a subscriber through its KMS. Framed and signed like every message of profile v2; bound to the
// holder's certificates, to one KMS and to a span of time, so that nobody else gains by having it.
#pragma once

#include "base/clock.hpp"
#include "wire/qfc2_header.hpp"
#include "wire/signed.hpp"

namespace qanat::wire {

struct TokenIdTag;
using TokenId = Id<TokenIdTag, 16>;

/// How far IAM's clock may be ahead of the checking element's.
inline constexpr UnixMs token_clock_skew_ms = 120'000;
/// A token that claims to hold longer than a day is malformed: revocation rests on short lives.
inline constexpr UnixMs token_lifetime_max_ms = 86'400'000;

/// 06, IAM → KMS → terminal, signed by IAM.
struct Token {
  static constexpr MessageType type = MessageType::token;
  static constexpr Closing closing = Closing::signature;
  Uid uid;
  TokenId token_id;
  ElementName kms_id;   // the KMS where it may be shown
  Fingerprints holder;  // of the holder's certificates
  UnixMs issued_ms = 0;
  UnixMs expires_ms = 0;
  Assurance level_max = Assurance::local_rng;  // the strongest kind of key that the holder may apply for
  bool operator==(const Token&) const = default;
};

/// Parsed, and both of IAM's signatures verified. The hash of the result is the `token_ref` of later requests.
Result<Framed<Token>> open_token(ByteView octets, const crypto::Verifier& iam, const Fingerprints& iam_fingerprints);

/// `denied`, saying what does not fit, unless the (opened) token holds now for this holder, at this KMS.
Result<void> check_token(const Token& token, const Fingerprints& holder, const Uid& uid, const ElementName& kms, UnixMs now);

}  // namespace qanat::wire
