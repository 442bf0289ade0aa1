#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include "audit/audit.hpp"
#include "file_size_limit.hpp"
#include "temporary_directory.hpp"

namespace qanat::audit {
namespace {

class FixedClock final : public Clock {
 public:
  [[nodiscard]] UnixMs now_ms() const override { return 1'700'000'000'000; }
};

Event event(std::string_view object) {
  return {.action = "key.destroyed", .outcome = Outcome::success, .subject = "qanat://a/kms/kms-a", .object = object, .reason = {}, .request_id = "r-1"};
}

class AuditLogTest : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path file() const { return directory_ / "audit.jsonl"; }
  [[nodiscard]] std::unique_ptr<Log> open() const {
    auto log = Log::open(file(), "kms-a", clock_);
    EXPECT_TRUE(log) << log.error().message;
    return log ? std::move(*log) : nullptr;
  }
  [[nodiscard]] std::string content() const {
    std::ifstream stream(file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void replace(std::string_view octets) const { std::ofstream(file(), std::ios::binary | std::ios::trunc) << octets; }

  test::TemporaryDirectory directory_;
  FixedClock clock_;
};

TEST_F(AuditLogTest, RecordsStandInTheFileWhenAppendReturns) {
  const auto log = open();
  ASSERT_TRUE(log->append(event("key-1")));
  EXPECT_TRUE(content().contains("\"object\":\"key-1\""));
  EXPECT_TRUE(content().ends_with("\"}\n"));
  EXPECT_EQ(verify(file()).value_or(0), 1U);
}

TEST_F(AuditLogTest, ChainGoesOnAcrossReopening) {
  for (const std::string_view object : {"a", "b", "c"}) ASSERT_TRUE(open()->append(event(object)));
  EXPECT_EQ(verify(file()).value_or(0), 3U);
}

TEST_F(AuditLogTest, AlteredLineIsRefusedAndNamed) {
  for (const std::string_view object : {"a", "b", "c"}) ASSERT_TRUE(open()->append(event(object)));
  std::string altered = content();
  altered[altered.find("\"object\":\"b\"") + 10] = 'x';
  replace(altered);
  for (const auto& error : {verify(file()).error(), Log::open(file(), "kms-a", clock_).error()}) {
    EXPECT_EQ(error.code, ErrorCode::internal);
    EXPECT_TRUE(error.message.contains("line 2")) << error.message;
    EXPECT_TRUE(error.message.contains(file().string())) << error.message;
  }
  EXPECT_EQ(content(), altered) << "a refused log is evidence and stays as it is";
}

TEST_F(AuditLogTest, HalfWrittenLastLineIsCutAndTheCutIsRecorded) {
  ASSERT_TRUE(open()->append(event("a")));
  const std::string whole = content();
  ASSERT_TRUE(open()->append(event("b")));
  const std::string both = content();
  for (const std::size_t kept : {whole.size() + 1, whole.size() + 100, both.size() - 1}) {
    replace(both.substr(0, kept));
    EXPECT_FALSE(verify(file())) << "verification alone changes nothing and says so";
    ASSERT_TRUE(open());
    EXPECT_TRUE(content().starts_with(whole));
    EXPECT_FALSE(content().contains("\"object\":\"b\""));
    EXPECT_TRUE(content().contains("\"action\":\"audit.line_cut\""));
    EXPECT_TRUE(content().contains(std::to_string(kept - whole.size()) + " octets after line 1"));
    EXPECT_EQ(verify(file()).value_or(0), 2U);
  }
}

TEST_F(AuditLogTest, SecondProcessGetsAConflict) {
  const auto holder = open();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto second = Log::open(file(), "kms-a", clock_);
    ::_exit(!second && second.error().code == ErrorCode::conflict ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(AuditLogTest, FileIsReadableByItsOwnerAlone) {
  replace("");
  ASSERT_EQ(::chmod(file().c_str(), 0644), 0);
  ASSERT_TRUE(open());
  struct stat status {};
  ASSERT_EQ(::stat(file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
}

TEST_F(AuditLogTest, LogOfAnotherElementIsRefused) {
  ASSERT_TRUE(open()->append(event("a")));
  EXPECT_FALSE(Log::open(file(), "kms-b", clock_));
  EXPECT_FALSE(Log::open(directory_ / "other.jsonl", "", clock_));
}

TEST_F(AuditLogTest, WhatCannotBeOpenedIsRefused) {
  EXPECT_FALSE(Log::open(directory_ / "missing/audit.jsonl", "kms-a", clock_));
  EXPECT_FALSE(Log::open(directory_ / "", "kms-a", clock_));
  EXPECT_FALSE(verify(file()));
  std::ofstream(directory_ / "elsewhere").close();
  std::filesystem::create_symlink(directory_ / "elsewhere", file());
  EXPECT_FALSE(Log::open(file(), "kms-a", clock_));
}

TEST_F(AuditLogTest, EightThreadsAppendingLoseNoRecord) {
  constexpr int threads = 8;
  constexpr int records = 50;
  const auto log = open();
  {
    std::vector<std::jthread> running;
    for (int thread = 0; thread < threads; ++thread) {
      running.emplace_back([&log, thread] {
        for (int i = 0; i < records; ++i) EXPECT_TRUE(log->append(event("t" + std::to_string(thread) + "-" + std::to_string(i))));
      });
    }
  }
  EXPECT_EQ(verify(file()).value_or(0), static_cast<std::size_t>(threads * records));
  const std::string text = content();
  for (int thread = 0; thread < threads; ++thread) {
    std::size_t at = 0;
    for (int i = 0; i < records; ++i) {
      at = text.find("\"t" + std::to_string(thread) + "-" + std::to_string(i) + "\"", at);
      ASSERT_NE(at, std::string::npos) << "lost, or out of its thread's order: t" << thread << "-" << i;
    }
  }
}

TEST_F(AuditLogTest, FullDiskRefusesTheRecordAndEverythingAfterIt) {
  auto log = open();
  ASSERT_TRUE(log->append(event("before")));
  const std::string before = content();
  {
    const test::FileSizeLimit full(before.size() + 100);
    const Result<void> refused = log->append(event("too-much"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::internal);
  }
  EXPECT_FALSE(log->append(event("after"))) << "there is room again, but the log must be opened again first";
  log.reset();
  EXPECT_EQ(content(), before) << "what was refused does not stand in the log";
  ASSERT_TRUE(open()->append(event("reopened")));
  EXPECT_EQ(verify(file()).value_or(0), 2U);
}

TEST_F(AuditLogTest, ThreadsThatMeetAFullDiskAreToldTheTruth) {
  constexpr int threads = 8;
  auto log = open();
  std::vector<std::set<std::string>> accepted(threads);
  {
    const test::FileSizeLimit full(20'000);
    std::vector<std::jthread> running;
    for (int thread = 0; thread < threads; ++thread) {
      running.emplace_back([&, thread] {
        for (int i = 0;; ++i) {
          const std::string object = "t" + std::to_string(thread) + "-" + std::to_string(i);
          if (!log->append(event(object))) return;
          accepted.at(static_cast<std::size_t>(thread)).insert(object);
        }
      });
    }
  }
  log.reset();
  std::size_t total = 0;
  const std::string text = content();
  for (const auto& objects : accepted) {
    total += objects.size();
    for (const std::string& object : objects) EXPECT_TRUE(text.contains("\"" + object + "\"")) << object;
  }
  EXPECT_GT(total, 0U);
  EXPECT_EQ(verify(file()).value_or(0), total) << "exactly the accepted records stand in the log";
}

TEST(OutcomeTest, WhatTheCallerMayNotHaveIsRefusedAndWhatWeCannotDoIsAFailure) {
  for (const ErrorCode code : {ErrorCode::invalid_argument, ErrorCode::unauthenticated, ErrorCode::denied, ErrorCode::not_found, ErrorCode::conflict}) {
    EXPECT_EQ(outcome_of(code), Outcome::refused) << name(code);
  }
  for (const ErrorCode code : {ErrorCode::exhausted, ErrorCode::unavailable, ErrorCode::deadline_exceeded, ErrorCode::internal}) {
    EXPECT_EQ(outcome_of(code), Outcome::failure) << name(code);
  }
  EXPECT_EQ(name(Outcome::success), "success");
  EXPECT_EQ(name(Outcome::refused), "refused");
  EXPECT_EQ(name(Outcome::failure), "failure");
}

}  // namespace
}  // namespace qanat::audit
