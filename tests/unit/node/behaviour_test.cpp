// What of the audit record becomes a behaviour record, and how it gets to IAM: in order, once each, never at the cost of who reports.
#include "node/behaviour_reporter.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <iterator>

#include "base/check.hpp"
#include "temporary_directory.hpp"

namespace qanat::node {
namespace {

using audit::Outcome;

Identity element(std::string_view uri) {
  const auto out = Identity::parse_uri(uri);
  CHECK(out.has_value());
  return *out;
}
const Identity told_kms = element("qanat://a/kms/kms-a");
const Identity told_cas = element("qanat://core/cas/cas");
const Identity told_cmsp = element("qanat://core/cmsp/cmsp");
const Identity told_qkm = element("qanat://a/qkm/qkm-a");

audit::Event event(std::string_view action, Outcome outcome, std::string_view subject, std::string_view object = "") {
  return {.action = action, .outcome = outcome, .subject = subject, .object = object, .reason = "", .request_id = ""};
}

TEST(BehaviourTable, IsReadByReporterActionAndOutcome) {
  const auto delivered = behaviour_of(told_kms, event("km-1.delivered", Outcome::success, "A", "5e55"));
  ASSERT_TRUE(delivered);
  EXPECT_EQ(delivered->behaviour, (Behaviour{.about = "A", .action = "application", .outcome = "delivered", .object = "5e55"}));
  EXPECT_EQ(delivered->telling, Telling::each);
  const auto refused = behaviour_of(told_kms, event("km-1.application", Outcome::refused, "qanat://a/app1/A"));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->behaviour, (Behaviour{.about = "A", .action = "application", .outcome = "refused"}));
  EXPECT_FALSE(behaviour_of(told_kms, event("km-1.application", Outcome::success, "A"))) << "its delivery is told";
  EXPECT_FALSE(behaviour_of(told_kms, event("wk.expired", Outcome::success, "A"))) << "not all that is on record is behaviour";
  EXPECT_FALSE(behaviour_of(told_cas, event("km-1.delivered", Outcome::success, "A"))) << "another element's";
}

TEST(BehaviourTable, NamesTheOneWhomTheEventIsAbout) {
  const auto session = behaviour_of(told_cmsp, event("ma-2.locate", Outcome::success, "qanat://a/kms/kms-a", "5e55 A +8651 +8652"));
  ASSERT_TRUE(session);
  EXPECT_EQ(session->behaviour, (Behaviour{.about = "A", .action = "session", .outcome = "opened", .object = "5e55"}));
  const auto malformed = behaviour_of(told_cmsp, event("ma-2.locate", Outcome::refused, "qanat://a/kms/kms-a"));
  ASSERT_TRUE(malformed);
  EXPECT_EQ(malformed->behaviour, (Behaviour{.about = "", .action = "session", .outcome = "refused", .object = "qanat://a/kms/kms-a"}))
      << "of CMSP itself, from whom it came";
  const auto anonymous = behaviour_of(told_cas, event("ce-1.enrol", Outcome::refused, "127.0.0.1:5555", "qanat://a/kms/kms-a"));
  ASSERT_TRUE(anonymous);
  EXPECT_EQ(anonymous->behaviour, (Behaviour{.about = "", .action = "certificate", .outcome = "refused", .object = "qanat://a/kms/kms-a"}))
      << "whoever that was";
  EXPECT_EQ(anonymous->telling, Telling::together);
  const auto revoked = behaviour_of(told_cas, event("x-5.revoke", Outcome::success, "qanat://core/operator/operator", "qanat://a/app1/A 41aa 41bb"));
  ASSERT_TRUE(revoked);
  EXPECT_EQ(revoked->behaviour, (Behaviour{.about = "A", .action = "certificate", .outcome = "revoked", .object = "41aa"}));
}

TEST(BehaviourTable, HasEachRowOnceAndAPlaceToReportToForEach) {
  for (const BehaviourRow& row : behaviour_rows()) {
    const auto same = std::ranges::count_if(behaviour_rows(), [&](const BehaviourRow& other) {
      const bool same_outcome = other.told == row.told || other.told == BehaviourRow::Outcomes::all || row.told == BehaviourRow::Outcomes::all;
      return other.recorded == row.recorded && same_outcome &&
             std::ranges::any_of(all_kinds, [&](Kind kind) { return row.reporters.has(kind) && other.reporters.has(kind); });
    });
    EXPECT_EQ(same, 1) << row.recorded;
    for (const Kind kind : all_kinds) {
      if (row.reporters.has(kind)) EXPECT_TRUE(behaviour_endpoint(kind)) << row.recorded;
    }
    EXPECT_EQ(row.told == BehaviourRow::Outcomes::refusals, row.well.empty()) << row.recorded;
  }
  EXPECT_EQ(behaviour_endpoint(Kind::kms), points::Endpoint::ua1_record);
  EXPECT_EQ(behaviour_endpoint(Kind::app1), points::Endpoint::ua2_record);
  EXPECT_EQ(behaviour_endpoint(Kind::qkd), points::Endpoint::ua3_record);
  EXPECT_EQ(behaviour_endpoint(Kind::ccs), points::Endpoint::x12_record);
  EXPECT_FALSE(behaviour_endpoint(Kind::iam));
  EXPECT_FALSE(behaviour_endpoint(Kind::op));
}

TEST(BehaviourTable, TextsBecomeWhatIamTakes) {
  EXPECT_EQ(behaviour_text("plain"), "plain");
  EXPECT_EQ(behaviour_text("a\nb\xff"
                           "c"),
            "a?b?c");
  EXPECT_EQ(behaviour_text(std::string(200, 'x')).size(), behaviour_text_max);
  EXPECT_EQ(behaviour_text(std::string(127, 'x') + "é"), std::string(127, 'x')) << "no half characters";
  EXPECT_EQ(uid_in("qanat://a/app1/A"), "A");
  EXPECT_EQ(uid_in("A"), "A");
  EXPECT_EQ(uid_in("127.0.0.1:80"), "");
  EXPECT_EQ(uid_in(""), "");
}

class ReporterTest : public testing::Test {
 protected:
  struct TestClock : Clock {
    std::atomic<UnixMs> now = 1'800'000'000'000;
    [[nodiscard]] UnixMs now_ms() const override { return now; }
  };

  ReporterTest() { open(); }
  void open(std::chrono::milliseconds apart = reports_apart) {
    reporter_ = std::make_unique<BehaviourReporter>(told_qkm, clock_, folder_ / "behaviour.jsonl",
                                                    BehaviourReporter::Ports{.send = [this](const wire::Json& report, Deadline) { return receive(report); },
                                                                             .new_id = [this] { return "r" + std::to_string(++ids_); }},
                                                    apart);
  }
  Result<void> receive(const wire::Json& report) {
    std::unique_lock lock(mutex_);
    attempts_.push_back(report.text("id").value());
    arrived_.notify_all();
    arrived_.wait(lock, [this] { return !hold_; });
    if (answer_) return fail(*answer_, "as the test wants it");
    for (const wire::Json& one : report.array("records").value()) {
      taken_.push_back(one.text("uid").value() + " " + one.text("action").value() + " " + one.text("outcome").value() + " " + one.text("object").value());
    }
    arrived_.notify_all();
    return {};
  }
  bool await(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    return arrived_.wait_for(lock, std::chrono::seconds(10), holds);
  }
  void answer(std::optional<ErrorCode> code) {
    const std::lock_guard lock(mutex_);
    answer_ = code;
  }
  void hold(bool on) {
    {
      const std::lock_guard lock(mutex_);
      hold_ = on;
    }
    arrived_.notify_all();
  }
  void tell(const std::string& object, Telling telling = Telling::each) {
    reporter_->report({.about = "", .action = "link", .outcome = "up", .object = object}, telling);
  }

  test::TemporaryDirectory folder_;
  TestClock clock_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::optional<ErrorCode> answer_;
  bool hold_ = false;
  int ids_ = 0;
  std::vector<std::string> attempts_;
  std::vector<std::string> taken_;
  std::unique_ptr<BehaviourReporter> reporter_;
};

TEST_F(ReporterTest, SendsWhatWasReportedInItsOrderAboutTheElementItselfWhereNobodyIsNamed) {
  tell("1");
  reporter_->saw(event("sae.connection", Outcome::refused, "stranger"));
  reporter_->saw(event("link_key.used", Outcome::success, "qkm-r"));
  reporter_->start();
  ASSERT_TRUE(await([&] { return taken_.size() == 2; }));
  EXPECT_EQ(taken_[0], "qkm-a link up 1");
  EXPECT_EQ(taken_[1], "qkm-a connection refused stranger");
  reporter_->stop();
  EXPECT_EQ(reporter_->counts().sent, 2U);
}

TEST_F(ReporterTest, AReportThatWasNotAnsweredGoesAgainUnderItsId) {
  answer(ErrorCode::unavailable);
  tell("1");
  reporter_->start();
  ASSERT_TRUE(await([&] { return !attempts_.empty(); }));
  tell("2");
  answer({});
  ASSERT_TRUE(await([&] { return taken_.size() == 2; }));
  reporter_->stop();
  EXPECT_EQ(taken_, (std::vector<std::string>{"qkm-a link up 1", "qkm-a link up 2"}));
  EXPECT_EQ(attempts_.front(), "r1");
  EXPECT_EQ(attempts_[1], "r1") << "the same report";
  EXPECT_EQ(attempts_.back(), "r2");
}

TEST_F(ReporterTest, WhatIamRefusesForGoodIsCountedAndHoldsUpNothing) {
  answer(ErrorCode::denied);
  tell("1");
  reporter_->start();
  ASSERT_TRUE(await([&] { return attempts_.size() == 1; }));
  while (reporter_->counts().dropped == 0) std::this_thread::yield();
  answer({});
  tell("2");
  ASSERT_TRUE(await([&] { return taken_.size() == 1; }));
  EXPECT_EQ(taken_.front(), "qkm-a link up 2");
}

TEST_F(ReporterTest, AFullQueueDropsTheOldestAndCountsThem) {
  for (int i = 0; i < 4100; ++i) tell(std::to_string(i));
  EXPECT_EQ(reporter_->counts().dropped, 4U);
  EXPECT_EQ(reporter_->counts().waiting, 4096U);
  reporter_->start();
  ASSERT_TRUE(await([&] { return taken_.size() == 4096; }));
  EXPECT_EQ(taken_.front(), "qkm-a link up 4");
  EXPECT_EQ(taken_.back(), "qkm-a link up 4099");
}

TEST_F(ReporterTest, WhoReportsIsNotHeldUpByASlowIam) {
  hold(true);
  tell("1");
  reporter_->start();
  ASSERT_TRUE(await([&] { return attempts_.size() == 1; }));
  for (int i = 0; i < 1000; ++i) tell("more");  // returns although the thread hangs in its report
  EXPECT_GE(reporter_->counts().waiting, 1000U);
  hold(false);
  ASSERT_TRUE(await([&] { return taken_.size() == 1001; }));
}

TEST_F(ReporterTest, TheFirstReportGoesAtOnceAndTheNextWhenItIsFullOrAtAnEnd) {
  open(std::chrono::hours(1));
  reporter_->start();
  tell("first");
  ASSERT_TRUE(await([&] { return taken_.size() == 1; }));
  while (reporter_->counts().waiting > 0) std::this_thread::yield();
  for (int i = 1; i < 64; ++i) tell(std::to_string(i));
  EXPECT_EQ(reporter_->counts().waiting, 63U);
  tell("64");
  ASSERT_TRUE(await([&] { return taken_.size() == 65; }));
  tell("last");
  reporter_->stop();
  EXPECT_EQ(attempts_, (std::vector<std::string>{"r1", "r2", "r3"}));
  ASSERT_EQ(taken_.size(), 66U);
  EXPECT_EQ(taken_[64], "qkm-a link up 64");
  EXPECT_EQ(taken_.back(), "qkm-a link up last");
}

TEST_F(ReporterTest, AReportThatIsNotFullGoesWhenItsTimeHasCome) {
  open(std::chrono::milliseconds(1));
  reporter_->start();
  tell("1");
  ASSERT_TRUE(await([&] { return taken_.size() == 1; }));
  tell("2");
  ASSERT_TRUE(await([&] { return taken_.size() == 2; }));
}

TEST_F(ReporterTest, TheSameThingAgainIsToldOnceAndThenAsANumber) {
  reporter_->start();
  for (int i = 0; i < 10; ++i) tell("flaps", Telling::together);
  tell("other", Telling::together);
  ASSERT_TRUE(await([&] { return taken_.size() == 2; }));
  clock_.now += 60'000;
  tell("mark");
  ASSERT_TRUE(await([&] { return taken_.size() == 4; }));
  EXPECT_NE(std::ranges::find(taken_, "qkm-a link up 9 more: flaps"), taken_.end());
  tell("flaps", Telling::together);
  tell("other", Telling::together);  // its minute is over: told again
  reporter_->stop();
  EXPECT_EQ(std::ranges::count(taken_, "qkm-a link up other"), 2);
  EXPECT_EQ(std::ranges::count(taken_, "qkm-a link up 1 more: flaps"), 1) << "an end tells what is counted";
}

TEST_F(ReporterTest, WhatIsLeftAtAnEndIsSentAfterTheNextStart) {
  answer(ErrorCode::unavailable);
  tell("1");
  tell("2");
  reporter_->start();
  reporter_->stop();
  EXPECT_TRUE(std::filesystem::exists(folder_ / "behaviour.jsonl"));
  const std::string first_id = attempts_.front();
  open();
  answer({});
  reporter_->start();
  ASSERT_TRUE(await([&] { return taken_.size() == 2; }));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "behaviour.jsonl"));
  EXPECT_EQ(attempts_.back(), first_id) << "IAM may have it already";
  reporter_->stop();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "behaviour.jsonl"));
}

TEST_F(ReporterTest, WhereIamIsAwayForSeveralRunsTheLatestAreKept) {
  answer(ErrorCode::unavailable);
  const std::string long_one(behaviour_text_max - 8, 'x');
  constexpr int runs = 6;
  for (int run = 0; run < runs; ++run) {
    open();
    const Behaviour one{.about = std::string(64, 'u'), .action = long_one, .outcome = long_one, .object = long_one + std::to_string(run)};
    for (int i = 0; i < 4096; ++i) reporter_->report(one);
    reporter_->start();
    reporter_->stop();
  }
  EXPECT_LE(std::filesystem::file_size(folder_ / "behaviour.jsonl"), 8U << 20U);
  open();
  answer({});
  reporter_->start();
  ASSERT_TRUE(await([&] { return !taken_.empty() && taken_.back().ends_with("x" + std::to_string(runs - 1)); }));
  reporter_->stop();
  EXPECT_GT(taken_.size(), 4096U) << "not the last run's alone";
  EXPECT_TRUE(std::ranges::none_of(taken_, [](const std::string& one) { return one.ends_with("x0"); })) << "there was no room for the first ones";
}

TEST_F(ReporterTest, AFileThatIsNoneOfItsOwnIsReadOver) {
  std::ofstream(folder_ / "behaviour.jsonl") << "no JSON\n{\"records\":7}\n";
  std::filesystem::permissions(folder_ / "behaviour.jsonl", std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  reporter_->start();
  tell("1");
  ASSERT_TRUE(await([&] { return taken_.size() == 1; }));
}

TEST_F(ReporterTest, AReportFitsTheBodyOfItsRequest) {
  std::size_t largest = 0;
  std::size_t records = 0;
  BehaviourReporter reporter(told_qkm, clock_, folder_ / "behaviour.jsonl",
                             {.send = [&](const wire::Json& report, Deadline) -> Result<void> {
                                largest = std::max(largest, report.dump().size());
                                records += report.array("records").value().size();
                                return {};
                              },
                              .new_id = [] { return std::string(16, '0'); }});
  for (int i = 0; i < 200; ++i)
    reporter.report({.about = std::string(64, 'u'), .action = std::string(128, '"'), .outcome = std::string(128, '\\'), .object = std::string(128, '"')});
  reporter.start();
  reporter.stop();
  EXPECT_EQ(records, 200U);
  EXPECT_LE(largest, points::row(points::Endpoint::ua3_record).body_max);
  EXPECT_GT(largest, 16U * 1024);
}

}  // namespace
}  // namespace qanat::node
