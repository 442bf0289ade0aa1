// Access tokens of IAM's own: CWT for terminals and elements, JWT for web software; signed by keys that stand sealed in the database. The token of step 6 of a
// call is another (tokens.hpp).
#pragma once

#include <chrono>
#include <memory>

#include "crypto/device.hpp"
#include "crypto/es256.hpp"
#include "crypto/lone_signer.hpp"
#include "store/store.hpp"
#include "wire/cwt.hpp"
#include "wire/jwt.hpp"

namespace qanat::iam {

struct AccessPolicy {
  std::chrono::seconds lifetime{300};
  bool es256 = true;  // JWTs for clients that have no ML-DSA, where they ask for it
  std::string web_issuer = {};  // of JWTs, "https://iam.example:8443" (RFC 8414 §2); empty: the same as of CWTs
};

/// Who gets a token, for what.
struct AccessOrder {
  std::string subject;
  std::string client;
  std::string audience;
  std::string scope;
  Bytes holder;  // SHA-256 of the certificate on the connection
  std::int64_t epoch = 0;
  Bytes token_id = {};  // empty: a new one
};

class AccessTokens {
 public:
  /// Makes the keys at first use.
  static Result<AccessTokens> open(store::Store& store, crypto::CryptoDevice& device, crypto::Rng& rng, std::string issuer, AccessPolicy policy, UnixMs now);

  struct Issued {
    std::string token;  // JWT text, or the CWT in base64url
    wire::AccessClaims claims;
  };
  Result<Issued> cwt(const AccessOrder& order, UnixMs now) const;
  /// `denied` if the policy does not have the algorithm.
  Result<Issued> jwt(const AccessOrder& order, wire::TokenAlgorithm algorithm, UnixMs now) const;

  /// A token of ours of either kind, its signature checked and its time, nothing else: the claims say for whom.
  [[nodiscard]] Result<wire::AccessClaims> open_token(std::string_view token, UnixMs now) const;
  [[nodiscard]] const wire::TokenKeys& keys() const noexcept { return keys_; }
  [[nodiscard]] const std::string& issuer() const noexcept { return issuer_; }

 private:
  AccessTokens(crypto::Rng& rng, std::string issuer, AccessPolicy policy, crypto::LoneSigner ml_dsa, crypto::Es256Signer es256, wire::TokenKeys keys)
      : rng_(&rng), issuer_(std::move(issuer)), policy_(std::move(policy)), ml_dsa_(std::move(ml_dsa)), es256_(std::move(es256)), keys_(std::move(keys)) {}
  [[nodiscard]] wire::AccessClaims claims_for(const AccessOrder& order, const std::string& issuer, UnixMs now) const;
  [[nodiscard]] const std::string& web_issuer() const noexcept { return policy_.web_issuer.empty() ? issuer_ : policy_.web_issuer; }
  [[nodiscard]] const wire::TokenKey& key(wire::TokenAlgorithm algorithm) const { return keys_.all()[algorithm == wire::TokenAlgorithm::ml_dsa_44 ? 0 : 1]; }

  crypto::Rng* rng_;
  std::string issuer_;
  AccessPolicy policy_;
  crypto::LoneSigner ml_dsa_;
  crypto::Es256Signer es256_;
  wire::TokenKeys keys_;  // ML-DSA-44, ES256
};

/// What RFC 7662 §2.2 answers of an active token; of another only that it is not.
wire::Json introspection(const wire::AccessClaims& claims);
wire::Json inactive();

}  // namespace qanat::iam
