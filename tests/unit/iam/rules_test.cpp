// Each rule: what it finds, that it stays silent at its threshold, and which records it names.
#include "services/iam/uba/rules.hpp"

#include <gtest/gtest.h>

namespace qanat::iam {
namespace {

constexpr UnixMs noon_ms = 1'799'971'200'000;  // 12:00 UTC
constexpr UnixMs second = 1000;
constexpr UnixMs hour = 3600 * second;

class RulesTest : public testing::Test {
 protected:
  /// The newest record of a history.
  const StoredBehaviour& add(UnixMs time, std::string action, std::string outcome, std::string object, std::string reporter = "kms-a") {
    history_.push_back({.seq = std::ssize(history_) + 1,
                        .reporter = std::move(reporter),
                        .received_ms = time,
                        .record = {.time_ms = time, .uid = Uid("A"), .action = std::move(action), .outcome = std::move(outcome), .object = std::move(object)}});
    return history_.back();
  }
  const StoredBehaviour& delivered(UnixMs time, std::string session, std::string reporter = "kms-a") {
    return add(time, "application", "delivered", std::move(session), std::move(reporter));
  }
  const StoredBehaviour& called(UnixMs time, std::string session) { return add(time, "call", "started", std::move(session), "A"); }

  std::vector<std::int64_t> found(RuleKind rule) {
    for (const Finding& one : examine(rules_, history_, history_.back())) {
      if (one.rule == rule) return one.records;
    }
    return {};
  }
  void set(const char* text) { ASSERT_TRUE(rules_.change(wire::Json::parse(std::string_view(text)).value())); }

  RuleSettings rules_;
  std::vector<StoredBehaviour> history_;
};

TEST_F(RulesTest, RateSpeaksAboveItsMaximumAndNamesTheRecords) {
  set(R"({"rate":{"max":3,"window_s":60}})");
  for (int i = 0; i < 3; ++i) delivered(noon_ms + static_cast<UnixMs>(i) * second, "s" + std::to_string(i));
  EXPECT_TRUE(found(RuleKind::rate).empty());
  delivered(noon_ms + 59 * second, "s3");
  EXPECT_EQ(found(RuleKind::rate), (std::vector<std::int64_t>{1, 2, 3, 4}));
  delivered(noon_ms + 62 * second, "s4");
  EXPECT_TRUE(found(RuleKind::rate).empty()) << "the first three are out of the window";
}

TEST_F(RulesTest, RefusalsCountFailuresAlone) {
  set(R"({"refusals":{"max":2,"window_s":300}})");
  for (int i = 0; i < 2; ++i) add(noon_ms + static_cast<UnixMs>(i), "application", "denied", "x");
  delivered(noon_ms + 5, "good");
  EXPECT_TRUE(found(RuleKind::refusals).empty());
  add(noon_ms + 6, "application", "conflict", "x");
  EXPECT_EQ(found(RuleKind::refusals), (std::vector<std::int64_t>{1, 2, 4}));
}

TEST_F(RulesTest, AnHourIsUnusualOnlyAgainstALongHistory) {
  set(R"({"hour":{"history_min":20,"days_min":7,"share_permille":10},"rate":{"on":0}})");
  for (int day = 0; day < 10; ++day) {
    for (int i = 0; i < 3; ++i)
      delivered(noon_ms + static_cast<UnixMs>(day) * 24 * hour + static_cast<UnixMs>(i) * 600 * second, "d" + std::to_string(day * 3 + i));
  }
  delivered(noon_ms + 9 * 24 * hour + hour, "near");
  EXPECT_TRUE(found(RuleKind::hour).empty()) << "13 h is next to 12 h";
  delivered(noon_ms + 9 * 24 * hour + 15 * hour, "night");
  EXPECT_EQ(found(RuleKind::hour), (std::vector<std::int64_t>{32}));
  history_.erase(history_.begin(), history_.begin() + 25);
  EXPECT_TRUE(found(RuleKind::hour).empty()) << "too little is known";
}

TEST_F(RulesTest, NobodyIsServedAtTwoPlacesAtOnce) {
  delivered(noon_ms, "1", "kms-a");
  delivered(noon_ms + 299 * second, "2", "kms-b");
  EXPECT_EQ(found(RuleKind::place), (std::vector<std::int64_t>{1, 2}));
  delivered(noon_ms + 599 * second, "3", "kms-b");
  EXPECT_TRUE(found(RuleKind::place).empty());
  called(noon_ms + 600 * second, "3");
  EXPECT_TRUE(found(RuleKind::place).empty()) << "what a terminal says of itself has no place";
  add(noon_ms + 601 * second, "session", "opened", "3", "cmsp");
  EXPECT_TRUE(found(RuleKind::place).empty()) << "the CMSP sees everybody";
  delivered(noon_ms + 602 * second, "4", "kms-b");
  EXPECT_TRUE(found(RuleKind::place).empty()) << "at the same place as before";
}

TEST_F(RulesTest, AKeyDeliveredTwiceIsImpossible) {
  delivered(noon_ms, "s");
  delivered(noon_ms + second, "t");
  EXPECT_TRUE(found(RuleKind::sequence).empty());
  delivered(noon_ms + 2 * second, "s");
  EXPECT_EQ(found(RuleKind::sequence), (std::vector<std::int64_t>{1, 3}));
}

TEST_F(RulesTest, ACallWithoutAKeyIsImpossibleOnceReportsHaveSettled) {
  called(noon_ms, "s");
  EXPECT_TRUE(found(RuleKind::sequence).empty()) << "its key's report may be on its way";
  delivered(noon_ms + second, "s");
  add(noon_ms + 40 * second, "application", "denied", "x");
  EXPECT_TRUE(found(RuleKind::sequence).empty()) << "it came";
  called(noon_ms + 50 * second, "t");
  add(noon_ms + 90 * second, "application", "denied", "x");
  EXPECT_EQ(found(RuleKind::sequence), (std::vector<std::int64_t>{4}));
}

TEST_F(RulesTest, KeysWithoutCallsSpeakOnlyWhereCallsAreReported) {
  set(R"({"keys":{"unused_max":1,"grace_s":300,"window_s":3600},"place":{"on":0}})");
  delivered(noon_ms, "1");
  delivered(noon_ms + second, "2");
  delivered(noon_ms + 400 * second, "3");
  EXPECT_TRUE(found(RuleKind::keys).empty()) << "this terminal reports no calls";
  called(noon_ms + 401 * second, "3");
  EXPECT_EQ(found(RuleKind::keys), (std::vector<std::int64_t>{1, 2}));
  called(noon_ms + 402 * second, "2");
  EXPECT_TRUE(found(RuleKind::keys).empty());
}

TEST_F(RulesTest, ARuleThatIsOffIsSilent) {
  set(R"({"place":{"on":0}})");
  delivered(noon_ms, "1", "kms-a");
  delivered(noon_ms + second, "2", "kms-b");
  EXPECT_TRUE(found(RuleKind::place).empty());
}

TEST_F(RulesTest, ThresholdsAreReadStrictlyAndComeBack) {
  for (const char* text : {R"({"speed":{"max":1}})", R"({"rate":{"most":1}})", R"({"rate":{"max":0}})", R"({"rate":{"on":2}})", R"({"rate":5})"}) {
    EXPECT_FALSE(rules_.change(wire::Json::parse(std::string_view(text)).value())) << text;
  }
  set(R"({"rate":{"max":77}})");
  RuleSettings other;
  ASSERT_TRUE(other.change(rules_.to_json()));
  EXPECT_EQ(other(RuleKind::rate, "max"), 77);
  EXPECT_EQ(other.to_json().dump(), rules_.to_json().dump());
}

}  // namespace
}  // namespace qanat::iam
