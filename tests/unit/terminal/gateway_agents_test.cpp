// Two agents and their gateways, joined in this process: keys come in force at both ends or at none, whatever fails in between.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "temporary_directory.hpp"
#include "terminal/gateway/initiator.hpp"
#include "terminal/gateway/responder.hpp"

namespace qanat::terminal::gateway {
namespace {

class SetClock final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return now; }
  UnixMs now = 1'000'000'000;
};

/// What the two gateways have between them: a tunnel is made under a key that both hold with the same octets.
struct BetweenGateways {
  std::map<KeyId, Bytes> far;  // what the responder's gateway holds
  bool far_accepts = true;
  std::optional<KeyId> runs_on;
  std::set<KeyId> tried;  // in force, or tried
  bool tried_twice = false;
};

class GatewayDouble final : public Tunnel {
 public:
  GatewayDouble(BetweenGateways& between, Role role) : between_(between), role_(role) {}
  Result<void> prepare(Deadline) override { return away_ ? Result<void>(fail(ErrorCode::unavailable, "the gateway is away")) : Result<void>(); }
  Result<void> load(const KeyId& id, const Secret& key, Deadline) override {
    held()[id] = to_bytes(key.reveal());
    return {};
  }
  Result<void> unload(const KeyId& id, Deadline) override {
    held().erase(id);
    return {};
  }
  Result<std::vector<KeyId>> loaded(Deadline) override {
    std::vector<KeyId> out;
    for (const auto& [id, octets] : held()) out.push_back(id);
    return out;
  }
  Result<void> follow(const KeyId& id, Deadline) override {
    if (!held().contains(id)) return fail(ErrorCode::not_found, "not held");
    return {};
  }
  Result<void> unfollow(Deadline) override {
    ++unfollowed_;
    overdue_ = false;
    return {};
  }
  Result<void> put_in_force(const KeyId& id, const std::optional<KeyId>& /*former*/, Deadline) override {
    between_.tried_twice = between_.tried_twice || !between_.tried.insert(id).second;
    const auto there = between_.far.find(id);
    if (!between_.far_accepts || there == between_.far.end() || there->second != held().at(id)) return fail(ErrorCode::denied, "AUTHENTICATION_FAILED");
    between_.runs_on = id;
    return {};
  }
  [[nodiscard]] std::chrono::milliseconds patience() const override { return std::chrono::seconds(1); }
  Result<TunnelCondition> condition(Deadline) override {
    return TunnelCondition{.up = between_.runs_on.has_value(), .octets = octets_, .changeable = changeable_, .overdue = overdue_};
  }
  void interrupt() noexcept override { interrupted_ = true; }

  /// The gateway's software was restarted: it has forgotten its keys, and the tunnel is down.
  void restart() {
    held().clear();
    between_.runs_on.reset();
  }
  std::map<KeyId, Bytes>& held() { return role_ == Role::responder ? between_.far : held_; }
  bool away_ = false;
  std::uint64_t octets_ = 0;
  bool changeable_ = true;
  bool overdue_ = false;
  int unfollowed_ = 0;
  bool interrupted_ = false;

 private:
  BetweenGateways& between_;
  Role role_;
  std::map<KeyId, Bytes> held_;
};

class GatewayAgentsTest : public testing::Test {
 protected:
  void SetUp() override {
    open_initiator();
    open_responder();
  }

  /// As after a start of the process; the gateway's software went on meanwhile.
  void open_initiator() {
    initiator_.reset();
    near_records_.reset();
    near_records_ = std::move(KeyRecords::open(folder_ / "near.db").value());
    auto gateway = std::make_unique<GatewayDouble>(between_, Role::initiator);
    if (near_ != nullptr) gateway->held() = near_held_;
    near_ = gateway.get();
    initiator_ = std::make_unique<Initiator>(plan(Role::initiator), ports("near"), *near_records_, std::move(gateway));
  }
  void restart_initiator() {
    near_held_ = near_->held();
    open_initiator();
  }
  void open_responder() {
    responder_.reset();
    far_records_.reset();
    far_records_ = std::move(KeyRecords::open(folder_ / "far.db").value());
    auto gateway = std::make_unique<GatewayDouble>(between_, Role::responder);
    far_ = gateway.get();
    responder_ = std::make_unique<Responder>(plan(Role::responder), ports("far"), *far_records_, std::move(gateway));
  }

  TunnelPlan plan(Role role) const {
    return {.name = "ab",
            .role = role,
            .use = wire::GatewayUse::ppk,
            .initiator = near_id_,
            .responder = far_id_,
            .policy = {.rotate_after = std::chrono::hours(1), .rotate_octets = 1000, .ahead = 2}};
  }

  AgentPorts ports(const std::string& who) {
    return {.clock = clock_,
            .suite = **crypto::find_suite("INTL-hybrid"),
            .record = [this, who](std::string_view action, std::string_view, const Error* why) -> Result<void> {
              recorded_.push_back(who + " " + std::string(action) + (why == nullptr ? "" : ": " + why->message));
              return {};
            },
            .fresh = [this](Deadline) -> Result<kme::Key> {
              if (!kme_serves_) return fail(ErrorCode::unavailable, "the KME is away");
              const KeyId id(Bytes(KeyId::size, ++made_));
              kme_[id] = Bytes(32, static_cast<std::uint8_t>(made_ + 100));
              return kme::Key{.id = id, .octets = Secret::copy_of(kme_[id])};
            },
            .offer = [this](const Dx1Key& message, Deadline deadline) -> Result<void> {
              if (!reached_) return fail(ErrorCode::unavailable, "the responder is away");
              return responder_->take(message.key, deadline);
            },
            .agree = [this](const Dx1Loaded& message, Deadline deadline) -> Result<std::vector<KeyId>> {
              if (!reached_) return fail(ErrorCode::unavailable, "the responder is away");
              const auto read = read_dx1_loaded(write(message));
              if (!read) return fail(read.error());
              last_ = *read;
              told_.push_back(*read);
              const auto answer = responder_->follow(*read, deadline);
              if (!loses_answer_) return answer;
              reached_ = false;
              return fail(ErrorCode::unavailable, "the answer is lost");
            },
            .by_id = [this](const KeyId& id, Deadline) -> Result<Secret> {
              const auto found = kme_.find(id);
              if (found == kme_.end()) return fail(ErrorCode::invalid_argument, "the KME answers 400");
              if (spoils_) found->second[0] ^= 1U;
              Secret out = Secret::copy_of(found->second);
              kme_.erase(found);
              return Result<Secret>(std::move(out));
            }};
  }

  /// Works until nothing is due.
  void settle() {
    for (int i = 0; i < 50 && initiator_->work().count() == 0; ++i) {
    }
  }
  std::vector<GatewayKeyRow> near_rows() { return near_records_->live("ab").value(); }
  std::vector<GatewayKeyRow> far_rows() { return far_records_->live("ab").value(); }
  static std::optional<KeyId> in_force(const std::vector<GatewayKeyRow>& rows) {
    const GatewayKeyRow* const active = active_of(rows);
    return active == nullptr ? std::optional<KeyId>() : std::optional(active->id);
  }
  void expect_agreement(std::size_t ready) {
    EXPECT_TRUE(in_force(near_rows()));
    EXPECT_EQ(in_force(near_rows()), in_force(far_rows()));
    EXPECT_EQ(between_.runs_on, in_force(near_rows()));
    EXPECT_EQ(near_rows().size(), 1 + ready);
    EXPECT_EQ(far_rows().size(), 1 + ready);
    EXPECT_EQ(near_->held().size(), 1 + ready) << "keys that are over are in the gateway no longer";
    EXPECT_EQ(between_.far.size(), 1 + ready);
    EXPECT_FALSE(between_.tried_twice);
  }
  bool on_record(const std::string& what) const {
    return std::ranges::any_of(recorded_, [&](const std::string& line) { return line.contains(what); });
  }

  qanat::test::TemporaryDirectory folder_;
  SetClock clock_;
  const Identity near_id_{.domain = "a", .kind = Kind::dev1, .name = "gw-a"};
  const Identity far_id_{.domain = "b", .kind = Kind::dev1, .name = "gw-b"};
  BetweenGateways between_;
  std::map<KeyId, Bytes> kme_;  // keys that the slave has not fetched
  std::uint8_t made_ = 0;
  bool kme_serves_ = true;
  bool reached_ = true;
  bool spoils_ = false;
  std::vector<std::string> recorded_;
  bool loses_answer_ = false;  // and nothing comes through after it
  std::optional<Dx1Loaded> last_;
  std::vector<Dx1Loaded> told_;
  std::map<KeyId, Bytes> near_held_;
  std::unique_ptr<KeyRecords> near_records_, far_records_;
  std::unique_ptr<Initiator> initiator_;
  std::unique_ptr<Responder> responder_;
  GatewayDouble* near_ = nullptr;
  GatewayDouble* far_ = nullptr;
};

TEST_F(GatewayAgentsTest, ATunnelComesUpWithKeysAhead) {
  settle();
  expect_agreement(2);
  EXPECT_EQ(initiator_->state().ready, 2U);
  EXPECT_TRUE(initiator_->state().up);
  EXPECT_EQ(initiator_->state().last_failure, "");
  EXPECT_TRUE(on_record("near gateway.key.active"));
  EXPECT_TRUE(on_record("far gateway.key.active"));
}

TEST_F(GatewayAgentsTest, NoGatewayIsGivenTheKmesOwnKey) {
  settle();
  for (const auto& [id, octets] : near_->held()) {
    EXPECT_EQ(octets, between_.far.at(id));
    EXPECT_NE(octets, Bytes(32, static_cast<std::uint8_t>(id.view()[0] + 100)));
  }
}

TEST_F(GatewayAgentsTest, AgeTrafficAndAWordChangeTheKey) {
  settle();
  const auto first = in_force(near_rows());
  clock_.now += 3'600'000;
  settle();
  const auto second = in_force(near_rows());
  EXPECT_NE(second, first);
  near_->octets_ = 1000;
  EXPECT_EQ(initiator_->work().count(), 0);
  near_->octets_ = 0;
  settle();
  const auto third = in_force(near_rows());
  EXPECT_NE(third, second);
  initiator_->ask();
  settle();
  EXPECT_NE(in_force(near_rows()), third);
  expect_agreement(2);
}

TEST_F(GatewayAgentsTest, AKeyThatIsNotTheSameAtBothEndsLeavesTheTunnelAsItWas) {
  settle();
  const auto before = between_.runs_on;
  spoils_ = true;
  initiator_->ask();  // on a good one that was ready; the next are spoilt
  settle();
  const auto good = between_.runs_on;
  ASSERT_NE(good, before);
  initiator_->ask();
  settle();  // the last good one
  const auto last_good = between_.runs_on;
  initiator_->ask();
  settle();
  EXPECT_EQ(between_.runs_on, last_good);
  EXPECT_EQ(in_force(far_rows()), last_good);
  EXPECT_TRUE(on_record("near gateway.rotation: AUTHENTICATION_FAILED"));
  EXPECT_TRUE(initiator_->state().last_failure.contains("AUTHENTICATION_FAILED"));
  spoils_ = false;
  for (int i = 0; i < 10 && between_.runs_on == last_good; ++i) {
    clock_.now += 61'000;
    settle();
  }
  EXPECT_NE(between_.runs_on, last_good) << "the spoilt ones are used up one by one";
  expect_agreement(2);
  EXPECT_EQ(initiator_->state().last_failure, "");
}

TEST_F(GatewayAgentsTest, KeysAheadServeWhileTheKmeIsAway) {
  settle();
  kme_serves_ = false;
  for (int i = 0; i < 2; ++i) {
    const auto before = between_.runs_on;
    initiator_->ask();
    settle();
    EXPECT_NE(between_.runs_on, before);
  }
  EXPECT_TRUE(on_record("near gateway.failure: the KME is away"));
  const auto failures = [&] { return std::ranges::count(recorded_, "near gateway.failure: the KME is away"); };
  EXPECT_EQ(failures(), 1) << "once, not at each attempt";
  kme_serves_ = true;
  clock_.now += 61'000;
  settle();
  expect_agreement(2);
}

TEST_F(GatewayAgentsTest, NothingIsTakenForAResponderThatIsAway) {
  settle();
  const auto made = made_;
  reached_ = false;
  clock_.now += 6000;
  initiator_->ask();
  settle();
  EXPECT_EQ(made_, made);
  EXPECT_EQ(initiator_->state().ready, 2U);
  reached_ = true;
  clock_.now += 61'000;
  settle();
  expect_agreement(2);
}

TEST_F(GatewayAgentsTest, AGatewayThatWasRestartedGetsOtherKeys) {
  settle();
  const auto before = between_.runs_on;
  near_->restart();
  settle();
  EXPECT_NE(between_.runs_on, before);
  expect_agreement(2);
  far_->restart();
  clock_.now += 6000;
  settle();
  expect_agreement(2);
}

TEST_F(GatewayAgentsTest, WhatIsGoneByTheRecordsLeavesTheGatewayAndWhatIsOthersStays) {
  settle();
  const KeyId former = *in_force(near_rows());
  initiator_->ask();
  settle();
  ASSERT_NE(in_force(near_rows()), former);
  ASSERT_FALSE(near_->held().contains(former));
  const KeyId others(Bytes(KeyId::size, 99));
  near_->held()[former] = Bytes(32, 1);  // what was unloaded came back, from the gateway's own copy
  near_->held()[others] = Bytes(32, 2);
  settle();
  EXPECT_FALSE(near_->held().contains(former));
  EXPECT_TRUE(near_->held().contains(others)) << "another tunnel's, or an operator's";
}

TEST_F(GatewayAgentsTest, AKeyThatTheResponderHoldsNoLongerIsNotTried) {
  settle();
  const KeyId next = near_rows()[1].id;
  between_.far.erase(next);
  initiator_->ask();
  EXPECT_TRUE(initiator_->work().count() > 0);
  EXPECT_FALSE(between_.tried.contains(next));
  EXPECT_TRUE(on_record("the responder no longer holds it"));
  clock_.now += 61'000;
  settle();
  expect_agreement(2);
  EXPECT_FALSE(between_.tried.contains(next));
}

TEST_F(GatewayAgentsTest, AnAgentThatDiedGoesOnWithTheKeyInForce) {
  settle();
  const auto before = between_.runs_on;
  restart_initiator();
  settle();
  EXPECT_EQ(between_.runs_on, before);
  expect_agreement(2);
}

TEST_F(GatewayAgentsTest, AChangeThatDiedInTheMiddleIsFollowedByAnother) {
  settle();
  const auto before = between_.runs_on;
  const KeyId second = near_rows()[1].id;
  ASSERT_TRUE(near_records_->move("ab", std::vector<KeyRecords::Move>{{.id = second, .to = GatewayKeyState::switching}}, clock_.now));
  between_.runs_on = second;  // the gateway had done it, the record had not been written
  between_.tried.insert(second);
  restart_initiator();
  settle();
  EXPECT_NE(between_.runs_on, second);
  EXPECT_NE(between_.runs_on, before);
  expect_agreement(2);
}

TEST_F(GatewayAgentsTest, WhatTheTunnelMayRunOnIsKeptAtBothEndsUntilAnotherIsInForce) {
  settle();
  const std::vector<GatewayKeyRow> rows = near_rows();
  // The first change of all died in the middle: none is in force by the records.
  ASSERT_TRUE(near_records_->move("ab", std::vector<KeyRecords::Move>{{.id = rows[0].id, .to = GatewayKeyState::gone}}, clock_.now));
  ASSERT_TRUE(near_records_->move("ab", std::vector<KeyRecords::Move>{{.id = rows[1].id, .to = GatewayKeyState::switching}}, clock_.now));
  restart_initiator();
  told_.clear();
  settle();
  const auto keeps = [&](const Dx1Loaded& message) { return std::ranges::find(message.keep, rows[1].id) != message.keep.end(); };
  const auto change = std::ranges::find(told_, std::optional(rows[2].id), &Dx1Loaded::in_force);
  ASSERT_NE(change, told_.end());
  EXPECT_TRUE(std::ranges::all_of(told_.begin(), change + 1, keeps)) << "also in the message that begins the next change";
  EXPECT_FALSE(keeps(told_.back()));
  expect_agreement(2);
}

TEST_F(GatewayAgentsTest, AFailedChangeWaitsAlthoughAnotherStepFailsMeanwhile) {
  settle();
  between_.far_accepts = false;
  kme_serves_ = false;
  initiator_->ask();
  settle();
  const std::size_t tried = between_.tried.size();
  for (int i = 0; i < 5; ++i) settle();
  EXPECT_EQ(between_.tried.size(), tried);
  EXPECT_EQ(initiator_->state().ready, 1U);
  clock_.now += 1000;
  settle();
  EXPECT_EQ(between_.tried.size(), tried + 1);
}

TEST_F(GatewayAgentsTest, AChangeThatWouldNotComeToItsEndCostsNoKey) {
  settle();
  const auto before = between_.runs_on;
  near_->changeable_ = false;
  clock_.now += 3'600'000;
  initiator_->ask();
  for (int i = 0; i < 3; ++i) settle();
  EXPECT_EQ(between_.runs_on, before);
  EXPECT_EQ(initiator_->state().ready, 2U);
  near_->changeable_ = true;
  settle();
  EXPECT_NE(between_.runs_on, before);
  expect_agreement(2);
}

TEST_F(GatewayAgentsTest, AResponderThatHearsNoMoreGoesBackToTheKeyBefore) {
  settle();
  const auto before = between_.runs_on;
  const KeyId next = near_rows()[1].id;
  loses_answer_ = true;
  initiator_->ask();
  settle();
  ASSERT_EQ(in_force(far_rows()), next) << "it was told, and its answer was lost";
  ASSERT_EQ(in_force(near_rows()), before);
  responder_->work();
  EXPECT_EQ(far_->unfollowed_, 0) << "the initiator has time";
  far_->overdue_ = true;
  responder_->work();
  EXPECT_EQ(far_->unfollowed_, 1);
  EXPECT_EQ(in_force(far_rows()), before);
  EXPECT_TRUE(on_record("far gateway.rotation: the initiator did not put it in force"));
  loses_answer_ = false;
  reached_ = true;
  clock_.now += 61'000;
  settle();
  expect_agreement(2);
  EXPECT_NE(between_.runs_on, before);
}

TEST_F(GatewayAgentsTest, AnEndOfTheProcessReachesTheGatewaysSoftware) {
  initiator_->interrupt();
  EXPECT_TRUE(near_->interrupted_);
}

TEST_F(GatewayAgentsTest, AKeyOnItsWayWhenTheAgentDiedIsGone) {
  settle();
  const KeyId id(Bytes(KeyId::size, 200));
  ASSERT_TRUE(near_records_->take("ab", id, clock_.now));
  kme_[id] = Bytes(32, 1);
  ASSERT_TRUE(responder_->take(id, Deadline::after(std::chrono::seconds(1))));
  EXPECT_EQ(far_rows().size(), 4U);
  restart_initiator();
  settle();
  expect_agreement(2);
  EXPECT_EQ(near_records_->state_of("ab", id).value(), GatewayKeyState::gone);
}

TEST_F(GatewayAgentsTest, TheResponderRefusesWhatWasUsedOvertakenOrTooMuch) {
  settle();
  const Deadline soon = Deadline::after(std::chrono::seconds(5));
  const KeyId used(Bytes(KeyId::size, 1));
  initiator_->ask();
  settle();
  ASSERT_EQ(far_records_->state_of("ab", used).value(), GatewayKeyState::gone);
  EXPECT_EQ(responder_->take(used, soon).error().code, ErrorCode::conflict);
  EXPECT_EQ(responder_->follow(*last_, soon).error().code, ErrorCode::conflict) << "the same message again";
  const KeyId unknown(Bytes(KeyId::size, 250));
  EXPECT_EQ(responder_->take(unknown, soon).error().message, "the KME answers 400");
  EXPECT_EQ(far_records_->state_of("ab", unknown).value(), GatewayKeyState::gone);
  EXPECT_TRUE(responder_->take(in_force(far_rows()).value(), soon)) << "held already";
  for (std::uint8_t i = 201; far_rows().size() < dx1_keys_max; ++i) {
    const KeyId id(Bytes(KeyId::size, i));
    kme_[id] = Bytes(32, i);
    ASSERT_TRUE(responder_->take(id, soon));
  }
  const KeyId further(Bytes(KeyId::size, 240));
  kme_[further] = Bytes(32, 1);
  EXPECT_EQ(responder_->take(further, soon).error().code, ErrorCode::exhausted);
  EXPECT_TRUE(kme_.contains(further)) << "it was not even fetched";
}

}  // namespace
}  // namespace qanat::terminal::gateway
