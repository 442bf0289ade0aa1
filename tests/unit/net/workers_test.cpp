#include "net/workers.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "element.hpp"

namespace qanat::net {
namespace {

using test::Event;

TEST(WorkersTest, RunsEveryJobThatItTook) {
  std::atomic<int> ran = 0;
  Workers workers(4, 100);
  int taken = 0;
  for (int i = 0; i < 100; ++i) taken += workers.submit([&] { ++ran; }) ? 1 : 0;
  workers.stop(Waiting::run);
  EXPECT_EQ(ran, taken);
}

TEST(WorkersTest, NoJobIsLeftLyingWhileAThreadIsIdle) {
  constexpr int rounds = 500;
  std::atomic<int> ran = 0;
  Workers workers(3, 100);
  {
    std::vector<std::jthread> senders;
    for (int sender = 0; sender < 4; ++sender) {
      senders.emplace_back([&] {
        for (int i = 0; i < rounds; ++i) {
          const auto done = std::make_shared<Event>();
          const bool taken = workers.submit([&ran, done] {
            ++ran;
            done->announce();
          });
          if (!taken || !done->wait()) return;
        }
      });
    }
  }
  EXPECT_EQ(ran, 4 * rounds);
}

TEST(WorkersTest, RefusesWorkBeyondTheQueue) {
  Event started;
  Event release;
  Workers workers(1, 1);
  ASSERT_TRUE(workers.submit([&] {
    started.announce();
    ASSERT_TRUE(release.wait());
  }));
  ASSERT_TRUE(started.wait());
  EXPECT_TRUE(workers.submit([] {}));
  EXPECT_FALSE(workers.submit([] {}));
  release.announce();
}

TEST(WorkersTest, DropsWhatWaitsWhenToldAndTakesNothingAfterwards) {
  bool ran = false;
  Event started;
  Event release;
  Workers workers(1, 8);
  ASSERT_TRUE(workers.submit([&] {
    started.announce();
    ASSERT_TRUE(release.wait());
  }));
  ASSERT_TRUE(started.wait());
  auto token = std::make_shared<int>();
  ASSERT_TRUE(workers.submit([&ran, token] { ran = true; }));
  std::thread stopper([&] { workers.stop(Waiting::drop); });
  const Deadline limit = Deadline::after(test::patience);
  while (token.use_count() > 1 && !limit.passed()) std::this_thread::yield();
  EXPECT_EQ(token.use_count(), 1);  // what the job held is freed without waiting for the one that runs
  release.announce();
  stopper.join();
  EXPECT_FALSE(ran);
  EXPECT_FALSE(workers.submit([] {}));
}

}  // namespace
}  // namespace qanat::net
