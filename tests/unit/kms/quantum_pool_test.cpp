// The pool of quantum keys: each used once, only as long as the far end keeps it, nothing across a restart.
#include "services/kms/kp/quantum_pool.hpp"

#include "kp_fixture.hpp"

namespace qanat::kms {
namespace {

class PoolClock final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return ms; }
  UnixMs ms = 1'700'000'000'000;
};

class QuantumPoolTest : public KpStoresFixture {
 protected:
  void SetUp() override {
    KpStoresFixture::SetUp();
    start();
  }
  void start(QuantumPool::Lot lot = {}) {
    lot_ = lot;
    pool_.emplace(parts("0"), marks);
  }
  /// Of one front end.
  QuantumPool::Parts parts(const std::string& owner) {
    return {.store = *store_,
            .keys = *keys_,
            .clock = clock_,
            .rng = network_.rng(),
            .owner = owner,
            .draw = [this](const std::string& domain, std::int64_t count, std::int64_t paths, Deadline) { return drawn(domain, count, paths); },
            .give_back = [this](const std::vector<KeyId>& ids, Deadline) -> Result<void> {
              if (qkm_is_away_) return fail(ErrorCode::unavailable, "no QKM");
              EXPECT_LE(ids.size(), 64U);
              returned_.insert(ids.begin(), ids.end());
              return {};
            },
            .record = [this](std::string_view action, std::string_view, std::string_view) -> Result<void> {
              recorded_.emplace_back(action);
              return {};
            }};
  }
  /// The QKM.
  Result<QuantumShares> drawn(const std::string& domain, std::int64_t count, std::int64_t paths) {
    asked_.push_back(count);
    if (qkm_is_away_) return fail(ErrorCode::unavailable, "no QKM");
    QuantumShares out;
    for (std::int64_t i = 0; i < std::min(count, at_most_); ++i) {
      Bytes path(PathId::size, static_cast<std::uint8_t>(paths > 1 ? i : 0));
      out.refs.push_back({.path_id = PathId(path), .key_id = network_.rng().id<KeyId>()});
      out.keys.push_back(network_.rng().secret(wire::wk_size));
      out.relays.push_back(static_cast<std::uint8_t>(paths > 1 ? 3 + i : 3));
      at_qkm_[out.refs.back().key_id] = {domain, out.keys.back().duplicate()};
    }
    out.quantum_grade = grade_;
    out.fetch_until_ms = fetch_within_ == 0 ? 0 : clock_.ms + fetch_within_;
    return Result<QuantumShares>(std::move(out));
  }
  Result<void> refill(const std::string& domain = "b") { return pool_->refill(domain, lot_, test::soon()); }
  Result<QuantumShares> take(const std::string& domain = "b") { return pool_->take(domain, lot_, network_.rng().id<SidWk>()); }
  std::int64_t lots(const std::string& domain = "b") {
    for (const QuantumPool::Level& level : must(pool_->levels())) {
      if (level.domain == domain) return level.lots;
    }
    return 0;
  }

  static constexpr QuantumPool::Marks marks{.low = 2, .high = 4};
  PoolClock clock_;
  QuantumPool::Lot lot_;
  std::optional<QuantumPool> pool_;
  std::map<KeyId, std::pair<std::string, Secret>> at_qkm_;
  std::set<KeyId> returned_;
  std::vector<std::string> recorded_;
  std::vector<std::int64_t> asked_;
  std::int64_t at_most_ = 64;
  UnixMs fetch_within_ = 60'000;
  bool grade_ = true;
  bool qkm_is_away_ = false;
};

INSTANTIATE_TEST_SUITE_P(Stores, QuantumPoolTest, test::every_store_kind, test::name_of);

TEST_P(QuantumPoolTest, IsFilledAheadOfDemandBetweenItsMarks) {
  must(refill());
  EXPECT_EQ(lots(), 4);
  EXPECT_EQ(asked_, (std::vector<std::int64_t>{4}));
  must(take());
  must(take());
  must(refill());
  EXPECT_EQ(lots(), 2) << "is at the low mark";
  must(take());
  must(refill());
  EXPECT_EQ(lots(), 4);
  EXPECT_EQ(lots("c"), 0);
}

TEST_P(QuantumPoolTest, GivesEachKeyOnceAndAsItCame) {
  must(refill());
  std::set<KeyId> seen;
  for (int i = 0; i < 4; ++i) {
    const QuantumShares shares = must(take());
    ASSERT_EQ(shares.refs.size(), 1U);
    EXPECT_TRUE(seen.insert(shares.refs[0].key_id).second);
    const auto& [domain, key] = at_qkm_.at(shares.refs[0].key_id);
    EXPECT_EQ(domain, "b");
    EXPECT_TRUE(equal_secret(shares.keys[0], key));
    EXPECT_EQ(shares.relays, (std::vector<std::uint8_t>{3}));
    EXPECT_EQ(rests_on(shares, {0}).assurance, wire::Assurance::one_qkd_path);
  }
  EXPECT_EQ(test::refusal(take()), ErrorCode::exhausted);
  EXPECT_EQ(number("SELECT count(*) FROM quantum_key WHERE sealed IS NOT NULL"), 0) << "their octets leave the database with them";
  EXPECT_EQ(number("SELECT count(*) FROM quantum_key WHERE library = 'in_use'"), 4);
}

TEST_P(QuantumPoolTest, AKeyIsOfItsDomainAlone) {
  must(refill());
  EXPECT_EQ(test::refusal(take("c")), ErrorCode::exhausted);
  must(refill("c"));
  EXPECT_EQ(at_qkm_.at(must(take("c")).refs[0].key_id).first, "c");
}

TEST_P(QuantumPoolTest, KeysThatTravelledWithoutASiteKeyStaySo) {
  grade_ = false;
  must(refill());
  EXPECT_EQ(rests_on(must(take()), {0}).assurance, wire::Assurance::pqc);
}

TEST_P(QuantumPoolTest, ALotIsWhatOneWorkingKeyTakes) {
  start({.keys = 3, .paths = 1});
  at_most_ = 7;
  must(refill());
  EXPECT_EQ(asked_, (std::vector<std::int64_t>{12, 6})) << "what is missing is drawn again";
  EXPECT_EQ(lots(), 4);
  EXPECT_EQ(returned_.size(), 1U) << "the one that makes no lot goes back";
  EXPECT_EQ(must(take()).refs.size(), 3U);
}

TEST_P(QuantumPoolTest, KeysOverSeparatePathsStayTogether) {
  start({.keys = 2, .paths = 2});
  must(refill());
  EXPECT_EQ(asked_, (std::vector<std::int64_t>{2, 2, 2, 2}));
  const QuantumShares shares = must(take());
  EXPECT_EQ(rests_on(shares, {0, 1}).assurance, wire::Assurance::disjoint_qkd_paths);
  EXPECT_EQ(shares.relays, (std::vector<std::uint8_t>{3, 4})) << "each of its own path";
}

TEST_P(QuantumPoolTest, ALotServesNoOtherChoiceThanTheOneThatItWasDrawnFor) {
  start({.keys = 2, .paths = 1});
  must(refill());
  for (const QuantumPool::Lot& other : {QuantumPool::Lot{.keys = 1, .paths = 1}, QuantumPool::Lot{.keys = 3, .paths = 1}, QuantumPool::Lot{.keys = 2, .paths = 2}}) {
    EXPECT_EQ(test::refusal(pool_->take("b", other, network_.rng().id<SidWk>())), ErrorCode::exhausted) << other.keys << " over " << other.paths;
  }
  EXPECT_EQ(lots(), 4) << "nothing was spent";
  EXPECT_TRUE(take());
}

TEST_P(QuantumPoolTest, WhenPolicyAsksForOtherLotsTheFormerOnesGoBackAndThoseAreDrawn) {
  must(refill());
  must(refill("c"));
  lot_ = {.keys = 2, .paths = 2};
  EXPECT_EQ(test::refusal(take()), ErrorCode::exhausted);
  must(refill());
  EXPECT_EQ(returned_.size(), 4U) << "of the other domain none";
  EXPECT_EQ(lots(), 4);
  EXPECT_EQ(lots("c"), 4);
  const QuantumShares shares = must(take());
  EXPECT_EQ(shares.refs.size(), 2U);
  for (const wire::ShareRef& ref : shares.refs) EXPECT_FALSE(returned_.contains(ref.key_id));
  EXPECT_EQ(number("SELECT count(*) FROM quantum_key WHERE fate = 'policy asks for other lots now' AND sealed IS NULL"), 4);
}

TEST_P(QuantumPoolTest, WhatNobodySaysTheFateOfLeavesUseWhenNoAgreementCanStillHaveIt) {
  must(refill());
  const KeyId key = must(take()).refs[0].key_id;
  clock_.ms += fetch_within_ - quantum_fetch_margin_ms + 59'999;
  must(pool_->expire(test::soon()));
  EXPECT_EQ(number("SELECT count(*) FROM quantum_key WHERE library = 'in_use'"), 1);
  clock_.ms += 1;
  must(pool_->expire(test::soon()));
  EXPECT_EQ(number("SELECT count(*) FROM quantum_key WHERE library = 'in_use'"), 0);
  EXPECT_EQ(number("SELECT count(*) FROM quantum_key WHERE library = 'history' AND fate = 'not told'"), 1);
  EXPECT_FALSE(returned_.contains(key)) << "it may have been used: the QKM ends it by itself";
}

TEST_P(QuantumPoolTest, NoKeyIsGivenThatTheFarEndMayNotKeepUntilItIsFetched) {
  must(refill());
  clock_.ms += fetch_within_ - quantum_fetch_margin_ms;
  EXPECT_EQ(test::refusal(take()), ErrorCode::exhausted);
  EXPECT_EQ(lots(), 0);
  must(pool_->expire(test::soon()));
  EXPECT_EQ(returned_.size(), 4U);
  EXPECT_EQ(number("SELECT count(*) FROM quantum_key WHERE library = 'history' AND sealed IS NULL"), 4);
  must(refill());
  EXPECT_EQ(lots(), 4);
}

TEST_P(QuantumPoolTest, KeysThatEndTooSoonGoBackAtOnce) {
  for (const UnixMs within : {UnixMs{0}, quantum_fetch_margin_ms}) {
    fetch_within_ = within;
    EXPECT_EQ(test::refusal(refill()), ErrorCode::exhausted);
    EXPECT_EQ(lots(), 0);
    EXPECT_EQ(returned_.size(), at_qkm_.size());
  }
}

TEST_P(QuantumPoolTest, WhereTheQkmIsAwayWhatThereIsIsUsed) {
  must(refill());
  qkm_is_away_ = true;
  for (int i = 0; i < 3; ++i) must(take());
  EXPECT_EQ(test::refusal(refill()), ErrorCode::unavailable);
  must(take());
}

TEST_P(QuantumPoolTest, AfterARestartNoKeyOfThePoolIsUsedAndAllGoBack) {
  must(refill());
  const KeyId taken = must(take()).refs[0].key_id;
  for (const bool in_order : {false, true}) {
    pool_.reset();
    in_order ? open() : open_after_kill();
    start(lot_);
    must(pool_->void_left_over());
    EXPECT_EQ(test::refusal(take()), ErrorCode::exhausted);
    EXPECT_EQ(number("SELECT count(*) FROM quantum_key WHERE sealed IS NOT NULL"), 0);
    must(pool_->expire(test::soon()));
    EXPECT_EQ(returned_.size(), 4U);
    EXPECT_TRUE(returned_.contains(taken)) << "whether it was used is not known";
  }
}

TEST_P(QuantumPoolTest, AFrontEndsKeysAreItsOwnAndOutliveTheStartOfAnother) {
  must(refill());
  QuantumPool other(parts("1"), marks);
  EXPECT_EQ(test::refusal(other.take("b", lot_, network_.rng().id<SidWk>())), ErrorCode::exhausted);
  must(other.void_left_over());
  EXPECT_EQ(lots(), 4);
  EXPECT_TRUE(take());
}

TEST_P(QuantumPoolTest, AtTheEndAllGoBack) {
  must(refill());
  must(pool_->void_all("stops", test::soon()));
  EXPECT_EQ(returned_.size(), 4U);
  EXPECT_EQ(lots(), 0);
  must(refill());
  qkm_is_away_ = true;
  EXPECT_EQ(test::refusal(pool_->void_all("stops", test::soon())), ErrorCode::unavailable);
  EXPECT_EQ(number("SELECT count(*) FROM quantum_key WHERE sealed IS NOT NULL"), 0) << "told or not";
  EXPECT_EQ(std::ranges::count(recorded_, "kp.quantum.given_back"), 2);
}

TEST_P(QuantumPoolTest, HistoryHasWhatBecameOfAKeyForADay) {
  must(refill());
  const QuantumShares used = must(take());
  must(pool_->done(used.refs, "used"));
  EXPECT_EQ(number("SELECT count(*) FROM quantum_key WHERE library = 'history' AND fate = 'used' AND sid_wk IS NOT NULL"), 1);
  must(pool_->done({{.path_id = {}, .key_id = network_.rng().id<KeyId>()}}, "used"));
  const auto standby = number("SELECT count(*) FROM quantum_key WHERE library = 'standby'");
  EXPECT_EQ(standby, 3) << "a key that is not of the pool changes nothing";
  clock_.ms += 2 * test::day_ms;
  must(pool_->expire(test::soon()));
  EXPECT_EQ(number("SELECT count(*) FROM quantum_key WHERE fate = 'used'"), 0);
}

TEST_P(QuantumPoolTest, APoolThatIsOffDrawsNothing) {
  QuantumPool off({.store = *store_, .keys = *keys_, .clock = clock_, .rng = network_.rng(), .owner = "0", .draw = {}, .give_back = {}, .record = {}}, {});
  EXPECT_FALSE(off.is_on());
  must(off.refill("b", {}, test::soon()));
  EXPECT_EQ(test::refusal(off.take("b", {}, network_.rng().id<SidWk>())), ErrorCode::exhausted);
  must(off.void_left_over());
  must(off.done({{.path_id = {}, .key_id = network_.rng().id<KeyId>()}}, "used"));
}

}  // namespace
}  // namespace qanat::kms
