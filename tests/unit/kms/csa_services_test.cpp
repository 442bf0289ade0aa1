// What the CSA computes with keys: every algorithm, each refusal, known answers of another implementation.
#include <fstream>

#include "csa_desk.hpp"
#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "services/kms/csa/authentication.hpp"

namespace qanat::kms::csa {
namespace {

Json known_answers() {
  std::ifstream in(std::string(QANAT_SOURCE_DIR) + "/tests/vectors/csa/csa.json", std::ios::binary);
  return must(Json::parse(std::string(std::istreambuf_iterator<char>(in), {})));
}
Bytes hex_of(const Json& json, std::string_view name) { return must(json.hex(name)); }

TEST(CsaAlgorithmsTest, HaveTheLengthsOfTheirSuites) {
  for (const Algorithm& one : all_algorithms()) {
    if (one.family == Family::aead) EXPECT_EQ(one.material, crypto::key_size(one.aead)) << one.name;
    if (one.family == Family::mac) EXPECT_EQ(one.result, crypto::digest_size(one.hash)) << one.name;
    if (one.family == Family::aead || one.family == Family::mac) continue;
    const crypto::Suite& suite = crypto::suite(one.suite);
    if (one.family == Family::kem) {
      EXPECT_EQ(one.material, suite.scalar + crypto::seed_ml_kem) << one.name;
      EXPECT_EQ(one.public_key, suite.point + suite.ml_kem_public) << one.name;
      EXPECT_EQ(one.result, suite.classical_ct + suite.ml_kem_ct) << one.name;
    }
    if (one.family == Family::signature && !one.lone) {
      EXPECT_EQ(one.material, suite.scalar + crypto::seed_ml_dsa) << one.name;
      EXPECT_EQ(one.public_key, suite.point + suite.ml_dsa_public) << one.name;
      EXPECT_EQ(one.result, suite.signature()) << one.name;
    }
  }
}

TEST(CsaAlgorithmsTest, AUsageThatAnAlgorithmIsNotFitForIsRefused) {
  const auto usage = [](const char* algorithm, const char* word) { return parse_usage(word, *must(find_algorithm(algorithm))); };
  EXPECT_EQ(must(usage("SM4-GCM", "encryption")), Usage::encryption);
  EXPECT_EQ(must(usage("HMAC-SM3", "authentication")), Usage::authentication);
  EXPECT_EQ(must(usage("ML-DSA-87", "authentication")), Usage::authentication);
  for (const auto& [algorithm, word] : {std::pair{"SM4-GCM", "mac"}, {"HMAC-SM3", "encryption"}, {"SM2", "encapsulation"}, {"SM2+ML-KEM-768", "signature"}, {"SM4-GCM", "authentication"}, {"SM2", "everything"}})
    EXPECT_EQ(refusal(usage(algorithm, word)), ErrorCode::invalid_argument) << algorithm << " " << word;
  EXPECT_EQ(refusal(find_algorithm("DES")), ErrorCode::invalid_argument);
}

TEST_P(CsaStoresTest, EncryptsAndDecryptsWithEachCipher) {
  for (const char* const algorithm : {"SM4-GCM", "AES-256-GCM"}) {
    const std::string key = csa_.create(app(billing), algorithm, "encryption");
    const std::string first = text(must(encrypt(key, billing, "invoice 7")), "ciphertext");
    EXPECT_NE(first, text(must(encrypt(key, billing, "invoice 7")), "ciphertext")) << "a fresh nonce for each";
    EXPECT_EQ(text(must(decrypt(key, first, billing, "invoice 7")), "plaintext"), a_plaintext);
    const auto elsewhere = decrypt(key, first, billing, "invoice 8");
    EXPECT_EQ(refusal(elsewhere), ErrorCode::denied) << "another context";
    EXPECT_TRUE(csa_.audited("aead: the tag does not hold"));
  }
}

TEST_P(CsaStoresTest, DecryptRefusesWhatIsNotItsOwn) {
  const std::string key = csa_.create(app(billing), "SM4-GCM", "encryption");
  const std::string other = csa_.create(app(billing), "SM4-GCM", "encryption");
  const Bytes sealed = must(wire::from_base64(text(must(encrypt(key)), "ciphertext")));
  EXPECT_EQ(refusal(decrypt(other, wire::to_base64(sealed))), ErrorCode::invalid_argument) << "of another key";
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    Bytes changed = sealed;
    changed[i] ^= 1U;
    EXPECT_FALSE(decrypt(key, wire::to_base64(changed))) << "octet " << i;
  }
  for (const std::size_t size : {std::size_t{1}, sealed_header_octets, sealed_overhead - 1})
    EXPECT_EQ(refusal(decrypt(key, wire::to_base64(ByteView(sealed).first(size)))), ErrorCode::invalid_argument) << size;
  const std::string wrapped = text(must_ask(Operation::generate_data_key, billing, Json::object({{"key_id", key}})), "wrapped");
  const auto as_text = decrypt(key, wrapped);
  EXPECT_EQ(refusal(as_text), ErrorCode::invalid_argument) << "a data key is no text";
  EXPECT_NE(as_text.error().message.find("another kind"), std::string::npos);
}

TEST_P(CsaStoresTest, GivesDataKeysInTheClearAndWrapped) {
  const std::string key = csa_.create(app(billing), "AES-256-GCM", "encryption");
  const Json made = must_ask(Operation::generate_data_key, billing, Json::object({{"key_id", key}, {"context", "file 1"}}));
  EXPECT_EQ(must(made.base64("plaintext")).size(), 32U);
  const Json opened = must_ask(Operation::decrypt_data_key, billing, Json::object({{"key_id", key}, {"wrapped", text(made, "wrapped")}, {"context", "file 1"}}));
  EXPECT_EQ(text(opened, "plaintext"), text(made, "plaintext"));
  EXPECT_EQ(refusal(ask(Operation::decrypt_data_key, billing, Json::object({{"key_id", key}, {"wrapped", text(made, "wrapped")}}))), ErrorCode::denied) << "without its context";
  const Json kept = must_ask(Operation::generate_data_key, billing, Json::object({{"key_id", key}, {"size", 64}, {"wrapped_only", true}}));
  EXPECT_FALSE(kept.has("plaintext"));
  EXPECT_EQ(must(must_ask(Operation::decrypt_data_key, billing, Json::object({{"key_id", key}, {"wrapped", text(kept, "wrapped")}})).base64("plaintext")).size(), 64U);
  EXPECT_EQ(refusal(ask(Operation::generate_data_key, billing, Json::object({{"key_id", key}, {"size", 8}}))), ErrorCode::invalid_argument);
}

TEST_P(CsaStoresTest, SignsAndVerifiesWithEachScheme) {
  for (const Algorithm& algorithm : all_algorithms()) {
    if (algorithm.family != Family::signature) continue;
    const std::string key = csa_.create(app(billing), std::string(algorithm.name), "signature");
    const Json made = must_ask(Operation::sign, billing, Json::object({{"key_id", key}, {"message", base64("pay")}}));
    const auto verified = [&](const std::string& message, const std::string& signature) {
      return must(must_ask(Operation::verify, billing, Json::object({{"key_id", key}, {"message", message}, {"signature", signature}})).boolean("valid"));
    };
    EXPECT_TRUE(verified(base64("pay"), text(made, "signature"))) << algorithm.name;
    EXPECT_FALSE(verified(base64("pay twice"), text(made, "signature"))) << algorithm.name;
    Bytes octets = must(made.base64("signature"));
    EXPECT_EQ(octets.size(), algorithm.result) << algorithm.name;
    for (const std::size_t at : {std::size_t{5}, octets.size() - 200 % octets.size() - 1}) {
      Bytes changed = octets;
      changed[at] ^= 1U;
      EXPECT_FALSE(verified(base64("pay"), wire::to_base64(changed))) << algorithm.name << " octet " << at;
    }
    EXPECT_FALSE(verified(base64("pay"), wire::to_base64(ByteView(octets).first(octets.size() - 1)))) << algorithm.name;
    EXPECT_FALSE(verified(base64("pay"), "")) << algorithm.name;
    const Json half = must_ask(Operation::public_key, billing, Json::object({{"key_id", key}}));
    EXPECT_TRUE(csa::verify(algorithm, must(half.base64("public_key")), as_bytes("pay"), octets)) << algorithm.name << ": whoever has the public key can verify";
  }
}

TEST_P(CsaStoresTest, MakesMacsAndHoldsThemAgainstTheMessage) {
  for (const char* const algorithm : {"HMAC-SM3", "HMAC-SHA256", "HMAC-SHA384"}) {
    const std::string key = csa_.create(app(billing), algorithm, "mac");
    const std::string made = text(must_ask(Operation::mac, billing, Json::object({{"key_id", key}, {"message", base64("pay")}})), "mac");
    const auto held = [&](const std::string& message, const std::string& mac) {
      return must(must_ask(Operation::verify_mac, billing, Json::object({{"key_id", key}, {"message", message}, {"mac", mac}})).boolean("valid"));
    };
    EXPECT_TRUE(held(base64("pay"), made));
    EXPECT_FALSE(held(base64("pay twice"), made));
    EXPECT_FALSE(held(base64("pay"), base64("short")));
    EXPECT_EQ(refusal(ask(Operation::public_key, billing, Json::object({{"key_id", key}}))), ErrorCode::invalid_argument) << "it has none";
  }
}

TEST_P(CsaStoresTest, EncapsulatesToHybridKeys) {
  for (const char* const algorithm : {"SM2+ML-KEM-768", "P-384+ML-KEM-1024"}) {
    const std::string key = csa_.create(app(billing), algorithm, "encapsulation");
    const Json made = must_ask(Operation::encapsulate, billing, Json::object({{"key_id", key}, {"context", "ledger"}}));
    const auto opened = [&](const std::string& encapsulation, const char* context) {
      return ask(Operation::decapsulate, billing, Json::object({{"key_id", key}, {"encapsulation", encapsulation}, {"context", context}}));
    };
    const std::string encapsulation = text(made, "encapsulation");
    EXPECT_EQ(text(must(opened(encapsulation, "ledger")), "plaintext"), text(made, "plaintext"));
    EXPECT_NE(text(must(opened(encapsulation, "other")), "plaintext"), text(made, "plaintext")) << "another context, another secret";
    Bytes changed = must(made.base64("encapsulation"));
    changed.back() ^= 1U;
    EXPECT_NE(text(must(opened(wire::to_base64(changed), "ledger")), "plaintext"), text(made, "plaintext")) << "FIPS 203: implicit rejection";
    EXPECT_EQ(refusal(opened(wire::to_base64(ByteView(changed).first(100)), "ledger")), ErrorCode::invalid_argument);
  }
}

TEST_F(CsaDeskTest, GivesRandomOctets) {
  const auto draw = [&](int size) { return ask(Operation::random, billing, Json::object({{"size", size}})); };
  const Bytes one = must(must(draw(48)).base64("plaintext"));
  EXPECT_EQ(one.size(), 48U);
  EXPECT_NE(one, must(must(draw(48)).base64("plaintext")));
  EXPECT_EQ(refusal(draw(0)), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(draw(4097)), ErrorCode::invalid_argument);
}

TEST_P(CsaStoresTest, AKeyServesItsUsageAlone) {
  const std::string cipher = csa_.create(app(billing), "SM4-GCM", "encryption");
  const std::string authenticates = csa_.create(app(billing), "SM2", "authentication");
  const auto sign = [&](const std::string& key) { return ask(Operation::sign, billing, Json::object({{"key_id", key}, {"message", base64("pay")}})); };
  EXPECT_EQ(refusal(sign(cipher)), ErrorCode::denied) << "nobody has such a grant";
  EXPECT_EQ(refusal(sign(authenticates)), ErrorCode::denied) << "what proves who somebody is signs no messages";
  const Json odd = Json::object({{"algorithm", "SM4-GCM"}, {"usage", "encryption"}, {"policy", grants({grant(billing, {"sign"})})}});
  EXPECT_EQ(refusal(ask(Operation::create_key, billing, odd)), ErrorCode::invalid_argument) << "and none can be given";
}

// Known answers, tests/vectors/csa/generate.py.

TEST_F(CsaDeskTest, OpensWhatAnotherImplementationSealed) {
  const Json all = known_answers();
  const CsaKeyId id(hex_of(all, "key_id"));
  for (const auto& [member, algorithm] : {std::pair{"sm4", "SM4-GCM"}, {"aes", "AES-256-GCM"}}) {
    CsaElement csa(network_, std::string("qanat://a/kms/kms-") + member);
    const Json vector = must(all.object(member));
    csa.plant(id, algorithm, "encryption", Secret::copy_of(hex_of(vector, "key")));
    const Json opened = must(csa.ask(Operation::decrypt, app(billing),
                                     Json::object({{"key_id", id.hex()}, {"ciphertext", wire::to_base64(hex_of(vector, "text_v1"))}, {"context", text(vector, "context")}})));
    EXPECT_EQ(must(opened.base64("plaintext")), hex_of(vector, "plaintext")) << member;
    const Bytes made = seal_text(*must(find_algorithm(algorithm)), Secret::copy_of(hex_of(vector, "key")), {.kind = SealedKind::text, .key = id, .version = 1},
                                 hex_of(vector, "nonce"), text(vector, "context"), hex_of(vector, "plaintext"));
    EXPECT_EQ(made, hex_of(vector, "text_v1")) << member;
  }
}

TEST_F(CsaDeskTest, ItsSm4GcmIsThatOfRfc8998) {
  const Json vector = must(known_answers().object("sm4"));
  const Bytes sealed = hex_of(vector, "text_v1");
  const ByteView ciphertext = ByteView(sealed).subspan(sealed_header_octets + crypto::aead_iv, hex_of(vector, "plaintext").size());
  EXPECT_EQ(to_hex(ciphertext), text(vector, "ciphertext")) << "A.1; its tag is over other associated data";
  CsaElement csa(network_, "qanat://a/kms/kms-rfc");
  const CsaKeyId id(hex_of(known_answers(), "key_id"));
  csa.plant(id, "SM4-GCM", "encryption", Secret::copy_of(hex_of(vector, "key")));
  const Json opened = must(csa.ask(Operation::decrypt_data_key, app(billing),
                                   Json::object({{"key_id", id.hex()}, {"wrapped", wire::to_base64(hex_of(vector, "data_key_v1"))}, {"context", text(vector, "context")}})));
  EXPECT_EQ(to_hex(must(opened.base64("plaintext"))), text(vector, "plaintext").substr(0, 64));
}

TEST_F(CsaDeskTest, ItsMacsAreThoseOfOtherImplementations) {
  const Json macs = must(known_answers().object("macs"));
  std::uint8_t number = 1;
  for (const char* const algorithm : {"HMAC-SM3", "HMAC-SHA256", "HMAC-SHA384"}) {
    const Json vector = must(macs.object(algorithm));
    const CsaKeyId id(Bytes(CsaKeyId::size, number++));
    csa_.plant(id, algorithm, "mac", Secret::copy_of(hex_of(vector, "key")));
    const Json made = must_ask(Operation::mac, billing, Json::object({{"key_id", id.hex()}, {"message", wire::to_base64(hex_of(macs, "message"))}}));
    EXPECT_EQ(must(made.base64("mac")), hex_of(vector, "mac")) << algorithm;
  }
}

TEST_F(CsaDeskTest, ItsProofsAndEncapsulationsAreThoseOfTheScript) {
  const Json all = known_answers();
  const CsaKeyId id(hex_of(all, "key_id"));
  const Json proof = must(all.object("proof"));
  Bytes challenge;
  Bytes countering;
  for (std::uint8_t i = 0; i < 32; ++i) {
    challenge.push_back(i);
    countering.push_back(static_cast<std::uint8_t>(64 + i));
  }
  const Bytes text_of_it = proof_text({.step = 1,
                                       .key = id,
                                       .version = 3,
                                       .challenge = challenge,
                                       .countering = countering,
                                       .claimant = "qanat://a/app3/one",
                                       .verifier = "qanat://b/app3/two",
                                       .context = "payroll"});
  EXPECT_EQ(to_hex(text_of_it), text(proof, "text"));
  EXPECT_EQ(to_hex(crypto::hmac(crypto::Hash::sm3, Secret::copy_of(hex_of(proof, "key")), {text_of_it})), text(proof, "hmac_sm3"));
  for (const char* const name : {"SM2+ML-KEM-768", "P-384+ML-KEM-1024"}) {
    const Json vector = must(all.object(name));
    const Algorithm& kem = *must(find_algorithm(name));
    const Secret material = Secret::copy_of(hex_of(vector, "material"));
    EXPECT_EQ(to_hex(must(decapsulate(kem, material, hex_of(vector, "ciphertext"), as_bytes(text(vector, "context")))).reveal()), text(vector, "shared")) << name;
    const ExportedAs as{.algorithm = *must(find_algorithm("AES-256-GCM")), .usage = Usage::encryption};
    EXPECT_EQ(to_hex(must(unwrap_key(kem, material, as, "to b", hex_of(vector, "wrapped"))).reveal()), text(vector, "exported")) << name;
    EXPECT_EQ(refusal(unwrap_key(kem, material, as, "to c", hex_of(vector, "wrapped"))), ErrorCode::denied) << name;
    const ExportedAs otherwise{.algorithm = *must(find_algorithm("HMAC-SM3")), .usage = Usage::mac};
    EXPECT_EQ(refusal(unwrap_key(kem, material, otherwise, "to b", hex_of(vector, "wrapped"))), ErrorCode::denied) << name << ": as another algorithm";
  }
}

}  // namespace
}  // namespace qanat::kms::csa
