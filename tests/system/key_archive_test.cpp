// Keys that are over leave a running KMS for its archive: asked for over the wire, looked for in its files by the program's own commands, and with a KMS that
// is killed over it.
#include <fstream>
#include <set>
#include <sstream>

#include "point_test.hpp"
#include "program.hpp"
#include "test_network.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::test {
namespace {

using app::RunningNetwork;
using points::Endpoint;
using wire::Json;

constexpr std::chrono::seconds archived_max{60};
constexpr std::chrono::seconds archive_answer_max{10};

class KeyArchiveOverTheWire : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;  // calls within a domain
    options_.key_lifetime_ms = 5000;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "C"}) net().enrol(uid);
    // A key leaves some fifteen seconds after it was made.
    net().running().stop_element("kms-a", RunningNetwork::Ending::orderly);
    const std::filesystem::path file = net().network().config_of("kms-a");
    std::ifstream in(file, std::ios::binary);
    std::string config(std::istreambuf_iterator<char>(in), {});
    const std::string table = "[kms]\n";
    const auto at = config.find(table);
    ASSERT_NE(at, std::string::npos);
    config.insert(at + table.size(), "clock_window_ms = 5000\nhistory_retention_s = 10\n");
    std::ofstream(file, std::ios::binary | std::ios::trunc) << config;
    const auto started = net().running().start_element("kms-a");
    ASSERT_TRUE(started) << started.error().message;
  }

  static std::int64_t archived() {
    const auto health = net().op().health("kms-a");
    const auto archive = health ? health->object("archive") : health;
    return archive ? archive->integer("keys").value_or(-1) : -1;
  }
  static void await_archived(std::int64_t keys) {
    TestNetwork::await(
        std::to_string(keys) + " keys in the archive", [&] { return archived() == keys; }, archived_max);
  }
  /// One call: two keys.
  static void call() {
    const auto pair = net().apply("A", "C");
    ASSERT_TRUE(pair.agree()) << pair.reasons();
    legs_ += 2;
  }
  static Result<Json> ask(const Json& body) { return net().op().ask(Endpoint::x5_archive, "kms-a", body); }
  static std::vector<Json> charges() {
    const auto answer = net().op().ask(Endpoint::x5_charges, "kms-a", Json::object({{"from_ms", 0}, {"until_ms", INT64_MAX}}));
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? answer->array("charges").value_or(std::vector<Json>{}) : std::vector<Json>{};
  }
  [[nodiscard]] static std::filesystem::path files() { return net().network().state_of("kms-a") / "archive"; }
  static Outcome run(const std::string& command, const std::string& options, const TemporaryDirectory& folder) {
    net().close_op();
    return run_program("kms " + command + " --network " + net().network().folder().string() + " --kms kms-a " + options, folder);
  }
  static std::vector<Json> lines_in(const std::string& text) {
    std::vector<Json> out;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      const auto json = Json::parse(std::string_view(line));
      EXPECT_TRUE(json) << line;
      if (json) out.push_back(*json);
    }
    return out;
  }
  static std::int64_t legs_;
};

std::int64_t KeyArchiveOverTheWire::legs_ = 0;

POINT_TEST(KeyArchiveOverTheWire, X_5, accepts, WhatIsInTheArchiveOfASessionThatIsNeverUsedAgain) {
  call();
  const auto charged = charges();
  ASSERT_FALSE(charged.empty());
  const std::string session = charged.back().text("sid_wk").value_or("");
  const auto before = ask(Json::object({{"sid_wk", session}}));
  ASSERT_FALSE(before);
  EXPECT_EQ(before.error().code, ErrorCode::not_found) << before.error().message;
  await_archived(legs_);
  const auto list = ask(Json::object({{"after", 0}}));
  ASSERT_TRUE(list) << list.error().message;
  const auto segments = list->array("segments").value_or(std::vector<Json>{});
  ASSERT_EQ(segments.size(), 1U);
  EXPECT_EQ(segments.front().text("file").value_or(""), "keys-0-1.jsonl");
  EXPECT_EQ(segments.front().integer("keys").value_or(0), legs_);
  const auto found = ask(Json::object({{"sid_wk", session}}));
  ASSERT_TRUE(found) << found.error().message;
  const auto keys = found->array("keys").value_or(std::vector<Json>{});
  ASSERT_EQ(keys.size(), 2U);
  for (const Json& one : keys) {
    const auto key = one.object("key");
    ASSERT_TRUE(key) << key.error().message;
    EXPECT_EQ(key->text("sid_wk").value_or(""), session);
    EXPECT_EQ(key->text("ended_why").value_or(""), "acknowledged");
  }
  EXPECT_EQ(charges().size(), charged.size()) << "the charges are where they were";

  TestTerminal& caller = net().terminal("A");
  const auto sid_wk = SidWk::parse_hex(session);
  ASSERT_TRUE(sid_wk);
  const Number called = net().terminal("C").number();
  const terminal::KeyWanted wanted{.role = wire::Role::caller,
                                   .sid_wk = *sid_wk,
                                   .sid_call = wire::make_sid_call(caller.number(), called, net().rng().bytes(16)),
                                   .caller = caller.number(),
                                   .called = called};
  EXPECT_FALSE(caller.apply(wanted, Deadline::after(archive_answer_max))) << "a session is used once";
  net().expect_audit("kms-a", "km-1.application", "this session was used before");
}

POINT_TEST(KeyArchiveOverTheWire, X_5, refuses, QuestionsAboutTheArchiveFromOthersThanOperatorsAndSuchAsAreNone) {
  const Json question = Json::object({{"after", 0}});
  for (const char* caller : {"A", "iam", "cmsp", "kms-b"}) {
    const auto answer = net().call_json(caller, Endpoint::x5_archive, "kms-a", question);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 403U) << caller;
  }
  for (const Json& wrong : {Json::object(), Json::object({{"after", -1}}), Json::object({{"sid_wk", "00"}}),
                            Json::object({{"after", 0}, {"sid_wk", std::string(32, '0')}}), Json::object({{"after", 0}, {"until", 1}})}) {
    const auto refused = ask(wrong);
    ASSERT_FALSE(refused) << wrong.dump();
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument) << wrong.dump();
  }
}

TEST_F(KeyArchiveOverTheWire, ByTheCommandLine) {
  call();
  await_archived(legs_);
  const TemporaryDirectory folder;
  const Outcome list = run("archive", "--json", folder);
  EXPECT_EQ(list.code, 0) << list.error;
  EXPECT_EQ(lines_in(list.out).size(), 1U);
  const Outcome good = run("verify-archive", files().string(), folder);
  EXPECT_EQ(good.code, 0) << good.error;
  EXPECT_TRUE(good.out.contains("1 segments with " + std::to_string(legs_) + " keys are what kms-a has archived; 0 segments")) << good.out;
  const Outcome search = run("search-archive", "--subscriber A " + files().string(), folder);
  EXPECT_EQ(search.code, 0) << search.error;
  EXPECT_EQ(std::ssize(lines_in(search.out)), legs_ / 2);
  for (const Json& key : lines_in(search.out)) EXPECT_EQ(key.text("uid").value_or(""), "A");
  const Outcome none = run("search-archive", "--until-ms 1 " + files().string(), folder);
  EXPECT_EQ(none.code, 0) << none.error;
  EXPECT_TRUE(none.out.empty()) << none.out;

  const std::filesystem::path copy = folder / "copy";
  std::filesystem::copy(files(), copy);
  std::ifstream in(copy / "keys-0-1.jsonl", std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  const auto at = text.find("\"uid\":\"A\"");
  ASSERT_NE(at, std::string::npos);
  text[at + 7] = 'B';
  std::ofstream(copy / "keys-0-1.jsonl", std::ios::binary | std::ios::trunc) << text;
  for (const char* command : {"verify-archive", "search-archive"}) {
    const Outcome edited = run(command, copy.string(), folder);
    EXPECT_EQ(edited.code, 1) << command << edited.out;
    EXPECT_TRUE(edited.error.contains("keys-0-1.jsonl: has") && edited.error.contains("archived were")) << edited.error;
    EXPECT_TRUE(edited.out.empty()) << "nothing of it is shown: " << edited.out;
  }
  std::filesystem::remove_all(copy);
  const Outcome elsewhere = run("verify-archive", copy.string(), folder);
  EXPECT_EQ(elsewhere.code, 0) << elsewhere.error;
  EXPECT_TRUE(elsewhere.out.contains("1 segments are not in this folder")) << elsewhere.out;
}

TEST_F(KeyArchiveOverTheWire, AKmsThatIsKilledOverItLosesNoKeyAndWritesNoneTwice) {
  const auto survive = [](const std::string& place) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, place);
    const std::filesystem::path mark = net().network().folder() / ("crashed-" + place);
    net().running().stop_element("kms-a", RunningNetwork::Ending::orderly);
    const auto armed = net().running().start_element("kms-a", QANAT_CRASH_PROGRAM, {"QANAT_CRASH_AT=" + place, "QANAT_CRASH_ONCE=" + mark.string()});
    ASSERT_TRUE(armed) << armed.error().message;
    call();
    TestNetwork::await(
        "its death", [] { return !net().running().lives("kms-a"); }, archived_max);
    EXPECT_TRUE(std::filesystem::exists(mark)) << "the place was not reached";
    net().running().stop_element("kms-a", RunningNetwork::Ending::kill);
    const auto restarted = net().running().start_element("kms-a");
    ASSERT_TRUE(restarted) << restarted.error().message;
    await_archived(legs_);
  };
  survive("kms.archive.written");
  survive("kms.archive.noted");
  survive("kms.archive.settled");
  const TemporaryDirectory folder;
  const Outcome all = run("search-archive", files().string(), folder);
  EXPECT_EQ(all.code, 0) << all.error;
  std::set<std::string> written;
  for (const Json& key : lines_in(all.out)) {
    EXPECT_TRUE(written.insert(key.text("sid_wk").value_or("") + key.text("leg").value_or("")).second) << "twice: " << key.dump();
  }
  EXPECT_EQ(std::ssize(written), legs_);
  for (const Json& charge : charges()) {
    EXPECT_TRUE(written.contains(charge.text("sid_wk").value_or("") + charge.text("leg").value_or(""))) << "lost: " << charge.dump();
  }
}

}  // namespace
}  // namespace qanat::test
