#include "crypto/hybrid_kem.hpp"

#include <botan/pubkey.h>
#include <botan/sm2.h>
#include <botan/system_rng.h>

#include <string>

#include "base/check.hpp"
#include "crypto/algorithm_names.hpp"
#include "crypto/botan_edge.hpp"
#include "crypto/botan_rng.hpp"
#include "crypto/curve.hpp"
#include "crypto/idle_pool.hpp"
#include "crypto/sm2_ciphertext.hpp"

namespace qanat::crypto {
namespace {

constexpr std::string_view no_kdf = "Raw";  // the KEM's own secret, as FIPS 203 defines it
constexpr std::string_view sm2_kdf_hash = "SM3";
constexpr std::size_t ml_kem_m_octets = 32;

std::string wrong_length(std::string_view what, std::size_t is, std::size_t belongs) {
  return std::string(what) + ": " + std::to_string(is) + " octets where " + std::to_string(belongs) + " belong";
}

std::size_t classical_ct_octets(const Suite& suite, KemForm form) noexcept { return form == KemForm::to_static ? suite.classical_ct : suite.point; }

bool by_public_key_encryption(const Suite& suite, KemForm form) noexcept { return form == KemForm::to_static && suite.curve == Curve::sm2p256v1; }

// GM/T 0003.4: the drawn octets, encrypted.
Result<Bytes> encrypt_sm2(const Botan::EC_AffinePoint& peer, const Secret& drawn, Botan::RandomNumberGenerator& rng) {
  const Botan::SM2_PublicKey key(group_of(Curve::sm2p256v1), peer);
  return sm2_raw_from_der(Botan::PK_Encryptor_EME(key, rng, sm2_kdf_hash).encrypt(drawn.reveal(), rng));
}

struct Agreement {
  Bytes point;
  Secret x;
};

// Ephemeral ECDH (SP 800-56A, 5.7.1.2; the cofactor of both curves is 1): the shared secret is the x coordinate.
Agreement agree(Curve curve, const Botan::EC_AffinePoint& peer, Botan::RandomNumberGenerator& rng) {
  const Botan::EC_Scalar ephemeral = Botan::EC_Scalar::random(group_of(curve), rng);
  return {.point = Botan::EC_AffinePoint::g_mul(ephemeral, rng).serialize_uncompressed(), .x = Secret::copy_of(peer.mul_x_only(ephemeral, rng))};
}

}  // namespace

struct Encapsulator::State {
  const Suite* suite;
  EncapsulationKey key;
  Botan::EC_AffinePoint point;
  std::unique_ptr<const Botan::ML_KEM_PublicKey> ml_kem;
  IdlePool<Botan::PK_KEM_Encryptor> ml_kem_encryptors;

  /// `classical_rng` gives the scalar, `ml_kem_rng` gives m; `drawn` is used by public-key encryption alone.
  Result<Encapsulation> encapsulate_from(KemForm form, Rng& classical_rng, Rng& ml_kem_rng, Secret drawn);
};

Result<Encapsulation> Encapsulator::State::encapsulate_from(KemForm form, Rng& classical_rng, Rng& ml_kem_rng, Secret drawn) {
  return at_botan_edge(ErrorCode::invalid_argument, "encapsulation key", [&]() -> Result<Encapsulation> {
    Encapsulation out;
    BotanRng scalar_rng(classical_rng);
    if (by_public_key_encryption(*suite, form)) {
      ASSIGN_OR_RETURN(out.ct_classical, encrypt_sm2(point, drawn, scalar_rng));
      out.ss_classical = std::move(drawn);
    } else {
      Agreement agreement = agree(suite->curve, point, scalar_rng);
      out.ct_classical = std::move(agreement.point);
      out.ss_classical = std::move(agreement.x);
    }
    BotanRng m_rng(ml_kem_rng);
    out.ct_ml_kem.resize(suite->ml_kem_ct);
    out.ss_ml_kem = Secret(ss_ml_kem);
    ml_kem_encryptors.with([&] { return std::make_unique<Botan::PK_KEM_Encryptor>(*ml_kem, no_kdf); },
                           [&](Botan::PK_KEM_Encryptor& encryptor) {
                             encryptor.encrypt(out.ct_ml_kem, out.ss_ml_kem.writable(), m_rng, ss_ml_kem);
                             return true;
                           });
    return Result<Encapsulation>(std::move(out));
  });
}

Encapsulator::Encapsulator(std::unique_ptr<State> state) : state_(std::move(state)) {}
Encapsulator::Encapsulator(Encapsulator&&) noexcept = default;
Encapsulator& Encapsulator::operator=(Encapsulator&&) noexcept = default;
Encapsulator::~Encapsulator() = default;

Result<Encapsulator> Encapsulator::from_key(const Suite& suite, const EncapsulationKey& key) {
  if (key.ml_kem.size() != suite.ml_kem_public) return fail(ErrorCode::invalid_argument, wrong_length("ML-KEM key", key.ml_kem.size(), suite.ml_kem_public));
  return at_botan_edge(ErrorCode::invalid_argument, "encapsulation key", [&]() -> Result<Encapsulator> {
    auto point = parse_point(suite.curve, key.point);
    if (!point) return fail_in("encapsulation key", std::move(point).error());
    // The constructor makes the checks of FIPS 203, 7.2 (length and coefficients below q).
    auto ml_kem = std::make_unique<const Botan::ML_KEM_PublicKey>(key.ml_kem, botan_mode(suite.ml_kem));
    return Encapsulator(
        std::unique_ptr<State>(new State{.suite = &suite, .key = key, .point = std::move(*point), .ml_kem = std::move(ml_kem), .ml_kem_encryptors = {}}));
  });
}

const EncapsulationKey& Encapsulator::key() const noexcept { return state_->key; }

Result<Encapsulation> Encapsulator::encapsulate(KemForm form, Rng& rng) const {
  return state_->encapsulate_from(form, rng, rng, by_public_key_encryption(*state_->suite, form) ? rng.secret(state_->suite->classical_ss) : Secret());
}

struct Decapsulator::State {
  const Suite* suite;
  DecapsulationSecret secret;
  EncapsulationKey key;
  Botan::EC_Scalar scalar;
  std::unique_ptr<const Botan::SM2_PrivateKey> sm2;  // absent where the suite's static form is ECDH
  std::unique_ptr<const Botan::ML_KEM_PrivateKey> ml_kem;
  IdlePool<Botan::PK_KEM_Decryptor> ml_kem_decryptors;

  Result<Secret> decapsulate_classical(KemForm form, ByteView ct) const;
};

Decapsulator::Decapsulator(std::unique_ptr<State> state) : state_(std::move(state)) {}
Decapsulator::Decapsulator(Decapsulator&&) noexcept = default;
Decapsulator& Decapsulator::operator=(Decapsulator&&) noexcept = default;
Decapsulator::~Decapsulator() = default;

Result<Decapsulator> Decapsulator::generate(const Suite& suite, Rng& rng) {
  return at_botan_edge(ErrorCode::internal, "decapsulation key", [&]() -> Result<Decapsulator> {
    BotanRng botan_rng(rng);
    return from_secret(suite, DecapsulationSecret{.scalar = scalar_octets(draw_scalar(suite.curve, botan_rng)), .ml_kem_seed = rng.secret(seed_ml_kem)});
  });
}

Result<Decapsulator> Decapsulator::from_secret(const Suite& suite, const DecapsulationSecret& secret) {
  if (secret.ml_kem_seed.size() != seed_ml_kem) return fail(ErrorCode::invalid_argument, "decapsulation key: the ML-KEM seed has the wrong length");
  return at_botan_edge(ErrorCode::internal, "decapsulation key", [&]() -> Result<Decapsulator> {
    auto scalar = parse_scalar(suite.curve, secret.scalar);
    if (!scalar) return fail_in("decapsulation key", std::move(scalar).error());
    auto ml_kem = std::make_unique<const Botan::ML_KEM_PrivateKey>(secret.ml_kem_seed.reveal(), botan_mode(suite.ml_kem));
    EncapsulationKey key{.point = Botan::EC_AffinePoint::g_mul(*scalar, Botan::system_rng()).serialize_uncompressed(), .ml_kem = ml_kem->raw_public_key_bits()};
    CHECK(key.point.size() == suite.point && key.ml_kem.size() == suite.ml_kem_public);
    std::unique_ptr<const Botan::SM2_PrivateKey> sm2;
    if (suite.curve == Curve::sm2p256v1) sm2 = std::make_unique<const Botan::SM2_PrivateKey>(group_of(suite.curve), *scalar);
    return Decapsulator(std::unique_ptr<State>(new State{.suite = &suite,
                                                         .secret = {.scalar = secret.scalar.duplicate(), .ml_kem_seed = secret.ml_kem_seed.duplicate()},
                                                         .key = std::move(key),
                                                         .scalar = std::move(*scalar),
                                                         .sm2 = std::move(sm2),
                                                         .ml_kem = std::move(ml_kem),
                                                         .ml_kem_decryptors = {}}));
  });
}

const EncapsulationKey& Decapsulator::encapsulation_key() const noexcept { return state_->key; }

DecapsulationSecret Decapsulator::secret() const {
  return {.scalar = state_->secret.scalar.duplicate(), .ml_kem_seed = state_->secret.ml_kem_seed.duplicate()};
}

// What is drawn here blinds the computation and does not show in its result, so that it need not come from the caller's Rng.
Result<Secret> Decapsulator::State::decapsulate_classical(KemForm form, ByteView ct) const {
  auto point = parse_point(suite->curve, ct.first(suite->point));
  if (!point) return fail(ErrorCode::denied, "classical ciphertext: " + point.error().message);
  if (!by_public_key_encryption(*suite, form)) return Secret::copy_of(point->mul_x_only(scalar, Botan::system_rng()));
  ASSIGN_OR_RETURN(const Bytes der, sm2_der_from_raw(ct));
  const auto plaintext = Botan::PK_Decryptor_EME(*sm2, Botan::system_rng(), sm2_kdf_hash).decrypt(der);
  if (plaintext.size() != suite->classical_ss) return fail(ErrorCode::denied, "SM2 ciphertext: the content has the wrong length");
  return Secret::copy_of(plaintext);
}

Result<SharedSecrets> Decapsulator::decapsulate(KemForm form, ByteView ct_classical, ByteView ct_ml_kem) const {
  const Suite& suite = *state_->suite;
  if (ct_classical.size() != classical_ct_octets(suite, form)) {
    return fail(ErrorCode::invalid_argument, wrong_length("classical ciphertext", ct_classical.size(), classical_ct_octets(suite, form)));
  }
  if (ct_ml_kem.size() != suite.ml_kem_ct) return fail(ErrorCode::invalid_argument, wrong_length("ML-KEM ciphertext", ct_ml_kem.size(), suite.ml_kem_ct));
  ASSIGN_OR_RETURN(Secret classical,
                   at_botan_edge(ErrorCode::denied, "classical ciphertext", [&] { return state_->decapsulate_classical(form, ct_classical); }));
  return at_botan_edge(ErrorCode::internal, "ML-KEM", [&]() -> Result<SharedSecrets> {
    Secret ml_kem(ss_ml_kem);
    state_->ml_kem_decryptors.with([&] { return std::make_unique<Botan::PK_KEM_Decryptor>(*state_->ml_kem, Botan::system_rng(), no_kdf); },
                                   [&](Botan::PK_KEM_Decryptor& decryptor) {
                                     decryptor.decrypt(ml_kem.writable(), ct_ml_kem, ss_ml_kem);
                                     return true;
                                   });
    return Result<SharedSecrets>(SharedSecrets{.classical = std::move(classical), .ml_kem = std::move(ml_kem)});
  });
}

Result<Encapsulation> encapsulate(const Suite& suite, KemForm form, const EncapsulationKey& key, Rng& rng) {
  ASSIGN_OR_RETURN(const Encapsulator once, Encapsulator::from_key(suite, key));
  return once.encapsulate(form, rng);
}

Result<Encapsulation> Encapsulator::encapsulate_with(KemForm form, ByteView ml_kem_m, ByteView scalar, ByteView drawn) const {
  const Suite& suite = *state_->suite;
  if (ml_kem_m.size() != ml_kem_m_octets) return fail(ErrorCode::invalid_argument, wrong_length("ML-KEM m", ml_kem_m.size(), ml_kem_m_octets));
  if (by_public_key_encryption(suite, form) && drawn.size() != suite.classical_ss) {
    return fail(ErrorCode::invalid_argument, wrong_length("drawn octets", drawn.size(), suite.classical_ss));
  }
  // In range, so that Botan's rejection sampling takes it as it stands.
  TRY(parse_scalar(suite.curve, Secret::copy_of(scalar)));
  FixedRng classical_rng(scalar);
  FixedRng ml_kem_rng(ml_kem_m);
  return state_->encapsulate_from(form, classical_rng, ml_kem_rng, Secret::copy_of(drawn));
}

Result<Encapsulation> encapsulate_with(const Suite& suite, KemForm form, const EncapsulationKey& key, ByteView ml_kem_m, ByteView scalar, ByteView drawn) {
  ASSIGN_OR_RETURN(const Encapsulator once, Encapsulator::from_key(suite, key));
  return once.encapsulate_with(form, ml_kem_m, scalar, drawn);
}

}  // namespace qanat::crypto
