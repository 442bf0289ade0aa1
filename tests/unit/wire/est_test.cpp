#include "wire/est.hpp"

#include <gtest/gtest.h>

#include "wire/base64.hpp"

namespace qanat::wire {
namespace {

Secret secret(std::string_view text) { return Secret::copy_of(as_bytes(text)); }

TEST(EstTest, BodyIsReadWithTheLineEndsThatOthersWrite) {
  const Bytes der = to_bytes("any octets at all");
  const std::string body = est_body(der);
  EXPECT_FALSE(body.contains('\n'));
  for (const std::string& text : {body, body + "\n", body.substr(0, 8) + "\r\n" + body.substr(8) + "\r\n", " \t" + body}) {
    EXPECT_EQ(parse_est_body(as_bytes(text)).value(), der) << text;
  }
}

TEST(EstTest, BodyOfAnythingElseIsRefused) {
  for (const std::string_view text : {"", "\r\n", "Zg", "Zg==Zg==", "Zg=\v=", "-----BEGIN CERTIFICATE REQUEST-----", "{}"}) {
    const auto read = parse_est_body(as_bytes(text));
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, ErrorCode::invalid_argument);
  }
  EXPECT_TRUE(parse_est_body(as_bytes(std::string_view("-----BEGIN CERTIFICATE REQUEST-----\nZg==\n"))).error().message.contains("PEM"));
  EXPECT_TRUE(parse_est_body(Bytes(est_body_octets_max, 'A')));
  EXPECT_FALSE(parse_est_body(Bytes(est_body_octets_max + 4, 'A')));
}

// RFC 7617 §2: the user-id "Aladdin" and the password "open sesame".
TEST(EstTest, BasicCredentialsAgreeWithTheRfc) {
  const std::string_view field = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
  EXPECT_EQ(as_text(basic_authorization("Aladdin", secret("open sesame")).reveal()), field);
  const auto read = parse_basic_authorization(secret(field)).value();
  EXPECT_EQ(read.user, "Aladdin");
  EXPECT_EQ(as_text(read.password.reveal()), "open sesame");
  EXPECT_EQ(parse_basic_authorization(secret("bASIC  QWxhZGRpbjpvcGVuIHNlc2FtZQ==")).value().user, "Aladdin") << "RFC 9110 §11.1: in any case";
}

TEST(EstTest, BasicCredentialsOfEveryLengthComeBack) {
  std::string password;
  for (std::size_t length = 1; length <= basic_password_octets_max; ++length) {
    password.push_back(static_cast<char>('!' + length % 90));
    const Secret field = basic_authorization("kms-a", secret(password));
    EXPECT_EQ(as_text(field.reveal()).substr(6), to_base64(as_bytes("kms-a:" + password)));
    EXPECT_EQ(as_text(parse_basic_authorization(field).value().password.reveal()), password);
  }
}

TEST(EstTest, PasswordMayHoldAColonTheNameMayNot) {
  const auto read = parse_basic_authorization(secret("Basic " + to_base64(as_bytes("a:b:c")))).value();
  EXPECT_EQ(read.user, "a");
  EXPECT_EQ(as_text(read.password.reveal()), "b:c");
}

TEST(EstTest, OtherAuthorizationsAreUnauthenticated) {
  const std::string long_user = "Basic " + to_base64(as_bytes(std::string(basic_user_octets_max + 1, 'u') + ":p"));
  const std::string long_password = "Basic " + to_base64(as_bytes("u:" + std::string(basic_password_octets_max + 1, 'p')));
  for (const std::string& text :
       {std::string(), std::string("Basic"), std::string("Basic "), std::string("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        std::string("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ"), std::string("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ= ="), std::string("Basic QWxhZGRpbjpvcGVuIHNlc2FtZR=="),
        std::string("Basic Q-xhZGRpbjpvcGVuIHNlc2FtZQ=="), std::string("Basic ===="), std::string("Basic   "), "Basic " + to_base64(as_bytes("no colon")),
        "Basic " + to_base64(as_bytes(":p")), "Basic " + to_base64(as_bytes("u:")), "Basic " + to_base64(as_bytes("u:p\n")),
        "Basic " + to_base64(as_bytes("\xc3\xbc:p")), long_user, long_password, "Basic " + std::string(4096, 'A')}) {
    const auto read = parse_basic_authorization(secret(text));
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, ErrorCode::unauthenticated) << text;
  }
}

}  // namespace
}  // namespace qanat::wire
