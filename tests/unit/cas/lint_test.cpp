// Every rule of the lint has a draft that breaks it and it alone; and what is signed is read back.
#include "services/cas/ceis/lint.hpp"

#include <gtest/gtest.h>

#include "services/cas/ceis/issuer.hpp"
#include "services/cas/device_authority.hpp"
#include "trusted_network.hpp"

namespace qanat::cas {
namespace {

using crypto::ExtendedUsage;
using crypto::KeyUsage;
using crypto::SubjectAlgorithm;
using test::must;

constexpr UnixMs lint_now = 1'790'000'000'000;
constexpr Under ml_dsa_ca{.branch = Branch::ml_dsa, .not_before = lint_now - test::day_ms, .not_after = lint_now + 3000 * test::day_ms};
constexpr Under classical_ca{.branch = Branch::classical, .not_before = ml_dsa_ca.not_before, .not_after = ml_dsa_ca.not_after};
constexpr Under device_ca{.branch = Branch::devices, .not_before = ml_dsa_ca.not_before, .not_after = ml_dsa_ca.not_after};

Draft sound(std::string_view name, SubjectAlgorithm algorithm) {
  const Profile& of = profile(name);
  const auto extended = extended_of(of, algorithm);
  Bytes serial(16, 7);
  serial.front() = 0x47;
  return {.profile = &of,
          .algorithm = algorithm,
          .bits = algorithm == SubjectAlgorithm::rsa ? 3072 : 256,
          .names = {.common_name = "box-7", .dns = {"box-7.example", "*.box.example"}},
          .allowed = {.common_name = "box-7", .dns = {"box-7.example", "*.box.example", "other.example"}},
          .usages = usages_of(of, algorithm),
          .extended = {extended.begin(), extended.end()},
          .serial = serial,
          .not_before = lint_now,
          .not_after = lint_now + 30 * test::day_ms};
}

void expect_refused(const Draft& draft, const Under& under, std::string_view rule) {
  const auto result = lint(draft, under);
  ASSERT_FALSE(result) << rule;
  EXPECT_EQ(result.error().code, ErrorCode::denied);
  EXPECT_TRUE(result.error().message.starts_with("lint: " + std::string(rule) + ": ")) << result.error().message;
}

TEST(LintTest, SoundDraftsPassUnderTheBranchOfTheirKeys) {
  for (const SubjectAlgorithm algorithm : {SubjectAlgorithm::ml_dsa_44, SubjectAlgorithm::ml_dsa_65, SubjectAlgorithm::ml_dsa_87}) {
    EXPECT_TRUE(lint(sound("device", algorithm), ml_dsa_ca));
  }
  EXPECT_TRUE(lint(sound("device", SubjectAlgorithm::sm2), classical_ca));
  for (const SubjectAlgorithm algorithm : {SubjectAlgorithm::rsa, SubjectAlgorithm::ecdsa_p256, SubjectAlgorithm::ecdsa_p384}) {
    EXPECT_TRUE(lint(sound("device", algorithm), device_ca));
  }
  EXPECT_TRUE(lint(sound("device-encryption", SubjectAlgorithm::ml_kem_768), ml_dsa_ca));
  for (const SubjectAlgorithm algorithm : {SubjectAlgorithm::rsa, SubjectAlgorithm::ecdsa_p256, SubjectAlgorithm::ecdsa_p384}) {
    EXPECT_TRUE(lint(sound("device-encryption", algorithm), device_ca));
  }
  EXPECT_TRUE(lint(sound("device-encryption", SubjectAlgorithm::sm2), classical_ca));
}

TEST(LintTest, Serial) {
  Draft draft = sound("device", SubjectAlgorithm::ml_dsa_65);
  draft.serial.front() = 0x81;
  expect_refused(draft, ml_dsa_ca, "serial");
  draft.serial.front() = 0x01;
  expect_refused(draft, ml_dsa_ca, "serial");
  draft = sound("device", SubjectAlgorithm::ml_dsa_65);
  draft.serial.push_back(1);
  expect_refused(draft, ml_dsa_ca, "serial");
  draft.serial.clear();
  expect_refused(draft, ml_dsa_ca, "serial");
}

TEST(LintTest, Validity) {
  const Draft fine = sound("device", SubjectAlgorithm::ml_dsa_65);
  Draft draft = fine;
  draft.not_after = draft.not_before;
  expect_refused(draft, ml_dsa_ca, "validity");
  draft = fine;
  draft.not_before = ml_dsa_ca.not_before - 1;
  expect_refused(draft, ml_dsa_ca, "validity");
  draft = fine;
  const Under ends_soon{.branch = Branch::ml_dsa, .not_before = ml_dsa_ca.not_before, .not_after = draft.not_after - 1};
  expect_refused(draft, ends_soon, "validity");
  draft.not_after = draft.not_before + static_cast<UnixMs>(std::chrono::milliseconds(draft.profile->lifetime_max).count()) + backdating_ms + 1;
  expect_refused(draft, ml_dsa_ca, "validity");
  --draft.not_after;
  EXPECT_TRUE(lint(draft, ml_dsa_ca));
}

TEST(LintTest, Revocation) {
  constexpr UnixMs hour_ms = 3'600'000;
  Draft fine = sound("device", SubjectAlgorithm::ml_dsa_65);
  fine.short_lived = true;
  fine.not_after = fine.not_before + 168 * hour_ms + backdating_ms;
  fine.pointers.ca_issuers = "http://status.test/ca/ml_dsa.cer";
  EXPECT_TRUE(lint(fine, ml_dsa_ca));
  Draft draft = fine;
  ++draft.not_after;
  expect_refused(draft, ml_dsa_ca, "revocation");
  draft = fine;
  draft.pointers.crl = "http://status.test/crl/ml_dsa-7.crl";
  expect_refused(draft, ml_dsa_ca, "revocation");
  draft = fine;
  draft.pointers.ocsp = "http://status.test/ocsp";
  expect_refused(draft, ml_dsa_ca, "revocation");
  draft.short_lived = false;
  EXPECT_TRUE(lint(draft, ml_dsa_ca));
  draft = sound("element", SubjectAlgorithm::ml_dsa_65);
  draft.names = {.common_name = "kms-a", .dns = {}, .uris = {"qanat://a/kms/kms-a"}};
  draft.not_after = draft.not_before + hour_ms;
  EXPECT_TRUE(lint(draft, ml_dsa_ca));
  draft.short_lived = true;
  expect_refused(draft, ml_dsa_ca, "revocation");
}

TEST(LintTest, Key) {
  expect_refused(sound("server", SubjectAlgorithm::sm2), classical_ca, "key");         // not of the profile
  expect_refused(sound("device", SubjectAlgorithm::ml_kem_768), ml_dsa_ca, "key");     // cannot sign
  expect_refused(sound("device", SubjectAlgorithm::rsa), ml_dsa_ca, "key");            // of another branch
  expect_refused(sound("device", SubjectAlgorithm::ecdsa_p384), classical_ca, "key");  // that branch is the network's own
  expect_refused(sound("device", SubjectAlgorithm::ml_dsa_65), device_ca, "key");
  expect_refused(sound("device", SubjectAlgorithm::sm2), device_ca, "key");
  Draft draft = sound("device", SubjectAlgorithm::rsa);
  draft.bits = 1024;
  expect_refused(draft, device_ca, "key");
  draft.bits = 16384;
  expect_refused(draft, device_ca, "key");
}

TEST(LintTest, Usage) {
  Draft draft = sound("device", SubjectAlgorithm::ml_dsa_65);
  draft.usages = {KeyUsage::digital_signature, KeyUsage::key_encipherment};  // RFC 9881 §5
  expect_refused(draft, ml_dsa_ca, "usage");
  draft.usages = {KeyUsage::non_repudiation};
  expect_refused(draft, ml_dsa_ca, "usage");
  draft.usages = {};
  expect_refused(draft, ml_dsa_ca, "usage");
  draft = sound("device-encryption", SubjectAlgorithm::ml_kem_768);
  draft.usages = {KeyUsage::key_encipherment, KeyUsage::data_encipherment};  // RFC 9935 §5
  expect_refused(draft, ml_dsa_ca, "usage");
}

TEST(LintTest, Extended) {
  Draft draft = sound("sae", SubjectAlgorithm::ml_dsa_65);
  draft.extended = {ExtendedUsage::server_auth, ExtendedUsage::client_auth};
  expect_refused(draft, ml_dsa_ca, "extended");
  draft.extended = {};
  expect_refused(draft, ml_dsa_ca, "extended");
  draft.extended = {ExtendedUsage::ocsp_signing};
  expect_refused(draft, ml_dsa_ca, "extended");
}

TEST(LintTest, RegisteredNames) {
  const Draft fine = sound("device", SubjectAlgorithm::ml_dsa_65);
  const auto refuses = [&](auto&& change) {
    Draft draft = fine;
    change(draft);
    expect_refused(draft, ml_dsa_ca, "names");
  };
  refuses([](Draft& draft) { draft.names.common_name = "box-8"; });
  refuses([](Draft& draft) { draft.names.common_name = draft.allowed.common_name = std::string(65, 'a'); });
  refuses([](Draft& draft) { draft.names.common_name = draft.allowed.common_name = "a\nb"; });
  refuses([](Draft& draft) { draft.names = {}; });
  refuses([](Draft& draft) { draft.names.dns.emplace_back("elsewhere.example"); });
  refuses([](Draft& draft) { draft.names.dns.emplace_back("box-7.example"); });
  refuses([](Draft& draft) { draft.names.dns.emplace_back("*.example"); });
  refuses([](Draft& draft) { draft.names.uris.emplace_back("https://box-7.example/"); });
  refuses([](Draft& draft) { draft.names.uris.emplace_back("qanat://a/kms/kms-a"); });
  refuses([](Draft& draft) { draft.names.uris.emplace_back("tel:+8613800000001"); });
  refuses([](Draft& draft) { draft.names.mail.emplace_back("ops@box-7.example"); });
  refuses([](Draft& draft) { draft.names.addresses.emplace_back("192.0.2.7"); });
  for (const char* bad : {"a b.example", "-a.example", "a-.example", "a..example", ".example", "a.example.", "a_b.example", "Box.example", "192.0.2.7", "*",
                          "*.example", "a.*.example", "**.a.example"}) {
    refuses([&](Draft& draft) {
      draft.names.dns.emplace_back(bad);
      draft.allowed.dns.emplace_back(bad);
    });
  }
  refuses([](Draft& draft) {
    const std::string label = std::string(64, 'a') + ".example";
    draft.names.dns.push_back(label);
    draft.allowed.dns.push_back(label);
  });
  refuses([](Draft& draft) {
    for (int i = 0; i < 65; ++i) draft.names.dns.push_back("h" + std::to_string(i) + ".example");
    draft.allowed.dns = draft.names.dns;
  });
  Draft draft = sound("server", SubjectAlgorithm::ml_dsa_65);
  draft.names.addresses = draft.allowed.addresses = {"192.0.2.7"};  // of CAS's own listener: no registration allows any
  EXPECT_TRUE(lint(draft, ml_dsa_ca));
  draft.names.dns.clear();
  expect_refused(draft, ml_dsa_ca, "names");
}

TEST(LintTest, NamesOfElementsTerminalsAndCasItself) {
  Draft draft = sound("element", SubjectAlgorithm::ml_dsa_65);
  draft.names = {.common_name = "kms-a", .dns = {}, .uris = {"qanat://a/kms/kms-a"}};
  EXPECT_TRUE(lint(draft, ml_dsa_ca));
  const Draft element = draft;
  draft.names.dns = {"box-7.example"};
  expect_refused(draft, ml_dsa_ca, "names");
  draft = element;
  draft.names.uris = {"qanat://a/dev1/gw-a"};
  EXPECT_TRUE(lint(draft, ml_dsa_ca)) << "a gateway enrols as an element";
  for (const char* other : {"qanat://a/app1/A", "qanat://a/dev2/sensor"}) {
    draft.names.uris = {other};
    expect_refused(draft, ml_dsa_ca, "names");
  }
  draft.names.uris = {"https://a/"};
  expect_refused(draft, ml_dsa_ca, "names");
  draft = element;
  draft.names.common_name.clear();
  expect_refused(draft, ml_dsa_ca, "names");

  draft = sound("terminal-signing", SubjectAlgorithm::sm2);
  draft.names = {.common_name = "A", .dns = {}, .uris = {"qanat://a/app1/A", "tel:+8613800000001"}};
  EXPECT_TRUE(lint(draft, classical_ca));
  draft.names.uris.pop_back();
  expect_refused(draft, classical_ca, "names");
  draft.names.uris = {"qanat://a/kms/kms-a", "tel:+8613800000001"};
  expect_refused(draft, classical_ca, "names");
  draft.names.uris = {"qanat://a/app1/A", "https://a/"};
  expect_refused(draft, classical_ca, "names");

  draft = sound("ocsp-signer", SubjectAlgorithm::ml_dsa_65);
  draft.not_after = draft.not_before + test::day_ms;
  expect_refused(draft, ml_dsa_ca, "names");
  draft.names.dns.clear();
  EXPECT_TRUE(lint(draft, ml_dsa_ca));
}

TEST(LintTest, ElementsKeepTheirBranches) {
  Draft draft = sound("element", SubjectAlgorithm::ecdsa_p384);
  draft.names = {.common_name = "kms-a", .dns = {}, .uris = {"qanat://a/kms/kms-a"}};
  EXPECT_TRUE(lint(draft, classical_ca));
  expect_refused(draft, device_ca, "key");
}

class LintSignedTest : public ::testing::Test {
 protected:
  LintSignedTest()
      : rng_(must(crypto::open_rng())),
        ca_(must(make_device_authority("Test", lint_now, *rng_))),
        other_(must(make_device_authority("Test", lint_now, *rng_))) {
    const crypto::PrivateKey key = must(make_device_key(*rng_));
    const std::string head = "3076301006072a8648ce3d020106052b81040022036200";  // SubjectPublicKeyInfo of P-384
    draft_.key = must(crypto::public_octets(key));
    subject_ = concat({*from_hex(head), draft_.key});
  }
  [[nodiscard]] crypto::SubjectTemplate wanted() const {
    return {.public_key_info = subject_,
            .names = draft_.names,
            .usages = draft_.usages,
            .extended = draft_.extended,
            .serial = draft_.serial,
            .not_before = draft_.not_before,
            .not_after = draft_.not_after};
  }
  void expect_refused_signed(const Result<Bytes>& der, std::string_view part) {
    const auto result = lint_signed(must(der), draft_, ca_.certificate);
    ASSERT_FALSE(result) << part;
    EXPECT_TRUE(result.error().message.starts_with("lint: signed: ")) << result.error().message;
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  }

  std::unique_ptr<crypto::Rng> rng_;
  Authority ca_;
  Authority other_;
  Bytes subject_;
  Draft draft_ = sound("device", SubjectAlgorithm::ecdsa_p384);
};

TEST_F(LintSignedTest, WhatTheDraftSaysPasses) {
  EXPECT_TRUE(lint_signed(must(crypto::issue_subject(wanted(), ca_.certificate, ca_.key)), draft_, ca_.certificate));
}

TEST_F(LintSignedTest, WhatItDoesNotSayIsRefused) {
  const auto differs = [&](auto&& change, std::string_view part) {
    crypto::SubjectTemplate other = wanted();
    change(other);
    expect_refused_signed(crypto::issue_subject(other, ca_.certificate, ca_.key), part);
  };
  differs([](crypto::SubjectTemplate& other) { other.names.dns.emplace_back("more.example"); }, "another name");
  differs([](crypto::SubjectTemplate& other) { other.usages = {KeyUsage::digital_signature, KeyUsage::key_agreement}; }, "another usage");
  differs([](crypto::SubjectTemplate& other) { other.extended.clear(); }, "another usage");
  differs([](crypto::SubjectTemplate& other) { other.serial.back() ^= 1; }, "another serial");
  differs([](crypto::SubjectTemplate& other) { other.not_after += 1000; }, "another validity");
  const Bytes own = std::exchange(draft_.key, must(crypto::public_octets(must(make_device_key(*rng_)))));
  expect_refused_signed(crypto::issue_subject(wanted(), ca_.certificate, ca_.key), "another key");
  draft_.key = own;
  draft_.algorithm = SubjectAlgorithm::ecdsa_p256;
  expect_refused_signed(crypto::issue_subject(wanted(), ca_.certificate, ca_.key), "another key");
}

TEST_F(LintSignedTest, NoRevAvailIsThereWhereTheDraftSaysSoAndWithoutPointers) {
  crypto::SubjectTemplate other = wanted();
  other.no_rev_avail = true;
  expect_refused_signed(crypto::issue_subject(other, ca_.certificate, ca_.key), "another noRevAvail");
  draft_.short_lived = true;
  EXPECT_TRUE(lint_signed(must(crypto::issue_subject(other, ca_.certificate, ca_.key)), draft_, ca_.certificate));
  expect_refused_signed(crypto::issue_subject(wanted(), ca_.certificate, ca_.key), "another noRevAvail");
  other.pointers.ca_issuers = "http://status.test/ca/devices.cer";
  EXPECT_TRUE(lint_signed(must(crypto::issue_subject(other, ca_.certificate, ca_.key)), draft_, ca_.certificate));
  other.pointers.crl = "http://status.test/crl/devices-7.crl";
  expect_refused_signed(crypto::issue_subject(other, ca_.certificate, ca_.key), "beside a pointer");
  other.pointers.crl.clear();
  other.pointers.ocsp = "http://status.test/ocsp";
  expect_refused_signed(crypto::issue_subject(other, ca_.certificate, ca_.key), "beside a pointer");
}

TEST_F(LintSignedTest, AnotherSignerACaAndParametersAreRefused) {
  expect_refused_signed(crypto::issue_subject(wanted(), other_.certificate, other_.key), "has not signed it");
  expect_refused_signed(ca_.certificate.der(), "as a CA's");
  // A NULL behind the OID ecdsa-with-SHA384 in both places: the tbsCertificate and the whole grow by 2, and by 2 again.
  Bytes der = must(crypto::issue_subject(wanted(), ca_.certificate, ca_.key));
  const Bytes bare = *from_hex("300a06082a8648ce3d040303");
  const Bytes with_null = *from_hex("300c06082a8648ce3d0403030500");
  std::size_t replaced = 0;
  for (auto at = std::ranges::search(der, bare).begin(); at != der.end(); at = std::ranges::search(der, bare).begin()) {
    const auto offset = at - der.begin();
    der.erase(at, at + static_cast<std::ptrdiff_t>(bare.size()));
    der.insert(der.begin() + offset, with_null.begin(), with_null.end());
    ++replaced;
  }
  ASSERT_EQ(replaced, 2U);
  const auto grow = [&](std::size_t length_at, std::size_t by) {
    const std::size_t length = (static_cast<std::size_t>(der[length_at]) << 8U) + der[length_at + 1] + by;
    der[length_at] = static_cast<std::uint8_t>(length >> 8U);
    der[length_at + 1] = static_cast<std::uint8_t>(length);
  };
  ASSERT_EQ(der[1], 0x82);
  ASSERT_EQ(der[5], 0x82);
  grow(2, 4);
  grow(6, 2);
  expect_refused_signed(der, "has parameters");
}

TEST(ProfilesTest, EveryRowIsFoundByItsNameAndNoOther) {
  for (const Profile& one : all_profiles()) {
    EXPECT_EQ(find_profile(one.name), &one);
    for (const SubjectAlgorithm algorithm : one.keys) EXPECT_TRUE(takes(one, algorithm)) << one.name << " " << crypto::name(algorithm);
  }
  EXPECT_EQ(find_profile("anything"), nullptr);
  EXPECT_FALSE(takes(profile("server"), SubjectAlgorithm::ml_kem_768));
}

TEST(ProfilesTest, Sm2EncryptionKeysOfTerminalsHaveTheUsagesOfGmT0015) {
  const crypto::KeyUsages wanted{KeyUsage::key_encipherment, KeyUsage::data_encipherment, KeyUsage::key_agreement};
  EXPECT_EQ(usages_of(profile("terminal-encryption"), SubjectAlgorithm::sm2), wanted);
  EXPECT_EQ(usages_of(profile("terminal-encryption"), SubjectAlgorithm::ml_kem_768), crypto::KeyUsages{KeyUsage::key_encipherment});
}

}  // namespace
}  // namespace qanat::cas
