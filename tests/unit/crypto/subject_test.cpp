// Keys, requests and certificates of foreign software: made by the openssl program, read and certified by ours, and checked by the program again.
#include "crypto/subject.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "crypto/kdf.hpp"
#include "x509_hierarchy.hpp"

namespace qanat::crypto {
namespace {

using namespace testing;  // x509_hierarchy.hpp

struct Kind {
  SubjectAlgorithm algorithm;
  const char* genpkey;
};
constexpr Kind signing_kinds[] = {
    {SubjectAlgorithm::rsa, "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"},
    {SubjectAlgorithm::ecdsa_p256, "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"},
    {SubjectAlgorithm::ecdsa_p384, "-algorithm EC -pkeyopt ec_paramgen_curve:P-384"},
    {SubjectAlgorithm::sm2, "-algorithm SM2"},
    {SubjectAlgorithm::ml_dsa_44, "-algorithm ML-DSA-44"},
    {SubjectAlgorithm::ml_dsa_65, "-algorithm ML-DSA-65"},
    {SubjectAlgorithm::ml_dsa_87, "-algorithm ML-DSA-87"},
};
constexpr Kind encryption_kinds[] = {{SubjectAlgorithm::ml_kem_768, "-algorithm ML-KEM-768"}, {SubjectAlgorithm::ml_kem_1024, "-algorithm ML-KEM-1024"}};

/// The openssl program with a folder of its own.
class Program {
 public:
  Program() { static_cast<void>(folder_.file("ca.cnf", as_bytes("[req]\ndistinguished_name=dn\nstring_mask=utf8only\n[dn]\n"))); }
  [[nodiscard]] std::string path(const std::string& name) const { return std::filesystem::path(folder_.file("here", {})).parent_path() / name; }
  [[nodiscard]] std::string write(const std::string& name, ByteView octets) const { return folder_.file(name, octets); }

  std::string run(const std::string& arguments) const {
    const ProgramResult result = run_openssl(arguments);
    EXPECT_EQ(result.status, 0) << arguments << "\n" << result.output;
    return result.output;
  }
  [[nodiscard]] Bytes read(const std::string& name) const {
    std::ifstream in(path(name), std::ios::binary);
    std::stringstream out;
    out << in.rdbuf();
    return to_bytes(out.str());
  }
  void key(const std::string& genpkey) const { run("genpkey " + genpkey + " -out " + path("key")); }
  [[nodiscard]] Bytes public_key(const std::string& genpkey, const std::string& options = "") const {
    key(genpkey);
    run("pkey -in " + path("key") + " -pubout -outform DER -out " + path("public") + options);
    return read("public");
  }
  /// A request by the key at hand. `section` goes to the end of [req] of the configuration.
  [[nodiscard]] Bytes request(const std::string& options, const std::string& section = "") const {
    const std::string configuration =
        write("req.cnf", as_bytes("[req]\nprompt=no\ndistinguished_name=dn\nstring_mask=utf8only\n" + section + "\n[dn]\nCN=box-7.example\nO=read over\n"));
    run("req -new -config " + configuration + " -key " + path("key") + " -outform DER -out " + path("request") + " " + options);
    return read("request");
  }

 private:
  TemporaryFolder folder_;
};

template <class T>
void expect_error(const Result<T>& result, ErrorCode code, std::string_view part) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
}

constexpr const char* with_names =
    "attributes=attributes\nreq_extensions=extensions\n[attributes]\nchallengePassword=\n[extensions]\n"
    "subjectAltName=DNS:box-7.example,DNS:*.example,URI:https://box-7.example/,email:ops@example.org,IP:192.0.2.7,IP:2001:db8::7\n";

class SubjectKindTest : public ::testing::TestWithParam<Kind> {
 protected:
  const Program openssl;
};
std::string kind_name(const ::testing::TestParamInfo<Kind>& info) {
  std::string out(name(info.param.algorithm));
  std::erase(out, '-');
  return out;
}
INSTANTIATE_TEST_SUITE_P(Signing, SubjectKindTest, ::testing::ValuesIn(signing_kinds), kind_name);

TEST_P(SubjectKindTest, RequestOfTheOpensslProgramIsReadWithNamesAndChallenge) {
  openssl.key(GetParam().genpkey);
  const Bytes der = openssl.request(
      "", std::string(with_names).replace(std::string_view(with_names).find("challengePassword="), 18, "challengePassword=r-0011223344556677:secret"));
  const auto request = SubjectRequest::parse(der);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->key().algorithm(), GetParam().algorithm);
  EXPECT_EQ(request->der(), der);
  const AskedNames wanted{.common_name = "box-7.example",
                          .dns = {"box-7.example", "*.example"},
                          .uris = {"https://box-7.example/"},
                          .mail = {"ops@example.org"},
                          .addresses = {"192.0.2.7", "2001:0db8:0000:0000:0000:0000:0000:0007"}};
  EXPECT_EQ(request->names(), wanted);
  ASSERT_NE(request->challenge(), nullptr);
  EXPECT_EQ(as_text(request->challenge()->reveal()), "r-0011223344556677:secret");
}

TEST_P(SubjectKindTest, RequestThatWasChangedAfterItsSignatureIsDenied) {
  openssl.key(GetParam().genpkey);
  Bytes der = openssl.request("");
  const std::string name = "box-7";
  const auto at = std::ranges::search(der, as_bytes(name));
  ASSERT_NE(at.begin(), der.end());
  *at.begin() = 'f';
  expect_error(SubjectRequest::parse(der), ErrorCode::denied, "signature does not hold");
  const auto unproved = SubjectRequest::parse_unproved(der);
  ASSERT_TRUE(unproved) << unproved.error().message;
  EXPECT_EQ(unproved->names().common_name, "fox-7.example");
  EXPECT_EQ(unproved->challenge(), nullptr);
}

TEST(SubjectRequestTest, Sm2RequestHoldsWithTheStandardIdAndWithTheEmptyOneAlone) {
  const Program openssl;
  openssl.key("-algorithm SM2");
  EXPECT_TRUE(SubjectRequest::parse(openssl.request("-sigopt distid:1234567812345678")));
  EXPECT_TRUE(SubjectRequest::parse(openssl.request("")));
  expect_error(SubjectRequest::parse(openssl.request("-sigopt distid:somebody")), ErrorCode::denied, "signature does not hold");
}

TEST(SubjectRequestTest, APemTextIsReadToo) {
  const Program openssl;
  openssl.key("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
  const Bytes der = openssl.request("");
  const std::string pem = openssl.run("req -inform DER -outform PEM -in " + openssl.path("request"));
  const auto request = SubjectRequest::parse_pem(pem);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->der(), der);
  expect_error(SubjectRequest::parse_pem("nothing"), ErrorCode::invalid_argument, "no certificate request");
  expect_error(SubjectRequest::parse_pem(std::string(65 * 1024, ' ') + pem), ErrorCode::invalid_argument, "over 65536");
}

TEST(SubjectRequestTest, Sha1IsDenied) {
  const Program openssl;
  openssl.key("-algorithm RSA -pkeyopt rsa_keygen_bits:2048");
  expect_error(SubjectRequest::parse(openssl.request("-sha1")), ErrorCode::denied, "not taken here");
  EXPECT_TRUE(SubjectRequest::parse(openssl.request("-sha512")));
}

TEST(SubjectRequestTest, NamesOfOtherKindsAreRefused) {
  const Program openssl;
  openssl.key("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
  const std::string begin = "req_extensions=extensions\n[extensions]\nsubjectAltName=";
  expect_error(SubjectRequest::parse(openssl.request("", begin + "otherName:1.2.3.4;UTF8:somebody\n")), ErrorCode::invalid_argument,
               "neither DNS name, URI, mail nor IP");
  expect_error(SubjectRequest::parse(openssl.request("", begin + "RID:1.2.3.4\n")), ErrorCode::invalid_argument, "neither DNS name, URI, mail nor IP");
}

TEST(SubjectRequestTest, ExtensionsThatCannotBeReadAreNotReadOver) {
  const Program openssl;
  openssl.key("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
  expect_error(SubjectRequest::parse(openssl.request("", "attributes=attributes\n[attributes]\nextReq=nothing\n")), ErrorCode::invalid_argument,
               "extensions that it asks for are malformed");
  EXPECT_TRUE(SubjectRequest::parse(openssl.request("", "attributes=attributes\n[attributes]\nunstructuredName=anything\n")));
}

TEST(SubjectRequestTest, AnElementsNameIsReadForTheDeskToRefuse) {
  const Program openssl;
  openssl.key("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
  const auto request = SubjectRequest::parse(openssl.request("", "req_extensions=extensions\n[extensions]\nsubjectAltName=URI:qanat://core/cas/cas\n"));
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->names().uris, std::vector<std::string>{"qanat://core/cas/cas"});
}

TEST(SubjectRequestTest, MoreThanSixtyFourNamesAreRefused) {
  const Program openssl;
  openssl.key("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
  std::string names = "req_extensions=extensions\n[extensions]\nsubjectAltName=@names\n[names]\n";
  for (int i = 0; i < 65; ++i) names += "DNS." + std::to_string(i) + "=h" + std::to_string(i) + ".example\n";
  expect_error(SubjectRequest::parse(openssl.request("", names)), ErrorCode::invalid_argument, "more than 64");
}

TEST(SubjectRequestTest, WhatIsNoRequestIsRefused) {
  const Program openssl;
  openssl.key("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
  Bytes der = openssl.request("");
  der.push_back(0);
  expect_error(SubjectRequest::parse(der), ErrorCode::invalid_argument, "behind its end");
  expect_error(SubjectRequest::parse({}), ErrorCode::invalid_argument, "0 octets");
  expect_error(SubjectRequest::parse(to_bytes("\x30\x03\x02\x01\x01")), ErrorCode::invalid_argument, "not DER");
}

TEST(SubjectPublicKeyTest, WeakAndUnknownKeysAreDenied) {
  const Program openssl;
  expect_error(SubjectPublicKey::parse(openssl.public_key("-algorithm RSA -pkeyopt rsa_keygen_bits:1024")), ErrorCode::denied, "1024 bits");
  expect_error(SubjectPublicKey::parse(openssl.public_key("-algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3")), ErrorCode::denied,
               "exponent");
  expect_error(SubjectPublicKey::parse(openssl.public_key("-algorithm EC -pkeyopt ec_paramgen_curve:P-521")), ErrorCode::denied, "neither RSA");
  expect_error(SubjectPublicKey::parse(openssl.public_key("-algorithm ED25519")), ErrorCode::denied, "neither RSA");
  expect_error(SubjectPublicKey::parse(openssl.public_key("-algorithm ML-KEM-512")), ErrorCode::denied, "neither RSA");
}

TEST(SubjectPublicKeyTest, OneKeyHasOneForm) {
  const Program openssl;
  expect_error(SubjectPublicKey::parse(openssl.public_key("-algorithm EC -pkeyopt ec_paramgen_curve:P-256", " -ec_conv_form compressed")),
               ErrorCode::invalid_argument, "uncompressed");
  expect_error(SubjectPublicKey::parse(openssl.public_key("-algorithm EC -pkeyopt ec_paramgen_curve:P-256", " -ec_param_enc explicit")), ErrorCode::denied,
               "neither RSA");
  Bytes der = openssl.public_key("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
  der.back() ^= 1;  // off the curve
  EXPECT_FALSE(SubjectPublicKey::parse(der));
}

TEST(SubjectPublicKeyTest, ParametersOfMlDsaMustBeAbsent) {
  const Program openssl;
  Bytes der = openssl.public_key("-algorithm ML-DSA-65");
  ASSERT_TRUE(SubjectPublicKey::parse(der));
  // SEQUENCE { SEQUENCE { OID }, … }: a NULL behind the OID, lengths as they must be.
  ASSERT_EQ(to_hex(ByteView(der).subspan(4, 13)), "300b0609608648016503040312");
  der[5] = 0x0d;
  der.insert(der.begin() + 17, {0x05, 0x00});
  const std::size_t length = (static_cast<std::size_t>(der[2]) << 8) + der[3] + 2;
  der[2] = static_cast<std::uint8_t>(length >> 8);
  der[3] = static_cast<std::uint8_t>(length);
  EXPECT_FALSE(SubjectPublicKey::parse(der));
}

TEST(SubjectPublicKeyTest, AnEncapsulationKeyOutOfRangeIsRefused) {
  const Program openssl;
  Bytes der = openssl.public_key("-algorithm ML-KEM-768");
  ASSERT_EQ(der.size(), 22U + 1184U);
  std::fill_n(der.begin() + 22, 3, std::uint8_t{0xff});  // two coefficients of 4095, where those under 3329 are (FIPS 203 §7.2)
  EXPECT_FALSE(SubjectPublicKey::parse(der));
}

TEST(SubjectPublicKeyTest, RsaWithSmallFactorsIsDenied) {
  const Program openssl;
  const auto key_with = [&](const std::string& modulus) {
    const std::string configuration =
        "asn1=SEQUENCE:info\n[info]\nalgorithm=SEQUENCE:algorithm\nkey=BITWRAP,SEQUENCE:key\n[algorithm]\nid=OID:rsaEncryption\n"
        "parameters=NULL\n[key]\nn=INTEGER:0x" +
        modulus + "\ne=INTEGER:0x10001\n";
    openssl.run("asn1parse -genconf " + openssl.write("rsa.cnf", as_bytes(configuration)) + " -noout -out " + openssl.path("public"));
    return SubjectPublicKey::parse(openssl.read("public"));
  };
  expect_error(key_with(std::string(512, 'f')), ErrorCode::denied, "small factor");        // 2^2048 - 1: by 3
  expect_error(key_with(std::string(511, 'f') + "e"), ErrorCode::denied, "small factor");  // even
}

// ---- issuing ----

SubjectTemplate template_for(const Bytes& key, KeyUsages usages) {
  return {.public_key_info = key,
          .names = {.common_name = "box-7", .dns = {"box-7.example"}, .uris = {}, .mail = {}, .addresses = {"192.0.2.7"}},
          .usages = usages,
          .extended = {ExtendedUsage::server_auth, ExtendedUsage::client_auth},
          .serial = make_serial(3),
          .not_before = start,
          .not_after = start + 30 * day_ms,
          .pointers = {.ocsp = "http://192.0.2.1/ocsp", .ca_issuers = "http://192.0.2.1/ca/devices.cer", .crl = "http://192.0.2.1/crl/devices.crl"}};
}

class IssueSubjectTest : public ::testing::TestWithParam<KeyAlgorithm> {
 protected:
  const Hierarchy h{GetParam()};
  const Program openssl;

  void certify(const Kind& kind, KeyUsages usages) {
    const Bytes key = openssl.public_key(kind.genpkey);
    const SubjectTemplate wanted = template_for(key, usages);
    const auto der = issue_subject(wanted, h.issuing, h.issuing_key);
    ASSERT_TRUE(der) << der.error().message;
    const auto certificate = SubjectCertificate::parse(*der);
    ASSERT_TRUE(certificate) << certificate.error().message;
    EXPECT_EQ(certificate->key().der(), key);
    EXPECT_EQ(certificate->key().algorithm(), kind.algorithm);
    EXPECT_EQ(certificate->names(), wanted.names);
    EXPECT_EQ(certificate->serial(), wanted.serial);
    EXPECT_EQ(certificate->not_before(), wanted.not_before);
    EXPECT_EQ(certificate->not_after(), wanted.not_after);
    EXPECT_EQ(certificate->usages(), wanted.usages);
    EXPECT_EQ(certificate->extended(), wanted.extended);
    EXPECT_FALSE(certificate->is_ca());
    EXPECT_TRUE(certificate->signed_by(h.issuing));
    EXPECT_FALSE(certificate->signed_by(h.root));
    if (GetParam() == KeyAlgorithm::sm2) return;  // `openssl verify` knows the empty distinguishing id alone on a chain
    openssl.run("verify -x509_strict -check_ss_sig -attime " + std::to_string(now / 1000) + " -CAfile " + openssl.write("root", as_bytes(h.root.pem())) +
                " -untrusted " + openssl.write("ca", as_bytes(h.issuing.pem())) + " " + openssl.write("leaf.der", *der));
  }
};
constexpr KeyAlgorithm issuers[] = {KeyAlgorithm::sm2, KeyAlgorithm::ecdsa_p384, KeyAlgorithm::ml_dsa_65};
INSTANTIATE_TEST_SUITE_P(Issuers, IssueSubjectTest, ::testing::ValuesIn(issuers), algorithm_name);

TEST_P(IssueSubjectTest, EveryKindOfKeyIsCertified) {
  for (const Kind& kind : signing_kinds) {
    SCOPED_TRACE(name(kind.algorithm));
    certify(kind, {KeyUsage::digital_signature});
  }
  for (const Kind& kind : encryption_kinds) {
    SCOPED_TRACE(name(kind.algorithm));
    certify(kind, {KeyUsage::key_encipherment});
  }
}

class IssueOneTest : public ::testing::Test {
 protected:
  const Hierarchy h{KeyAlgorithm::ecdsa_p384};
  const Program openssl;
  const Bytes key = openssl.public_key("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
  SubjectTemplate wanted = template_for(key, {KeyUsage::digital_signature});

  Result<Bytes> issued() { return issue_subject(wanted, h.issuing, h.issuing_key); }
  std::string text_of(const Bytes& der) { return openssl.run("x509 -text -noout -in " + openssl.write("one.der", der)); }
};

TEST_F(IssueOneTest, RelatedCertificateIsNamedAsRfc9763Has) {
  wanted.related = digest(Hash::sha256, h.leaf.der());
  const auto der = issued();
  ASSERT_TRUE(der) << der.error().message;
  // Written by hand: OID 1.3.6.1.5.5.7.1.36, not critical, OCTET STRING of SEQUENCE { { id-sha256 }, OCTET STRING }.
  const Bytes extension = concat({*from_hex("06082b060105050701240431302f300b0609608648016503040201"), *from_hex("0420"), wanted.related});
  EXPECT_FALSE(std::ranges::search(*der, extension).empty());
  EXPECT_NE(text_of(*der).find("1.3.6.1.5.5.7.1.36"), std::string::npos);
  wanted.related.pop_back();
  expect_error(issued(), ErrorCode::invalid_argument, "32 octets");
}

TEST_F(IssueOneTest, StatusPointersAndConstraintsStandInIt) {
  const auto der = issued();
  ASSERT_TRUE(der) << der.error().message;
  const std::string text = text_of(*der);
  for (const char* part : {"OCSP - URI:http://192.0.2.1/ocsp", "CA Issuers - URI:http://192.0.2.1/ca/devices.cer", "URI:http://192.0.2.1/crl/devices.crl",
                           "CA:FALSE", "DNS:box-7.example, IP Address:192.0.2.7"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

TEST_F(IssueOneTest, WithoutACommonNameTheAlternativeNamesAreCritical) {
  wanted.names.common_name.clear();
  const auto der = issued();
  ASSERT_TRUE(der) << der.error().message;
  EXPECT_NE(text_of(*der).find("X509v3 Subject Alternative Name: critical"), std::string::npos);
}

TEST_F(IssueOneTest, ASignerOfStatusAnswersNeedsNoStatus) {
  wanted.extended = {ExtendedUsage::ocsp_signing};
  const auto der = issued();
  ASSERT_TRUE(der) << der.error().message;
  EXPECT_NE(text_of(*der).find("OCSP No Check"), std::string::npos);
}

TEST_F(IssueOneTest, AShortLivedCertificateSaysNoRevAvailAsRfc9608Has) {
  const auto plain = issued();
  ASSERT_TRUE(plain) << plain.error().message;
  const auto asked_about = SubjectCertificate::parse(*plain);
  ASSERT_TRUE(asked_about) << asked_about.error().message;
  EXPECT_FALSE(asked_about->no_rev_avail());
  EXPECT_TRUE(asked_about->points_to_status());

  wanted.no_rev_avail = true;
  const StatusPointers all = std::exchange(wanted.pointers, {.ocsp = {}, .ca_issuers = "http://192.0.2.1/ca/devices.cer", .crl = {}});
  const auto der = issued();
  ASSERT_TRUE(der) << der.error().message;
  // Written by hand: SEQUENCE { OID 2.5.29.56, OCTET STRING of NULL }: not critical.
  EXPECT_FALSE(std::ranges::search(*der, *from_hex("30090603551d3804020500")).empty());
  const auto certificate = SubjectCertificate::parse(*der);
  ASSERT_TRUE(certificate) << certificate.error().message;
  EXPECT_TRUE(certificate->no_rev_avail());
  EXPECT_FALSE(certificate->points_to_status());
  EXPECT_NE(text_of(*der).find("CA Issuers - URI:http://192.0.2.1/ca/devices.cer"), std::string::npos);

  wanted.pointers = {.ocsp = all.ocsp, .ca_issuers = {}, .crl = {}};
  EXPECT_TRUE(SubjectCertificate::parse(issued().value())->points_to_status());
  wanted.pointers = {.ocsp = {}, .ca_issuers = {}, .crl = all.crl};
  EXPECT_TRUE(SubjectCertificate::parse(issued().value())->points_to_status());
}

TEST_F(IssueOneTest, NoRevAvailThatIsNoNullIsRefused) {
  wanted.no_rev_avail = true;
  auto der = issued();
  ASSERT_TRUE(der) << der.error().message;
  const Bytes extension = *from_hex("30090603551d3804020500");
  const auto found = std::ranges::search(*der, extension);
  ASSERT_FALSE(found.empty());
  *(found.begin() + 9) = 0x04;  // an empty OCTET STRING
  expect_error(SubjectCertificate::parse(*der), ErrorCode::invalid_argument, "noRevAvail");
}

TEST_F(IssueOneTest, NoRevAvailThatIsCriticalOrThereTwiceIsRefused) {
  const Program program;
  const std::string ca = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=foreign -outform DER";
  const auto made = [&](const std::string& extensions) {
    program.run(ca + extensions + " -config " + program.path("ca.cnf") + " -keyout " + program.path("key") + " -out " + program.path("foreign"));
    return program.read("foreign");
  };
  const std::string once = " -addext 2.5.29.56=DER:05:00";
  EXPECT_TRUE(SubjectCertificate::parse(made(once))->no_rev_avail());
  expect_error(SubjectCertificate::parse(made(" -addext 2.5.29.56=critical,DER:05:00")), ErrorCode::invalid_argument, "noRevAvail");
  Bytes twice = made(once + " -addext 2.5.29.99=DER:05:00");
  const auto other = std::ranges::search(twice, *from_hex("30090603551d6304020500"));
  ASSERT_FALSE(other.empty());
  *(other.begin() + 6) = 0x38;  // .99 becomes .56, written by hand: the program writes no extension twice
  expect_error(SubjectCertificate::parse(twice), ErrorCode::invalid_argument, "noRevAvail");
}

TEST_F(IssueOneTest, TemplatesThatAreNotSoundAreRefused) {
  const SubjectTemplate sound = wanted;
  const auto refuses = [&](auto&& change, std::string_view part) {
    wanted = sound;
    change();
    expect_error(issued(), ErrorCode::invalid_argument, part);
  };
  refuses([&] { wanted.names = {}; }, "name nobody");
  refuses([&] { wanted.names.uris = {"QANAT://core/cas/cas"}; }, "element's name");
  refuses([&] { wanted.names.common_name = std::string(65, 'a'); }, "common name");
  refuses([&] { wanted.names.common_name = "a\nb"; }, "common name");
  refuses([&] { wanted.names.dns = {"a b"}; }, "printable");
  refuses([&] { wanted.names.addresses = {"192.0.2.256"}; }, "no IP address");
  refuses([&] { wanted.serial.front() |= 0x80; }, "serial");
  refuses([&] { wanted.serial.assign(16, 0); }, "serial");
  refuses([&] { wanted.serial.pop_back(); }, "serial");
  refuses([&] { wanted.not_after = wanted.not_before; }, "notAfter");
  refuses([&] { wanted.usages = {}; }, "key usages");
  refuses([&] { wanted.usages = {KeyUsage::key_encipherment}; }, "key usages");
  refuses([&] { wanted.public_key_info.push_back(0); }, "behind its end");
}

TEST_F(IssueOneTest, MlDsaAndMlKemKeysGetNoUsageThatTheyAreNotFitFor) {
  wanted.public_key_info = openssl.public_key("-algorithm ML-DSA-65");
  for (const KeyUsage usage : {KeyUsage::key_encipherment, KeyUsage::data_encipherment, KeyUsage::key_agreement}) {
    wanted.usages = {KeyUsage::digital_signature, usage};
    expect_error(issued(), ErrorCode::invalid_argument, "ML-DSA-65");
  }
  wanted.public_key_info = openssl.public_key("-algorithm ML-KEM-768");
  for (const KeyUsage usage : {KeyUsage::digital_signature, KeyUsage::data_encipherment, KeyUsage::key_agreement}) {
    wanted.usages = {KeyUsage::key_encipherment, usage};
    expect_error(issued(), ErrorCode::invalid_argument, "ML-KEM-768");
  }
}

TEST_F(IssueOneTest, OnlyACaIssuesAndOnlyWithItsKey) {
  expect_error(issue_subject(wanted, h.leaf, h.leaf_key), ErrorCode::invalid_argument, "not a CA");
  expect_error(issue_subject(wanted, h.issuing, h.root_key), ErrorCode::invalid_argument, "not the one");
}

TEST_F(IssueOneTest, CertificatesOfElementsAreReadToo) {
  const auto certificate = SubjectCertificate::parse(h.leaf.der());
  ASSERT_TRUE(certificate) << certificate.error().message;
  EXPECT_EQ(certificate->names().uris.front(), "qanat://city-a/kms/kms-a");
  EXPECT_TRUE(certificate->signed_by(h.issuing));
  expect_error(certificate->signed_by(Hierarchy(KeyAlgorithm::ecdsa_p384, 7).issuing), ErrorCode::denied, "has not signed it");  // a CA of the same name
  const auto authority = SubjectCertificate::parse(h.issuing.der());
  ASSERT_TRUE(authority) << authority.error().message;
  EXPECT_TRUE(authority->is_ca());
  EXPECT_EQ(certificate_pem(h.leaf.der()), h.leaf.pem());
  EXPECT_EQ(SubjectCertificate::parse_pem("some words\n" + h.leaf.pem() + h.issuing.pem())->der(), h.leaf.der());
  expect_error(SubjectCertificate::parse_pem("no certificate"), ErrorCode::invalid_argument, "no certificate in it");
  expect_error(SubjectCertificate::parse_pem(std::string(65 * 1024, ' ') + h.leaf.pem()), ErrorCode::invalid_argument, "over 65536 octets");
}

}  // namespace
}  // namespace qanat::crypto
