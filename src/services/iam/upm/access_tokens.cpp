#include "services/iam/upm/access_tokens.hpp"

#include <optional>

#include "store/long_lived.hpp"
#include "wire/base64.hpp"

namespace qanat::iam {
namespace {

constexpr UnixMs ms_per_s = 1000;

Bytes key_context(std::string_view algorithm) { return store::column_context("token_key.sealed", as_bytes(algorithm)); }

/// The sealed secret of this name, made with `make` if there is none.
template <class Make>
Result<Secret> stored_secret(store::Store& store, crypto::CryptoDevice& device, std::string_view algorithm, UnixMs now, Make&& make) {
  std::optional<Bytes> sealed;
  const auto read = [&](store::Transaction& transaction) {
    return transaction.query("SELECT sealed FROM token_key WHERE algorithm = ?", {algorithm}, [&](const store::Row& row) { sealed = row.blob(0); });
  };
  TRY(store.transact(read));
  if (!sealed) {
    ASSIGN_OR_RETURN(const Secret fresh, make());
    ASSIGN_OR_RETURN(const Bytes box, device.seal(key_context(algorithm), fresh));
    TRY(store.transact([&](store::Transaction& transaction) {
      return transaction.run("INSERT INTO token_key (algorithm, sealed, made_ms) VALUES (?, ?, ?)", {algorithm, ByteView(box), store::column(now)});
    }));
    sealed = box;
  }
  return store::unseal_long_lived(store, device, "token_key", "sealed", key_context(algorithm), *sealed);
}

}  // namespace

Result<AccessTokens> AccessTokens::open(store::Store& store, crypto::CryptoDevice& device, crypto::Rng& rng, std::string issuer, AccessPolicy policy,
                                        UnixMs now) {
  ASSIGN_OR_RETURN(const Secret seed, stored_secret(store, device, wire::name(wire::TokenAlgorithm::ml_dsa_44), now,
                                                    [&]() -> Result<Secret> { return Result<Secret>(rng.secret(crypto::seed_ml_dsa)); }));
  ASSIGN_OR_RETURN(crypto::LoneSigner ml_dsa, crypto::LoneSigner::from_secret(crypto::LoneScheme::ml_dsa_44, seed));
  ASSIGN_OR_RETURN(const Secret pair, stored_secret(store, device, wire::name(wire::TokenAlgorithm::es256), now, []() -> Result<Secret> {
    ASSIGN_OR_RETURN(const crypto::Es256Signer made, crypto::Es256Signer::generate());
    return Result<Secret>(made.secret());
  }));
  ASSIGN_OR_RETURN(crypto::Es256Signer es256, crypto::Es256Signer::from_secret(pair));
  ASSIGN_OR_RETURN(wire::TokenKey ml_dsa_key, wire::TokenKey::from_public(wire::TokenAlgorithm::ml_dsa_44, ml_dsa.public_key()));
  ASSIGN_OR_RETURN(wire::TokenKey es256_key, wire::TokenKey::from_public(wire::TokenAlgorithm::es256, es256.public_key()));
  return AccessTokens(rng, std::move(issuer), std::move(policy), std::move(ml_dsa), std::move(es256),
                      wire::TokenKeys({std::move(ml_dsa_key), std::move(es256_key)}));
}

wire::AccessClaims AccessTokens::claims_for(const AccessOrder& order, const std::string& issuer, UnixMs now) const {
  wire::AccessClaims out;
  out.issuer = issuer;
  out.subject = order.subject;
  out.audience = order.audience;
  out.client = order.client;
  out.scope = order.scope;
  out.issued_s = static_cast<std::int64_t>(now / ms_per_s);
  out.expires_s = out.issued_s + policy_.lifetime.count();
  out.token_id = order.token_id.empty() ? rng_->bytes(wire::access_token_id_size) : order.token_id;
  out.holder = order.holder;
  out.epoch = static_cast<std::uint64_t>(order.epoch);
  return out;
}

Result<AccessTokens::Issued> AccessTokens::cwt(const AccessOrder& order, UnixMs now) const {
  Issued out{.token = "", .claims = claims_for(order, issuer_, now)};
  TRY(wire::check_form(out.claims));
  wire::CoseSign1 message;
  message.protected_header = wire::cwt_protected_header(key(wire::TokenAlgorithm::ml_dsa_44));
  message.payload = wire::encode_cwt_claims(out.claims);
  message.signature = ml_dsa_.sign(wire::cose_sign1_tbs(message.protected_header, message.payload), *rng_);
  out.token = wire::to_base64url(wire::encode_cose_sign1(message));
  return out;
}

Result<AccessTokens::Issued> AccessTokens::jwt(const AccessOrder& order, wire::TokenAlgorithm algorithm, UnixMs now) const {
  if (algorithm == wire::TokenAlgorithm::es256 && !policy_.es256) return fail(ErrorCode::denied, "tokens with ES256 are not given here");
  Issued out{.token = "", .claims = claims_for(order, web_issuer(), now)};
  TRY(wire::check_form(out.claims));
  std::string input = wire::jwt_signing_input(key(algorithm), out.claims);
  if (algorithm == wire::TokenAlgorithm::ml_dsa_44) {
    const Bytes signature = ml_dsa_.sign(as_bytes(input), *rng_);
    out.token = wire::finish_jwt(std::move(input), signature);
  } else {
    ASSIGN_OR_RETURN(const Bytes signature, es256_.sign(as_bytes(input)));
    out.token = wire::finish_jwt(std::move(input), signature);
  }
  return out;
}

Result<wire::AccessClaims> AccessTokens::open_token(std::string_view token, UnixMs now) const {
  Result<wire::AccessClaims> claims = fail(ErrorCode::invalid_argument, "token: neither a JWT nor a CWT");
  const bool jwt = token.contains('.');
  if (jwt) {
    claims = wire::open_jwt(token, keys_);
  } else if (const auto octets = wire::from_base64url(token)) {
    claims = wire::open_cwt(*octets, keys_);
  }
  TRY(claims);
  if (claims->issuer != (jwt ? web_issuer() : issuer_)) return fail(ErrorCode::denied, "token: of another issuer");
  const auto now_s = static_cast<std::int64_t>(now / ms_per_s);
  if (now_s >= claims->expires_s) return fail(ErrorCode::denied, "token: has expired");
  if (claims->issued_s > now_s + wire::access_clock_skew_s) return fail(ErrorCode::denied, "token: is not valid yet");
  return claims;
}

wire::Json introspection(const wire::AccessClaims& claims) {
  wire::Json out = wire::Json::object({{"active", true},
                                       {"iss", claims.issuer},
                                       {"sub", claims.subject},
                                       {"aud", claims.audience},
                                       {"client_id", claims.client},
                                       {"iat", claims.issued_s},
                                       {"exp", claims.expires_s},
                                       {"jti", wire::to_base64url(claims.token_id)},
                                       {"epoch", static_cast<std::int64_t>(claims.epoch)},
                                       {"cnf", wire::Json::object({{"x5t#S256", wire::to_base64url(claims.holder)}})}});
  if (!claims.scope.empty()) out.set("scope", claims.scope);
  return out;
}

wire::Json inactive() { return wire::Json::object({{"active", false}}); }

}  // namespace qanat::iam
