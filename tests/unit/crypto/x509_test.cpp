// Certificates, requests, chains: four algorithms, refusals, and the openssl program as a second reader.
#include "crypto/x509.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "crypto/hybrid_sign.hpp"
#include "crypto/x509_openssl.hpp"
#include "x509_hierarchy.hpp"

namespace qanat::crypto {
namespace {

using namespace testing;  // x509_hierarchy.hpp

void expect_denied(const Result<void>& result, std::string_view part) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::denied);
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
}

template <class T>
void expect_invalid(const Result<T>& result, std::string_view part = "") {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::invalid_argument) << result.error().message;
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
}

class X509Test : public ::testing::TestWithParam<KeyAlgorithm> {
 protected:
  const Hierarchy h{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Algorithms, X509Test, ::testing::ValuesIn(all_algorithms), algorithm_name);

TEST_P(X509Test, LeafChainsOverIssuingCaToRoot) {
  const auto result = h.store().verify(h.leaf, now);
  EXPECT_TRUE(result) << result.error().message;
}

TEST_P(X509Test, CertificateSaysWhatItsTemplateSaid) {
  const CertificateTemplate wanted = h.leaf_template();
  EXPECT_EQ(h.leaf.names(), wanted.names);
  EXPECT_EQ(h.leaf.key_algorithm(), GetParam());
  EXPECT_EQ(h.leaf.public_key(), wanted.public_key);
  EXPECT_EQ(h.leaf.serial(), wanted.serial);
  EXPECT_EQ(h.leaf.not_before(), wanted.not_before);
  EXPECT_EQ(h.leaf.not_after(), wanted.not_after);
  EXPECT_EQ(h.leaf.subject(), "CN=kms-a");
  EXPECT_FALSE(h.leaf.is_ca());
  EXPECT_TRUE(h.issuing.is_ca());
  EXPECT_TRUE(h.root.is_ca());
}

TEST_P(X509Test, PemChainReadsBackInOrder) {
  const auto chain = Certificate::parse_pem_chain(h.leaf.pem() + "some prose\n" + h.issuing.pem());
  ASSERT_TRUE(chain) << chain.error().message;
  ASSERT_EQ(chain->size(), 2U);
  EXPECT_EQ((*chain)[0].der(), h.leaf.der());
  EXPECT_EQ((*chain)[1].der(), h.issuing.der());
}

TEST_P(X509Test, IssuerOfFindsTheIssuingCa) {
  const Hierarchy other(GetParam(), 50, "Other");
  const TrustStore store({h.root}, {other.issuing, h.issuing});
  const Certificate* found = store.issuer_of(h.leaf);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->der(), h.issuing.der());
  EXPECT_EQ(TrustStore({h.root}, {other.issuing}).issuer_of(h.leaf), nullptr);
}

TEST_P(X509Test, AVerifiedChainNamesTheIssuingCaAsIssuerOfDoes) {
  const Hierarchy other(GetParam(), 50, "Other");
  const TrustStore store({other.root, h.root}, {other.issuing, h.issuing});
  for (const Hierarchy* one : {&h, &other}) {
    const auto issuer = store.verified_issuer(one->leaf, now);
    ASSERT_TRUE(issuer) << issuer.error().message;
    EXPECT_EQ(*issuer, store.issuer_of(one->leaf));
    ASSERT_NE(*issuer, nullptr);
    EXPECT_EQ((*issuer)->der(), one->issuing.der());
  }
  EXPECT_FALSE(store.verified_issuer(h.leaf, start + 91 * day_ms)) << "nothing of a chain that does not hold";
  EXPECT_FALSE(TrustStore({h.root}, {other.issuing}).verified_issuer(h.leaf, now));
}

TEST_P(X509Test, IssuerOfLooksAtTheSignatureNotTheNameAlone) {
  const Hierarchy namesake(GetParam(), 50);
  EXPECT_EQ(TrustStore({h.root}, {namesake.issuing}).issuer_of(h.leaf), nullptr);
}

TEST_P(X509Test, RefusesExpiredAndNotYetValid) {
  expect_denied(h.store().verify(h.leaf, start + 91 * day_ms), "expired since 2026-");
  expect_denied(h.store().verify(h.leaf, start - day_ms), "not valid before 2026-");
}

TEST_P(X509Test, RefusesLeafUnderExpiredIssuingCa) {
  CertificateTemplate wanted = make_template(CertificateUse::issuing_ca, h.issuing.names(), h.issuing_key, 3);
  wanted.not_after = start + day_ms;
  const auto expired = issue(wanted, &h.root, h.root_key);
  ASSERT_TRUE(expired);
  expect_denied(TrustStore({h.root}, {*expired}).verify(h.leaf, now), "CA certificate 1 above it expired since");
}

TEST_P(X509Test, RefusesForeignRootAndMissingIssuer) {
  const Hierarchy foreign(GetParam(), 50, "Foreign");
  expect_denied(TrustStore({foreign.root}, {h.issuing}).verify(h.leaf, now), "not issued under a trusted root");
  expect_denied(TrustStore({h.root}, {foreign.issuing}).verify(h.leaf, now), "not issued under a trusted root");
  expect_denied(TrustStore({h.root}, {}).verify(h.leaf, now), "not issued under a trusted root");
  expect_denied(TrustStore({}, {h.root, h.issuing}).verify(h.leaf, now), "not issued under a trusted root");
}

TEST_P(X509Test, RefusesIssuingCaAsTrustAnchorForItsLeafs) {
  // No partial chains: only a root of the store ends a chain. An issuing CA among the roots is not self-signed.
  expect_denied(TrustStore({h.issuing}, {}).verify(h.leaf, now), "not issued under a trusted root");
}

TEST_P(X509Test, RefusesNamesakesOfRootAndIssuingCa) {
  const Hierarchy namesake(GetParam(), 50);
  EXPECT_FALSE(TrustStore({namesake.root}, {h.issuing}).verify(h.leaf, now));
  EXPECT_FALSE(TrustStore({h.root}, {namesake.issuing}).verify(h.leaf, now));
}

TEST_P(X509Test, RefusesCaWhereLeafBelongs) { expect_denied(h.store().verify(h.issuing, now), "where a leaf belongs"); }

TEST_P(X509Test, RefusesCertificateThatALeafSigned) {
  // issue() does not sign with a leaf, so the attacker's certificate is made around it: a CA of the leaf's name and key.
  const PrivateKey key = make_key(GetParam(), 77);
  const auto pretended = issue(make_template(CertificateUse::issuing_ca, names_of("kms-a"), h.leaf_key, 4), &h.root, h.root_key).value();
  const auto below = issue(make_template(CertificateUse::tls_and_signing, names_of("evil"), key, 5), &pretended, h.leaf_key).value();
  EXPECT_FALSE(TrustStore({h.root}, {h.issuing, h.leaf}).verify(below, now));
}

TEST_P(X509Test, RefusesCaBelowAnIssuingCa) {
  const PrivateKey second_key = make_key(GetParam(), 60);
  const auto second = issue(make_template(CertificateUse::issuing_ca, names_of("second"), second_key, 4), &h.issuing, h.issuing_key).value();
  const auto below = issue(make_template(CertificateUse::tls_and_signing, names_of("below"), h.leaf_key, 5), &second, second_key).value();
  expect_denied(TrustStore({h.root}, {h.issuing, second}).verify(below, now), "path length");
}

TEST_P(X509Test, RefusesCertificateWithAnyOctetAltered) {
  const TrustStore store = h.store();
  const std::size_t step = h.leaf.der().size() > 2000 ? 11 : 1;
  for (std::size_t at = 0; at < h.leaf.der().size(); at += step) {
    Bytes altered = h.leaf.der();
    altered[at] ^= 0x01;
    const auto cert = Certificate::parse(altered);
    EXPECT_FALSE(cert && store.verify(*cert, now)) << "octet " << at;
  }
}

TEST_P(X509Test, ParseRefusesOctetsBehindTheEndAndCutOnes) {
  Bytes longer = h.leaf.der();
  longer.push_back(0);
  expect_invalid(Certificate::parse(longer), "behind its end");
  Bytes shorter = h.leaf.der();
  shorter.pop_back();
  expect_invalid(Certificate::parse(shorter));
  expect_invalid(Certificate::parse({}));
  expect_invalid(Certificate::parse(Bytes(64 * 1024 + 1, 0x30)), "octets where");
}

TEST_P(X509Test, RequestCarriesKeyAndNames) {
  const SubjectNames names = h.leaf_template().names;
  const auto der = make_request(h.leaf_key, names);
  ASSERT_TRUE(der) << der.error().message;
  const auto request = CertificateRequest::parse(*der);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->names(), names);
  EXPECT_EQ(request->key_algorithm(), GetParam());
  EXPECT_EQ(request->public_key(), public_octets(h.leaf_key).value());
  EXPECT_EQ(request->der(), *der);
}

TEST_P(X509Test, RequestWithAlteredSignatureIsDenied) {
  Bytes der = make_request(h.leaf_key, names_of("kms-a")).value();
  der.back() ^= 0x01;
  const auto altered = CertificateRequest::parse(der);
  ASSERT_FALSE(altered);
  EXPECT_EQ(altered.error().code, ErrorCode::denied);
}

TEST_P(X509Test, RefusesRequestWithAnyOctetAltered) {
  const Bytes der = make_request(h.leaf_key, h.leaf_template().names).value();
  const std::size_t step = der.size() > 2000 ? 11 : 1;
  for (std::size_t at = 0; at < der.size(); at += step) {
    Bytes altered = der;
    altered[at] ^= 0x01;
    EXPECT_FALSE(CertificateRequest::parse(altered)) << "octet " << at;
  }
  Bytes longer = der;
  longer.push_back(0);
  expect_invalid(CertificateRequest::parse(longer), "behind its end");
}

TEST_P(X509Test, IssueRefusesForeignKeyAndNonCa) {
  const CertificateTemplate wanted = h.leaf_template();
  expect_invalid(issue(wanted, &h.issuing, h.root_key), "not the one of the issuer");
  expect_invalid(issue(wanted, &h.leaf, h.leaf_key), "is not a CA");
  expect_invalid(issue(wanted, nullptr, h.leaf_key), "only a root");
  expect_invalid(issue(make_template(CertificateUse::root_ca, names_of("r"), h.root_key, 1), nullptr, h.issuing_key), "not the one");
}

TEST_P(X509Test, KeysOfWrongLengthOrRangeAreRefused) {
  PrivateKey key = make_key(GetParam(), 1);
  key.secret = Secret(key.secret.size() - 1);
  expect_invalid(public_octets(key), "octets where");
  if (GetParam() == KeyAlgorithm::sm2 || GetParam() == KeyAlgorithm::ecdsa_p384) {
    key.secret = Secret(GetParam() == KeyAlgorithm::sm2 ? 32 : 48);
    expect_invalid(public_octets(key), "out of range");
    for (auto& octet : key.secret.writable()) octet = 0xff;
    expect_invalid(public_octets(key), "out of range");
  }
}

TEST_P(X509Test, IssueRefusesPublicKeyThatIsNone) {
  CertificateTemplate wanted = h.leaf_template();
  wanted.public_key.pop_back();
  expect_invalid(issue(wanted, &h.issuing, h.issuing_key), "public key");
  if (GetParam() == KeyAlgorithm::sm2 || GetParam() == KeyAlgorithm::ecdsa_p384) {
    wanted = h.leaf_template();
    wanted.public_key.back() ^= 1;  // no longer on the curve
    expect_invalid(issue(wanted, &h.issuing, h.issuing_key), "key");
  }
}

TEST_P(X509Test, OpensslProgramReadsTheSameCertificate) {
  const TemporaryFolder folder;
  const auto text = run_openssl("x509 -noout -text -in " + folder.file(h.leaf, "leaf.pem"));
  EXPECT_EQ(text.status, 0) << text.output;
  for (const char* part :
       {"URI:qanat://city-a/kms/kms-a", "URI:tel:+8613800138000", "DNS:localhost", "X509v3 Key Usage: critical\n                Digital Signature\n"}) {
    EXPECT_NE(text.output.find(part), std::string::npos) << part << "\n" << text.output;
  }
  const bool post_quantum = GetParam() == KeyAlgorithm::ml_dsa_65 || GetParam() == KeyAlgorithm::ml_dsa_87;
  EXPECT_EQ(text.output.find("TLS Web Server Authentication, TLS Web Client Authentication") != std::string::npos, post_quantum) << text.output;
  const auto ca = run_openssl("x509 -noout -text -in " + folder.file(h.issuing, "issuing.pem"));
  EXPECT_NE(ca.output.find("X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0"), std::string::npos) << ca.output;
  EXPECT_NE(ca.output.find("X509v3 Key Usage: critical\n                Digital Signature, Certificate Sign, CRL Sign"), std::string::npos) << ca.output;
}

TEST_P(X509Test, OpensslProgramVerifiesTheSameChain) {
  const TemporaryFolder folder;
  const std::string root = folder.file(h.root, "root.pem");
  const std::string issuing = folder.file(h.issuing, "issuing.pem");
  const std::string leaf = folder.file(h.leaf, "leaf.pem");
  const std::string at = " -x509_strict -attime " + std::to_string(now / 1000) + " ";
  if (GetParam() == KeyAlgorithm::sm2) {
    // The program gives the identity to the certificate named on its command line alone, so each link is verified for itself.
    const std::string identity = at + "-vfyopt distid:1234567812345678 ";
    const auto upper = run_openssl("verify" + identity + "-CAfile " + root + " " + issuing);
    EXPECT_EQ(upper.status, 0) << upper.output;
    const auto lower = run_openssl("verify" + identity + "-partial_chain -trusted " + issuing + " " + leaf);
    EXPECT_EQ(lower.status, 0) << lower.output;
    const auto without = run_openssl("verify" + at + "-partial_chain -trusted " + issuing + " " + leaf);
    EXPECT_NE(without.status, 0) << "an empty identity must not do";
    return;
  }
  const auto verified = run_openssl("verify" + at + "-CAfile " + root + " -untrusted " + issuing + " " + leaf);
  EXPECT_EQ(verified.status, 0) << verified.output;
}

TEST_P(X509Test, OpensslProgramAcceptsTheRequest) {
  const TemporaryFolder folder;
  const std::string file = folder.file("request.der", make_request(h.leaf_key, h.leaf_template().names).value());
  const std::string identity = GetParam() == KeyAlgorithm::sm2 ? " -vfyopt distid:1234567812345678" : "";
  const auto verified = run_openssl("req -verify -noout -text -inform DER -in " + file + identity);
  EXPECT_EQ(verified.status, 0) << verified.output;
  EXPECT_NE(verified.output.find("self-signature verify OK"), std::string::npos) << verified.output;
  EXPECT_NE(verified.output.find("URI:qanat://city-a/kms/kms-a"), std::string::npos) << verified.output;
}

TEST_P(X509Test, CertificateIsSharedBetweenThreads) {
  const TrustStore store = h.store();
  std::vector<std::thread> threads;
  std::atomic<int> held = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5; ++round) held += store.verify(h.leaf, now) && store.issuer_of(h.leaf) != nullptr ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(held, 20);
}

TEST(X509MixedTest, ClassicalLeafUnderMlDsaCa) {
  const Hierarchy h(KeyAlgorithm::ml_dsa_65);
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::sm2, KeyAlgorithm::ecdsa_p384}) {
    const PrivateKey key = make_key(algorithm, 30);
    const auto leaf = issue(make_template(CertificateUse::tls_and_signing, names_of("mixed"), key, 6), &h.issuing, h.issuing_key);
    ASSERT_TRUE(leaf) << leaf.error().message;
    const auto result = h.store().verify(*leaf, now);
    EXPECT_TRUE(result) << result.error().message;
  }
}

TEST(X509Sm2Test, SignatureMadeWithTheEmptyIdentityIsRefused) {
  const Hierarchy h(KeyAlgorithm::sm2);
  const X509Certificate copy(X509_dup(native(h.leaf)));
  const auto key = to_openssl(h.issuing_key);
  ASSERT_TRUE(key);
  ASSERT_GT(X509_sign(copy.get(), key->get(), EVP_sm3()), 0);  // OpenSSL's default: no identity
  const auto cert = Certificate::parse(to_der<i2d_X509>(copy.get()));
  ASSERT_TRUE(cert) << cert.error().message;
  expect_denied(h.store().verify(*cert, now), "signature that does not hold");
  EXPECT_EQ(h.store().issuer_of(*cert), nullptr);
}

TEST(X509FormTest, TimesTurnToGeneralizedTimeIn2050) {
  const Hierarchy h(KeyAlgorithm::ecdsa_p384);
  CertificateTemplate wanted = h.leaf_template();
  wanted.not_before = 2524607999'000;  // 2049-12-31T23:59:59Z
  wanted.not_after = 2524608000'000;   // 2050-01-01T00:00:00Z
  const auto cert = issue(wanted, &h.issuing, h.issuing_key);
  ASSERT_TRUE(cert);
  EXPECT_EQ(cert->not_before(), wanted.not_before);
  EXPECT_EQ(cert->not_after(), wanted.not_after);
  EXPECT_EQ(ASN1_STRING_type(X509_get0_notBefore(native(*cert))), V_ASN1_UTCTIME);
  EXPECT_EQ(ASN1_STRING_type(X509_get0_notAfter(native(*cert))), V_ASN1_GENERALIZEDTIME);
}

TEST(X509FormTest, IssueRefusesBadSerialTimesAndNames) {
  const Hierarchy h(KeyAlgorithm::ecdsa_p384);
  const auto refused = [&](auto alter) {
    CertificateTemplate wanted = h.leaf_template();
    alter(wanted);
    expect_invalid(issue(wanted, &h.issuing, h.issuing_key));
  };
  refused([](CertificateTemplate& t) { t.serial.pop_back(); });
  refused([](CertificateTemplate& t) { t.serial.front() = 0x80; });
  refused([](CertificateTemplate& t) { t.serial.assign(16, 0); });
  refused([](CertificateTemplate& t) { t.not_after = t.not_before; });
  refused([](CertificateTemplate& t) { t.not_after = 253402300800'000; });
  refused([](CertificateTemplate& t) { t.names.common_name.clear(); });
  refused([](CertificateTemplate& t) { t.names.common_name.assign(65, 'a'); });
  refused([](CertificateTemplate& t) { t.names.common_name = "a\nb"; });
  refused([](CertificateTemplate& t) { t.names.common_name = "\xff\xfe"; });
  refused([](CertificateTemplate& t) { t.names.number = Number("123"); });
  refused([](CertificateTemplate& t) { t.names.number = Number("+1 23"); });
  refused([](CertificateTemplate& t) { t.names.home_kms = ElementName("kms;a"); });
  refused([](CertificateTemplate& t) {
    t.names.number.reset();
    t.names.home_kms = ElementName("kms-a");
  });
  refused([](CertificateTemplate& t) { t.names.element->name = "a/b"; });
  refused([](CertificateTemplate& t) { t.names.dns = {"-bad.example"}; });
  refused([](CertificateTemplate& t) { t.names.dns = {std::string("a\0b", 3)}; });
  refused([](CertificateTemplate& t) { t.names.dns.assign(17, "a.example"); });
}

TEST(X509FormTest, TheHomeKmsIsAParameterOfTheNumber) {
  const Hierarchy h(KeyAlgorithm::ml_dsa_65);
  CertificateTemplate wanted = h.leaf_template();
  wanted.names.home_kms = ElementName("kms-a");
  const auto cert = issue(wanted, &h.issuing, h.issuing_key);
  ASSERT_TRUE(cert) << cert.error().message;
  EXPECT_EQ(cert->names(), wanted.names);
  EXPECT_EQ(tel_uri(cert->names()), "tel:+8613800138000;kms=kms-a");
  const TemporaryFolder folder;
  EXPECT_NE(run_openssl("x509 -noout -text -in " + folder.file(*cert, "leaf.pem")).output.find("URI:tel:+8613800138000;kms=kms-a"), std::string::npos);
  const auto request = CertificateRequest::parse(make_request(h.leaf_key, wanted.names).value());
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->names(), wanted.names);
}

TEST(X509FormTest, FingerprintsAreThoseOfTheDer) {
  const Hierarchy h(KeyAlgorithm::sm2);
  const TemporaryFolder folder;
  const std::string file = folder.file("leaf.der", h.leaf.der());
  const std::pair<Hash, const char*> hashes[] = {{Hash::sm3, "-sm3"}, {Hash::sha256, "-sha256"}, {Hash::sha384, "-sha384"}};
  for (const auto& [hash, option] : hashes) {
    const auto digest = run_openssl(std::string("dgst -r ") + option + " " + file);
    EXPECT_EQ(digest.output.substr(0, digest.output.find(' ')), to_hex(h.leaf.fingerprint(hash)));
  }
}

TEST(X509FormTest, PemRefusesOtherBlocksAndNothing) {
  const Hierarchy h(KeyAlgorithm::ecdsa_p384);
  expect_invalid(Certificate::parse_pem_chain(""));
  expect_invalid(Certificate::parse_pem_chain("no certificate here\n"), "no certificate");
  expect_invalid(Certificate::parse_pem_chain(h.leaf.pem() + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "other than certificates");
  expect_invalid(Certificate::parse_pem_chain("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"));
  std::string many;
  for (int i = 0; i < 17; ++i) many += h.leaf.pem();
  expect_invalid(Certificate::parse_pem_chain(many), "more than 16");
}

TEST(X509FormTest, RefusesKeysAndNamesOutsideTheProfile) {
  const TemporaryFolder folder;
  const auto made = [&](const std::string& key, const std::string& further) {
    const std::string out = folder.file("made.pem", {});
    const auto run = run_openssl("req -x509 -nodes -keyout /dev/null -out " + out + " -days 30 -subj /CN=x -newkey " + key + " " + further);
    EXPECT_EQ(run.status, 0) << run.output;
    std::ifstream in(out);
    return Certificate::parse_pem_chain(std::string(std::istreambuf_iterator<char>(in), {}));
  };
  const std::string p384 = "ec -pkeyopt ec_paramgen_curve:P-384 -sha384 ";
  EXPECT_TRUE(made(p384, ""));
  expect_invalid(made("rsa:2048", ""), "algorithm");
  expect_invalid(made("ec -pkeyopt ec_paramgen_curve:P-256 -sha384", ""), "neither SM2");
  expect_invalid(made("ec -pkeyopt ec_paramgen_curve:P-384 -sha1", ""), "algorithm");
  expect_invalid(made("ML-DSA-44", ""), "algorithm");
  expect_invalid(made(p384, "-addext subjectAltName=IP:10.0.0.1"), "neither URI nor DNS");
  expect_invalid(made(p384, "-addext subjectAltName=URI:https://example.org/"), "neither a qanat nor a tel");
  expect_invalid(made(p384, "-addext subjectAltName=URI:qanat://a/kms/x,URI:qanat://a/kms/y"), "more than one qanat");
  expect_invalid(made(p384, "-addext subjectAltName=URI:tel:+123,URI:tel:+456"), "more than one tel");
  expect_invalid(made(p384, "-addext subjectAltName=URI:qanat://a/nokind/x"), "is not qanat://");
  expect_invalid(made(p384, "-addext subjectAltName=URI:tel:123"), "is not tel:");
  expect_invalid(made(p384, "-subj /CN=x/CN=y"), "more than one common name");
}

TEST(X509FormTest, TlsErrorQueueStaysAsItWas) {
  const Hierarchy h(KeyAlgorithm::ecdsa_p384);
  ERR_clear_error();
  EXPECT_FALSE(Certificate::parse(Bytes(100, 0x30)));
  EXPECT_FALSE(TrustStore({}, {}).verify(h.leaf, now));
  EXPECT_FALSE(CertificateRequest::parse(Bytes(100, 0x30)));
  EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(X509KeyTest, NamesAndSuites) {
  EXPECT_EQ(name(KeyAlgorithm::sm2), "SM2");
  EXPECT_EQ(name(KeyAlgorithm::ml_dsa_87), "ML-DSA-87");
  EXPECT_EQ(classical_key(suite(SuiteId::gm_hybrid)), KeyAlgorithm::sm2);
  EXPECT_EQ(classical_key(suite(SuiteId::intl_hybrid)), KeyAlgorithm::ecdsa_p384);
  EXPECT_EQ(ml_dsa_key(suite(SuiteId::gm_hybrid)), KeyAlgorithm::ml_dsa_65);
  EXPECT_EQ(ml_dsa_key(suite(SuiteId::intl_hybrid)), KeyAlgorithm::ml_dsa_87);
}

TEST(X509KeyTest, PublicHalvesAreThoseOfTheHybridSigner) {
  // One secret, two libraries: what a Signer signs with must be what the certificate names.
  for (const Suite& row : all_suites()) {
    const PrivateKey classical = make_key(classical_key(row), 5);
    const PrivateKey ml_dsa = make_key(ml_dsa_key(row), 6);
    const auto signer = Signer::from_secret(row, {.scalar = classical.secret.duplicate(), .ml_dsa_seed = ml_dsa.secret.duplicate()});
    ASSERT_TRUE(signer) << signer.error().message;
    EXPECT_EQ(signer->verifying_key().point, public_octets(classical).value());
    EXPECT_EQ(signer->verifying_key().ml_dsa, public_octets(ml_dsa).value());
  }
}

}  // namespace
}  // namespace qanat::crypto
