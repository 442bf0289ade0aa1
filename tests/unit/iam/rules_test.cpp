// Each rule over a real register: what it finds, that it stays silent at its threshold, and which records it names.
#include <gtest/gtest.h>

#include "services/iam/schema.hpp"
#include "services/iam/uba/evidence.hpp"
#include "temporary_directory.hpp"
#include "trusted_network.hpp"

namespace qanat::iam {
namespace {

using test::must;

constexpr UnixMs noon_ms = 1'799'971'200'000;  // 12:00 UTC
constexpr UnixMs second = 1000;
constexpr UnixMs hour = 3600 * second;

/// All rows of the tables that are kept up with the records.
std::vector<std::string> kept(store::Store& store) {
  std::vector<std::string> out;
  for (const char* sql : {"SELECT uid || ' hour ' || hour || ' ' || records FROM behaviour_hour ORDER BY uid, hour",
                          "SELECT uid || ' ' || half || ' ' || object || ' ' || time_ms || ' ' || seq FROM half_session ORDER BY uid, half, object",
                          "SELECT uid || ' calls ' || last_ms FROM call_reporter ORDER BY uid"}) {
    must(store.look([&](store::Transaction& transaction) { return transaction.query(sql, {}, [&](const store::Row& row) { out.push_back(row.text(0)); }); }));
  }
  return out;
}

class RulesTest : public testing::Test {
 protected:
  struct Told {
    UnixMs time;
    std::string action;
    std::string outcome;
    std::string object;
    std::string reporter = "kms-a";
    std::string uid = "A";
  };
  /// One report, which comes in with its last record (or at `now`); what it brings to light stays for found().
  void add(const std::vector<Told>& records, UnixMs now = 0) {
    Report report{.reporter = {.domain = "a", .kind = Kind::kms, .name = records.front().reporter}};
    for (const Told& one : records) {
      report.records.push_back({.time_ms = one.time, .uid = Uid(one.uid), .action = one.action, .outcome = one.outcome, .object = one.object});
    }
    if (now == 0) now = records.back().time;
    must(behaviour_.append(report, now, [&](store::Transaction& transaction, const std::vector<StoredBehaviour>& fresh) -> Result<void> {
      ASSIGN_OR_RETURN(findings_, judge(transaction, rules_, fresh, now));
      return {};
    }));
  }
  void add(UnixMs time, std::string action, std::string outcome, std::string object, std::string reporter = "kms-a") {
    add({{.time = time, .action = std::move(action), .outcome = std::move(outcome), .object = std::move(object), .reporter = std::move(reporter)}});
  }
  void delivered(UnixMs time, std::string session, std::string reporter = "kms-a") {
    add(time, "application", "delivered", std::move(session), std::move(reporter));
  }
  void called(UnixMs time, std::string session) { add(time, "call", "started", std::move(session), "A"); }

  std::vector<std::int64_t> found(RuleKind rule) {
    for (const auto& [uid, one] : findings_) {
      if (one.rule == rule) return one.records;
    }
    return {};
  }
  void set(const char* text) { ASSERT_TRUE(rules_.change(wire::Json::parse(std::string_view(text)).value())); }

  RuleSettings rules_;
  test::TemporaryDirectory folder_;
  std::unique_ptr<store::Store> store_ = must(store::Store::open(folder_ / "iam.db", migrations));
  Behaviour behaviour_{*store_};
  std::vector<std::pair<Uid, Finding>> findings_;
};

TEST_F(RulesTest, RateSpeaksAboveItsMaximumAndNamesTheRecords) {
  set(R"({"rate":{"max":3,"window_s":60}})");
  for (int i = 0; i < 3; ++i) delivered(noon_ms + static_cast<UnixMs>(i) * second, "s" + std::to_string(i));
  EXPECT_TRUE(found(RuleKind::rate).empty());
  delivered(noon_ms + 59 * second, "s3");
  EXPECT_EQ(found(RuleKind::rate), (std::vector<std::int64_t>{1, 2, 3, 4}));
  set(R"({"rate":{"max":2}})");
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
  const UnixMs night = noon_ms + 9 * 24 * hour + 15 * hour;
  const auto at_night = [&](const char* rules) {
    set(rules);
    delivered(night, "night");
    return !found(RuleKind::hour).empty();
  };
  EXPECT_TRUE(at_night(R"({"hour":{"history_min":31}})"));
  EXPECT_EQ(found(RuleKind::hour), (std::vector<std::int64_t>{32}));
  EXPECT_FALSE(at_night(R"({"hour":{"history_min":32}})")) << "too little is known";
  EXPECT_TRUE(at_night(R"({"hour":{"history_min":31,"days_min":9}})")) << "those of the same hour do not make it usual";
  EXPECT_FALSE(at_night(R"({"hour":{"days_min":10}})")) << "of nine days";
  set(R"({"hour":{"days_min":7}})");
  add({{.time = night + 5 * hour, .action = "call", .outcome = "started", .object = "x"},
       {.time = night + 5 * hour, .action = "call", .outcome = "ended", .object = "x"}});
  EXPECT_EQ(found(RuleKind::hour), (std::vector<std::int64_t>{36})) << "nor do those of the same report";
}

TEST_F(RulesTest, NobodyIsServedAtTwoPlacesAtOnce) {
  delivered(noon_ms, "1", "kms-a");
  delivered(noon_ms + 299 * second, "2", "kms-b");
  EXPECT_EQ(found(RuleKind::place), (std::vector<std::int64_t>{1, 2}));
  delivered(noon_ms + 599 * second, "3", "kms-b");
  EXPECT_TRUE(found(RuleKind::place).empty());
  called(noon_ms + 600 * second, "3");
  EXPECT_TRUE(found(RuleKind::place).empty()) << "what a terminal says of itself has no place";
  add(noon_ms + 600 * second, "application", "delivered", "of itself", "A");
  EXPECT_TRUE(found(RuleKind::place).empty()) << "whatever it says";
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
  delivered(noon_ms + 500 * second, "5");
  add(noon_ms + 799 * second, "application", "denied", "x");
  EXPECT_TRUE(found(RuleKind::keys).empty()) << "within its grace";
  add(noon_ms + 800 * second, "application", "denied", "x");
  EXPECT_EQ(found(RuleKind::keys), (std::vector<std::int64_t>{1, 6}));
  add(noon_ms + 3600 * second, "application", "denied", "x");
  EXPECT_TRUE(found(RuleKind::keys).empty()) << "the first is out of the window";
}

TEST_F(RulesTest, KeysOfReportsThatAreLateAreJudgedAsIfTheyHadCome) {
  set(R"({"keys":{"unused_max":1,"grace_s":300,"window_s":3600}})");
  const UnixMs back_again = noon_ms + 20 * hour;
  add({{.time = noon_ms, .action = "application", .outcome = "delivered", .object = "1"},
       {.time = noon_ms + second, .action = "application", .outcome = "delivered", .object = "2"},
       {.time = noon_ms + 2 * second, .action = "call", .outcome = "ended", .object = "0"}},
      back_again);
  EXPECT_TRUE(found(RuleKind::keys).empty());
  add({{.time = noon_ms + 400 * second, .action = "application", .outcome = "denied", .object = "x"}}, back_again);
  EXPECT_EQ(found(RuleKind::keys), (std::vector<std::int64_t>{1, 2}));
}

TEST_F(RulesTest, TimesThatCannotBeHarmNothing) {
  delivered(noon_ms, "1");
  const auto before = kept(*store_);
  add({{.time = noon_ms + 24 * hour + 1, .action = "call", .outcome = "started", .object = "1"},
       {.time = static_cast<UnixMs>(INT64_MAX), .action = "application", .outcome = "delivered", .object = "2"}},
      noon_ms);
  EXPECT_EQ(kept(*store_), before) << "more than a day ahead";
  add({{.time = 0, .action = "application", .outcome = "delivered", .object = "3"}, {.time = 1, .action = "call", .outcome = "started", .object = "4"}},
      noon_ms);
  EXPECT_EQ(kept(*store_), (std::vector<std::string>{before[0], before[1], "A calls 1"})) << "too old for any rule";
  add({{.time = noon_ms + hour, .action = "call", .outcome = "ended", .object = "1"}}, noon_ms);
  EXPECT_EQ(kept(*store_).back(), "A calls " + std::to_string(noon_ms)) << "no later than now";
}

TEST_F(RulesTest, OfOneSubjectAlone) {
  set(R"({"rate":{"max":1},"refusals":{"max":1},"place":{"apart_s":300}})");
  add({{.time = noon_ms, .action = "application", .outcome = "denied", .object = "x", .uid = "B"},
       {.time = noon_ms, .action = "application", .outcome = "delivered", .object = "s", .uid = "B"}});
  add(noon_ms + 1, "application", "denied", "x", "kms-b");
  EXPECT_TRUE(found(RuleKind::refusals).empty());
  delivered(noon_ms + 2, "s", "kms-b");
  EXPECT_TRUE(found(RuleKind::place).empty());
  EXPECT_TRUE(found(RuleKind::sequence).empty());
  EXPECT_EQ(found(RuleKind::rate), (std::vector<std::int64_t>{3, 4}));
}

TEST_F(RulesTest, NothingWaitsOfASessionThatIsWhole) {
  called(noon_ms, "before its key");
  delivered(noon_ms + 1, "before its key");
  delivered(noon_ms + 2, "after its key");
  called(noon_ms + 3, "after its key");
  add({{.time = noon_ms + 4, .action = "call", .outcome = "started", .object = "in one report"},
       {.time = noon_ms + 5, .action = "application", .outcome = "delivered", .object = "in one report"}});
  delivered(noon_ms + 6, "told at its end alone");
  add(noon_ms + 7, "call", "ended", "told at its end alone", "A");
  const std::string an_hour = "A hour " + std::to_string(noon_ms / hour) + " 8";
  EXPECT_EQ(kept(*store_), (std::vector<std::string>{an_hour, "A calls " + std::to_string(noon_ms + 7)}));
}

TEST_F(RulesTest, WhatNoRuleAsksAboutIsDropped) {
  delivered(noon_ms, "key");
  called(noon_ms + 1, "call");
  const auto halves_at = [&](UnixMs now) {
    add(now, "application", "denied", "x");
    return std::ranges::count_if(kept(*store_), [](const std::string& row) { return row.starts_with("A key") || row.starts_with("A call "); });
  };
  constexpr UnixMs late = 24 * hour;
  EXPECT_EQ(halves_at(noon_ms + late + hour), 2);
  EXPECT_EQ(halves_at(noon_ms + late + hour + 1), 1) << "the key is out of the window";
  EXPECT_EQ(halves_at(noon_ms + late + 24 * hour + 30 * second + 1), 1);
  EXPECT_EQ(halves_at(noon_ms + late + 24 * hour + 30 * second + 2), 0) << "the call is older than a day";
  const UnixMs end = noon_ms + late + 33 * 24 * hour;
  add(end, "application", "denied", "x");
  EXPECT_EQ(kept(*store_), (std::vector<std::string>{"A hour " + std::to_string(end / hour) + " 1", "A calls " + std::to_string(noon_ms + 1)}));
}

// The tables of a register that is older than they are say the same as if they had been kept up from the beginning.
TEST_F(RulesTest, ARegisterOfBeforeIsTakenInWhole) {
  const std::vector<Told> records{{.time = noon_ms, .action = "application", .outcome = "delivered", .object = "whole"},
                                  {.time = noon_ms + 1, .action = "call", .outcome = "started", .object = "whole"},
                                  {.time = noon_ms + 2, .action = "call", .outcome = "ended", .object = "whole"},
                                  {.time = noon_ms + hour, .action = "application", .outcome = "delivered", .object = "unused"},
                                  {.time = noon_ms + hour, .action = "application", .outcome = "denied", .object = "denied"},
                                  {.time = noon_ms + 2 * hour, .action = "call", .outcome = "started", .object = "keyless"},
                                  {.time = noon_ms + 2 * hour, .action = "call", .outcome = "started", .object = "unused", .uid = "B"},
                                  {.time = noon_ms + 2 * hour, .action = "session", .outcome = "opened", .object = "unused", .uid = "B"},
                                  {.time = noon_ms + 2 * hour, .action = "call", .outcome = "ended", .object = "only ended", .uid = "C"},
                                  {.time = noon_ms + 2 * hour, .action = "call", .outcome = "started", .object = "keyless"},
                                  {.time = noon_ms + 2 * hour + 1, .action = "application", .outcome = "delivered", .object = "unused"},
                                  {.time = noon_ms + 2 * hour + 2, .action = "application", .outcome = "delivered", .object = "whole"},
                                  {.time = noon_ms + 40 * hour, .action = "call", .outcome = "started", .object = "ahead", .uid = "D"},
                                  {.time = noon_ms + 3 * hour, .action = "application", .outcome = "delivered", .object = "last"}};
  add(records);
  test::TemporaryDirectory folder;
  {
    const auto old = must(store::Store::open(folder / "iam.db", std::span(migrations).first(6)));
    must(old->transact([&](store::Transaction& transaction) -> Result<void> {
      for (const Told& one : records) {
        TRY(transaction.run("INSERT INTO behaviour (kms, received_ms, time_ms, uid, action, outcome, object, chain) VALUES ('kms-a', ?, ?, ?, ?, ?, ?, x'00')",
                            {store::column(records.back().time), store::column(one.time), std::string_view(one.uid), std::string_view(one.action),
                             std::string_view(one.outcome), std::string_view(one.object)}));
      }
      return {};
    }));
  }
  EXPECT_EQ(kept(*must(store::Store::open(folder / "iam.db", migrations))), kept(*store_));
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
