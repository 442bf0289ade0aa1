#include "net/foreign_routes.hpp"

#include <gtest/gtest.h>

namespace qanat::net {
namespace {

TEST(PercentDecoding, GivesTheOctetsThatWereMeant) {
  EXPECT_EQ(*percent_decoded("sae-b"), "sae-b");
  EXPECT_EQ(*percent_decoded("sae%20b%2fx%C3%bc"), "sae b/x\xC3\xBC");
  EXPECT_EQ(*percent_decoded("a+b"), "a+b");
  EXPECT_EQ(*percent_decoded("%41"), "A");
}

TEST(PercentDecoding, RefusesWhatIsCutShortOrControlsOrTooLong) {
  for (const char* text : {"%", "%4", "a%4", "%zz", "%4g", "%00", "a%0Ab", "%7f"}) EXPECT_FALSE(percent_decoded(text)) << text;
  EXPECT_TRUE(percent_decoded(std::string(256, 'a')));
  EXPECT_FALSE(percent_decoded(std::string(257, 'a')));
}

TEST(PathPattern, MatchesOneSegmentPerHole) {
  const auto found = match_path("/api/v1/keys/{}/enc_keys", "/api/v1/keys/sae%2Fb/enc_keys");
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, std::vector<std::string_view>{"sae%2Fb"});
  EXPECT_TRUE(match_path("/key", "/key"));
  EXPECT_EQ(match_path("/a/{}/{}", "/a/1/2")->size(), 2U);
}

TEST(PathPattern, RefusesEveryOtherForm) {
  for (const char* path : {"", "/", "/api/v1/keys//enc_keys", "/api/v1/keys/a/b/enc_keys", "/api/v1/keys/a/enc_keys/", "/api/v1/keys/a/enc_key", "/api/v1/keys/a",
                           "/API/v1/keys/a/enc_keys"}) {
    EXPECT_FALSE(match_path("/api/v1/keys/{}/enc_keys", path)) << path;
  }
}

TEST(PathPattern, TakesAllThatIsLeftWhereThePatternSaysSo) {
  for (const char* rest : {"a", "a/b", "/", "MPvv%2FwA=", "{}"}) {
    const std::string path = std::string("/ocsp/") + rest;
    const auto found = match_path("/ocsp/{...}", path);
    ASSERT_TRUE(found) << rest;
    EXPECT_EQ(*found, std::vector<std::string_view>{rest});
  }
  for (const char* path : {"/ocsp", "/ocsp/", "/oCsp/a", "/ocspa", ""}) EXPECT_FALSE(match_path("/ocsp/{...}", path)) << path;
}

TEST(Query, IsReadInPairs) {
  const auto pairs = read_query("number=1&size=%32%35%36&x=");
  ASSERT_TRUE(pairs);
  EXPECT_EQ(*pairs, (std::vector<std::pair<std::string, std::string>>{{"number", "1"}, {"size", "256"}, {"x", ""}}));
  EXPECT_TRUE(read_query("")->empty());
}

TEST(Query, RefusesPairsWithoutAnEqualsSignAndTooMany) {
  EXPECT_FALSE(read_query("number"));
  EXPECT_FALSE(read_query("a=1&&b=2"));
  std::string many;
  for (int i = 0; i < 17; ++i) many += "a=1&";
  EXPECT_FALSE(read_query(many));
}

}  // namespace
}  // namespace qanat::net
