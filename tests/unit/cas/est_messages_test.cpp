// The messages of EST: bodies, passwords, what names a request, the two parts of a key that is handed out.
#include "services/cas/est/messages.hpp"

#include <gtest/gtest.h>

#include "wire/base64.hpp"

namespace qanat::cas::est {
namespace {

Secret field(std::string_view text) { return Secret::copy_of(as_bytes(text)); }
Secret basic_field(std::string_view pair) { return field("Basic " + wire::to_base64(as_bytes(pair))); }

TEST(EstMessages, ABodyIsBase64WithoutRegardToWhiteSpace) {
  const Bytes der = to_bytes("thirty octets of anything, really");
  const std::string text = wire::to_base64(der);
  EXPECT_EQ(*read_body(as_bytes(text)), der);
  EXPECT_EQ(*read_body(as_bytes(text.substr(0, 7) + "\r\n" + text.substr(7, 4) + " \t" + text.substr(11) + "\n\n")), der);
  EXPECT_EQ(*read_body(as_bytes(body_of(der))), der);
}

TEST(EstMessages, ABodyGoesOutInOneLine) {
  const std::string body = body_of(Bytes(100, 0x5a));
  EXPECT_EQ(body.find('\n'), std::string::npos);
  EXPECT_TRUE(body.ends_with("==")) << body;
}

TEST(EstMessages, RefusesABodyThatIsNoBase64AndSaysWhyPemIsNone) {
  for (const char* text : {"", " \r\n", "QUJD*A==", "QUJDR", "\x30\x82"}) EXPECT_FALSE(read_body(as_bytes(std::string_view(text)))) << text;
  const auto pem = read_body(as_bytes("-----BEGIN CERTIFICATE REQUEST-----\nQUJD\n-----END CERTIFICATE REQUEST-----\n"));
  ASSERT_FALSE(pem);
  EXPECT_TRUE(pem.error().message.contains("PEM")) << pem.error().message;
  EXPECT_FALSE(read_body(Bytes(body_octets_max + 1, 'A')));
}

TEST(EstMessages, ReadsUserAndPasswordAndTheColonsOfThePassword) {
  const auto read = read_basic(basic_field("r-0123456789abcdef:pass:word"));
  ASSERT_TRUE(read && *read);
  EXPECT_EQ((*read)->user, "r-0123456789abcdef");
  EXPECT_EQ(as_text((*read)->password.reveal()), "pass:word");
  const auto any_case = read_basic(field("bAsIc   " + wire::to_base64(as_bytes("u:p"))));
  ASSERT_TRUE(any_case && *any_case);
  const auto none = read_basic({});
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
}

TEST(EstMessages, RefusesOtherSchemesAndBrokenPairs) {
  const auto digest = read_basic(field("Digest username=\"u\""));
  ASSERT_FALSE(digest);
  EXPECT_EQ(digest.error().code, ErrorCode::unauthenticated);
  EXPECT_FALSE(read_basic(field("Basic")));
  EXPECT_FALSE(read_basic(field("Basic !!!!")));
  EXPECT_FALSE(read_basic(basic_field("no colon")));
  EXPECT_FALSE(read_basic(basic_field("us\ner:p")));
  EXPECT_FALSE(read_basic(field("Basic " + std::string(1028, 'A'))));
}

TEST(EstMessages, ThePasswordIsTheTextOfTheSecretAndNothingElse) {
  const Secret secret = Secret::copy_of(Bytes(32, 0xfb));
  const std::string text = wire::to_base64url(Bytes(32, 0xfb));
  EXPECT_TRUE(is_password(field(text), secret));
  EXPECT_FALSE(is_password(field(text + "="), secret));
  EXPECT_FALSE(is_password(field(wire::to_base64(Bytes(32, 0xfb))), secret));
  EXPECT_FALSE(is_password(field(text.substr(1)), secret));
  EXPECT_FALSE(is_password({}, secret));
}

TEST(EstMessages, TheSameRequestHasTheSameHashAndAnyOtherHasAnother) {
  const Bytes key = to_bytes("key");
  const crypto::AskedNames names{.common_name = "c", .dns = {"a", "b"}};
  const RequestParts parts{.purpose = "simpleenroll", .reference = "r", .key = key, .names = names, .renews = {}};
  const Bytes hash = request_hash(parts);
  const crypto::AskedNames turned{.common_name = "c", .dns = {"b", "a"}};
  EXPECT_EQ(request_hash({.purpose = "simpleenroll", .reference = "r", .key = key, .names = turned, .renews = {}}), hash);
  EXPECT_TRUE(same_names(names, turned));
  const Bytes other = to_bytes("kez");
  EXPECT_NE(request_hash({.purpose = "simplereenroll", .reference = "r", .key = key, .names = names, .renews = {}}), hash);
  EXPECT_NE(request_hash({.purpose = "simpleenroll", .reference = "s", .key = key, .names = names, .renews = {}}), hash);
  EXPECT_NE(request_hash({.purpose = "simpleenroll", .reference = "r", .key = other, .names = names, .renews = {}}), hash);
  EXPECT_NE(request_hash({.purpose = "simpleenroll", .reference = "r", .key = key, .names = names, .renews = other}), hash);
  for (const crypto::AskedNames& changed :
       {crypto::AskedNames{.common_name = "c", .dns = {"ab"}}, crypto::AskedNames{.common_name = "c", .dns = {"a"}, .uris = {"b"}},
        crypto::AskedNames{.common_name = "d", .dns = {"a", "b"}}, crypto::AskedNames{.common_name = "c", .dns = {"a"}, .mail = {"b"}}}) {
    EXPECT_NE(request_hash({.purpose = "simpleenroll", .reference = "r", .key = key, .names = changed, .renews = {}}), hash);
    EXPECT_FALSE(same_names(names, changed));
  }
}

TEST(EstMessages, AKeyAndItsCertificateAreTwoPartsOfOneBody) {
  const Secret key = Secret::copy_of(as_bytes("private"));
  const Secret body = key_and_certificate(key, as_bytes("certificate"), "b_1");
  EXPECT_EQ(as_text(body.reveal()),
            "--b_1\r\nContent-Type: application/pkcs8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + wire::to_base64(as_bytes("private")) +
                "\n\r\n--b_1\r\nContent-Type: application/pkcs7-mime; smime-type=certs-only\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
                wire::to_base64(as_bytes("certificate")) + "\n\r\n--b_1--\r\n");
}

}  // namespace
}  // namespace qanat::cas::est
