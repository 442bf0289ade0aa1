// Notices that one process of an element is given reach the others, in order, and what could have been missed is said to be.
#include "node/shared_notices.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "store_kinds.hpp"
#include "temporary_directory.hpp"

namespace qanat::node {
namespace {

constexpr UnixMs eleven_minutes_ms = 660'000;
constexpr std::array schema{store::Migration{1, notice_schema}};

class MovedClock final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return now; }
  std::atomic<UnixMs> now = 1'800'000'000'000;
};

/// One process: what it has acted on, and how often it was told that it missed some.
struct Process {
  Process(store::Store& store, const Clock& clock, const std::string& name)
      : notices(store, clock, name,
                {.act = [this](std::string_view kind, const std::string& body) { return act(kind, body); }, .missed = [this] { ++missed; }}) {
    EXPECT_TRUE(notices.begin());
  }
  Result<void> act(std::string_view kind, const std::string& body) {
    const std::lock_guard lock(mutex);
    if (failures > 0) {
      --failures;
      return fail(ErrorCode::unavailable, "not now");
    }
    acted.push_back(std::string(kind) + " " + body);
    changed.notify_all();
    return {};
  }
  std::vector<std::string> all() {
    const std::lock_guard lock(mutex);
    return acted;
  }
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(20), [&] { return acted.size() >= count; });
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> acted;  // under mutex
  int failures = 0;                // under mutex: of the next acts
  std::atomic<int> missed = 0;
  SharedNotices notices;  // the first to go
};

class SharedNoticesTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  std::unique_ptr<store::Store> open() {
    auto store = stores_.open(directory_ / "element.db", schema);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  test::TemporaryDirectory directory_;
  test::TestStores stores_{GetParam()};
  MovedClock clock_;
};
INSTANTIATE_TEST_SUITE_P(Stores, SharedNoticesTest, test::every_store_kind, test::name_of);

TEST_P(SharedNoticesTest, WhatOneIsToldTheOtherActsOnOnceAndInOrder) {
  const auto store = open();
  Process one(*store, clock_, "1");
  Process other(*store, clock_, "2");
  ASSERT_TRUE(one.notices.tell("revoked", "a"));
  ASSERT_TRUE(one.notices.tell("changed", "b"));
  ASSERT_TRUE(other.notices.tell("revoked", "c"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(one.notices.look());
    EXPECT_TRUE(other.notices.look());
  }
  EXPECT_EQ(other.all(), (std::vector<std::string>{"revoked a", "changed b"}));
  EXPECT_EQ(one.all(), std::vector<std::string>{"revoked c"});
  EXPECT_EQ(one.missed + other.missed, 0);
}

TEST_P(SharedNoticesTest, WhatWasToldBeforeAProcessBeganIsNotForIt) {
  const auto store = open();
  Process one(*store, clock_, "1");
  ASSERT_TRUE(one.notices.tell("revoked", "a"));
  Process later(*store, clock_, "2");
  ASSERT_TRUE(one.notices.tell("revoked", "b"));
  EXPECT_TRUE(later.notices.look());
  EXPECT_EQ(later.all(), std::vector<std::string>{"revoked b"});
  EXPECT_EQ(later.missed, 0);
}

TEST_P(SharedNoticesTest, WhatCouldNotBeActedOnComesAgainBeforeWhatFollows) {
  const auto store = open();
  Process one(*store, clock_, "1");
  Process other(*store, clock_, "2");
  ASSERT_TRUE(one.notices.tell("revoked", "a"));
  ASSERT_TRUE(one.notices.tell("revoked", "b"));
  other.failures = 1;
  EXPECT_FALSE(other.notices.look());
  EXPECT_TRUE(other.all().empty());
  EXPECT_TRUE(other.notices.look());
  EXPECT_EQ(other.all(), (std::vector<std::string>{"revoked a", "revoked b"}));
  EXPECT_EQ(other.missed, 0);
}

TEST_P(SharedNoticesTest, MoreThanAreReadAtOnceAreAllActedOn) {
  constexpr int many = 150;
  const auto store = open();
  Process one(*store, clock_, "1");
  Process other(*store, clock_, "2");
  std::vector<std::string> wanted;
  for (int i = 0; i < many; ++i) {
    ASSERT_TRUE(one.notices.tell("revoked", std::to_string(i)));
    wanted.push_back("revoked " + std::to_string(i));
  }
  EXPECT_TRUE(other.notices.look());
  EXPECT_EQ(other.all(), wanted);
}

TEST_P(SharedNoticesTest, NoticesThatAreGoneBeforeTheyWereSeenAreMissed) {
  const auto store = open();
  Process one(*store, clock_, "1");
  Process other(*store, clock_, "2");
  ASSERT_TRUE(one.notices.tell("revoked", "a"));
  clock_.now += eleven_minutes_ms;
  ASSERT_TRUE(one.notices.tell("revoked", "b"));
  EXPECT_TRUE(other.notices.look());
  EXPECT_EQ(other.missed, 1);
  EXPECT_EQ(other.all(), std::vector<std::string>{"revoked b"});
  ASSERT_TRUE(one.notices.tell("revoked", "c"));
  ASSERT_TRUE(store->transact([](store::Transaction& transaction) { return transaction.run("DELETE FROM notice WHERE number > 0", {}); }));
  EXPECT_TRUE(other.notices.look());
  EXPECT_EQ(other.missed, 2) << "there is none, and the count says that there was";
  EXPECT_TRUE(other.notices.look());
  EXPECT_EQ(other.missed, 2) << "once";
}

TEST_P(SharedNoticesTest, AnEarlierStateOfTheDatabaseMayLackSome) {
  const auto store = open();
  Process one(*store, clock_, "1");
  Process other(*store, clock_, "2");
  ASSERT_TRUE(one.notices.tell("revoked", "a"));
  EXPECT_TRUE(other.notices.look());
  ASSERT_TRUE(store->transact([](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("UPDATE notice_count SET last = 0 WHERE id = 1", {}));
    TRY(transaction.run("DELETE FROM notice WHERE number > 0", {}));
    return {};
  }));
  EXPECT_TRUE(other.notices.look());
  EXPECT_EQ(other.missed, 1);
  ASSERT_TRUE(one.notices.tell("revoked", "b"));
  EXPECT_TRUE(other.notices.look());
  EXPECT_EQ(other.all(), (std::vector<std::string>{"revoked a", "revoked b"}));
  EXPECT_EQ(other.missed, 1);
}

TEST_P(SharedNoticesTest, InAnotherHistoryOfTheDatabaseEveryProcessMayHaveMissedSome) {
  const auto store = open();
  Process one(*store, clock_, "1");
  Process other(*store, clock_, "2");
  ASSERT_TRUE(one.notices.tell("revoked", "a"));
  EXPECT_TRUE(other.notices.look());
  ASSERT_TRUE(store->transact([](store::Transaction& transaction) { return SharedNotices::pass_over_lost(transaction); }));
  for (Process* process : {&one, &other}) {
    EXPECT_TRUE(process->notices.look());
    EXPECT_EQ(process->missed, 1);
  }
  ASSERT_TRUE(one.notices.tell("revoked", "b"));
  EXPECT_TRUE(other.notices.look());
  EXPECT_EQ(other.all(), (std::vector<std::string>{"revoked a", "revoked b"}));
  EXPECT_EQ(other.missed, 1);
}

TEST_P(SharedNoticesTest, InTheBackgroundTheOtherActsByItself) {
  const auto store = open();
  Process one(*store, clock_, "1");
  Process other(*store, clock_, "2");
  other.notices.start();
  ASSERT_TRUE(one.notices.tell("revoked", "a"));
  EXPECT_TRUE(other.wait_for(1));
  ASSERT_TRUE(one.notices.tell("revoked", "b"));
  EXPECT_TRUE(other.wait_for(2));
  EXPECT_EQ(other.all(), (std::vector<std::string>{"revoked a", "revoked b"}));
}

TEST(SharedNoticesInPostgresql, ThoseThatAreToldAtTheSameTimeAreAllActedOnByEveryOther) {
  constexpr int processes = 3;
  constexpr int each = 20;
  const MovedClock clock;
  const store::PostgresqlPlace place = test::PostgresqlCluster::instance().new_place();
  std::vector<std::unique_ptr<store::Store>> stores;
  std::vector<std::unique_ptr<Process>> all;
  for (int i = 0; i < processes; ++i) {
    auto store = store::Store::open(place, schema);
    ASSERT_TRUE(store) << store.error().message;
    stores.push_back(std::move(*store));
    all.push_back(std::make_unique<Process>(*stores.back(), clock, std::to_string(i)));
    all.back()->notices.start();
  }
  {
    std::vector<std::jthread> telling;
    for (int i = 0; i < processes; ++i) {
      telling.emplace_back([&, i] {
        for (int n = 0; n < each; ++n) EXPECT_TRUE(all[static_cast<std::size_t>(i)]->notices.tell("of", std::to_string(i) + "/" + std::to_string(n)));
      });
    }
  }
  for (int i = 0; i < processes; ++i) {
    Process& process = *all[static_cast<std::size_t>(i)];
    EXPECT_TRUE(process.wait_for((processes - 1) * each)) << process.all().size();
    process.notices.stop();
    std::vector<std::string> heard = process.all();
    std::ranges::sort(heard);
    EXPECT_EQ(std::ranges::adjacent_find(heard), heard.end()) << "one came twice";
    EXPECT_EQ(heard.size(), static_cast<std::size_t>((processes - 1) * each));
    EXPECT_EQ(process.missed, 0);
  }
  all.clear();
}

}  // namespace
}  // namespace qanat::node
