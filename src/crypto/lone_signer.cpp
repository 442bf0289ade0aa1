#include "crypto/lone_signer.hpp"

#include <botan/ecdsa.h>
#include <botan/pubkey.h>
#include <botan/sm2.h>

#include "crypto/algorithm_names.hpp"
#include "crypto/botan_edge.hpp"
#include "crypto/botan_rng.hpp"
#include "crypto/curve.hpp"
#include "crypto/hybrid_sign.hpp"
#include "crypto/idle_pool.hpp"

namespace qanat::crypto {
namespace {

MlDsa level_of(LoneScheme scheme) noexcept {
  switch (scheme) {
    case LoneScheme::ml_dsa_44:
      return MlDsa::ml_dsa_44;
    case LoneScheme::ml_dsa_65:
      return MlDsa::ml_dsa_65;
    case LoneScheme::sm2:
    case LoneScheme::ecdsa_p384:
    case LoneScheme::ml_dsa_87:
      break;
  }
  return MlDsa::ml_dsa_87;
}

/// Of those that have one.
std::optional<Curve> lone_curve(LoneScheme scheme) noexcept {
  if (scheme == LoneScheme::sm2) return Curve::sm2p256v1;
  if (scheme == LoneScheme::ecdsa_p384) return Curve::secp384r1;
  return std::nullopt;
}

Result<std::unique_ptr<Botan::Private_Key>> lone_key(LoneScheme scheme, const Secret& secret) {
  if (const auto curve = lone_curve(scheme)) {
    ASSIGN_OR_RETURN(const Botan::EC_Scalar scalar, parse_scalar(*curve, secret));
    if (*curve == Curve::sm2p256v1) return Result<std::unique_ptr<Botan::Private_Key>>(std::make_unique<Botan::SM2_PrivateKey>(group_of(*curve), scalar));
    return Result<std::unique_ptr<Botan::Private_Key>>(std::make_unique<Botan::ECDSA_PrivateKey>(group_of(*curve), scalar));
  }
  if (secret.size() != seed_ml_dsa) return fail(ErrorCode::invalid_argument, "signing key: the ML-DSA seed has the wrong length");
  return Result<std::unique_ptr<Botan::Private_Key>>(std::make_unique<Botan::ML_DSA_PrivateKey>(secret.reveal(), botan_mode(level_of(scheme))));
}

}  // namespace

struct LoneSigner::State {
  std::unique_ptr<const Botan::Private_Key> key;
  Bytes public_key;
  Secret secret;
  std::string_view padding;
  IdlePool<Botan::PK_Signer> signers;
};

LoneSigner::LoneSigner(std::unique_ptr<State> state) : state_(std::move(state)) {}
LoneSigner::LoneSigner(LoneSigner&&) noexcept = default;
LoneSigner& LoneSigner::operator=(LoneSigner&&) noexcept = default;
LoneSigner::~LoneSigner() = default;

Result<LoneSigner> LoneSigner::generate(LoneScheme scheme, Rng& rng) {
  return at_botan_edge(ErrorCode::internal, "signing key", [&]() -> Result<LoneSigner> {
    const auto curve = lone_curve(scheme);
    if (!curve) return from_secret(scheme, rng.secret(seed_ml_dsa));
    BotanRng botan_rng(rng);
    return from_secret(scheme, scalar_octets(draw_scalar(*curve, botan_rng)));
  });
}

Result<LoneSigner> LoneSigner::from_secret(LoneScheme scheme, const Secret& secret) {
  return at_botan_edge(ErrorCode::internal, "signing key", [&]() -> Result<LoneSigner> {
    ASSIGN_OR_RETURN(auto key, lone_key(scheme, secret));
    auto state = std::make_unique<State>();
    state->public_key = key->raw_public_key_bits();
    state->key = std::move(key);
    state->secret = secret.duplicate();
    const auto curve = lone_curve(scheme);
    state->padding = curve ? signature_padding(*curve) : std::string_view("Randomized");
    return LoneSigner(std::move(state));
  });
}

const Bytes& LoneSigner::public_key() const noexcept { return state_->public_key; }
Secret LoneSigner::secret() const { return state_->secret.duplicate(); }

Bytes LoneSigner::sign(ByteView message, Rng& rng) const {
  BotanRng botan_rng(rng);
  return state_->signers.with([&] { return std::make_unique<Botan::PK_Signer>(*state_->key, botan_rng, state_->padding, Botan::Signature_Format::Standard); },
                              [&](Botan::PK_Signer& signer) { return signer.sign_message(message, botan_rng); });
}

struct LoneVerifier::State {
  std::unique_ptr<const Botan::Public_Key> key;
  IdlePool<Botan::PK_Verifier> verifiers;
};

LoneVerifier::LoneVerifier(std::unique_ptr<State> state) : state_(std::move(state)) {}
LoneVerifier::LoneVerifier(LoneVerifier&&) noexcept = default;
LoneVerifier& LoneVerifier::operator=(LoneVerifier&&) noexcept = default;
LoneVerifier::~LoneVerifier() = default;

Result<LoneVerifier> LoneVerifier::from_key(MlDsa level, ByteView public_key) {
  return at_botan_edge(ErrorCode::invalid_argument, "verifying key", [&]() -> Result<LoneVerifier> {
    auto state = std::make_unique<State>();
    state->key = std::make_unique<Botan::ML_DSA_PublicKey>(public_key, botan_mode(level));
    return LoneVerifier(std::move(state));
  });
}

Result<void> LoneVerifier::verify(ByteView message, ByteView signature) const {
  return at_botan_edge(ErrorCode::denied, "signature", [&]() -> Result<void> {
    const bool holds = state_->verifiers.with([&] { return std::make_unique<Botan::PK_Verifier>(*state_->key, "", Botan::Signature_Format::Standard); },
                                              [&](Botan::PK_Verifier& verifier) { return verifier.verify_message(message, signature); });
    if (!holds) return fail(ErrorCode::denied, "signature: ML-DSA does not hold");
    return {};
  });
}

Result<Bytes> sign_with(const PrivateKey& key, ByteView message, Rng& rng) {
  if (key.algorithm != KeyAlgorithm::ml_dsa_65 && key.algorithm != KeyAlgorithm::ml_dsa_87) {
    return fail(ErrorCode::invalid_argument, "signing key: " + std::string(name(key.algorithm)) + " is no ML-DSA");
  }
  const LoneScheme scheme = key.algorithm == KeyAlgorithm::ml_dsa_65 ? LoneScheme::ml_dsa_65 : LoneScheme::ml_dsa_87;
  ASSIGN_OR_RETURN(const LoneSigner signer, LoneSigner::from_secret(scheme, key.secret));
  return signer.sign(message, rng);
}

Result<void> verify_with(const Certificate& certificate, ByteView message, ByteView signature) {
  if (certificate.key_algorithm() == KeyAlgorithm::ml_dsa_65) return verify_ml_dsa(MlDsa::ml_dsa_65, certificate.public_key(), message, signature);
  if (certificate.key_algorithm() == KeyAlgorithm::ml_dsa_87) return verify_ml_dsa(MlDsa::ml_dsa_87, certificate.public_key(), message, signature);
  return fail(ErrorCode::denied, "signature: the certificate's key is no ML-DSA");
}

}  // namespace qanat::crypto
