#include "base/clock.hpp"

#include <gtest/gtest.h>

namespace qanat {
namespace {

using std::chrono::milliseconds;

TEST(DeadlineTest, RemainingIsNeverNegative) {
  const Deadline past(Deadline::clock::now() - milliseconds(500));
  EXPECT_TRUE(past.passed());
  EXPECT_EQ(past.remaining(), milliseconds(0));
  const Deadline later = Deadline::after(milliseconds(60000));
  EXPECT_FALSE(later.passed());
  EXPECT_GT(later.remaining(), milliseconds(50000));
  EXPECT_LE(later.remaining(), milliseconds(60000));
}

TEST(DeadlineTest, ACalleeCanOnlyShortenIt) {
  const Deadline granted = Deadline::after(milliseconds(60000));
  EXPECT_EQ(granted.sooner_of(milliseconds(3600000)).at(), granted.at());
  EXPECT_LT(granted.sooner_of(milliseconds(10)).at(), granted.at());
}

TEST(SystemClockTest, CountsMillisecondsSinceTheUnixEpoch) {
  const UnixMs now = SystemClock().now_ms();
  EXPECT_GT(now, 1577836800000U);  // 2020
  EXPECT_LT(now, 4102444800000U);  // 2100
}

}  // namespace
}  // namespace qanat
