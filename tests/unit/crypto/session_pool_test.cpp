#include "crypto/session_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <set>
#include <thread>

namespace qanat::crypto {
namespace {

using std::chrono::milliseconds;

struct FakeSession {
  explicit FakeSession(int of) : number(of) {}
  const int number;
  std::atomic<int> users = 0;
};

class SessionPoolTest : public ::testing::Test {
 protected:
  using Pool = SessionPool<FakeSession>;
  Pool make(std::size_t sessions_max, milliseconds wait_max) {
    return Pool(
        {.sessions_max = sessions_max, .wait_max = wait_max},
        [this]() -> Result<std::unique_ptr<FakeSession>> {
          if (closed_) return fail(ErrorCode::not_found, "no device");
          return std::make_unique<FakeSession>(++opened_);
        },
        [](const Error& error) { return error.code == ErrorCode::unavailable; });
  }
  static Result<int> number_of(Pool& pool) {
    return pool.with([](FakeSession& session) -> Result<int> { return session.number; });
  }

  std::atomic<int> opened_ = 0;
  std::atomic<bool> closed_ = false;
};

TEST_F(SessionPoolTest, UsesASessionAgain) {
  Pool pool = make(4, milliseconds(0));
  EXPECT_EQ(number_of(pool).value(), 1);
  EXPECT_EQ(number_of(pool).value(), 1);
  EXPECT_EQ(pool.idle(), 1U);
}

TEST_F(SessionPoolTest, ClosesASessionInWhichACallFailedAndNeverUsesItAgain) {
  Pool pool = make(4, milliseconds(0));
  EXPECT_EQ(number_of(pool).value(), 1);
  const auto failed = pool.with([](FakeSession&) -> Result<int> { return fail(ErrorCode::internal, "wrong"); });
  EXPECT_EQ(failed.error().message, "wrong");
  EXPECT_EQ(pool.idle(), 0U);
  EXPECT_EQ(number_of(pool).value(), 2);
}

TEST_F(SessionPoolTest, TriesALostSessionOnceMoreInANewOneAndDropsTheOthersThatWereIdle) {
  Pool pool = make(2, milliseconds(0));
  // Two sessions, both idle in the end.
  ASSERT_TRUE(pool.with([&](FakeSession& first) -> Result<int> {
    const int second = number_of(pool).value();
    EXPECT_NE(first.number, second);
    return second;
  }));
  EXPECT_EQ(pool.idle(), 2U);
  std::vector<int> tried;
  const auto done = pool.with([&](FakeSession& session) -> Result<int> {
    tried.push_back(session.number);
    if (session.number <= 2) return fail(ErrorCode::unavailable, "lost");
    return session.number;
  });
  EXPECT_EQ(done.value(), 3);
  EXPECT_EQ(tried.size(), 2U);
  EXPECT_EQ(pool.idle(), 1U);
  // In a new session it is not tried again.
  tried.clear();
  Pool other = make(1, milliseconds(0));
  EXPECT_FALSE(other.with([&](FakeSession& session) -> Result<int> {
    tried.push_back(session.number);
    return fail(ErrorCode::unavailable, "lost");
  }));
  EXPECT_EQ(tried.size(), 1U);
}

TEST_F(SessionPoolTest, HasNoMoreSessionsThanItMayAndRefusesWhoWaitedInVain) {
  Pool pool = make(2, milliseconds(0));
  const auto done = pool.with([&](FakeSession&) -> Result<int> {
    return pool.with([&](FakeSession&) -> Result<int> {
      const auto third = number_of(pool);
      EXPECT_FALSE(third);
      EXPECT_EQ(third.error().code, ErrorCode::exhausted);
      EXPECT_TRUE(third.error().message.contains("2 sessions")) << third.error().message;
      return 1;
    });
  });
  EXPECT_TRUE(done);
  EXPECT_EQ(opened_, 2);
  EXPECT_TRUE(number_of(pool)) << "the places are free again";
}

TEST_F(SessionPoolTest, GivesAPlaceBackWhereNoSessionOpens) {
  Pool pool = make(1, milliseconds(0));
  closed_ = true;
  for (int call = 0; call < 3; ++call) EXPECT_EQ(number_of(pool).error().code, ErrorCode::not_found);
  closed_ = false;
  EXPECT_TRUE(number_of(pool));
}

TEST_F(SessionPoolTest, WhoWaitsGetsTheSessionThatBecomesFree) {
  Pool pool = make(1, milliseconds(60000));
  std::latch held(1);
  std::latch release(1);
  std::thread holder([&] {
    (void)pool.with([&](FakeSession& session) -> Result<int> {
      held.count_down();
      release.wait();
      return session.number;
    });
  });
  held.wait();
  std::thread waiter([&] { EXPECT_EQ(number_of(pool).value(), 1); });
  release.count_down();
  holder.join();
  waiter.join();
  EXPECT_EQ(opened_, 1);
}

TEST_F(SessionPoolTest, NeverGivesOneSessionToTwoThreads) {
  Pool pool = make(3, milliseconds(60000));
  std::vector<std::thread> threads;
  std::atomic<int> shared = 0;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        (void)pool.with([&](FakeSession& session) -> Result<int> {
          if (++session.users > 1) ++shared;
          --session.users;
          if (round % 50 == 49) return fail(ErrorCode::internal, "now and then");
          return 0;
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(shared, 0);
  EXPECT_LE(pool.idle(), 3U);
}

}  // namespace
}  // namespace qanat::crypto
