#include "quantum/qkdnc/topology.hpp"

#include <gtest/gtest.h>

namespace qanat::qkdnc {
namespace {

const ElementName a("qkm-a");
const ElementName r("qkm-r");
const ElementName b("qkm-b");

ReportedLink link(const char* name, const ElementName& peer, std::int64_t stock = 100) {
  return {.link = name, .peer = peer, .stock = stock, .rate_bps = 0.0, .qber = 0.0, .alive = true};
}

Topology chain(UnixMs now) {
  Topology topology(10000);
  topology.report(a, {link("a-r", r)}, now);
  topology.report(r, {link("a-r", a), link("r-b", b)}, now);
  topology.report(b, {link("r-b", r)}, now);
  return topology;
}

TEST(TopologyTest, TheRouteLeadsOverTheReportedLinks) {
  const auto route = chain(1000).route(a, b, 1000);
  ASSERT_TRUE(route) << route.error().message;
  EXPECT_EQ(route->path, (std::vector{a, r, b}));
  EXPECT_EQ(route->id, path_id_of(route->path));
}

TEST(TopologyTest, AQkmThatNeverReportedIsNotFound) {
  const auto route = chain(1000).route(a, ElementName("qkm-x"), 1000);
  EXPECT_EQ(route.error(), (Error{ErrorCode::not_found, "no QKM qkm-x has reported"}));
}

TEST(TopologyTest, ASilentRelayIsNotRelayedOver) {
  Topology topology = chain(1000);
  topology.report(a, {link("a-r", r)}, 12000);
  topology.report(b, {link("r-b", r)}, 12000);
  EXPECT_EQ(topology.route(a, b, 12000).error(), (Error{ErrorCode::unavailable, "no path leads from qkm-a to qkm-b at present"}));
  topology.report(r, {link("a-r", a), link("r-b", b)}, 12500);
  EXPECT_TRUE(topology.route(a, b, 12500));
}

TEST(TopologyTest, ASilentEndIsUnavailable) {
  Topology topology = chain(1000);
  EXPECT_TRUE(topology.route(a, b, 10999));
  topology.report(a, {link("a-r", r)}, 11000);
  topology.report(r, {link("a-r", a), link("r-b", b)}, 11000);
  EXPECT_EQ(topology.route(a, b, 11000).error(), (Error{ErrorCode::unavailable, "QKM qkm-b has not reported lately"}));
}

TEST(TopologyTest, ARouteToItselfIsNoRoute) { EXPECT_EQ(chain(1000).route(a, a, 1000).error().code, ErrorCode::invalid_argument); }

TEST(TopologyTest, ALaterReportReplacesTheEarlierOne) {
  Topology topology = chain(1000);
  topology.report(r, {link("a-r", a)}, 2000);
  EXPECT_EQ(topology.route(a, b, 2000).error().code, ErrorCode::unavailable);
}

}  // namespace
}  // namespace qanat::qkdnc
