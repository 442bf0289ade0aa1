// The load test in small, with one disturbance of each kind; and that it would notice what it looks for.
#include "soak.hpp"

#include <set>

#include "program.hpp"

namespace qanat::test {
namespace {

using bench::Disturbance;
using bench::KeyUses;
using bench::LegKey;
using bench::LegRecord;
using bench::LegRow;
using bench::MemorySeries;
using bench::Promises;

SidWk session_numbered(std::uint8_t number) { return SidWk(Bytes(SidWk::size, number)); }
Secret key_numbered(std::uint8_t octet) { return Secret::copy_of(Bytes(32, octet)); }

TEST(SoakTest, NetworkUnderLoadKeepsWhatWasPromisedWhileEachOfItsPartsIsKilled) {
  const TemporaryDirectory folder;
  const Outcome outcome = run_line(
      QANAT_SOAK_PROGRAM " --program " QANAT_PROGRAM " --seconds 10 --every 5 --terminals 4 --rate-max 3 --seed 7 --out " + (folder / "report").string(),
      folder);
  ASSERT_EQ(outcome.code, 0) << outcome.out << outcome.error;
  std::ifstream in(folder / "report" / "report.json");
  const auto report = wire::Json::parse(std::string(std::istreambuf_iterator<char>(in), {}));
  ASSERT_TRUE(report) << report.error().message;
  std::map<std::string, double> rows;
  for (const wire::Json& row : report->array("rows").value_or(std::vector<wire::Json>{}))
    rows[row.text("name").value_or("")] = row.number("value").value_or(-1);

  EXPECT_EQ(rows.at("findings"), 0);
  for (const Disturbance kind : bench::all_disturbances) EXPECT_GE(rows.at(std::string(name(kind))), 1) << name(kind);
  for (const char* counted : {"capacity", "sessions served", "deliveries acknowledged", "answers given again", "second applications refused",
                              "charging records", "link keys used", "relayed keys handed out", "audit records verified", "working key legs looked up"}) {
    EXPECT_GT(rows.at(counted), 0) << counted;
  }
  EXPECT_GE(rows.at("charging records"), rows.at("working key legs looked up"));
  EXPECT_TRUE(std::filesystem::exists(folder / "report" / "report.md"));
}

TEST(SoakTest, ScheduleComesFromTheSeedHasEachKindAndLeavesTheLastThirdAlone) {
  const auto length = std::chrono::minutes(30);
  const auto plan = bench::schedule_of(1, length, std::chrono::seconds(40));
  EXPECT_EQ(plan, bench::schedule_of(1, length, std::chrono::seconds(40)));
  EXPECT_NE(plan, bench::schedule_of(2, length, std::chrono::seconds(40)));
  std::map<Disturbance, std::size_t> times;
  std::set<std::string> victims;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    ++times[plan[i].what];
    if (!plan[i].victim.empty()) victims.insert(plan[i].victim);
    EXPECT_GT(plan[i].at.count(), 0);
    EXPECT_LE(plan[i].at, length * 2 / 3);
    if (i > 0) EXPECT_GT(plan[i].at, plan[i - 1].at);
  }
  for (const Disturbance kind : bench::all_disturbances) EXPECT_EQ(times[kind], plan.size() / bench::all_disturbances.size()) << name(kind);
  EXPECT_GE(plan.size(), 20U);
  EXPECT_EQ(victims, (std::set<std::string>{"kms-a", "kms-a-2", "qkm-a", "qkm-b", "qkm-r"}));
  EXPECT_EQ(bench::schedule_of(1, std::chrono::seconds(15), std::chrono::seconds(40)).size(), bench::all_disturbances.size()) << "each once, however short";
}

TEST(SoakTest, TwoKeysOfOneSessionAndOneKeyOfTwoSessionsAreNoticed) {
  Promises good;
  good.opened(session_numbered(1), key_numbered(1));
  good.opened(session_numbered(1), key_numbered(1));
  good.opened(session_numbered(2), key_numbered(2));
  EXPECT_TRUE(good.kept());
  EXPECT_EQ(good.sessions(), 2U);

  Promises two_keys;
  two_keys.opened(session_numbered(1), key_numbered(1));
  two_keys.opened(session_numbered(1), key_numbered(2));
  EXPECT_EQ(two_keys.findings(), std::vector{"session " + session_numbered(1).hex() + " has two working keys"});

  Promises two_sessions;
  two_sessions.opened(session_numbered(1), key_numbered(1));
  two_sessions.opened(session_numbered(2), key_numbered(1));
  EXPECT_EQ(two_sessions.findings(), std::vector{"sessions " + session_numbered(1).hex() + " and " + session_numbered(2).hex() + " have the same working key"});
}

TEST(SoakTest, LedgerThatLostDoubledOrKeptAKeyIsNoticed) {
  const LegRow done{.state = "destroyed", .octets = false, .charged = true, .confirmed = true};
  const LegRow waits{.state = "delivered", .octets = true, .charged = true, .confirmed = false};
  const LegRecord acknowledged{.domain = "a", .session = session_numbered(1), .role = wire::Role::caller, .acknowledged = true};
  const LegRecord opened{.domain = "a", .session = session_numbered(1), .role = wire::Role::caller, .acknowledged = false};
  const LegKey leg{session_numbered(1), 1};
  EXPECT_TRUE(bench::findings_in({{leg, done}}, {acknowledged}).empty());
  EXPECT_TRUE(bench::findings_in({{leg, waits}}, {opened}).empty());

  EXPECT_EQ(bench::findings_in({}, {acknowledged}).size(), 1U) << "lost";
  EXPECT_EQ(bench::findings_in({{leg, waits}}, {acknowledged}).size(), 1U) << "acknowledged, and still there";
  EXPECT_EQ(bench::findings_in({{leg, {.state = "destroyed", .octets = false, .charged = false, .confirmed = false}}}, {opened}).size(), 1U) << "not charged";
  EXPECT_EQ(bench::findings_in({{leg, {.state = "reserved", .octets = true, .charged = true, .confirmed = false}}}, {opened}).size(), 1U)
      << "may be delivered again";
  EXPECT_EQ(bench::findings_in({{leg, {.state = "destroyed", .octets = true, .charged = true, .confirmed = true}}}, {}).size(), 1U) << "destroyed with octets";
  EXPECT_EQ(bench::findings_in({{leg, {.state = "delivered", .octets = true, .charged = false, .confirmed = false}}}, {}).size(), 1U)
      << "delivered for nothing";
}

TEST(SoakTest, KeyThatRecordsShowUsedTwiceIsNoticed) {
  const auto line = [](const std::string& action, const std::string& object, const std::string& subject, const std::string& outcome) {
    return wire::Json::object({{"action", action}, {"outcome", outcome}, {"subject", subject}, {"object", object}}).dump();
  };
  const std::string batch(24, 'a');
  KeyUses uses;
  uses.add("qkm-a", line("link_key.used", batch + "[0..9]", "qkm-r", "success"));
  uses.add("qkm-r", line("link_key.used", batch + "[0..9]", "qkm-a", "success"));
  uses.add("qkm-a", line("relayed_key.delivered", batch + "00000000", "kms-a", "success"));
  uses.add("kms-a", line("km-1.delivered", "s1", "A", "success"));
  uses.add("kms-a", line("km-1.delivered", "s1", "B", "success"));
  uses.add("kms-a", line("km-1.delivered", "s1", "B", "refused"));
  EXPECT_TRUE(uses.findings().empty());
  EXPECT_EQ(uses.link_keys(), 10U);
  EXPECT_EQ(uses.relayed_keys(), 1U);
  EXPECT_EQ(uses.deliveries(), 2U);
  EXPECT_TRUE(uses.link_keys_of("qkm-a").contains(batch + "00000009"));

  uses.add("qkm-a", line("link_key.used", batch + "00000009", "qkm-r", "success"));
  EXPECT_EQ(uses.findings().size(), 1U) << "a link key twice at one end";
  uses.add("qkm-b", line("link_key.used", batch + "00000001", "qkm-r", "success"));
  EXPECT_EQ(uses.findings().size(), 2U) << "and at a third place";
  uses.add("qkm-a", line("relayed_key.delivered", batch + "00000000", "kms-a", "success"));
  EXPECT_EQ(uses.findings().size(), 3U) << "a relayed key twice";
  uses.add("kms-a", line("km-1.delivered", "s1", "A", "success"));
  EXPECT_EQ(uses.findings().size(), 4U) << "a leg twice";
}

TEST(SoakTest, MemoryThatGrowsIsNoticedOnceASeriesIsLongEnough) {
  const auto series = [](std::size_t seconds, double kib_per_s) {
    MemorySeries out;
    for (std::size_t i = 0; i <= seconds; ++i) out.push_back({.at_s = static_cast<double>(i), .kib = 40960 + kib_per_s * static_cast<double>(i)});
    return out;
  };
  const auto judged = [](const MemorySeries& samples) { return bench::judge(samples, 600); };
  const auto flat = judged(series(600, 0));
  EXPECT_TRUE(flat.judged && flat.flat);
  EXPECT_EQ(flat.low_kib, flat.high_kib);
  const auto grows = judged(series(600, 100));
  EXPECT_TRUE(grows.judged);
  EXPECT_FALSE(grows.flat);
  EXPECT_NEAR(grows.growth_kib, 30000, 1);
  EXPECT_NEAR(grows.slope_kib_per_h, 360000, 1);
  EXPECT_FALSE(judged(series(100, 100)).judged) << "too short";
  EXPECT_TRUE(judged(series(100, 100)).flat);
  EXPECT_TRUE(judged(series(600, 10)).flat) << "under 4 MiB in the last half";
  EXPECT_FALSE(judged({}).judged);
}

TEST(SoakTest, TimeWithoutServiceIsTheLongestOneBetweenSessionsThatCount) {
  const std::vector<bench::Served> served{{.planned_s = 0, .done_s = 1, .across = false, .quantum = false},
                                          {.planned_s = 0, .done_s = 2, .across = true, .quantum = true},
                                          {.planned_s = 0, .done_s = 6, .across = false, .quantum = false},
                                          {.planned_s = 0, .done_s = 7, .across = true, .quantum = true}};
  EXPECT_EQ(bench::longest_gap_s(served, 0, 8, [](const bench::Served&) { return true; }), 4);
  EXPECT_EQ(bench::longest_gap_s(served, 0, 8, [](const bench::Served& one) { return one.quantum; }), 5);
  EXPECT_EQ(bench::longest_gap_s({}, 0, 8, [](const bench::Served&) { return true; }), 8);
}

TEST(SoakTest, SessionsGivenUpWhereNothingWasDisturbedAreCounted) {
  const bench::Happened kill{.planned = {.at = std::chrono::milliseconds(0), .what = Disturbance::qkm_killed, .victim = "qkm-a"}, .at_s = 100, .back_s = 102};
  const std::vector<bench::GivenUp> given_up{
      {.planned_s = 60, .ended_s = 90}, {.planned_s = 90, .ended_s = 100.5}, {.planned_s = 111, .ended_s = 130}, {.planned_s = 113, .ended_s = 120}};
  EXPECT_EQ(bench::given_up_in_peace(given_up, {kill}), 2U) << "the first and the last";
  EXPECT_EQ(bench::given_up_in_peace(given_up, {}), 4U);
}

}  // namespace
}  // namespace qanat::test
