#include "crypto/hybrid_sign.hpp"

#include <botan/ecdsa.h>
#include <botan/pubkey.h>
#include <botan/sm2.h>

#include <string>

#include "base/check.hpp"
#include "crypto/algorithm_names.hpp"
#include "crypto/botan_edge.hpp"
#include "crypto/botan_rng.hpp"
#include "crypto/curve.hpp"
#include "crypto/idle_pool.hpp"

namespace qanat::crypto {
namespace {

constexpr std::string_view ml_dsa_signing = "Randomized";  // FIPS 204, 3.4: hedged

std::unique_ptr<Botan::Private_Key> classical_private(Curve curve, const Botan::EC_Scalar& scalar) {
  if (curve == Curve::sm2p256v1) return std::make_unique<Botan::SM2_PrivateKey>(group_of(curve), scalar);
  return std::make_unique<Botan::ECDSA_PrivateKey>(group_of(curve), scalar);
}

std::unique_ptr<Botan::Public_Key> classical_public(Curve curve, const Botan::EC_AffinePoint& point) {
  if (curve == Curve::sm2p256v1) return std::make_unique<Botan::SM2_PublicKey>(group_of(curve), point);
  return std::make_unique<Botan::ECDSA_PublicKey>(group_of(curve), point);
}

struct MlDsaSizes {
  std::size_t public_key;
  std::size_t signature;
};

// FIPS 204, table 2.
MlDsaSizes sizes(MlDsa level) noexcept {
  switch (level) {
    case MlDsa::ml_dsa_44:
      return {.public_key = 1312, .signature = 2420};
    case MlDsa::ml_dsa_65:
      return {.public_key = 1952, .signature = 3309};
    case MlDsa::ml_dsa_87:
      break;
  }
  return {.public_key = 2592, .signature = 4627};
}

/// A public key and the verifiers that were made from it.
struct VerifyingHalf {
  std::unique_ptr<const Botan::Public_Key> key;
  std::string_view padding;
  IdlePool<Botan::PK_Verifier> verifiers;

  // A signature that Botan cannot even parse does not hold either.
  bool holds(ByteView message, ByteView signature) {
    try {
      return verifiers.with([&] { return std::make_unique<Botan::PK_Verifier>(*key, padding, Botan::Signature_Format::Standard); },
                            [&](Botan::PK_Verifier& verifier) { return verifier.verify_message(message, signature); });
    } catch (const Botan::Exception&) {
      return false;
    }
  }
};

struct SigningHalf {
  std::unique_ptr<const Botan::Private_Key> key;
  std::string_view padding;
  IdlePool<Botan::PK_Signer> signers;

  Bytes sign(ByteView message, Botan::RandomNumberGenerator& rng) {
    return signers.with([&] { return std::make_unique<Botan::PK_Signer>(*key, rng, padding, Botan::Signature_Format::Standard); },
                        [&](Botan::PK_Signer& signer) { return signer.sign_message(message, rng); });
  }
};

Error denied(std::string_view half) { return Error{ErrorCode::denied, "signature: the " + std::string(half) + " half does not hold"}; }

std::string_view classical_name(Curve curve) noexcept { return curve == Curve::sm2p256v1 ? "SM2" : "ECDSA"; }

}  // namespace

struct Signer::State {
  const Suite* suite;
  SigningSecret secret;
  VerifyingKey verifying_key;
  SigningHalf classical;
  SigningHalf ml_dsa;
};

Signer::Signer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Signer::Signer(Signer&&) noexcept = default;
Signer& Signer::operator=(Signer&&) noexcept = default;
Signer::~Signer() = default;

Result<Signer> Signer::generate(const Suite& suite, Rng& rng) {
  return at_botan_edge(ErrorCode::internal, "signing key", [&]() -> Result<Signer> {
    BotanRng botan_rng(rng);
    return from_secret(suite, SigningSecret{.scalar = scalar_octets(draw_scalar(suite.curve, botan_rng)), .ml_dsa_seed = rng.secret(seed_ml_dsa)});
  });
}

Result<Signer> Signer::from_secret(const Suite& suite, const SigningSecret& secret) {
  if (secret.ml_dsa_seed.size() != seed_ml_dsa) return fail(ErrorCode::invalid_argument, "signing key: the ML-DSA seed has the wrong length");
  return at_botan_edge(ErrorCode::internal, "signing key", [&]() -> Result<Signer> {
    auto scalar = parse_scalar(suite.curve, secret.scalar);
    if (!scalar) return fail_in("signing key", std::move(scalar).error());
    auto state = std::make_unique<State>();
    state->suite = &suite;
    state->secret = SigningSecret{.scalar = secret.scalar.duplicate(), .ml_dsa_seed = secret.ml_dsa_seed.duplicate()};
    state->classical.key = classical_private(suite.curve, *scalar);
    state->classical.padding = signature_padding(suite.curve);
    state->ml_dsa.key = std::make_unique<Botan::ML_DSA_PrivateKey>(secret.ml_dsa_seed.reveal(), botan_mode(suite.ml_dsa));
    state->ml_dsa.padding = ml_dsa_signing;
    state->verifying_key = VerifyingKey{.point = state->classical.key->raw_public_key_bits(), .ml_dsa = state->ml_dsa.key->raw_public_key_bits()};
    CHECK(state->verifying_key.point.size() == suite.point && state->verifying_key.ml_dsa.size() == suite.ml_dsa_public);
    return Signer(std::move(state));
  });
}

const Suite& Signer::suite() const noexcept { return *state_->suite; }
const VerifyingKey& Signer::verifying_key() const noexcept { return state_->verifying_key; }

SigningSecret Signer::secret() const {
  return SigningSecret{.scalar = state_->secret.scalar.duplicate(), .ml_dsa_seed = state_->secret.ml_dsa_seed.duplicate()};
}

Bytes Signer::sign(ByteView tbs, Rng& rng) const {
  BotanRng botan_rng(rng);
  Bytes signature = state_->classical.sign(tbs, botan_rng);
  append(signature, state_->ml_dsa.sign(tbs, botan_rng));
  CHECK(signature.size() == state_->suite->signature());
  return signature;
}

struct Verifier::State {
  const Suite* suite;
  VerifyingHalf classical;
  VerifyingHalf ml_dsa;
};

Verifier::Verifier(std::unique_ptr<State> state) : state_(std::move(state)) {}
Verifier::Verifier(Verifier&&) noexcept = default;
Verifier& Verifier::operator=(Verifier&&) noexcept = default;
Verifier::~Verifier() = default;

Result<Verifier> Verifier::from_key(const Suite& suite, const VerifyingKey& key) {
  if (key.ml_dsa.size() != suite.ml_dsa_public) return fail(ErrorCode::invalid_argument, "verifying key: the ML-DSA key has the wrong length");
  return at_botan_edge(ErrorCode::invalid_argument, "verifying key", [&]() -> Result<Verifier> {
    auto point = parse_point(suite.curve, key.point);
    if (!point) return fail_in("verifying key", std::move(point).error());
    auto state = std::make_unique<State>();
    state->suite = &suite;
    state->classical.key = classical_public(suite.curve, *point);
    state->classical.padding = signature_padding(suite.curve);
    state->ml_dsa.key = std::make_unique<Botan::ML_DSA_PublicKey>(key.ml_dsa, botan_mode(suite.ml_dsa));
    return Verifier(std::move(state));
  });
}

Result<void> Verifier::verify(ByteView tbs, ByteView signature) const {
  const Suite& suite = *state_->suite;
  if (signature.size() != suite.signature()) {
    return fail(ErrorCode::denied, "signature: " + std::to_string(signature.size()) + " octets where " + std::to_string(suite.signature()) + " belong");
  }
  const bool classical = state_->classical.holds(tbs, signature.first(suite.classical_sig));
  const bool ml_dsa = state_->ml_dsa.holds(tbs, signature.subspan(suite.classical_sig));
  if (!classical) return fail(denied(classical_name(suite.curve)));
  if (!ml_dsa) return fail(denied("ML-DSA"));
  return {};
}

Result<void> verify_classical(const Suite& suite, ByteView point, ByteView tbs, ByteView r_s) {
  return at_botan_edge(ErrorCode::invalid_argument, "verifying key", [&]() -> Result<void> {
    auto parsed = parse_point(suite.curve, point);
    if (!parsed) return fail_in("verifying key", std::move(parsed).error());
    VerifyingHalf half{.key = classical_public(suite.curve, *parsed), .padding = signature_padding(suite.curve), .verifiers = {}};
    if (r_s.size() != suite.classical_sig || !half.holds(tbs, r_s)) return fail(denied(classical_name(suite.curve)));
    return {};
  });
}

Result<void> verify_ml_dsa(MlDsa level, ByteView public_key, ByteView message, ByteView signature) {
  if (public_key.size() != sizes(level).public_key) return fail(ErrorCode::invalid_argument, "verifying key: the ML-DSA key has the wrong length");
  return at_botan_edge(ErrorCode::invalid_argument, "verifying key", [&]() -> Result<void> {
    VerifyingHalf half{.key = std::make_unique<Botan::ML_DSA_PublicKey>(public_key, botan_mode(level)), .padding = {}, .verifiers = {}};
    if (signature.size() != sizes(level).signature || !half.holds(message, signature)) return fail(denied("ML-DSA"));
    return {};
  });
}

}  // namespace qanat::crypto
