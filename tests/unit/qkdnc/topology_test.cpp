#include "quantum/qkdnc/topology.hpp"

#include <gtest/gtest.h>

namespace qanat::qkdnc {
namespace {

const ElementName a("qkm-a");
const ElementName r("qkm-r");
const ElementName s("qkm-s");
const ElementName b("qkm-b");

ReportedLink link(const char* name, const ElementName& peer, std::int64_t stock = 100, double rate_bps = 51200.0) {
  return {.link = name, .peer = peer, .state = {.stock = stock, .rate_bps = rate_bps, .qber = 0.01, .loss_db = 10.0, .alive = true}};
}
ReportedLink dead(const char* name, const ElementName& peer) {
  ReportedLink out = link(name, peer, 0);
  out.state.alive = false;
  return out;
}

Topology chain(UnixMs now) {
  Topology topology({});
  topology.report(a, {link("a-r", r)}, now);
  topology.report(r, {link("a-r", a), link("r-b", b)}, now);
  topology.report(b, {link("r-b", r)}, now);
  return topology;
}

/// Two ways, over r and over s.
void report_ring(Topology& topology, UnixMs now) {
  topology.report(a, {link("a-r", r), link("a-s", s)}, now);
  topology.report(r, {link("a-r", a), link("r-b", b)}, now);
  topology.report(s, {link("a-s", a), link("s-b", b)}, now);
  topology.report(b, {link("r-b", r), link("s-b", s)}, now);
}

Demand to_b(std::size_t paths = 1) { return {.from = a, .to = b, .paths = paths}; }

TEST(TopologyTest, TheRouteLeadsOverTheReportedLinks) {
  Topology topology = chain(1000);
  const auto routes = topology.routes(to_b(), 1000);
  ASSERT_TRUE(routes) << routes.error().message;
  ASSERT_EQ(routes->size(), 1U);
  EXPECT_EQ(routes->front().path, (std::vector{a, r, b}));
  EXPECT_EQ(routes->front().id, path_id_of(routes->front().path));
}

TEST(TopologyTest, AQkmThatNeverReportedIsNotFound) {
  Topology topology = chain(1000);
  EXPECT_EQ(topology.routes({.from = a, .to = ElementName("qkm-x")}, 1000).error(), (Error{ErrorCode::not_found, "no QKM qkm-x has reported"}));
}

TEST(TopologyTest, ASilentRelayIsNotRelayedOver) {
  Topology topology = chain(1000);
  topology.report(a, {link("a-r", r)}, 12000);
  topology.report(b, {link("r-b", r)}, 12000);
  EXPECT_EQ(topology.routes(to_b(), 12000).error(), (Error{ErrorCode::unavailable, "no path leads from qkm-a to qkm-b at present"}));
  topology.report(r, {link("a-r", a), link("r-b", b)}, 12500);
  EXPECT_TRUE(topology.routes(to_b(), 12500));
}

TEST(TopologyTest, ASilentEndIsUnavailable) {
  Topology topology = chain(1000);
  EXPECT_TRUE(topology.routes(to_b(), 10999));
  topology.report(a, {link("a-r", r)}, 11000);
  topology.report(r, {link("a-r", a), link("r-b", b)}, 11000);
  EXPECT_EQ(topology.routes(to_b(), 11000).error(), (Error{ErrorCode::unavailable, "QKM qkm-b has not reported lately"}));
}

TEST(TopologyTest, ARouteToItselfIsNoRoute) {
  Topology topology = chain(1000);
  EXPECT_EQ(topology.routes({.from = a, .to = a}, 1000).error().code, ErrorCode::invalid_argument);
}

TEST(TopologyTest, ALinkToAQkmThatDoesNotReportLeadsNowhere) {
  Topology topology({});
  topology.report(a, {link("a-r", r)}, 1000);
  topology.report(b, {link("r-b", r)}, 1000);
  EXPECT_EQ(topology.routes(to_b(), 1000).error().code, ErrorCode::unavailable);
}

TEST(TopologyTest, AfterARestartKnownQkmsAreUnavailableUntilTheyReport) {
  Topology topology({});
  topology.remember(a, {link("a-r", r)});
  topology.remember(r, {link("a-r", a), link("r-b", b)});
  topology.remember(b, {link("r-b", r)});
  EXPECT_EQ(topology.routes(to_b(), 1000).error().code, ErrorCode::unavailable) << "known, therefore not not_found";
  topology.report(a, {link("a-r", r)}, 1000);
  topology.report(b, {link("r-b", r)}, 1000);
  EXPECT_EQ(topology.routes(to_b(), 1000).error().code, ErrorCode::unavailable);
  topology.report(r, {link("a-r", a), link("r-b", b)}, 1000);
  EXPECT_TRUE(topology.routes(to_b(), 1000));
}

TEST(TopologyTest, TheWayThatHasKeyIsTaken) {
  Topology topology({});
  report_ring(topology, 1000);
  ASSERT_EQ(topology.routes(to_b(), 1000)->front().path, (std::vector{a, r, b}));
  topology.report(r, {link("a-r", a), link("r-b", b, 4)}, 1100);
  EXPECT_EQ(topology.routes(to_b(), 1100)->front().path, (std::vector{a, s, b})) << "of two that can be used, the one with more in stock";
}

TEST(TopologyTest, OfTwoPathsTheOneThatIsLongerThanARelayMayBeIsNotNamed) {
  Topology topology({});
  std::vector<ElementName> way{a};
  for (std::size_t i = 0; i + 1 < path_nodes_max; ++i) way.emplace_back("n" + std::to_string(i));
  way.push_back(b);
  topology.report(a, {link("a-r", r), link("a-n", way[1])}, 1000);
  topology.report(r, {link("a-r", a), link("r-b", b)}, 1000);
  topology.report(b, {link("r-b", r), link("n-b", way[way.size() - 2])}, 1000);
  for (std::size_t i = 1; i + 1 < way.size(); ++i) topology.report(way[i], {link("back", way[i - 1]), link("on", way[i + 1])}, 1000);
  const auto routes = topology.routes(to_b(2), 1000);
  ASSERT_TRUE(routes);
  ASSERT_EQ(routes->size(), 1U);
  EXPECT_EQ(routes->front().path, (std::vector{a, r, b}));
}

TEST(TopologyTest, TwoPathsShareNoRelay) {
  Topology topology({});
  report_ring(topology, 1000);
  const auto routes = topology.routes(to_b(2), 1000);
  ASSERT_TRUE(routes);
  ASSERT_EQ(routes->size(), 2U);
  EXPECT_EQ(routes->at(0).path, (std::vector{a, r, b}));
  EXPECT_EQ(routes->at(1).path, (std::vector{a, s, b}));
  EXPECT_EQ(chain(1000).routes(to_b(2), 1000)->size(), 1U) << "as many as there are";
}

TEST(TopologyTest, ALostLinkOfARouteInUseIsToldToItsUserOnceAndTheRouteIsAnother) {
  Topology topology({});
  report_ring(topology, 1000);
  ASSERT_EQ(topology.routes(to_b(), 1000)->front().path, (std::vector{a, r, b}));
  EXPECT_TRUE(topology.changed(a).empty());
  topology.report(r, {link("a-r", a), dead("r-b", b)}, 1100);
  EXPECT_EQ(topology.changed(a), (std::vector{b}));
  EXPECT_TRUE(topology.changed(a).empty());
  EXPECT_EQ(topology.counts().rerouted, 1U);
  EXPECT_EQ(topology.routes(to_b(), 1200)->front().path, (std::vector{a, s, b}));
}

TEST(TopologyTest, ASilentRelayOfARouteInUseIsRoutedAround) {
  Topology topology({});
  report_ring(topology, 1000);
  ASSERT_TRUE(topology.routes({.from = b, .to = a}, 1000));
  topology.report(a, {link("a-r", r), link("a-s", s)}, 9000);
  topology.report(s, {link("a-s", a), link("s-b", b)}, 9000);
  topology.report(b, {link("r-b", r), link("s-b", s)}, 9000);
  ASSERT_TRUE(topology.routes({.from = b, .to = a}, 9000));
  topology.expire(11500);
  EXPECT_EQ(topology.changed(b), (std::vector{a}));
  EXPECT_EQ(topology.routes({.from = b, .to = a}, 11500)->front().path, (std::vector{b, s, a}));
}

TEST(TopologyTest, ABreakInALongRouteIsGoneRoundWhereItIs) {
  Topology topology({});
  const auto node = [](const char* row, int i) { return ElementName(row + std::to_string(i)); };
  constexpr int length = 6;
  const auto report = [&](UnixMs now, int broken) {
    for (int i = 0; i < length; ++i) {
      for (const char* row : {"n", "o"}) {  // a ladder; its upper side costs more
        std::vector<ReportedLink> links{link("rung", node(row == std::string("n") ? "o" : "n", i))};
        const auto along = [&](int to) {
          const bool is_broken = row == std::string("n") && broken >= 0 && std::min(i, to) == broken;
          ReportedLink out = link("along", node(row, to), row == std::string("n") ? 100 : 30);
          if (is_broken) out = dead("along", node(row, to));
          links.push_back(out);
        };
        if (i > 0) along(i - 1);
        if (i + 1 < length) along(i + 1);
        topology.report(node(row, i), links, now);
      }
    }
  };
  report(1000, -1);
  const ElementName from = node("n", 0);
  const ElementName to = node("n", length - 1);
  ASSERT_EQ(topology.routes({.from = from, .to = to}, 1000)->front().path.size(), 6U);
  report(1100, 2);
  EXPECT_EQ(topology.changed(from), (std::vector{to}));
  const auto again = topology.routes({.from = from, .to = to}, 1100);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->front().path.size(), 8U);
  EXPECT_EQ(topology.counts().rerouted, 1U);
}

TEST(TopologyTest, ALinkWhoseQkdsRestIsRelayedOverWhileItHasKeys) {
  Topology topology = chain(1000);
  ASSERT_TRUE(topology.routes(to_b(), 1000));
  ReportedLink resting = link("r-b", b, 50);
  resting.state.alive = false;
  topology.report(r, {link("a-r", a), resting}, 1100);
  EXPECT_TRUE(topology.changed(a).empty());
  EXPECT_TRUE(topology.routes(to_b(), 1100));
}

TEST(TopologyTest, ALinkThatNobodyUsesIsLostQuietly) {
  Topology topology({});
  report_ring(topology, 1000);
  ASSERT_TRUE(topology.routes(to_b(), 1000));
  topology.report(s, {link("a-s", a), dead("s-b", b)}, 1100);
  EXPECT_TRUE(topology.changed(a).empty());
  EXPECT_EQ(topology.counts().rerouted, 0U);
}

TEST(TopologyTest, BackgroundDemandsLeaveTheReserve) {
  Topology topology({});
  topology.report(a, {link("a-b", b, 63)}, 1000);
  topology.report(b, {link("a-b", a)}, 1000);
  Demand demand = to_b();
  EXPECT_TRUE(topology.routes(demand, 1000));
  demand.priority = Priority::background;
  const auto refused = topology.routes(demand, 1000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::exhausted);
  EXPECT_NE(refused.error().message.find("qkm-a"), std::string::npos);
  topology.report(a, {link("a-b", b, 64)}, 1000);
  EXPECT_TRUE(topology.routes(demand, 1000));
}

TEST(TopologyTest, ARateIsPromisedOnceAndComesBackWithItsLease) {
  Topology topology({});
  // 51,200 bit/s sustain 100 relays a second.
  topology.report(a, {link("a-r", r)}, 1000);
  topology.report(r, {link("a-r", a), link("r-b", b), link("r-s", s)}, 1000);
  topology.report(b, {link("r-b", r)}, 1000);
  topology.report(s, {link("r-s", r)}, 1000);
  Demand first = to_b();
  first.keys_per_s = 70.0;
  EXPECT_TRUE(topology.routes(first, 1000));
  EXPECT_TRUE(topology.routes(first, 1500)) << "asking again is not asking for more";
  Demand second{.from = a, .to = s, .keys_per_s = 40.0};
  EXPECT_EQ(topology.routes(second, 1500).error().code, ErrorCode::exhausted);
  second.priority = Priority::urgent;
  EXPECT_TRUE(topology.routes(second, 1500)) << "urgent goes before what others were promised";
  second.priority = Priority::normal;
  second.keys_per_s = 30.0;
  EXPECT_TRUE(topology.routes(second, 1500));
  first.keys_per_s = 80.0;
  EXPECT_EQ(topology.routes(first, 1600).error().code, ErrorCode::exhausted);
  // The second's lease ends; reports keep the nodes fresh.
  const UnixMs later = 12000;
  topology.report(a, {link("a-r", r)}, later);
  topology.report(r, {link("a-r", a), link("r-b", b), link("r-s", s)}, later);
  topology.report(b, {link("r-b", r)}, later);
  topology.report(s, {link("r-s", r)}, later);
  EXPECT_TRUE(topology.routes(first, later));
}

TEST(TopologyTest, APromiseEndsWithItsLeaseAlsoWhenThatIsShorterThanReportsStayFresh) {
  Topology topology({.report_fresh_ms = 10000, .lease_ms = 1000});
  topology.report(a, {link("a-r", r)}, 1000);
  topology.report(r, {link("a-r", a), link("r-b", b), link("r-s", s)}, 1000);
  topology.report(b, {link("r-b", r)}, 1000);
  topology.report(s, {link("r-s", r)}, 1000);
  Demand first = to_b();
  first.keys_per_s = 70.0;
  ASSERT_TRUE(topology.routes(first, 1000));
  const Demand second{.from = a, .to = s, .keys_per_s = 40.0};
  EXPECT_EQ(topology.routes(second, 1999).error().code, ErrorCode::exhausted);
  const auto later = topology.routes(second, 2000);
  EXPECT_TRUE(later) << later.error().message;
}

TEST(TopologyTest, APathLongerThanARelayMayBeGivesWayToAShorterDearOne) {
  Topology topology({});
  const auto node = [](std::size_t i) { return ElementName("n" + std::to_string(100 + i)); };
  const std::size_t length = path_nodes_max + 2;
  const ElementName first = node(0);
  const ElementName last = node(length - 1);
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<ReportedLink> links;
    if (i > 0) links.push_back(link("back", node(i - 1)));
    if (i + 1 < length) links.push_back(link("on", node(i + 1)));
    if (i == 0) links.push_back(link("dear", last, 1));
    if (i + 1 == length) links.push_back(link("dear", first, 1));
    topology.report(node(i), links, 1000);
  }
  const auto routes = topology.routes({.from = first, .to = last}, 1000);
  ASSERT_TRUE(routes);
  EXPECT_EQ(routes->front().path, (std::vector{first, last}));
}

}  // namespace
}  // namespace qanat::qkdnc
