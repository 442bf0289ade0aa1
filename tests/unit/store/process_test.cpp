// What holds between processes: one at a time, and nothing that was acknowledged is lost when one is killed.
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "base/clock.hpp"
#include "store_fixture.hpp"

namespace qanat::store {
namespace {

using ProcessTest = StoreFixture;
constexpr std::chrono::seconds patience{30};

/// A child that runs `body` with the writing end of a pipe; killed at the latest when this goes.
class Child {
 public:
  template <class Body>
  explicit Child(Body body) {
    int ends[2];
    CHECK(::pipe(ends) == 0);
    process_ = ::fork();
    CHECK(process_ >= 0);
    if (process_ == 0) {
      (void)::close(ends[0]);
      ::_exit(body(ends[1]));
    }
    (void)::close(ends[1]);
    reading_ = ends[0];
  }
  ~Child() {
    if (process_ > 0) kill();
    (void)::close(reading_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void kill() {
    (void)::kill(process_, SIGKILL);
    int status = 0;
    CHECK(::waitpid(process_, &status, 0) == process_);
    process_ = 0;
  }
  /// The next number that the child reported, or nothing at the end of the pipe (or when patience ran out).
  std::optional<std::int64_t> next() {
    const Deadline deadline = Deadline::after(patience);
    pollfd waiting{.fd = reading_, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, static_cast<int>(deadline.remaining().count())) != 1) return std::nullopt;
    std::int64_t number = 0;
    return ::read(reading_, &number, sizeof number) == sizeof number ? std::optional(number) : std::nullopt;
  }

 private:
  pid_t process_ = 0;
  int reading_ = -1;
};

void report(int writing, std::int64_t number) { CHECK(::write(writing, &number, sizeof number) == sizeof number); }

TEST_F(ProcessTest, SecondProcessGetsAConflictThatNamesTheFile) {
  const auto holder = open();
  Child second([this](int writing) {
    const auto store = Store::open(file(), schema);
    const bool as_promised = !store && store.error().code == ErrorCode::conflict && store.error().message.contains(file().string() + ".lock");
    report(writing, as_promised ? 1 : 0);
    return 0;
  });
  EXPECT_EQ(second.next(), 1);
}

TEST_F(ProcessTest, SecondStoreInTheSameProcessGetsAConflict) {
  const auto holder = open();
  const auto second = Store::open(file(), schema);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::conflict);
  EXPECT_TRUE(insert(*holder, 1)) << "the refused attempt must not disturb the holder";
}

TEST_F(ProcessTest, KilledProcessGivesTheLockBack) {
  Child holder([this](int writing) {
    const auto store = open();
    report(writing, store == nullptr ? 0 : 1);
    while (true) ::pause();
    return 0;
  });
  ASSERT_EQ(holder.next(), 1);
  EXPECT_FALSE(Store::open(file(), schema));
  holder.kill();
  EXPECT_TRUE(open());
}

TEST_F(ProcessTest, KillInAStreamOfTransactionsLosesNothingThatWasReported) {
  std::vector<std::int64_t> reported;
  // Each round kills the writer after a different number of reports, so that the kills fall at different points of a transaction.
  for (const int reports : {1, 2, 17, 60}) {
    Child writer([this](int writing) {
      const auto store = open();
      const std::vector<std::int64_t> before = ids(*store);
      for (std::int64_t id = before.empty() ? 1 : before.back() + 1;; ++id) {
        if (!insert(*store, id)) return 1;
        report(writing, id);
      }
    });
    for (int i = 0; i < reports; ++i) {
      const auto id = writer.next();
      ASSERT_TRUE(id) << "the writer stopped";
      reported.push_back(*id);
    }
    writer.kill();
    while (const auto id = writer.next()) reported.push_back(*id);  // committed and reported before the kill reached it

    const std::vector<std::int64_t> stored = ids(*open());
    EXPECT_TRUE(std::ranges::includes(stored, reported));
    EXPECT_LE(stored.size(), reported.size() + 1) << "more than the one transaction that was under way";
    reported = stored;
  }
}

TEST_F(ProcessTest, KillWhileSeveralThreadsCommitTogetherLosesNothingThatWasReported) {
  constexpr std::size_t threads = 4;
  std::vector<std::int64_t> reported;
  for (const int reports : {1, 5, 40, 160}) {
    Child writer([this](int writing) {
      const auto store = open();
      const std::vector<std::int64_t> before = ids(*store);
      std::atomic<std::int64_t> next = before.empty() ? 1 : before.back() + 1;
      std::vector<std::jthread> running;
      for (std::size_t i = 0; i < threads; ++i) {
        running.emplace_back([&] {
          for (std::int64_t id = next++; insert(*store, id); id = next++) report(writing, id);
        });
      }
      return 1;
    });
    for (int i = 0; i < reports; ++i) {
      const auto id = writer.next();
      ASSERT_TRUE(id) << "the writer stopped";
      reported.push_back(*id);
    }
    writer.kill();
    while (const auto id = writer.next()) reported.push_back(*id);
    std::ranges::sort(reported);

    const std::vector<std::int64_t> stored = ids(*open());
    EXPECT_TRUE(std::ranges::includes(stored, reported));
    EXPECT_LE(stored.size(), reported.size() + threads) << "more than what was under way";
    reported = stored;
  }
}

}  // namespace
}  // namespace qanat::store
