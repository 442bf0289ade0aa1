// Authorisation codes (RFC 6749 §4.1, RFC 7636): what each stands for, spent once and durably; and the tokens that are void before their time because their
// code came a second time. Of a code its hash alone is kept.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "crypto/random.hpp"
#include "store/store.hpp"

namespace qanat::iam {

inline constexpr UnixMs code_lifetime_ms = 60'000;

/// What a code was given for.
struct CodeOrder {
  std::string client;
  std::string subject;
  std::string redirect_uri;
  std::string challenge;  // BASE64URL(SHA-256(verifier))
  std::string scope;
  std::string audience;
  Bytes holder;  // SHA-256 of the certificate on the connection on which it was given
  std::int64_t epoch = 0;
  bool operator==(const CodeOrder&) const = default;
};

class AuthorizationCodes {
 public:
  explicit AuthorizationCodes(store::Store& store) : store_(store) {}

  Result<std::string> give(const CodeOrder& order, crypto::Rng& rng, UnixMs now);
  /// The order, once; the token that follows will bear `token_id`. `denied` for a code that is unknown, over its time, or spent: then the token that it was
  /// spent for is void from here on.
  Result<CodeOrder> spend(std::string_view code, ByteView token_id, UnixMs now);
  /// Whether the token is void although its time is not over.
  Result<bool> is_void(ByteView token_id);

 private:
  store::Store& store_;
};

}  // namespace qanat::iam
