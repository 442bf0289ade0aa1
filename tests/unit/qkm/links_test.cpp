#include "quantum/qkm/links.hpp"

#include <thread>

#include "harness.hpp"
#include "quantum/qkm/controllers.hpp"

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
  using Paths = std::vector<Routes::Path>;
  Routes routes(std::chrono::milliseconds fresh) {
    return Routes(self_, {r_, r2_}, fresh, [this](const ElementName&, std::size_t, Deadline, const std::string&) {
      ++asked_;
      return answer_;
    });
  }
  static Result<Paths> find(Routes& routes, const char* to, std::size_t paths = 1) { return routes.find(ElementName(to), paths, test::soon(), "1"); }
  const ElementName self_{"qkm-a"};
  const ElementName r_{"qkm-r"};
  const ElementName r2_{"qkm-r2"};
  const ElementName b_{"qkm-b"};
  const Paths both_{{self_, r_, b_}, {self_, r2_, b_}};
  int asked_ = 0;
  Result<Paths> answer_ = both_;
};

TEST_F(RoutesFixture, RoutesAreKeptUntilTheyAreOldOrDistrusted) {
  Routes known = routes(std::chrono::hours(1));
  EXPECT_EQ(find(known, "qkm-b").value(), both_);
  EXPECT_EQ(find(known, "qkm-b").value(), both_);
  EXPECT_EQ(asked_, 1);
  known.distrust(both_[0]);
  EXPECT_EQ(find(known, "qkm-b").value(), both_);
  EXPECT_EQ(asked_, 2);
  EXPECT_TRUE(find(known, "qkm-b", 2));
  EXPECT_EQ(asked_, 3) << "more paths than were asked for before";
}

TEST_F(RoutesFixture, WithoutControllerTheLastRoutesOrTheNeighbourItselfServe) {
  Routes known = routes(std::chrono::milliseconds(0));
  EXPECT_EQ(find(known, "qkm-b").value(), both_);
  answer_ = Result<Paths>(fail(ErrorCode::unavailable, "no answer"));
  EXPECT_EQ(find(known, "qkm-b").value(), both_);
  known.distrust(both_[0]);
  EXPECT_EQ(find(known, "qkm-b").value(), (Paths{both_[1], both_[0]})) << "the one that failed is tried last";
  EXPECT_EQ(find(known, "qkm-r").value(), (Paths{{self_, r_}}));
  EXPECT_EQ(find(known, "qkm-c").error().code, ErrorCode::unavailable);
}

TEST_F(RoutesFixture, AControllerThatKnowsNoWayIsBelieved) {
  Routes known = routes(std::chrono::milliseconds(0));
  answer_ = Result<Paths>(fail(ErrorCode::not_found, "no QKM qkm-r has reported"));
  EXPECT_EQ(find(known, "qkm-r").error().code, ErrorCode::not_found);
}

TEST_F(RoutesFixture, ARouteThatCannotBeFollowedIsNotTaken) {
  Routes known = routes(std::chrono::milliseconds(0));
  for (const Routes::Path& bad : Paths{{self_, ElementName("qkm-x"), b_}, {self_, r_}, {self_}, {}, {r_, b_}}) {
    answer_ = Paths{bad};
    EXPECT_EQ(find(known, "qkm-b").error().code, ErrorCode::unavailable);
  }
  answer_ = Paths{{self_, r_}, both_[1]};
  EXPECT_EQ(find(known, "qkm-b").value(), Paths{both_[1]}) << "the others are";
}

TEST(RoutesOfAControllerTest, PathsThatShareANodeAreOnePathWhateverTheControllerSays) {
  const auto route = [](std::vector<std::string> hops, std::optional<std::string> id = {}) {
    Routes::Path path{ElementName("qkm-a")};
    wire::Json names = wire::Json::array();
    for (const std::string& hop : hops) {
      path.emplace_back(hop);
      names.push(hop);
    }
    return wire::Json::object({{"route", names}, {"path_id", id.value_or(path_id_of(path).hex())}});
  };
  const auto answer = [](std::vector<wire::Json> routes) { return wire::Json::object({{"routes", wire::Json::array(std::move(routes))}}); };
  const auto read = read_routes(answer({route({"qkm-r", "qkm-b"}), route({"qkm-s", "qkm-r", "qkm-b"}), route({"qkm-s", "qkm-b"})}), "qkm-a");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, (std::vector<Routes::Path>{{ElementName("qkm-a"), ElementName("qkm-r"), ElementName("qkm-b")},
                                              {ElementName("qkm-a"), ElementName("qkm-s"), ElementName("qkm-b")}}));
  EXPECT_EQ(read_routes(answer({}), "qkm-a").error().code, ErrorCode::unavailable);
  const std::string id_of_another = path_id_of(std::array{ElementName("qkm-a"), ElementName("qkm-b")}).hex();
  EXPECT_EQ(read_routes(answer({route({"qkm-r", "qkm-b"}, id_of_another)}), "qkm-a").error().code, ErrorCode::unavailable);
}

}  // namespace
}  // namespace qanat::qkm
