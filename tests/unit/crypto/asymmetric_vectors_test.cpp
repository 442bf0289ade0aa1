// SM2, ECDSA, ECDH, ML-DSA and ML-KEM against vectors of GM/T, NIST ACVP and CAVP, Wycheproof and BoringSSL.
#include <botan/hash.h>
#include <botan/pubkey.h>
#include <botan/sm2.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "crypto/algorithm_names.hpp"
#include "crypto/botan_rng.hpp"
#include "crypto/curve.hpp"
#include "crypto/hybrid_kem.hpp"
#include "crypto/hybrid_sign.hpp"
#include "crypto/sm2_ciphertext.hpp"
#include "unit/crypto/crypto_fixture.hpp"
#include "unit/crypto/foreign_vectors.hpp"

namespace qanat::crypto {
namespace {

using testing::botan_vectors;
using testing::hex;
using testing::openssl_vectors;
using testing::Vector;

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

const Suite* suite_with_kem(std::string_view name) {
  if (name == "ML-KEM-768") return &suite(SuiteId::gm_hybrid);
  if (name == "ML-KEM-1024") return &suite(SuiteId::intl_hybrid);
  return nullptr;
}

std::optional<MlDsa> ml_dsa_named(std::string_view name) {
  if (name == "ML-DSA-44") return MlDsa::ml_dsa_44;
  if (name == "ML-DSA-65") return MlDsa::ml_dsa_65;
  if (name == "ML-DSA-87") return MlDsa::ml_dsa_87;
  return std::nullopt;
}

// The classical half beside a vector of the lattice half.
Bytes some_scalar(const Suite& suite) { return Bytes(suite.scalar, 0x42); }

Decapsulator receiver_from(const Suite& suite, ByteView ml_kem_seed) {
  return std::move(Decapsulator::from_secret(suite, {.scalar = Secret::copy_of(some_scalar(suite)), .ml_kem_seed = Secret::copy_of(ml_kem_seed)}).value());
}

// Botan's files hold large values as SHAKE-256 of 16 octets.
Bytes shake(ByteView octets) {
  const auto hash = Botan::HashFunction::create_or_throw("SHAKE-256(128)");
  return hash->process<Bytes>(octets);
}

// ---- SM2 ----

// GM/T 0003.5-2012, annex A: standard distinguishing identifier, given k.
TEST(Sm2Vectors, AnnexASignature) {
  const auto strings = testing::c_strings("sm2_internal_test.c", "From Annex A in both");
  const auto message = std::ranges::find(strings, "message digest");
  ASSERT_TRUE(message != strings.end() && message - strings.begin() > 6 && strings.end() - message > 3);
  const Suite& gm = suite(SuiteId::gm_hybrid);
  const auto scalar = parse_scalar(gm.curve, Secret::copy_of(hex(*(message - 1))));
  ASSERT_TRUE(scalar);
  const Bytes expected = concat({hex(*(message + 2)), hex(*(message + 3))});
  const Botan::SM2_PrivateKey key(group_of(gm.curve), *scalar);
  FixedRng k(hex(*(message + 1)));
  BotanRng rng(k);
  EXPECT_EQ(Botan::PK_Signer(key, rng, signature_padding(gm.curve)).sign_message(as_bytes(*message), rng), expected);
  EXPECT_TRUE(verify_classical(gm, key.raw_public_key_bits(), as_bytes(*message), expected));
  EXPECT_FALSE(verify_classical(gm, key.raw_public_key_bits(), as_bytes("message digesT"), expected));
}

// Annex C: what our codec makes of the standard's ciphertext, Botan decrypts; and with k given it encrypts to the same octets.
TEST(Sm2Vectors, AnnexCEncryption) {
  const auto strings = testing::c_strings("sm2_internal_test.c", "From Annex C in both");
  const auto message = std::ranges::find(strings, "encryption standard");
  ASSERT_TRUE(message != strings.end() && message - strings.begin() > 6 && strings.end() - message > 8);
  std::string der;
  for (auto part = message + 2; !der.ends_with("92D651EFA") && part != strings.end(); ++part) der += *part;
  const auto scalar = parse_scalar(Curve::sm2p256v1, Secret::copy_of(hex(*(message - 1))));
  ASSERT_TRUE(scalar);
  const Botan::SM2_PrivateKey key(group_of(Curve::sm2p256v1), *scalar);
  FixedRng k(hex(*(message + 1)));
  BotanRng rng(k);
  EXPECT_EQ(Botan::PK_Encryptor_EME(key, rng, "SM3").encrypt(as_bytes(*message), rng), hex(der));
  const Bytes raw = sm2_raw_from_der(hex(der)).value();
  const auto plaintext = Botan::PK_Decryptor_EME(key, rng, "SM3").decrypt(sm2_der_from_raw(raw).value());
  EXPECT_EQ(as_text(plaintext), *message);
}

// ---- P-384 ----

std::optional<Bytes> raw_from_der_signature(const Bytes& der, std::size_t scalar) {
  std::size_t at = 0;
  const auto header = [&](std::uint8_t tag) -> std::optional<std::size_t> {
    if (der.size() < at + 2 || der[at] != tag || der[at + 1] > 127) return std::nullopt;
    at += 2;
    return der[at - 1];
  };
  const auto sequence = header(0x30);
  if (!sequence || at + *sequence != der.size()) return std::nullopt;
  Bytes out;
  for (int i = 0; i < 2; ++i) {
    const auto size = header(0x02);
    if (!size || *size == 0 || at + *size > der.size()) return std::nullopt;
    ByteView number = ByteView(der).subspan(at, *size);
    at += *size;
    if (number[0] >= 0x80 || (number.size() > 1 && number[0] == 0 && number[1] < 0x80)) return std::nullopt;
    if (number[0] == 0) number = number.subspan(1);
    if (number.size() > scalar) return std::nullopt;
    append(out, Bytes(scalar - number.size()));
    append(out, number);
  }
  return at == der.size() ? std::optional(out) : std::nullopt;
}

TEST(P384Vectors, WycheproofSignatures) {
  const Suite& intl = suite(SuiteId::intl_hybrid);
  int good = 0;
  int bad = 0;
  for (const Vector& vector : botan_vectors("pubkey/ecdsa_wycheproof.vec", "", "Valid")) {
    if (vector.text("Group") != "secp384r1" || vector.text("Hash") != "SHA-384") continue;
    const auto raw = raw_from_der_signature(vector.octets("Signature"), intl.scalar);
    if (!raw) continue;  // our wire carries r‖s: encodings that DER alone can get wrong do not arise
    const auto padded = [&](std::string_view name) {
      const std::string text = std::string(96, '0') + vector.text(name).substr(2);
      return hex(std::string_view(text).substr(text.size() - 96));
    };
    const std::uint8_t form = 4;
    const Bytes point = concat({ByteView(&form, 1), padded("Px"), padded("Py")});
    const bool valid = vector.text("Valid") == "1";
    EXPECT_EQ(verify_classical(intl, point, vector.octets("Msg"), *raw).has_value(), valid) << vector.text("Signature");
    ++(valid ? good : bad);
  }
  EXPECT_GE(good, 50);
  EXPECT_GE(bad, 50);
}

TEST(P384Vectors, CavpDiffieHellman) {
  const Suite& intl = suite(SuiteId::intl_hybrid);
  int run = 0;
  for (const Vector& vector : botan_vectors("pubkey/ecdh.vec", "secp384r1", "K")) {
    std::string secret = vector.text("Secret").substr(2);
    secret.insert(0, 96 - std::min<std::size_t>(96, secret.size()), '0');
    const auto receiver = Decapsulator::from_secret(intl, {.scalar = Secret::copy_of(hex(secret)), .ml_kem_seed = Secret(seed_ml_kem)});
    ASSERT_TRUE(receiver);
    const auto shared = receiver->decapsulate(KemForm::to_ephemeral, vector.octets("CounterKey"), Bytes(intl.ml_kem_ct));
    ASSERT_TRUE(shared) << shared.error().message;
    EXPECT_TRUE(equal(shared->classical.reveal(), vector.octets("K")));
    ++run;
  }
  EXPECT_GE(run, 25);
}

// ---- ML-DSA ----

TEST(MlDsaVectors, AcvpKeyGeneration) {
  std::map<MlDsa, int> run;
  for (const Vector& vector : openssl_vectors("evppkey_ml_dsa_keygen.txt")) {
    const auto level = ml_dsa_named(vector.text("KeyGen"));
    if (!level || *level == MlDsa::ml_dsa_44) continue;
    const Suite& row = suite(*level == MlDsa::ml_dsa_65 ? SuiteId::gm_hybrid : SuiteId::intl_hybrid);
    const auto signer = Signer::from_secret(
        row, {.scalar = Secret::copy_of(some_scalar(row)), .ml_dsa_seed = Secret::copy_of(hex(vector.prefixed("Ctrl", "hexseed:").value_or("")))});
    ASSERT_TRUE(signer) << signer.error().message;
    EXPECT_EQ(signer->verifying_key().ml_dsa, hex(vector.prefixed("CtrlOut", "hexpub:").value_or("")));
    ++run[*level];
  }
  EXPECT_GE(run[MlDsa::ml_dsa_65], 25);
  EXPECT_GE(run[MlDsa::ml_dsa_87], 25);
}

struct Verdicts {
  int good = 0;
  int bad = 0;
};

// Only what our interface can say: the pure form over a message with the empty context.
bool is_pure_with_empty_context(const Vector& vector) {
  return vector.prefixed("Ctrl", "hexcontext-string:").value_or("").empty() && vector.prefixed("Ctrl", "message-encoding:").value_or("1") == "1" &&
         vector.prefixed("Ctrl", "mu:").value_or("0") == "0";
}

Verdicts check_verifications(std::string_view file) {
  Verdicts verdicts;
  std::map<std::string, Bytes> keys;
  for (const Vector& vector : openssl_vectors(file)) {
    if (const std::string raw = vector.text("PublicKeyRaw"); !raw.empty()) {
      const std::size_t first = raw.find(':');
      const std::size_t second = raw.find(':', first + 1);
      keys[raw.substr(0, first)] = hex(raw.substr(second + 1));
    }
    const std::string verify = vector.text("Verify-Message-Public");
    const auto level = ml_dsa_named(verify.substr(0, verify.find(':')));
    if (!level || !is_pure_with_empty_context(vector)) continue;
    const auto key = keys.find(verify.substr(verify.find(':') + 1));
    if (key == keys.end()) continue;
    const bool expected = !vector.has("Result");
    EXPECT_EQ(verify_ml_dsa(*level, key->second, vector.octets("Input"), vector.octets("Output")).has_value(), expected) << file;
    ++(expected ? verdicts.good : verdicts.bad);
  }
  return verdicts;
}

TEST(MlDsaVectors, WycheproofVerification) {
  for (const char* file : {"evppkey_ml_dsa_44_wycheproof_verify.txt", "evppkey_ml_dsa_65_wycheproof_verify.txt", "evppkey_ml_dsa_87_wycheproof_verify.txt"}) {
    const Verdicts verdicts = check_verifications(file);
    EXPECT_GE(verdicts.good, 10) << file;
    EXPECT_GE(verdicts.bad, 10) << file;
  }
}

TEST(MlDsaVectors, AKeyOfAnotherLengthIsInvalid) {
  for (const MlDsa level : {MlDsa::ml_dsa_44, MlDsa::ml_dsa_65, MlDsa::ml_dsa_87}) {
    for (const std::size_t size : {0U, 1311U, 1951U, 2593U}) {
      const auto outcome = verify_ml_dsa(level, Bytes(size), {}, Bytes(3309));
      ASSERT_FALSE(outcome);
      EXPECT_EQ(outcome.error().code, ErrorCode::invalid_argument);
    }
  }
}

// ---- ML-KEM ----

TEST(MlKemVectors, KeyGenerationOfBoringSslAndAcvp) {
  std::map<SuiteId, int> run;
  for (const char* file : {"evppkey_ml_kem_768_keygen.txt", "evppkey_ml_kem_1024_keygen.txt", "evppkey_ml_kem_keygen.txt"}) {
    for (const Vector& vector : openssl_vectors(file)) {
      const Suite* row = suite_with_kem(vector.text("KeyGen"));
      if (row == nullptr) continue;
      const Decapsulator receiver = receiver_from(*row, hex(vector.prefixed("Ctrl", "hexseed:").value_or("")));
      EXPECT_EQ(receiver.encapsulation_key().ml_kem, hex(vector.prefixed("CtrlOut", "hexpub:").value_or("")));
      ++run[row->id];
    }
  }
  EXPECT_GE(run[SuiteId::gm_hybrid], 125);
  EXPECT_GE(run[SuiteId::intl_hybrid], 125);
}

TEST(MlKemVectors, AcvpKeyGenerationInBotansFile) {
  int run = 0;
  for (const char* name : {"ML-KEM-768", "ML-KEM-1024"}) {
    for (const Vector& vector : botan_vectors("pubkey/ml_kem_acvp_keygen.vec", name, "DK")) {
      const Decapsulator receiver = receiver_from(*suite_with_kem(name), concat({vector.octets("D"), vector.octets("Z")}));
      EXPECT_EQ(shake(receiver.encapsulation_key().ml_kem), vector.octets("EK"));
      ++run;
    }
  }
  EXPECT_GE(run, 50);
}

TEST(MlKemVectors, AcvpEncapsulationInBotansFile) {
  int run = 0;
  for (const char* name : {"ML-KEM-768", "ML-KEM-1024"}) {
    const Suite& row = *suite_with_kem(name);
    EncapsulationKey key = receiver_from(row, Bytes(seed_ml_kem)).encapsulation_key();
    for (const Vector& vector : botan_vectors("pubkey/ml_kem_acvp_encap.vec", name, "C")) {
      key.ml_kem = vector.octets("EK");
      const auto sent = encapsulate_with(row, KemForm::to_ephemeral, key, vector.octets("M"), some_scalar(row), {});
      ASSERT_TRUE(sent) << sent.error().message;
      EXPECT_EQ(shake(sent->ct_ml_kem), vector.octets("C"));
      EXPECT_TRUE(equal(sent->ss_ml_kem.reveal(), vector.octets("K")));
      ++run;
    }
  }
  EXPECT_GE(run, 50);
}

// Good keys give the ciphertext and secret; keys that FIPS 203, 7.2 refuses (length, coefficients of q or more) are refused.
TEST(MlKemVectors, EncapsulationAndItsRefusals) {
  std::map<SuiteId, Verdicts> verdicts;
  for (const char* file : {"evppkey_ml_kem_768_encap.txt", "evppkey_ml_kem_1024_encap.txt", "evppkey_ml_kem_encap_decap.txt"}) {
    for (const Vector& vector : openssl_vectors(file)) {
      const Suite* row = suite_with_kem(vector.text("Kem"));
      if (row == nullptr || !vector.has("EncodedPublicKey") || !vector.has("Entropy")) continue;
      EncapsulationKey key = receiver_from(*row, Bytes(seed_ml_kem)).encapsulation_key();
      key.ml_kem = vector.octets("EncodedPublicKey");
      const auto sent = encapsulate_with(*row, KemForm::to_ephemeral, key, vector.octets("Entropy"), some_scalar(*row), {});
      if (vector.has("Result")) {
        EXPECT_FALSE(sent) << file;
        ++verdicts[row->id].bad;
        continue;
      }
      ASSERT_TRUE(sent) << sent.error().message;
      EXPECT_EQ(sent->ct_ml_kem, vector.octets("Ciphertext"));
      EXPECT_TRUE(equal(sent->ss_ml_kem.reveal(), vector.octets("Output")));
      ++verdicts[row->id].good;
    }
  }
  for (const Suite& row : all_suites()) {
    EXPECT_GE(verdicts[row.id].good, 100) << row.name;
    EXPECT_GE(verdicts[row.id].bad, 100) << row.name;
  }
}

// The files give expanded keys; those that the key generation files make from a seed can be used here. Changed ciphertexts are among
// the vectors: their Output is the secret of the implicit rejection.
TEST(MlKemVectors, Decapsulation) {
  for (const auto& [keygen, decap] : {std::pair("evppkey_ml_kem_768_keygen.txt", "evppkey_ml_kem_768_decap.txt"),
                                      std::pair("evppkey_ml_kem_1024_keygen.txt", "evppkey_ml_kem_1024_decap.txt")}) {
    std::map<std::string, std::string> seeds;
    for (const Vector& vector : openssl_vectors(keygen)) {
      seeds[lower(vector.prefixed("CtrlOut", "hexpriv:").value_or(""))] = vector.prefixed("Ctrl", "hexseed:").value_or("");
    }
    int run = 0;
    for (const Vector& vector : openssl_vectors(decap)) {
      const Suite* row = suite_with_kem(vector.text("Kem"));
      const auto seed = seeds.find(lower(vector.text("EncodedPrivateKey")));
      if (row == nullptr || seed == seeds.end() || vector.has("Result")) continue;
      const Decapsulator receiver = receiver_from(*row, hex(seed->second));
      const auto received = receiver.decapsulate(KemForm::to_ephemeral, receiver.encapsulation_key().point, vector.octets("Input"));
      ASSERT_TRUE(received) << received.error().message;
      EXPECT_TRUE(equal(received->ml_kem.reveal(), vector.octets("Output"))) << decap;
      ++run;
    }
    EXPECT_GE(run, 100) << decap;
  }
}

}  // namespace
}  // namespace qanat::crypto
