// Forms of ACME that need no server: names, certificate identifiers, times, and settings.
#include "acme_fixture.hpp"

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
  for (const std::string_view text : {"", ".", "AA.", ".AA", "AAAA", "AA.AA", "AA.AAE", "AA.gA", "AA.AQ.AQ", "A.AQ", "AA.AQ="}) EXPECT_FALSE(parse_certificate_id(text)) << text;
  EXPECT_TRUE(parse_certificate_id("AA.AQ"));
}

TEST(AcmePayloadTest, DnsNamesHaveOneForm) {
  EXPECT_EQ(canonical_dns("A.Example-1.ORG"), "a.example-1.org");
  EXPECT_EQ(canonical_dns("*.a.example"), "*.a.example");
  EXPECT_EQ(canonical_dns("localhost"), "localhost");
  EXPECT_EQ(canonical_dns("1.a"), "1.a");
  for (const std::string_view name : {"", "a.", ".a", "a..b", "*", "a*", "a.*", "1.2.3.4", "2130706433", "a/b", "a:1", "-a.b", "a-.b"}) EXPECT_FALSE(canonical_dns(name)) << name;
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

}  // namespace
}  // namespace qanat::cas
