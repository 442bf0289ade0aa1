// The four certificates of a terminal: what each may be used for, how they name each other, and who else reads them so.
#include "crypto/certificate_bundle.hpp"

#include "botan_peer.hpp"
#include "crypto/kdf.hpp"
#include "crypto/random.hpp"
#include "x509_hierarchy.hpp"

namespace qanat::crypto {
namespace {

using namespace testing;  // x509_hierarchy.hpp

/// RFC 9763 §4: extension id-pe-relatedCert over SHA-256, as the openssl program prints what it does not know.
constexpr const char* related_oid = "1.3.6.1.5.5.7.1.36";

struct Wanted {
  BundleRole role{};
  KeyAlgorithm algorithm{};
  Bytes key;
  Bytes related;
  std::string common_name = "alice";
};

class CertificateBundleTest : public ::testing::TestWithParam<SuiteId> {
 protected:
  [[nodiscard]] const Hierarchy& above(BundleRole role) const {
    return role == BundleRole::ml_dsa_signing || role == BundleRole::ml_kem_encryption ? ml_dsa : classical;
  }
  Result<Certificate> certify(const Wanted& wanted) const {
    const SubjectNames names{.common_name = wanted.common_name,
                             .element = Identity::parse_uri("qanat://a/app1/" + wanted.common_name).value(),
                             .number = Number("+8613800000001"),
                             .dns = {}};
    const Hierarchy& ca = above(wanted.role);
    return issue({.use = use_of(wanted.role) == LeafUse::signing ? CertificateUse::tls_and_signing : CertificateUse::encryption,
                  .names = names,
                  .key_algorithm = wanted.algorithm,
                  .public_key = wanted.key,
                  .serial = make_serial(static_cast<std::uint8_t>(20 + static_cast<int>(wanted.role))),
                  .not_before = start,
                  .not_after = start + 90 * day_ms,
                  .pointers = {},
                  .related = wanted.related},
                 &ca.issuing, ca.issuing_key);
  }
  /// `differ` changes what a role's certificate is made from.
  CertificateBundle bundle(const std::function<void(Wanted&)>& differ = [](Wanted&) {}) const {
    const auto make = [&](BundleRole role, Bytes key, Bytes related) {
      Wanted wanted{.role = role, .algorithm = key_of(suite_, role), .key = std::move(key), .related = std::move(related)};
      differ(wanted);
      return certify(wanted).value();
    };
    CertificateBundle out;
    out.classical_signing = make(BundleRole::classical_signing, public_octets(make_key(classical_key(suite_), 50)).value(), {});
    out.ml_dsa_signing =
        make(BundleRole::ml_dsa_signing, public_octets(make_key(ml_dsa_key(suite_), 51)).value(), out.classical_signing.fingerprint(Hash::sha256));
    out.classical_encryption = make(BundleRole::classical_encryption, pair_.encapsulation_key().point, out.ml_dsa_signing.fingerprint(Hash::sha256));
    out.ml_kem_encryption = make(BundleRole::ml_kem_encryption, pair_.encapsulation_key().ml_kem, out.ml_dsa_signing.fingerprint(Hash::sha256));
    return out;
  }
  [[nodiscard]] TrustStore trust() const { return TrustStore({classical.root, ml_dsa.root}, {classical.issuing, ml_dsa.issuing}); }

  const Suite& suite_ = suite(GetParam());
  const Hierarchy classical{classical_key(suite_), 1, "Qanat classical"};
  const Hierarchy ml_dsa{ml_dsa_key(suite_), 4, "Qanat ML-DSA"};
  const std::unique_ptr<Rng> rng_ = open_rng().value();
  const Decapsulator pair_ = Decapsulator::generate(suite_, *rng_).value();
};
INSTANTIATE_TEST_SUITE_P(Suites, CertificateBundleTest, ::testing::Values(SuiteId::gm_hybrid, SuiteId::intl_hybrid),
                         [](const auto& info) { return info.param == SuiteId::gm_hybrid ? "Gm" : "Intl"; });

TEST_P(CertificateBundleTest, FourCertificatesThatNameEachOtherAreOneBundle) {
  const CertificateBundle made = bundle();
  const auto sound = check_bundle(suite_, made);
  EXPECT_TRUE(sound) << sound.error().message;
  EXPECT_EQ(made.encryption_key(), pair_.encapsulation_key());
  EXPECT_EQ(made.id(), digest(Hash::sha256, made.classical_signing.der()));
  const auto read = parse_bundle({made.classical_signing.der(), made.ml_dsa_signing.der(), made.classical_encryption.der(), made.ml_kem_encryption.der()});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(check_bundle(suite_, *read));
  EXPECT_EQ(read->id(), made.id());
  for (const BundleRole role : all_bundle_roles) {
    const auto held = trust().verify(made.of(role), now, use_of(role));
    EXPECT_TRUE(held) << name(role) << ": " << held.error().message;
    EXPECT_EQ(parse_bundle_role(name(role)).value(), role);
  }
  EXPECT_EQ(parse_bundle_role("ml-dsa").error().code, ErrorCode::invalid_argument);
}

TEST_P(CertificateBundleTest, ACertificateForOneUseIsNoneForTheOther) {
  const CertificateBundle made = bundle();
  for (const BundleRole role : all_bundle_roles) {
    const LeafUse other = use_of(role) == LeafUse::signing ? LeafUse::encryption : LeafUse::signing;
    const auto refused = trust().verify(made.of(role), now, other);
    ASSERT_FALSE(refused) << name(role);
    EXPECT_EQ(refused.error().code, ErrorCode::denied);
    EXPECT_NE(refused.error().message.find("keyUsage"), std::string::npos) << refused.error().message;
  }
}

TEST_P(CertificateBundleTest, EveryLinkIsChecked) {
  const CertificateBundle good = bundle();
  const auto refused = [&](const std::function<void(CertificateBundle&)>& change) {
    CertificateBundle changed = good;
    change(changed);
    const auto held = check_bundle(suite_, changed);
    return !held && held.error().code == ErrorCode::denied;
  };
  // A second bundle of the same terminal, over the same keys: SM2 and ECDSA signatures are drawn, so that its certificates differ.
  const CertificateBundle other = bundle();
  ASSERT_NE(other.classical_signing.der(), good.classical_signing.der());
  for (const auto one : {&CertificateBundle::classical_signing, &CertificateBundle::ml_dsa_signing, &CertificateBundle::classical_encryption,
                         &CertificateBundle::ml_kem_encryption}) {
    EXPECT_TRUE(refused([&](CertificateBundle& changed) { changed.*one = other.*one; })) << name((good.*one).key_algorithm());
  }
  EXPECT_TRUE(refused([&](CertificateBundle& changed) { std::swap(changed.classical_signing, changed.classical_encryption); }));
  EXPECT_TRUE(refused([&](CertificateBundle& changed) { changed = bundle([](Wanted& wanted) { wanted.related.clear(); }); })) << "names nobody";
  EXPECT_TRUE(refused([&](CertificateBundle& changed) {
    changed = bundle([](Wanted& wanted) {
      if (wanted.role == BundleRole::ml_kem_encryption) wanted.common_name = "mallory";
    });
  })) << "another holder";
  EXPECT_TRUE(refused([&](CertificateBundle& changed) {
    changed = bundle([&](Wanted& wanted) {
      if (wanted.role == BundleRole::classical_encryption) wanted.key = public_octets(make_key(classical_key(suite_), 50)).value();
    });
  })) << "one key to sign and to encrypt";
  EXPECT_TRUE(refused([&](CertificateBundle& changed) {
    changed = bundle([&](Wanted& wanted) {
      if (wanted.role != BundleRole::ml_kem_encryption) return;
      wanted.algorithm = classical_key(suite_);
      wanted.key = Decapsulator::generate(suite_, *rng_).value().encapsulation_key().point;
    });
  })) << "no ML-KEM key among the four";
}

TEST_P(CertificateBundleTest, KeysAreTakenOnlyForWhatTheyCanDo) {
  const Bytes ml_dsa_key_octets = public_octets(make_key(ml_dsa_key(suite_), 51)).value();
  const auto code = [](const Result<Certificate>& made) { return made ? ErrorCode{} : made.error().code; };
  EXPECT_EQ(code(certify({.role = BundleRole::ml_kem_encryption, .algorithm = ml_dsa_key(suite_), .key = ml_dsa_key_octets, .related = {}})),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code(certify({.role = BundleRole::ml_dsa_signing, .algorithm = ml_kem_key(suite_), .key = pair_.encapsulation_key().ml_kem, .related = {}})),
            ErrorCode::invalid_argument);
  EXPECT_EQ(
      code(certify({.role = BundleRole::ml_kem_encryption, .algorithm = ml_kem_key(suite_), .key = pair_.encapsulation_key().ml_kem, .related = Bytes(31)})),
      ErrorCode::invalid_argument);
  EXPECT_EQ(public_octets({.algorithm = ml_kem_key(suite_), .secret = Secret(64)}).error().code, ErrorCode::invalid_argument) << "signs nothing";
}

TEST_P(CertificateBundleTest, PublicKeysAreCheckedBeforeTheyAreCertified) {
  const EncapsulationKey& key = pair_.encapsulation_key();
  EXPECT_TRUE(check_public_key(ml_kem_key(suite_), key.ml_kem));
  EXPECT_TRUE(check_public_key(classical_key(suite_), key.point));
  Bytes point = key.point;
  point.back() ^= 1;
  EXPECT_FALSE(check_public_key(classical_key(suite_), point)) << "off the curve";
  Bytes unreduced = key.ml_kem;
  unreduced[0] = unreduced[1] = 0xff;  // a coefficient of 4095, over q
  EXPECT_FALSE(check_public_key(ml_kem_key(suite_), unreduced)) << "FIPS 203 §7.2";
  EXPECT_FALSE(check_public_key(ml_kem_key(suite_), ByteView(key.ml_kem).first(key.ml_kem.size() - 1)));
}

TEST_P(CertificateBundleTest, OpensslProgramReadsUsagesAndLinks) {
  const TemporaryFolder folder;
  const CertificateBundle made = bundle();
  const auto text_of = [&](BundleRole role) {
    const auto text = run_openssl("x509 -noout -text -in " + folder.file(made.of(role), std::string(name(role)) + ".pem"));
    EXPECT_EQ(text.status, 0) << text.output;
    return text.output;
  };
  EXPECT_NE(text_of(BundleRole::ml_kem_encryption).find("X509v3 Key Usage: critical\n                Key Encipherment\n"), std::string::npos);
  // RFC 8813 §3 forbids encipherment to a key on P-384.
  const std::string classical_usage = suite_.curve == Curve::sm2p256v1 ? "Key Encipherment, Data Encipherment, Key Agreement" : "Key Agreement";
  EXPECT_NE(text_of(BundleRole::classical_encryption).find("X509v3 Key Usage: critical\n                " + classical_usage + "\n"), std::string::npos);
  EXPECT_NE(text_of(BundleRole::ml_kem_encryption).find(std::string(name(ml_kem_key(suite_)))), std::string::npos);
  EXPECT_EQ(text_of(BundleRole::classical_signing).find(related_oid), std::string::npos);
  for (const BundleRole role : {BundleRole::ml_dsa_signing, BundleRole::classical_encryption, BundleRole::ml_kem_encryption}) {
    const std::string text = text_of(role);
    EXPECT_NE(text.find(related_oid), std::string::npos) << text;
    EXPECT_EQ(text.find(std::string(related_oid) + ": critical"), std::string::npos) << "RFC 9763 §4: for those who know it";
    // What it says, by the program's own reading of the DER.
    const auto parsed = run_openssl("asn1parse -in " + folder.file(made.of(role), "again.pem"));
    const Certificate& named = role == BundleRole::ml_dsa_signing ? made.classical_signing : made.ml_dsa_signing;
    std::string digest_text = to_hex(named.fingerprint(Hash::sha256));
    std::ranges::transform(digest_text, digest_text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    EXPECT_NE(parsed.output.find("302F300B0609608648016503040201"
                                 "0420" +
                                 digest_text),
              std::string::npos)
        << parsed.output;
  }
}

TEST_P(CertificateBundleTest, OpensslProgramVerifiesTheChains) {
  const TemporaryFolder folder;
  const CertificateBundle made = bundle();
  const std::string at = " -x509_strict -attime " + std::to_string(now / 1000) + " ";
  for (const BundleRole role : all_bundle_roles) {
    const Hierarchy& ca = above(role);
    const std::string root = folder.file(ca.root, "root.pem");
    const std::string issuing = folder.file(ca.issuing, "issuing.pem");
    const std::string leaf = folder.file(made.of(role), "leaf.pem");
    const bool sm2 = ca.issuing.key_algorithm() == KeyAlgorithm::sm2;
    // The program gives the identity of SM2 to the certificate named on its command line alone, so each link is verified for itself.
    const std::string identity = sm2 ? "-vfyopt distid:1234567812345678 " : "";
    const auto upper = run_openssl("verify" + at + identity + "-CAfile " + root + " " + issuing);
    EXPECT_EQ(upper.status, 0) << name(role) << upper.output;
    const auto lower = run_openssl("verify" + at + identity + "-partial_chain -trusted " + issuing + " " + leaf);
    EXPECT_EQ(lower.status, 0) << name(role) << lower.output;
    if (!sm2) continue;
    EXPECT_NE(run_openssl("verify" + at + "-partial_chain -trusted " + issuing + " " + leaf).status, 0) << name(role) << ": an empty identity must not do";
  }
}

TEST_P(CertificateBundleTest, BotanVerifiesTheMlDsaChain) {
  const CertificateBundle made = bundle();
  EXPECT_TRUE(botan_verifies(ml_dsa.root.der(), ml_dsa.root));
  EXPECT_TRUE(botan_verifies(ml_dsa.issuing.der(), ml_dsa.root));
  EXPECT_TRUE(botan_verifies(made.ml_dsa_signing.der(), ml_dsa.issuing));
  EXPECT_TRUE(botan_verifies(made.ml_kem_encryption.der(), ml_dsa.issuing));
  EXPECT_FALSE(botan_verifies(made.ml_dsa_signing.der(), ml_dsa.root));
}

/// A certificate made by hand: `value` under the extension's OID.
Result<Certificate> with_related_extension(const std::string& value) {
  const TemporaryFolder folder;
  const auto key = folder.file("key.pem", ByteView());
  EXPECT_EQ(run_openssl("genpkey -algorithm ML-DSA-65 -out " + key).status, 0);
  const auto made =
      run_openssl("req -x509 -new -subj /CN=hand -days 1 -key " + key + " -addext " + related_oid + "=" + value + " -outform DER -out " + key + ".der");
  EXPECT_EQ(made.status, 0) << made.output;
  std::ifstream in(key + ".der", std::ios::binary);
  const std::string der(std::istreambuf_iterator<char>(in), {});
  return Certificate::parse(as_bytes(der));
}

TEST(RelatedCertificateTest, WhatTheExtensionHoldsIsReadStrictly) {
  const std::string digest = std::string("AA") + std::string(62, '0');
  const auto good = with_related_extension("DER:302F300B06096086480165030402010420" + digest);
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(to_hex(good->related()), "aa" + std::string(62, '0'));
  for (const std::string& value : {"DER:302E300B0609608648016503040201041F" + digest.substr(2),  // 31 octets
                                   "DER:302F300B06096086480165030402020420" + digest,            // another digest's OID
                                   "critical,DER:302F300B06096086480165030402010420" + digest, "DER:0500" + std::string()}) {
    const auto refused = with_related_extension(value);
    ASSERT_FALSE(refused) << value;
    EXPECT_NE(refused.error().message.find("relatedCertificate"), std::string::npos) << refused.error().message;
  }
}

}  // namespace
}  // namespace qanat::crypto
