#include "base/identity.hpp"

#include <gtest/gtest.h>

namespace qanat {
namespace {

TEST(KindTest, EveryKindIsFoundByItsName) {
  for (const Kind kind : all_kinds) EXPECT_EQ(parse_kind(name(kind)), kind);
  EXPECT_EQ(name(Kind::op), "operator");
  for (const char* text : {"", "op", "KMS", "kms ", "?"}) {
    const auto kind = parse_kind(text);
    ASSERT_FALSE(kind) << text;
    EXPECT_EQ(kind.error().code, ErrorCode::invalid_argument);
  }
}

TEST(KindSetTest, HasWhatWasPutIn) {
  for (const Kind kind : all_kinds) {
    EXPECT_TRUE(KindSet{kind}.has(kind));
    EXPECT_FALSE(KindSet().has(kind));
    EXPECT_EQ(qkdn.has(kind), kind == Kind::qkd || kind == Kind::qkm || kind == Kind::qkdnc);
    EXPECT_EQ((apps | qkdn).has(kind), apps.has(kind) || qkdn.has(kind));
  }
  EXPECT_FALSE(apps.has(Kind::kms));
}

TEST(IdentityTest, IsReadFromTheUriThatItWrites) {
  const Identity identity{.domain = "metro-1", .kind = Kind::kms, .name = "KMS_a.1-x"};
  EXPECT_EQ(identity.uri(), "qanat://metro-1/kms/KMS_a.1-x");
  for (const Kind kind : all_kinds) {
    const Identity other{.domain = "d", .kind = kind, .name = "n"};
    const auto parsed = Identity::parse_uri(other.uri());
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(*parsed, other);
  }
  EXPECT_EQ(Identity::parse_uri(identity.uri()).value(), identity);
}

TEST(IdentityTest, TheLongestLabelsFit) {
  const Identity identity{.domain = std::string(32, 'd'), .kind = Kind::app1, .name = std::string(64, 'n')};
  EXPECT_EQ(Identity::parse_uri(identity.uri()).value(), identity);
  EXPECT_FALSE(Identity::parse_uri("qanat://" + std::string(33, 'd') + "/app1/n"));
  EXPECT_FALSE(Identity::parse_uri("qanat://d/app1/" + std::string(65, 'n')));
}

TEST(IdentityTest, AnythingElseIsRefused) {
  for (const char* uri : {"",
                          "qanat://",
                          "qanat:///kms/a",
                          "qanat://d/kms/",
                          "qanat://d/kms",
                          "qanat://d//a",
                          "qanat://d/a",
                          "qanat://d/nobody/a",
                          "qanat://d/KMS/a",
                          "QANAT://d/kms/a",
                          "qanat:/d/kms/a",
                          "http://d/kms/a",
                          " qanat://d/kms/a",
                          "qanat://d/kms/a ",
                          "qanat://D/kms/a",
                          "qanat://d_1/kms/a",
                          "qanat://d.1/kms/a",
                          "qanat://d/kms/a/b",
                          "qanat://d/kms/a?b",
                          "qanat://d/kms/a%41",
                          "qanat://d/kms/\xc3\xa9",
                          "qanat://d/kms/a\n",
                          "qanat://user@d/kms/a",
                          "qanat://d:1/kms/a"}) {
    const auto identity = Identity::parse_uri(uri);
    ASSERT_FALSE(identity) << uri;
    EXPECT_EQ(identity.error().code, ErrorCode::invalid_argument);
  }
  EXPECT_FALSE(Identity::parse_uri(std::string_view("qanat://d/kms/a\0b", 17)));
  EXPECT_FALSE(Identity::parse_uri("qanat://d/kms/" + std::string(1000, 'a')));
}

}  // namespace
}  // namespace qanat
