#include "net/routes.hpp"

#include <gtest/gtest.h>

namespace qanat::net {
namespace {

using std::chrono::milliseconds;

Route row(std::string method, std::string path) {
  return {.point = "T-1",
          .method = std::move(method),
          .path = std::move(path),
          .callers = {Kind::kms},
          .anonymous = false,
          .body_max = 10,
          .request_type = "application/json",
          .answer = {}};
}

Peer peer_without_certificate() { return {.certificate = {}, .identity = {}, .address = "127.0.0.1:1"}; }

TEST(RouteTableTest, FindsTheRowOfMethodAndPath) {
  const RouteTable table({row("GET", "/a"), row("POST", "/a"), row("GET", "/b")});
  const auto found = table.find("POST", "/a");
  ASSERT_TRUE(found);
  EXPECT_EQ((*found)->method, "POST");
}

TEST(RouteTableTest, HeadIsAnsweredByTheGetRow) {
  const RouteTable table({row("GET", "/a")});
  ASSERT_TRUE(table.find("HEAD", "/a"));
}

TEST(RouteTableTest, AnUnknownPathIs404EvenIfARowBeginsWithIt) {
  const RouteTable table({row("GET", "/a/b")});
  for (const char* path : {"/a", "/a/", "/a/b/", "/A/b", "/a%2Fb", ""}) EXPECT_EQ(table.find("GET", path).error().status, 404U) << path;
}

TEST(RouteTableTest, AKnownPathWithAnotherMethodIs405AndNamesThose) {
  const RouteTable table({row("GET", "/a"), row("PUT", "/a")});
  const auto found = table.find("DELETE", "/a");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().status, 405U);
  EXPECT_EQ(found.error().allow, "GET, PUT");
}

TEST(RouteTableTest, OnlyARowOfItsOwnLetsAnonymousCallersIn) {
  Route open = row("GET", "/a");
  EXPECT_FALSE(RouteTable({open}).any_anonymous());
  EXPECT_EQ(refuse_caller(open, peer_without_certificate())->status, 401U);
  open.anonymous = true;
  EXPECT_TRUE(RouteTable({open}).any_anonymous());
  EXPECT_FALSE(refuse_caller(open, peer_without_certificate()));
}

TEST(RouteTableTest, TheMediaTypeIsComparedWithoutParametersAndCase) {
  const Route route = row("POST", "/a");
  EXPECT_FALSE(refuse_type(route, "application/json"));
  EXPECT_FALSE(refuse_type(route, "Application/JSON ; charset=utf-8"));
  for (const char* type : {"", "text/plain", "application/jsonx", "application/json2; x", ";application/json"}) {
    const auto refused = refuse_type(route, type);
    ASSERT_TRUE(refused) << type;
    EXPECT_EQ(refused->status, 415U);
  }
}

TEST(DeadlineHeaderTest, GrantsAtMostTheServersOwnLimit) {
  EXPECT_EQ(granted_time("", milliseconds(30)), milliseconds(30));
  EXPECT_EQ(granted_time("20", milliseconds(30)), milliseconds(20));
  EXPECT_EQ(granted_time("4000000000", milliseconds(30)), milliseconds(30));
  EXPECT_EQ(granted_time("0", milliseconds(30)), milliseconds(0));
}

TEST(DeadlineHeaderTest, RefusesWhatIsNoNumber) {
  for (const char* text : {"-1", "1s", " 1", "1.5", "99999999999999999999", "x"}) EXPECT_FALSE(granted_time(text, milliseconds(30))) << text;
}

TEST(RequestIdTest, KeepsTheCallersAndDrawsOneForAnythingElse) {
  EXPECT_EQ(request_id_from("00ffAB"), "00ffAB");
  EXPECT_EQ(request_id_from(std::string(32, 'a')), std::string(32, 'a'));
  for (const std::string& text : {std::string(), std::string(33, 'a'), std::string("xyz"), std::string("ab\r\nX: 1")}) {
    const std::string drawn = request_id_from(text);
    EXPECT_EQ(drawn.size(), 16U);
    EXPECT_TRUE(from_hex(drawn));
    EXPECT_NE(drawn, request_id_from(text));
  }
}

}  // namespace
}  // namespace qanat::net
