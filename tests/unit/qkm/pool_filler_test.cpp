// When pools are looked at: at once when keys were taken, every now and then without that, and after a failure not before its pause is over.
#include "quantum/qkm/stock.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

namespace qanat::qkm {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr PoolFiller::Pauses never_by_itself{.look_every = hours(1), .failed_max = hours(1)};
constexpr PoolFiller::Pauses all_the_time{.look_every = milliseconds(1), .failed_max = milliseconds(4)};

class PoolFillerTest : public testing::Test {
 protected:
  PoolFiller::Fill fill() {
    return [this](const std::string& domain) -> Result<void> {
      const std::lock_guard lock(mutex_);
      const int time = ++fills_[domain];
      changed_.notify_all();
      if (time <= failures_[domain]) return fail(ErrorCode::unavailable, "no way leads there");
      return {};
    };
  }
  bool filled(const std::string& domain, int times) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return fills_[domain] >= times; });
  }
  int fills(const std::string& domain) {
    const std::lock_guard lock(mutex_);
    return fills_[domain];
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, int> fills_;
  std::map<std::string, int> failures_;  // so many of the first fills fail
};

TEST_F(PoolFillerTest, KeysThatWereTakenAreReplacedAtOnce) {
  PoolFiller pools({"b"}, fill(), never_by_itself);
  pools.start();
  ASSERT_TRUE(filled("b", 1)) << "the first look is at the start";
  pools.ring();
  EXPECT_TRUE(filled("b", 2));
  pools.ring();
  EXPECT_TRUE(filled("b", 3));
}

TEST_F(PoolFillerTest, PoolsAreLookedAtEveryNowAndThen) {
  PoolFiller pools({"b", "c"}, fill(), all_the_time);
  pools.start();
  EXPECT_TRUE(filled("b", 4));
  EXPECT_TRUE(filled("c", 4));
}

TEST_F(PoolFillerTest, ADomainThatFailsIsLeftAloneForItsPauseWhateverRingsAndHoldsUpNoOther) {
  failures_["b"] = 1000;
  PoolFiller pools({"b", "c"}, fill(), never_by_itself);
  pools.start();
  for (int time = 1; time <= 5; ++time) {
    ASSERT_TRUE(filled("c", time));
    pools.ring();
  }
  ASSERT_TRUE(filled("c", 6));
  EXPECT_EQ(fills("b"), 1) << "each attempt costs link keys";
}

TEST_F(PoolFillerTest, ADomainThatFailedIsTriedAgainAndThenServedLikeTheOthers) {
  failures_["b"] = 5;
  PoolFiller pools({"b"}, fill(), all_the_time);
  pools.start();
  EXPECT_TRUE(filled("b", 8));
}

TEST_F(PoolFillerTest, AStopWaitsForNoPauseAndEndsTheFilling) {
  for (int i = 0; i < 50; ++i) {
    PoolFiller pools({"b"}, fill(), never_by_itself);
    pools.start();
    pools.stop();
    const int before = fills("b");
    pools.ring();
    pools.stop();
    EXPECT_EQ(fills("b"), before);
  }
}

}  // namespace
}  // namespace qanat::qkm
