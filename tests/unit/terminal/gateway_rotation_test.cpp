// What an initiator does next, the life of its keys, and what it says on Dx-1.
#include "terminal/gateway/rotation.hpp"

#include <gtest/gtest.h>

#include "temporary_directory.hpp"
#include "terminal/gateway/dx1.hpp"
#include "terminal/gateway/key_records.hpp"

namespace qanat::terminal::gateway {
namespace {

using State = GatewayKeyState;
using Step = RotationStep;

KeyId numbered(std::uint8_t number) { return KeyId(Bytes(KeyId::size, number)); }

/// All is well at 1000 s: one key in force since 990 s, two more ready.
RotationView well() {
  return {.keys = {{.id = numbered(1), .state = State::active, .since_ms = 990'000},
                   {.id = numbered(2), .state = State::ready},
                   {.id = numbered(3), .state = State::ready}},
          .agreed = true,
          .up = true,
          .now_ms = 1'000'000};
}
const RotationPolicy an_hour{.rotate_after = std::chrono::hours(1), .rotate_octets = 5000, .ahead = 2};

TEST(RotationTest, NothingIsDueWhileAllIsWell) { EXPECT_EQ(next_step(well(), an_hour), Step::none); }

TEST(RotationTest, AKeyIsFollowedByAnotherForEachOfTheReasons) {
  RotationView view = well();
  view.keys.front().since_ms = 2'000'000;  // in the future: a clock that was set back
  EXPECT_EQ(rotation_reason(view, an_hour), RotationReason::none);
  view = well();
  view.now_ms = 990'000 + 3'600'000;
  EXPECT_EQ(rotation_reason(view, an_hour), RotationReason::age);
  view = well();
  view.octets = 5000;
  EXPECT_EQ(rotation_reason(view, an_hour), RotationReason::traffic);
  RotationPolicy any_traffic = an_hour;
  any_traffic.rotate_octets = 0;
  EXPECT_EQ(rotation_reason(view, any_traffic), RotationReason::none);
  view = well();
  view.up = false;
  EXPECT_EQ(rotation_reason(view, an_hour), RotationReason::tunnel_down);
  view = well();
  view.asked = true;
  EXPECT_EQ(rotation_reason(view, an_hour), RotationReason::asked);
  EXPECT_EQ(next_step(view, an_hour), Step::put_in_force);
  view.keys.erase(view.keys.begin());
  view.asked = false;
  EXPECT_EQ(rotation_reason(view, an_hour), RotationReason::no_key);
}

TEST(RotationTest, BothAgreeBeforeAnythingElse) {
  RotationView view = well();
  view.agreed = false;
  view.asked = true;
  EXPECT_EQ(next_step(view, an_hour), Step::agree);
}

TEST(RotationTest, KeysAreTakenAheadAndOneInForceComesBeforeMoreAhead) {
  RotationView view = well();
  view.keys.pop_back();
  EXPECT_EQ(next_step(view, an_hour), Step::take);
  view.asked = true;
  EXPECT_EQ(next_step(view, an_hour), Step::put_in_force);
  view.keys.pop_back();
  EXPECT_EQ(next_step(view, an_hour), Step::take) << "none is ready";
}

TEST(RotationTest, WhatFailedWaitsAndTheRestDoesNot) {
  RotationView view = well();
  view.keys.pop_back();
  view.asked = true;
  const auto pause = [&](Step step, UnixMs until) { view.pauses.at(index_of(step)) = {.failures = 1, .not_before_ms = until}; };
  pause(Step::put_in_force, view.now_ms + 1);
  EXPECT_EQ(next_step(view, an_hour), Step::take);
  pause(Step::take, view.now_ms + 1);
  EXPECT_EQ(next_step(view, an_hour), Step::none) << "each has its own pause";
  pause(Step::put_in_force, view.now_ms);
  EXPECT_EQ(next_step(view, an_hour), Step::put_in_force) << "keys that are ready serve while the KME is away";
  view.asked = false;
  EXPECT_EQ(next_step(view, an_hour), Step::none);
  pause(Step::take, view.now_ms);
  EXPECT_EQ(next_step(view, an_hour), Step::take);
  view.agreed = false;
  pause(Step::agree, view.now_ms + 1);
  EXPECT_EQ(next_step(view, an_hour), Step::none) << "without the other end nothing is done that costs a key";
}

TEST(RotationTest, NoChangeBeginsThatWouldNotComeToItsEnd) {
  RotationView view = well();
  view.asked = true;
  view.changeable = false;
  EXPECT_EQ(next_step(view, an_hour), Step::none);
  view.keys.pop_back();
  EXPECT_EQ(next_step(view, an_hour), Step::take) << "keys are taken ahead";
}

TEST(RotationTest, ThePauseGrowsToAMinute) {
  EXPECT_EQ(rotation_pause(1).count(), 1000);
  EXPECT_EQ(rotation_pause(2).count(), 2000);
  EXPECT_EQ(rotation_pause(6).count(), 32000);
  EXPECT_EQ(rotation_pause(7).count(), 60000);
  EXPECT_EQ(rotation_pause(4'000'000'000U).count(), 60000);
}

class GatewayRecordsTest : public testing::Test {
 protected:
  void SetUp() override { open(); }
  void open() {
    records_.reset();
    auto opened = KeyRecords::open(folder_ / "gateway.db");
    ASSERT_TRUE(opened) << opened.error().message;
    records_ = std::move(*opened);
  }
  Result<void> to(std::uint8_t number, State state) { return records_->move("ab", std::vector<KeyRecords::Move>{{.id = numbered(number), .to = state}}, 7); }
  qanat::test::TemporaryDirectory folder_;
  std::unique_ptr<KeyRecords> records_;
};

TEST_F(GatewayRecordsTest, KeepTheOrderAndTheStatesOverARestart) {
  ASSERT_TRUE(records_->take("ab", numbered(9), 1));
  ASSERT_TRUE(records_->take("ab", numbered(3), 2));
  ASSERT_TRUE(records_->take("cd", numbered(9), 3)) << "another tunnel";
  ASSERT_TRUE(to(9, State::ready));
  open();
  const auto rows = records_->live("ab");
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 2U);
  EXPECT_EQ((*rows)[0].id, numbered(9));
  EXPECT_EQ((*rows)[0].state, State::ready);
  EXPECT_EQ((*rows)[0].since_ms, 7U);
  EXPECT_EQ((*rows)[1].state, State::taken);
}

TEST_F(GatewayRecordsTest, RefuseAKeyThatWasHereBefore) {
  ASSERT_TRUE(records_->take("ab", numbered(1), 1));
  EXPECT_EQ(records_->take("ab", numbered(1), 2).error().code, ErrorCode::conflict);
  ASSERT_TRUE(to(1, State::gone));
  EXPECT_EQ(records_->take("ab", numbered(1), 3).error().code, ErrorCode::conflict);
  EXPECT_EQ(records_->state_of("ab", numbered(1)).value(), State::gone);
  EXPECT_EQ(records_->state_of("ab", numbered(2)).value(), std::nullopt);
  EXPECT_TRUE(records_->live("ab")->empty());
}

TEST_F(GatewayRecordsTest, KeepTheLastOnesOfEachTunnelHoweverBusyAnotherIs) {
  records_.reset();
  records_ = std::move(KeyRecords::open(folder_ / "gateway.db", 2).value());
  const auto use_up = [&](const std::string& tunnel, std::uint8_t number) {
    ASSERT_TRUE(records_->take(tunnel, numbered(number), 1));
    ASSERT_TRUE(records_->move(tunnel, std::vector<KeyRecords::Move>{{.id = numbered(number), .to = State::gone}}, 2));
  };
  for (std::uint8_t i = 1; i <= 3; ++i) use_up("ab", i);
  for (std::uint8_t i = 1; i <= 9; ++i) use_up("cd", i);
  ASSERT_TRUE(records_->take("ab", numbered(4), 3));
  EXPECT_EQ(records_->state_of("ab", numbered(1)).value(), std::nullopt);
  EXPECT_EQ(records_->state_of("ab", numbered(2)).value(), State::gone);
  EXPECT_EQ(records_->state_of("ab", numbered(3)).value(), State::gone);
  EXPECT_EQ(records_->state_of("ab", numbered(4)).value(), State::taken);
  EXPECT_EQ(records_->take("ab", numbered(2), 4).error().code, ErrorCode::conflict);
  EXPECT_EQ(records_->state_of("cd", numbered(9)).value(), State::gone);
}

TEST_F(GatewayRecordsTest, FollowTheTableOrChangeNothing) {
  ASSERT_TRUE(records_->take("ab", numbered(1), 1));
  EXPECT_EQ(to(1, State::active).error().code, ErrorCode::conflict);
  ASSERT_TRUE(to(1, State::ready));
  ASSERT_TRUE(to(1, State::switching));
  EXPECT_EQ(to(1, State::ready).error().code, ErrorCode::conflict) << "a key is tried once";
  const std::vector<KeyRecords::Move> half{{.id = numbered(1), .to = State::active}, {.id = numbered(2), .to = State::gone}};
  EXPECT_EQ(records_->move("ab", half, 2).error().code, ErrorCode::not_found);
  EXPECT_EQ(records_->state_of("ab", numbered(1)).value(), State::switching);
}

TEST_F(GatewayRecordsTest, MessagesHaveTheirOrder) {
  EXPECT_EQ(records_->next_turn("ab", 1000).value(), 1000);
  EXPECT_EQ(records_->next_turn("ab", 1000).value(), 1001);
  EXPECT_EQ(records_->next_turn("ab", 5).value(), 1002) << "a clock that was set back";
  EXPECT_TRUE(records_->follow_turn("cd", 7));
  EXPECT_EQ(records_->follow_turn("cd", 7).error().code, ErrorCode::conflict);
  EXPECT_EQ(records_->follow_turn("cd", 6).error().code, ErrorCode::conflict);
  open();
  EXPECT_EQ(records_->follow_turn("cd", 6).error().code, ErrorCode::conflict);
  EXPECT_TRUE(records_->follow_turn("cd", 8));
}

TEST(Dx1Test, MessagesAreReadBack) {
  const auto key = read_dx1_key(write(Dx1Key{.tunnel = "ab", .key = numbered(1)}));
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(key->key, numbered(1));
  const auto loaded = read_dx1_loaded(write(Dx1Loaded{.tunnel = "ab", .turn = 5, .in_force = numbered(2), .keep = {numbered(1), numbered(2)}}));
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->turn, 5);
  EXPECT_EQ(loaded->in_force, numbered(2));
  EXPECT_EQ(loaded->keep, (std::vector{numbered(1), numbered(2)}));
  EXPECT_EQ(read_dx1_loaded(write(Dx1Loaded{.tunnel = "ab", .turn = 5, .in_force = {}, .keep = {}}))->in_force, std::nullopt);
  EXPECT_EQ(read_loaded(write_loaded({numbered(3)})).value(), std::vector{numbered(3)});
}

TEST(Dx1Test, WhatIsOutOfBoundsIsRefused) {
  const std::string id = R"("01010101-0101-0101-0101-010101010101")";
  for (const std::string& text : {std::string("{}"), R"({"tunnel":"ab"})" + std::string(), R"({"tunnel":"A","key":)" + id + "}",
                                  R"({"tunnel":"ab","key":"x"})" + std::string(), R"({"tunnel":"ab","key":)" + id + R"(,"more":1})"}) {
    EXPECT_FALSE(read_dx1_key(wire::Json::parse(std::string_view(text)).value())) << text;
  }
  const auto loaded = [&](const std::string& rest) { return R"({"tunnel":"ab",)" + rest + "}"; };
  std::string many;
  for (std::size_t i = 0; i <= dx1_keys_max; ++i)
    many += (many.empty() ? "\"" : ",\"") + std::string(8, static_cast<char>('a' + i % 6)) + "-0101-0101-0101-0101010101" + (i < 10 ? "0" : "") +
            std::to_string(i) + "\"";
  for (const std::string& text :
       {loaded(R"("turn":1)"), loaded(R"("turn":0,"keep":[])"), loaded(R"("turn":1,"keep":[)" + id + "," + id + "]"),
        loaded(R"("turn":1,"keep":[)" + many + "]"), loaded(R"("turn":1,"keep":[],"in_force":)" + id), loaded(R"("turn":1,"keep":[],"in_force":1)")}) {
    EXPECT_FALSE(read_dx1_loaded(wire::Json::parse(std::string_view(text)).value())) << text;
  }
  EXPECT_FALSE(is_tunnel_name(""));
  EXPECT_FALSE(is_tunnel_name(std::string(tunnel_name_max + 1, 'a')));
}

}  // namespace
}  // namespace qanat::terminal::gateway
