#include "services/kms/csa/algorithms.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/check.hpp"
#include "crypto/aead.hpp"
#include "crypto/hybrid_kem.hpp"
#include "crypto/hybrid_sign.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::kms::csa {
namespace {

using crypto::SuiteId;

constexpr std::string_view encapsulation_label{"qanat csa v1 encapsulation", sizeof("qanat csa v1 encapsulation")};  // with the zero octet that ends it

constexpr Algorithm cipher(std::string_view name, crypto::Aead aead, std::size_t key) {
  return {.name = name, .family = Family::aead, .material = key, .aead = aead};
}
/// The key is as long as the tag: RFC 2104, 3.
constexpr Algorithm hmac_over(std::string_view name, crypto::Hash hash, std::size_t digest) {
  return {.name = name, .family = Family::mac, .material = digest, .result = digest, .hash = hash};
}
constexpr Algorithm scheme(std::string_view name, crypto::LoneScheme lone, SuiteId suite, std::size_t material, std::size_t public_key, std::size_t result) {
  return {.name = name, .family = Family::signature, .material = material, .public_key = public_key, .result = result, .lone = lone, .suite = suite};
}

// Lengths: GB/T 32918, FIPS 186-5, 203 and 204; they are held against the suites' rows below.
constexpr std::array algorithm_table{
    cipher("SM4-GCM", crypto::Aead::sm4_gcm, 16),
    cipher("AES-256-GCM", crypto::Aead::aes_256_gcm, 32),
    hmac_over("HMAC-SM3", crypto::Hash::sm3, 32),
    hmac_over("HMAC-SHA256", crypto::Hash::sha256, 32),
    hmac_over("HMAC-SHA384", crypto::Hash::sha384, 48),
    scheme("SM2", crypto::LoneScheme::sm2, SuiteId::gm_hybrid, 32, 65, 64),
    scheme("ECDSA-P384", crypto::LoneScheme::ecdsa_p384, SuiteId::intl_hybrid, 48, 97, 96),
    scheme("ML-DSA-65", crypto::LoneScheme::ml_dsa_65, SuiteId::gm_hybrid, 32, 1952, 3309),
    scheme("ML-DSA-87", crypto::LoneScheme::ml_dsa_87, SuiteId::intl_hybrid, 32, 2592, 4627),
    Algorithm{.name = "SM2+ML-DSA-65", .family = Family::signature, .material = 64, .public_key = 65 + 1952, .result = 64 + 3309, .suite = SuiteId::gm_hybrid},
    Algorithm{.name = "ECDSA-P384+ML-DSA-87", .family = Family::signature, .material = 80, .public_key = 97 + 2592, .result = 96 + 4627, .suite = SuiteId::intl_hybrid},
    Algorithm{.name = "SM2+ML-KEM-768", .family = Family::kem, .material = 96, .public_key = 65 + 1184, .result = 129 + 1088, .suite = SuiteId::gm_hybrid},
    Algorithm{.name = "P-384+ML-KEM-1024", .family = Family::kem, .material = 112, .public_key = 97 + 1568, .result = 97 + 1568, .suite = SuiteId::intl_hybrid},
};

const crypto::Suite& suite_of(const Algorithm& algorithm) { return crypto::suite(algorithm.suite); }

/// The two secret halves of a hybrid key: scalar, seed.
struct Halves {
  Secret scalar;
  Secret seed;
};
Halves halves_of(const Algorithm& algorithm, const Secret& material) {
  const std::size_t scalar = suite_of(algorithm).scalar;
  const ByteView octets = material.reveal();
  return {.scalar = Secret::copy_of(octets.first(scalar)), .seed = Secret::copy_of(octets.subspan(scalar))};
}

Result<crypto::Signer> hybrid_signer(const Algorithm& algorithm, const Secret& material) {
  Halves halves = halves_of(algorithm, material);
  return crypto::Signer::from_secret(suite_of(algorithm), {.scalar = std::move(halves.scalar), .ml_dsa_seed = std::move(halves.seed)});
}

Result<crypto::Decapsulator> decapsulator(const Algorithm& algorithm, const Secret& material) {
  Halves halves = halves_of(algorithm, material);
  return crypto::Decapsulator::from_secret(suite_of(algorithm), {.scalar = std::move(halves.scalar), .ml_kem_seed = std::move(halves.seed)});
}

Result<Secret> generate_signing(const Algorithm& algorithm, crypto::Rng& rng) {
  if (algorithm.lone) {
    ASSIGN_OR_RETURN(const crypto::LoneSigner signer, crypto::LoneSigner::generate(*algorithm.lone, rng));
    return signer.secret();
  }
  ASSIGN_OR_RETURN(const crypto::Signer signer, crypto::Signer::generate(suite_of(algorithm), rng));
  const crypto::SigningSecret secret = signer.secret();
  return Secret::concat({&secret.scalar, &secret.ml_dsa_seed});
}

Result<Secret> generate_decapsulation(const Algorithm& algorithm, crypto::Rng& rng) {
  ASSIGN_OR_RETURN(const crypto::Decapsulator made, crypto::Decapsulator::generate(suite_of(algorithm), rng));
  const crypto::DecapsulationSecret secret = made.secret();
  return Secret::concat({&secret.scalar, &secret.ml_kem_seed});
}

crypto::EncapsulationKey encapsulation_key(const crypto::Suite& suite, ByteView public_key) {
  return {.point = to_bytes(public_key.first(suite.point)), .ml_kem = to_bytes(public_key.subspan(suite.point))};
}

Secret combined(const crypto::Suite& suite, const wire::KemTranscript& kem, ByteView context) {
  return wire::hybrid_secret(suite, kem, concat({as_bytes(encapsulation_label), context}));
}

Result<void> verify_lone(const Algorithm& algorithm, ByteView public_key, ByteView message, ByteView signature) {
  const crypto::Suite& suite = suite_of(algorithm);
  switch (*algorithm.lone) {
    case crypto::LoneScheme::sm2:
    case crypto::LoneScheme::ecdsa_p384:
      return crypto::verify_classical(suite, public_key, message, signature);
    case crypto::LoneScheme::ml_dsa_44:
    case crypto::LoneScheme::ml_dsa_65:
    case crypto::LoneScheme::ml_dsa_87:
      break;
  }
  return crypto::verify_ml_dsa(suite.ml_dsa, public_key, message, signature);
}

Result<void> verify_hybrid(const Algorithm& algorithm, ByteView public_key, ByteView message, ByteView signature) {
  const crypto::Suite& suite = suite_of(algorithm);
  ASSIGN_OR_RETURN(const crypto::Verifier verifier,
                   crypto::Verifier::from_key(suite, {.point = to_bytes(public_key.first(suite.point)), .ml_dsa = to_bytes(public_key.subspan(suite.point))}));
  return verifier.verify(message, signature);
}

}  // namespace

std::span<const Algorithm> all_algorithms() noexcept { return algorithm_table; }

Result<const Algorithm*> find_algorithm(std::string_view name) {
  const auto found = std::ranges::find(algorithm_table, name, &Algorithm::name);
  if (found == algorithm_table.end()) return fail(ErrorCode::invalid_argument, "no algorithm is named '" + std::string(name) + "'");
  return &*found;
}

std::string_view name(Usage usage) noexcept {
  switch (usage) {
    case Usage::encryption:
      return "encryption";
    case Usage::mac:
      return "mac";
    case Usage::signature:
      return "signature";
    case Usage::authentication:
      return "authentication";
    case Usage::encapsulation:
      return "encapsulation";
  }
  return {};
}

Result<Usage> parse_usage(std::string_view text, const Algorithm& algorithm) {
  for (const Usage usage : all_usages) {
    if (name(usage) != text) continue;
    const bool proves = algorithm.family == Family::mac || algorithm.family == Family::signature;
    const bool fit = (usage == Usage::encryption && algorithm.family == Family::aead) || (usage == Usage::mac && algorithm.family == Family::mac) ||
                     (usage == Usage::signature && algorithm.family == Family::signature) || (usage == Usage::authentication && proves) ||
                     (usage == Usage::encapsulation && algorithm.family == Family::kem);
    if (!fit) return fail(ErrorCode::invalid_argument, std::string(algorithm.name) + " is not for " + std::string(text));
    return usage;
  }
  return fail(ErrorCode::invalid_argument, "no usage is named '" + std::string(text) + "'");
}

Result<Secret> generate(const Algorithm& algorithm, crypto::CryptoDevice& device) {
  switch (algorithm.family) {
    case Family::aead:
    case Family::mac:
      return device.random(algorithm.material);
    case Family::signature:
      return generate_signing(algorithm, device.rng());
    case Family::kem:
      break;
  }
  return generate_decapsulation(algorithm, device.rng());
}

Result<Bytes> public_half(const Algorithm& algorithm, const Secret& material) {
  if (material.size() != algorithm.material) {
    return fail(ErrorCode::invalid_argument, std::string(algorithm.name) + ": a key of " + std::to_string(material.size()) + " octets where " +
                                                 std::to_string(algorithm.material) + " belong");
  }
  if (algorithm.family == Family::aead || algorithm.family == Family::mac) return Bytes();
  if (algorithm.family == Family::kem) {
    ASSIGN_OR_RETURN(const crypto::Decapsulator made, decapsulator(algorithm, material));
    return concat({made.encapsulation_key().point, made.encapsulation_key().ml_kem});
  }
  if (algorithm.lone) {
    ASSIGN_OR_RETURN(const crypto::LoneSigner signer, crypto::LoneSigner::from_secret(*algorithm.lone, material));
    return signer.public_key();
  }
  ASSIGN_OR_RETURN(const crypto::Signer signer, hybrid_signer(algorithm, material));
  return concat({signer.verifying_key().point, signer.verifying_key().ml_dsa});
}

Result<Bytes> sign(const Algorithm& algorithm, const Secret& material, ByteView message, crypto::Rng& rng) {
  CHECK(algorithm.family == Family::signature);
  if (material.size() != algorithm.material) return fail(ErrorCode::internal, "a signing key of the wrong length");
  if (algorithm.lone) {
    ASSIGN_OR_RETURN(const crypto::LoneSigner signer, crypto::LoneSigner::from_secret(*algorithm.lone, material));
    return signer.sign(message, rng);
  }
  ASSIGN_OR_RETURN(const crypto::Signer signer, hybrid_signer(algorithm, material));
  return signer.sign(message, rng);
}

Result<void> verify(const Algorithm& algorithm, ByteView public_key, ByteView message, ByteView signature) {
  CHECK(algorithm.family == Family::signature && public_key.size() == algorithm.public_key);
  if (signature.size() != algorithm.result) return fail(ErrorCode::denied, "signature: has the wrong length");
  const auto held = algorithm.lone ? verify_lone(algorithm, public_key, message, signature) : verify_hybrid(algorithm, public_key, message, signature);
  if (!held && held.error().code == ErrorCode::invalid_argument) return fail(ErrorCode::denied, held.error().message);
  return held;
}

Result<SharedKey> encapsulate(const Algorithm& algorithm, ByteView public_key, ByteView context, crypto::Rng& rng) {
  CHECK(algorithm.family == Family::kem);
  if (public_key.size() != algorithm.public_key) return fail(ErrorCode::invalid_argument, std::string(algorithm.name) + ": the public key has the wrong length");
  const crypto::Suite& suite = suite_of(algorithm);
  const crypto::EncapsulationKey key = encapsulation_key(suite, public_key);
  ASSIGN_OR_RETURN(const crypto::Encapsulation made, crypto::encapsulate(suite, crypto::KemForm::to_static, key, rng));
  return SharedKey{.ciphertext = concat({made.ct_classical, made.ct_ml_kem}), .secret = combined(suite, wire::transcript(made, key), context)};
}

Result<Secret> decapsulate(const Algorithm& algorithm, const Secret& material, ByteView ciphertext, ByteView context) {
  CHECK(algorithm.family == Family::kem);
  if (ciphertext.size() != algorithm.result) return fail(ErrorCode::invalid_argument, std::string(algorithm.name) + ": the encapsulation has the wrong length");
  const crypto::Suite& suite = suite_of(algorithm);
  ASSIGN_OR_RETURN(const crypto::Decapsulator key, decapsulator(algorithm, material));
  const ByteView classical = ciphertext.first(suite.classical_ct);
  const ByteView ml_kem = ciphertext.subspan(suite.classical_ct);
  ASSIGN_OR_RETURN(const crypto::SharedSecrets shared, key.decapsulate(crypto::KemForm::to_static, classical, ml_kem));
  return combined(suite,
                  {.ss_classical = shared.classical, .ss_ml_kem = shared.ml_kem, .ct_classical = classical, .ct_ml_kem = ml_kem, .key = key.encapsulation_key()},
                  context);
}

}  // namespace qanat::kms::csa
