// Forms of ACME that need no server: names, certificate identifiers, times, and settings.
#include <fstream>

#include "acme_fixture.hpp"
#include "services/cas/settings.hpp"

namespace qanat::cas {
namespace {

TEST(AcmePayloadTest, CertificateIdentifierOfRfc9773) {
  // §4.1: the identifier of the certificate of appendix A.
  constexpr std::string_view text = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
  const auto id = parse_certificate_id(text);
  ASSERT_TRUE(id);
  EXPECT_EQ(to_hex(id->issuer_key_id), "69885b6b87464041e1b37b847ba0ae2cde01c8d4");
  EXPECT_EQ(to_hex(id->serial), "87654321") << "the zero in front is the sign's";
  EXPECT_EQ(certificate_id_text(id->issuer_key_id, id->serial), text);
}

TEST(AcmePayloadTest, CertificateIdentifiersHaveOneForm) {
  for (const std::string_view text : {"", ".", "AA.", ".AA", "AAAA", "AA.AA", "AA.AAE", "AA.gA", "AA.AQ.AQ", "A.AQ", "AA.AQ="})
    EXPECT_FALSE(parse_certificate_id(text)) << text;
  EXPECT_TRUE(parse_certificate_id("AA.AQ"));
}

TEST(AcmePayloadTest, DnsNamesHaveOneForm) {
  EXPECT_EQ(canonical_dns("A.Example-1.ORG"), "a.example-1.org");
  EXPECT_EQ(canonical_dns("*.a.example"), "*.a.example");
  EXPECT_EQ(canonical_dns("localhost"), "localhost");
  EXPECT_EQ(canonical_dns("1.a"), "1.a");
  for (const std::string_view name : {"", "a.", ".a", "a..b", "*", "a*", "a.*", "1.2.3.4", "2130706433", "a/b", "a:1", "-a.b", "a-.b"})
    EXPECT_FALSE(canonical_dns(name)) << name;
}

TEST(AcmePayloadTest, TimesAreUtc) {
  EXPECT_EQ(date_time(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(date_time(1'790'000'000'999), "2026-09-21T14:13:20Z");
}

TEST(AcmePayloadTest, EveryErrorBecomesAProblem) {
  EXPECT_EQ(Problem(Error{ErrorCode::denied, "no"}).json().dump(), R"({"type":"urn:ietf:params:acme:error:unauthorized","detail":"no","status":403})");
  EXPECT_EQ(Problem(Error{ErrorCode::unavailable, "IAM"}).fields.size(), 1U);
  EXPECT_EQ(shown("a\n\xff\"z", 4), "a??\"");
}

class AcmeSettingsTest : public testing::Test {
 protected:
  AcmeSettings read(const std::string& lines) {
    const std::filesystem::path file = folder_ / "cas.toml";
    std::ofstream(file) << lines;
    auto config = must(node::Config::read(file));
    AcmeSettings out = CasSettings::read(config).acme;
    const auto finished = config.finish();
    complaint_ = finished ? "" : finished.error().message;
    return out;
  }
  test::TemporaryDirectory folder_;
  std::string complaint_;
};

TEST_F(AcmeSettingsTest, UrlsAreThoseOfTheListeners) {
  const AcmeSettings settings = read(
      "[cas.listener]\nport = 8080\n[cas.enrolment]\nport = 8443\ndns = [\"ra.example\"]\n"
      "[cas.acme]\nterms = \"https://ra.example/terms\"\nwebsite = \"https://ra.example/\"\norders_per_hour = 5\n");
  EXPECT_EQ(complaint_, "");
  EXPECT_EQ(settings.url, "https://ra.example:8443");
  EXPECT_EQ(settings.ca_issuers, "http://127.0.0.1:8080");
  EXPECT_EQ(settings.terms, "https://ra.example/terms");
  EXPECT_EQ(settings.website, "https://ra.example/");
  EXPECT_EQ(settings.bounds.orders_per_hour, 5U);
  EXPECT_EQ(settings.bounds.orders_per_registration, AcmeBounds().orders_per_registration);
}

TEST_F(AcmeSettingsTest, WhatCannotBeMeantStopsTheStart) {
  for (const std::string line : {"terms = \"ra.example\"", "website = \"https://a b\"", "terms = \"https://a>\"", "orders_per_hour = 0",
                                 "orders_per_registration = 10000000", "accounts_per_registration = 0", "order_per_hour = 1"}) {
    static_cast<void>(read("[cas.acme]\n" + line + "\n"));
    EXPECT_TRUE(complaint_.contains(line.substr(0, line.find(' ')))) << line << " said: " << complaint_;
  }
}

}  // namespace
}  // namespace qanat::cas
