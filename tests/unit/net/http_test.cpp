#include "net/http.hpp"

#include <gtest/gtest.h>

namespace qanat::net {
namespace {

constexpr std::array all_codes{ErrorCode::invalid_argument, ErrorCode::unauthenticated, ErrorCode::denied,           ErrorCode::not_found, ErrorCode::conflict,
                               ErrorCode::exhausted,        ErrorCode::unavailable,     ErrorCode::deadline_exceeded, ErrorCode::internal};

TEST(HttpErrorTest, EveryCodeHasItsStatus) {
  constexpr std::array<unsigned, all_codes.size()> statuses{400, 401, 403, 404, 409, 503, 503, 504, 500};
  for (std::size_t i = 0; i < all_codes.size(); ++i) EXPECT_EQ(http_status(all_codes[i]), statuses[i]) << name(all_codes[i]);
}

TEST(MediaTypeTest, IsTheSameInAnyCaseAndWithParameters) {
  for (const char* text : {"application/pkcs10", "Application/PKCS10", "application/pkcs10;charset=x", " application/pkcs10\t; x=y"}) {
    EXPECT_TRUE(is_media_type(text, "application/pkcs10")) << text;
  }
  for (const char* text : {"", ";", "application/pkcs1", "application/pkcs100", "application/pkcs10 x", "x/y; application/pkcs10"}) {
    EXPECT_FALSE(is_media_type(text, "application/pkcs10")) << text;
  }
}

TEST(HttpErrorTest, AnErrorCrossesAsItWas) {
  for (const ErrorCode code : all_codes) {
    const Error error{code, "pool: link \"r-b\"\n\\ has no key left"};
    EXPECT_EQ(error_of(error_response(error)), error);
  }
}

TEST(HttpErrorTest, TheBodyIsJsonWithCodeAndMessage) {
  const Response response = error_response({ErrorCode::denied, "say \"no\"\x01"});
  EXPECT_EQ(response.status, 403U);
  EXPECT_EQ(response.content_type, "application/json");
  EXPECT_EQ(as_text(response.body), R"({"code":"denied","message":"say \"no\"\u0001"})");
}

TEST(HttpErrorTest, AMessageWithOctetsThatAreNotTextStaysJson) {
  EXPECT_EQ(error_of(error_response({ErrorCode::internal, "bad \xff\xfe name"})).message, "bad ?? name");
}

TEST(HttpErrorTest, AMessageIsBounded) { EXPECT_EQ(error_of(error_response({ErrorCode::internal, std::string(100'000, 'x')})).message.size(), 1024U); }

TEST(HttpErrorTest, WithoutAnErrorBodyTheStatusDecides) {
  const auto code = [](unsigned status, std::string_view body) {
    return error_of({.status = status, .content_type = "text/html", .body = to_bytes(body)}).code;
  };
  EXPECT_EQ(code(400, ""), ErrorCode::invalid_argument);
  EXPECT_EQ(code(401, "<html>"), ErrorCode::unauthenticated);
  EXPECT_EQ(code(403, "{\"code\":7}"), ErrorCode::denied);
  EXPECT_EQ(code(404, "{}"), ErrorCode::not_found);
  EXPECT_EQ(code(409, "[]"), ErrorCode::conflict);
  EXPECT_EQ(code(413, "null"), ErrorCode::invalid_argument);
  EXPECT_EQ(code(429, ""), ErrorCode::exhausted);
  EXPECT_EQ(code(503, ""), ErrorCode::unavailable);
  EXPECT_EQ(code(504, ""), ErrorCode::deadline_exceeded);
  EXPECT_EQ(code(500, ""), ErrorCode::internal);
  EXPECT_EQ(code(302, ""), ErrorCode::internal);
}

TEST(HttpErrorTest, AForeignErrorBodyOf014IsReadByItsStatus) {
  // ETSI GS QKD 014 §5.4.5: {"message": …, "details": […]} has no code of ours.
  EXPECT_EQ(error_of({.status = 503, .content_type = "application/json", .body = to_bytes(R"({"message":"x"})")}).code, ErrorCode::unavailable);
}

}  // namespace
}  // namespace qanat::net
