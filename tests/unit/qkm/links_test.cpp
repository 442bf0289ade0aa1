#include "quantum/qkm/links.hpp"

#include <thread>

#include "harness.hpp"

namespace qanat::qkm {
namespace {

const LinkId link("a-r");
constexpr WaterMarks marks{.low = 10, .high = 20};

class LinksFixture : public testing::Test {
 protected:
  bool runs() { return links_.await_run(link, false, test::at_once(), clock_); }
  void stock(std::int64_t own, std::int64_t peer) { links_.set_stock(link, {.own = own, .peer = peer}); }
  test::SettableClock clock_;
  Links links_{{link}, marks};
};

TEST_F(LinksFixture, ALinkRunsFromLowWaterUntilHighWater) {
  stock(0, 0);
  EXPECT_TRUE(runs());
  stock(19, 19);
  EXPECT_TRUE(runs()) << "below the high mark it goes on";
  stock(20, 20);
  EXPECT_FALSE(runs());
  stock(10, 10);
  EXPECT_FALSE(runs()) << "above the low mark it rests on";
  stock(9, 10);
  EXPECT_TRUE(runs());
}

TEST_F(LinksFixture, TheDirectionWithFewerKeysDecides) {
  stock(1000, 3);
  EXPECT_TRUE(runs());
  stock(3, 1000);
  EXPECT_TRUE(runs());
}

TEST_F(LinksFixture, APollReturnsAsSoonAsTheOrderChanges) {
  stock(20, 20);
  std::jthread consumer([&] { stock(5, 20); });
  EXPECT_TRUE(links_.await_run(link, false, test::soon(), clock_));
}

TEST_F(LinksFixture, ALinkIsAliveWhileItsQkdIsHeardOf) {
  EXPECT_FALSE(links_.view(clock_.now_ms()).front().alive);
  (void)runs();
  EXPECT_TRUE(links_.view(clock_.now_ms()).front().alive);
  clock_.advance(15001);
  EXPECT_FALSE(links_.view(clock_.now_ms()).front().alive);
  links_.set_report(link, {.qber = 0.02, .rate_bps = 4000.0, .simulated = true}, clock_.now_ms());
  EXPECT_TRUE(links_.view(clock_.now_ms()).front().alive);
  EXPECT_EQ(links_.view(clock_.now_ms()).front().report.qber, 0.02);
}

class RoutesFixture : public testing::Test {
 protected:
  Routes routes(std::chrono::milliseconds fresh) {
    return Routes({ElementName("qkm-r")}, fresh, [this](const ElementName&, Deadline, const std::string&) {
      ++asked_;
      return answer_;
    });
  }
  Result<Routes::Nodes> find(Routes& routes, const char* to) { return routes.find(ElementName(to), test::soon(), "1"); }
  const Routes::Nodes over_r_{ElementName("qkm-r"), ElementName("qkm-b")};
  int asked_ = 0;
  Result<Routes::Nodes> answer_ = over_r_;
};

TEST_F(RoutesFixture, ARouteIsKeptUntilItIsOldOrDistrusted) {
  Routes known = routes(std::chrono::hours(1));
  EXPECT_EQ(find(known, "qkm-b").value(), over_r_);
  EXPECT_EQ(find(known, "qkm-b").value(), over_r_);
  EXPECT_EQ(asked_, 1);
  known.distrust(ElementName("qkm-b"));
  EXPECT_EQ(find(known, "qkm-b").value(), over_r_);
  EXPECT_EQ(asked_, 2);
}

TEST_F(RoutesFixture, WithoutControllerTheLastRouteOrTheNeighbourItselfServes) {
  Routes known = routes(std::chrono::milliseconds(0));
  EXPECT_EQ(find(known, "qkm-b").value(), over_r_);
  answer_ = Result<Routes::Nodes>(fail(ErrorCode::unavailable, "no answer"));
  EXPECT_EQ(find(known, "qkm-b").value(), over_r_);
  EXPECT_EQ(find(known, "qkm-r").value(), Routes::Nodes{ElementName("qkm-r")});
  EXPECT_EQ(find(known, "qkm-c").error().code, ErrorCode::unavailable);
}

TEST_F(RoutesFixture, AControllerThatKnowsNoWayIsBelieved) {
  Routes known = routes(std::chrono::milliseconds(0));
  answer_ = Result<Routes::Nodes>(fail(ErrorCode::not_found, "no QKM qkm-r has reported"));
  EXPECT_EQ(find(known, "qkm-r").error().code, ErrorCode::not_found);
}

TEST_F(RoutesFixture, ARouteThatCannotBeFollowedIsNotTaken) {
  Routes known = routes(std::chrono::milliseconds(0));
  answer_ = Routes::Nodes{ElementName("qkm-x"), ElementName("qkm-b")};
  EXPECT_EQ(find(known, "qkm-b").error().code, ErrorCode::unavailable);
  answer_ = Routes::Nodes{ElementName("qkm-r")};
  EXPECT_EQ(find(known, "qkm-b").error().code, ErrorCode::unavailable);
  answer_ = Routes::Nodes{};
  EXPECT_EQ(find(known, "qkm-b").error().code, ErrorCode::unavailable);
}

}  // namespace
}  // namespace qanat::qkm
