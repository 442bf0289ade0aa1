#include "crypto/self_test.hpp"

#include <botan/hmac_drbg.h>
#include <botan/pubkey.h>
#include <botan/sm2.h>

#include <array>
#include <string>

#include "base/check.hpp"
#include "crypto/aead.hpp"
#include "crypto/algorithm_names.hpp"
#include "crypto/botan_edge.hpp"
#include "crypto/botan_rng.hpp"
#include "crypto/curve.hpp"
#include "crypto/hybrid_kem.hpp"
#include "crypto/hybrid_sign.hpp"
#include "crypto/kdf.hpp"

namespace qanat::crypto {
namespace {

Bytes hex(std::string_view text) {
  auto octets = from_hex(text);
  CHECK(octets);
  return std::move(*octets);
}
Secret secret_hex(std::string_view text) { return Secret::copy_of(hex(text)); }

bool is(ByteView octets, std::string_view expected_hex) { return equal(octets, hex(expected_hex)); }

/// Large outputs are compared by their SHA-256.
bool has_digest(ByteView octets, std::string_view expected_hex) { return is(digest(Hash::sha256, octets), expected_hex); }

// ---- symmetric ----

bool sm3() { return is(digest(Hash::sm3, as_bytes("abc")), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"); }  // GM/T 0004, A.1

bool sha2() {  // FIPS 180-4 examples
  return is(digest(Hash::sha256, as_bytes("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") &&
         is(digest(Hash::sha384, as_bytes("abc")), "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
}

bool hmac_sm3() {  // GM/T 0042-2015, D.3
  return is(hmac(Hash::sm3, secret_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"), {as_bytes("Hi There")}),
            "c0ba18c68b90c88bc07de794bfc7d2c8d19ec31ed8773bc2b390c9604e0be11e");
}

bool hkdf() {  // RFC 5869, A.1
  const Secret prk = hkdf_extract(Hash::sha256, hex("000102030405060708090a0b0c"), secret_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"));
  return is(hkdf_expand(Hash::sha256, prk, {hex("f0f1f2f3f4f5f6f7f8f9")}, 42).reveal(),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

struct AeadAnswer {
  Aead aead;
  std::string_view key, iv, aad, plaintext, sealed;
};

bool holds(const AeadAnswer& answer) {
  const Secret key = secret_hex(answer.key);
  Bytes sealed = seal(answer.aead, key, hex(answer.iv), hex(answer.aad), hex(answer.plaintext));
  if (!is(sealed, answer.sealed)) return false;
  const auto opened = open(answer.aead, key, hex(answer.iv), hex(answer.aad), sealed);
  sealed.back() ^= 1U;
  return opened && is(opened->reveal(), answer.plaintext) && !open(answer.aead, key, hex(answer.iv), hex(answer.aad), sealed);
}

bool sm4_gcm() {  // RFC 8998, A.1
  return holds({.aead = Aead::sm4_gcm,
                .key = "0123456789abcdeffedcba9876543210",
                .iv = "00001234567800000000abcd",
                .aad = "feedfacedeadbeeffeedfacedeadbeefabaddad2",
                .plaintext = "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccddddddddddddddddeeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa",
                .sealed = "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
                          "83de3541e4c2b58177e065a9bf7b62ec"});
}

bool aes_256_gcm() {  // McGrew and Viega, The Galois/Counter Mode of Operation, test case 16
  return holds({.aead = Aead::aes_256_gcm,
                .key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
                .iv = "cafebabefacedbaddecaf888",
                .aad = "feedfacedeadbeeffeedfacedeadbeefabaddad2",
                .plaintext = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
                .sealed = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                          "76fc6ece0f4e1768cddf8853bb2d551b"});
}

bool poly1305_mac() {  // RFC 8439, 2.5.2
  return is(poly1305(secret_hex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b"), as_bytes("Cryptographic Forum Research Group")),
            "a8061dc1305136c6c22b8baf0c0127a9");
}

bool hmac_drbg() {  // NIST CAVS 14.3, HMAC_DRBG, SHA-256, first of the file; the second output counts
  Botan::HMAC_DRBG drbg("SHA-256");
  drbg.initialize_with(hex("06032cd5eed33f39265f49ecb142c511da9aff2af71203bffaf34a9ca5bd9c0d0e66f71edc43e42a45ad3c6fc6cdc4df"));
  drbg.add_entropy(hex("01920a4e669ed3a85ae8a33b35a74ad7fb2a6bb4cf395ce00334a9c9a5a5d552"));
  Bytes out(128);
  drbg.randomize(out);
  drbg.randomize(out);
  return is(out,
            "76fc79fe9b50beccc991a11b5635783a83536add03c157fb30645e611c2898bb2b1bc215000209208cd506cb28da2a51bdb03826aaf2bd2335d576d519160842"
            "e7158ad0949d1a9ec3e66ea1b1a064b005de914eac2e9d4f2d72a8616a80225422918250ff66a41bd2f864a6a38cc5b6499dc43f7f2bd09e1e0f8f5885935124");
}

// ---- classical ----

// GM/T 0003.5-2012: one key and one k serve annex A (signature) and annex C (encryption).
constexpr std::string_view sm2_key = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8";
constexpr std::string_view sm2_k = "59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21";
constexpr std::string_view sm2_c1 =
    "0404ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0";

bool refuses_change(const Suite& suite, ByteView point, ByteView message, Bytes signature) {
  signature[0] ^= 1U;
  return !verify_classical(suite, point, message, signature);
}

bool sm2_signature() {  // annex A
  const Suite& gm = suite(SuiteId::gm_hybrid);
  const auto scalar = parse_scalar(gm.curve, secret_hex(sm2_key));
  if (!scalar) return false;
  const Botan::SM2_PrivateKey key(group_of(gm.curve), *scalar);
  FixedRng k(hex(sm2_k));
  BotanRng rng(k);
  const Bytes signature = Botan::PK_Signer(key, rng, signature_padding(gm.curve)).sign_message(as_bytes("message digest"), rng);
  const Bytes point = key.raw_public_key_bits();
  return is(signature, "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa") &&
         verify_classical(gm, point, as_bytes("message digest"), signature) && refuses_change(gm, point, as_bytes("message digest"), signature);
}

bool ecdsa_p384() {  // RFC 6979, A.2.6, SHA-384, "sample"
  const Suite& intl = suite(SuiteId::intl_hybrid);
  const Bytes point =
      hex("04ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13"
          "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720");
  const Bytes signature =
      hex("94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46"
          "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8");
  return verify_classical(intl, point, as_bytes("sample"), signature) && refuses_change(intl, point, as_bytes("sample"), signature);
}

// ---- key encapsulation: SM2 encryption, ECDH on both curves, ML-KEM ----

struct KemAnswer {
  SuiteId suite;
  std::string_view scalar, ek_digest, ct_digest, ss;
};
// ML-KEM: the first vector of BoringSSL's mlkem768 and mlkem1024 tests (FIPS 203), seed d‖z and m:
constexpr std::string_view kem_seed =
    "7c9935a0b07694aa0c6d10e4db6b1add2fd81a25ccb148032dcd739936737f2d8626ed79d451140800e03b59b956f8210e556067407d13dc90fa9e8b872bfb8f";
constexpr std::string_view kem_m = "147c03f7a5bebba406c8fae1874d7f13c80efe79a3a9a874cc09fe76f6997615";
// CAVP ECC CDH, P-384, first of the file.
constexpr std::string_view p384_key = "3cc3122a68f0d95027ad38c067916ba0eb8c38894d22e1b15618b6818a661774ad463b205da88cf699ab4d43c9cf98a1";
constexpr std::string_view p384_peer =
    "04a7c76b970c3b5fe8b05d2838ae04ab47697b9eaf52e764592efda27fe7513272734466b400091adbf2d68c58e0c50066"
    "ac68f19f2e1cb879aed43a9969b91a0839c4c38a49749b661efedf243451915ed0905a32b060992b468c64766fc8437a";
constexpr std::string_view p384_shared = "5f9d29dc5e31a163060356213669c8ce132e22f57c9a04f40ba7fcead493b457e5621e766c40a2e3d4d6a04b25e533f1";

constexpr KemAnswer gm_kem{.suite = SuiteId::gm_hybrid,
                           .scalar = sm2_key,
                           .ek_digest = "86adbca81f4fee893e2fb58fb98aa2fe188f501fed268d7f4056f8c05c4e53c4",
                           .ct_digest = "36829a2f35cbf4deb62c0a12a15c22dae9f8d2c252566fc24f88abe805cb575e",
                           .ss = "e7184a0975ee3470878d2d159ec83129c8aec253d4ee17b4810311d198cd0368"};
constexpr KemAnswer intl_kem{.suite = SuiteId::intl_hybrid,
                             .scalar = p384_key,
                             .ek_digest = "61b95ec8c32ae85ad7a17ae5b9c2dfb083e05f767da3ba9a0a8092ea6b4cbf7a",
                             .ct_digest = "508136a13f8a7920e3434498c6975cbbab457d809309eb2f92453e7409738210",
                             .ss = "489dd1e9c2be4af3482bdb35bb26ce760e6e414da6ecbe489985748a825f1cd6"};

Result<Decapsulator> decapsulator(const KemAnswer& answer) {
  return Decapsulator::from_secret(suite(answer.suite), {.scalar = secret_hex(answer.scalar), .ml_kem_seed = secret_hex(kem_seed)});
}

/// Encapsulates with the fixed m and `scalar`, decapsulates, and compares the ML-KEM half with the answer.
Result<Encapsulation> encapsulation(const KemAnswer& answer, KemForm form, std::string_view scalar, ByteView drawn) {
  const auto wrong = [](std::string_view what) { return fail(ErrorCode::internal, std::string(what)); };
  ASSIGN_OR_RETURN(const Decapsulator decapsulator_, decapsulator(answer));
  const EncapsulationKey& key = decapsulator_.encapsulation_key();
  if (!has_digest(key.ml_kem, answer.ek_digest)) return wrong("encapsulation key");
  ASSIGN_OR_RETURN(Encapsulation sent, encapsulate_with(suite(answer.suite), form, key, hex(kem_m), hex(scalar), drawn));
  if (!has_digest(sent.ct_ml_kem, answer.ct_digest) || !is(sent.ss_ml_kem.reveal(), answer.ss)) return wrong("encapsulation");
  ASSIGN_OR_RETURN(const SharedSecrets received, decapsulator_.decapsulate(form, sent.ct_classical, sent.ct_ml_kem));
  if (!equal_secret(received.ml_kem, sent.ss_ml_kem) || !equal_secret(received.classical, sent.ss_classical)) return wrong("decapsulation");
  return Result<Encapsulation>(std::move(sent));
}

// Annex C encrypts 19 octets; 32 octets that begin with these have the same C1, and a C2 that begins with annex C's.
bool sm2_encryption() {
  Bytes drawn = to_bytes("encryption standard");
  const std::size_t known = drawn.size();
  drawn.resize(suite(SuiteId::gm_hybrid).classical_ss);
  const auto sent = encapsulation(gm_kem, KemForm::to_static, sm2_k, drawn);
  const std::size_t c2 = drawn.size();
  return sent && is(ByteView(sent->ct_classical).first(65), sm2_c1) &&
         is(ByteView(sent->ct_classical).last(c2).first(known), "21886ca989ca9c7d58087307ca93092d651efa");
}

bool sm2_ecdh_and_ml_kem_768() {  // annex C: [k]P_B
  const auto sent = encapsulation(gm_kem, KemForm::to_ephemeral, sm2_k, {});
  return sent && is(sent->ct_classical, sm2_c1) && is(sent->ss_classical.reveal(), "335e18d751e51f040e27d468138b7ab1dc86ad7f981d7d416222fd6ab3ed230d");
}

bool p384_ecdh_and_ml_kem_1024() {
  const auto sent = encapsulation(intl_kem, KemForm::to_ephemeral, p384_key, {});
  const auto receiver = decapsulator(intl_kem);
  if (!sent || !receiver) return false;
  const auto received = receiver->decapsulate(KemForm::to_ephemeral, hex(p384_peer), sent->ct_ml_kem);
  return received && is(received->classical.reveal(), p384_shared);
}

// ---- ML-DSA ----

struct MlDsaAnswer {
  MlDsa level;
  std::string_view seed, public_digest, signature_digest;
};

// Keys: NIST ACVP ML-DSA-keyGen-FIPS204, tcId 1, 26 and 51. Signatures: OpenSSL 3.5's deterministic one over "abc".
constexpr std::array ml_dsa_answers{
    MlDsaAnswer{.level = MlDsa::ml_dsa_44,
                .seed = "4be7a01a99a5e5bcfe3c06785d8e4ec664082227d86704e9e44862623a05c8b3",
                .public_digest = "a140495fe1cbeb25d30ecf194ee2823dde1b76bbcbdea8cac50c6365f6803060",
                .signature_digest = "f0dafb64633a616a85466c4936348b5294440fed99c988f87ccab8c6cf4bd16b"},
    MlDsaAnswer{.level = MlDsa::ml_dsa_65,
                .seed = "8ab6448bf58f897d528a8de9f8e59329ac929a9cde7edf3e27e01bc9ef128a67",
                .public_digest = "b0cc1d6464e1528a478108d4be94be4aca4c7ae69d9595b1e6b752713442022a",
                .signature_digest = "ad538a65a45880e489d3ea153652b25d827ffb5975cd4bc7e8446adc059863da"},
    MlDsaAnswer{.level = MlDsa::ml_dsa_87,
                .seed = "5ac4d695186486c11d21f0300dbda6f38b8d1fa07a254549b64422d44b1aac42",
                .public_digest = "f3181985231f1541993e4a5e676636e76ca97a2d551bff73d832e9ed80217b31",
                .signature_digest = "212b1420bba4f96848d628ea1339364223b3de1a2aad331f9f4b3273ea98a001"},
};

bool ml_dsa() {
  for (const MlDsaAnswer& answer : ml_dsa_answers) {
    const Botan::ML_DSA_PrivateKey key(hex(answer.seed), botan_mode(answer.level));
    const Bytes public_key = key.raw_public_key_bits();
    Botan::Null_RNG none;
    Bytes signature = Botan::PK_Signer(key, none, "Deterministic").sign_message(as_bytes("abc"), none);
    if (!has_digest(public_key, answer.public_digest) || !has_digest(signature, answer.signature_digest)) return false;
    if (!verify_ml_dsa(answer.level, public_key, as_bytes("abc"), signature)) return false;
    signature[0] ^= 1U;
    if (verify_ml_dsa(answer.level, public_key, as_bytes("abc"), signature)) return false;
  }
  return true;
}

struct KnownAnswerTest {
  std::string_view primitive;
  bool (*holds)();
};

constexpr std::array tests{
    KnownAnswerTest{"SM3", sm3},
    KnownAnswerTest{"SHA-2", sha2},
    KnownAnswerTest{"HMAC-SM3", hmac_sm3},
    KnownAnswerTest{"HKDF", hkdf},
    KnownAnswerTest{"SM4-GCM", sm4_gcm},
    KnownAnswerTest{"AES-256-GCM", aes_256_gcm},
    KnownAnswerTest{"Poly1305", poly1305_mac},
    KnownAnswerTest{"HMAC_DRBG", hmac_drbg},
    KnownAnswerTest{"SM2 signature", sm2_signature},
    KnownAnswerTest{"ECDSA P-384", ecdsa_p384},
    KnownAnswerTest{"SM2 encryption with ML-KEM-768", sm2_encryption},
    KnownAnswerTest{"ECDH on SM2's curve with ML-KEM-768", sm2_ecdh_and_ml_kem_768},
    KnownAnswerTest{"ECDH P-384 with ML-KEM-1024", p384_ecdh_and_ml_kem_1024},
    KnownAnswerTest{"ML-DSA", ml_dsa},
};

}  // namespace

Result<void> power_on_self_test() {
  for (const KnownAnswerTest& test : tests) {
    TRY(at_botan_edge(ErrorCode::internal, test.primitive, [&]() -> Result<void> {
      if (!test.holds()) return fail(ErrorCode::internal, "self-test: " + std::string(test.primitive) + " gave a wrong answer");
      return {};
    }));
  }
  return {};
}

std::vector<std::string_view> self_tested_primitives() {
  std::vector<std::string_view> out;
  out.reserve(tests.size());
  for (const KnownAnswerTest& test : tests) out.push_back(test.primitive);
  return out;
}

}  // namespace qanat::crypto
