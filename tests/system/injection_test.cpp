// Charged keys in a real network: media made and charged by the commands, over the wire and by file under two operators; calls under them; what is refused; and
// whatever dies in between.
#include <algorithm>
#include <fstream>
#include <functional>

#include "point_test.hpp"
#include "program.hpp"
#include "terminal/charging.hpp"
#include "test_network.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::test {
namespace {

using app::RunningNetwork;
using points::Endpoint;
using wire::Json;

/// The commands that make, register and charge media.
class Media : public SharedNetwork {
 protected:
  Outcome terminal(const std::string& uid, const std::string& arguments, const std::string& program = QANAT_PROGRAM,
                   const std::string& environment = "") const {
    const std::size_t word = arguments.find(' ');
    return run_line(environment + " " + program + " terminal " + arguments.substr(0, word) + " --config " + net().network().config_of(uid).string() +
                        (word == std::string::npos ? "" : arguments.substr(word)),
                    folder_);
  }
  /// The "result" of a terminal's command.
  static Json result(const Outcome& outcome) {
    EXPECT_EQ(outcome.code, 0) << outcome.error;
    return outcome.code == 0 ? outcome.json().object("result").value_or(Json()) : Json::object();
  }
  Outcome at_kms(const std::string& arguments, const std::string& kms = "kms-a") const {
    net().close_op();  // the command opens the same identity
    return run_program("kms " + arguments + " --json --kms " + kms + " --state " + net().network().folder().string(), folder_);
  }
  /// A new medium of this terminal, registered; its id.
  std::string medium(const std::string& uid, const std::string& kind, bool by_file, const std::string& kms = "kms-a") const {
    const std::string key = (folder_ / (uid + ".transport")).string();
    const Json made = result(terminal(uid, "make-medium --kind " + kind + (by_file ? " --transport-key " + key : "")));
    const std::string id = made.text("medium").value_or("");
    const Outcome entered = at_kms("medium register " + id + " --terminal " + uid + " --kind " + kind + (by_file ? " --transport-key " + key : ""), kms);
    EXPECT_EQ(entered.code, 0) << entered.error;
    EXPECT_FALSE(std::filesystem::exists(key)) << "the transport key stays in one place";
    return id;
  }
  /// How many there are in what a terminal says of its medium.
  static std::int64_t call_keys(const Json& medium) {
    const auto keys = medium.object("keys");
    const auto call = keys ? keys->object("call") : keys;
    return call ? call->integer("end").value_or(0) - call->integer("next").value_or(0) : -1;
  }
  void charge_by_file(const std::string& uid, const std::string& id, const std::string& kms = "kms-a") const {
    const std::string file = (folder_ / (uid + ".charge")).string();
    const Outcome ordered = at_kms("charge --medium " + id + " --authentication 4 --call 24 --distribution 4", kms);
    ASSERT_EQ(ordered.code, 0) << ordered.error;
    const std::string ticket = ordered.json().text("ticket").value_or("");
    EXPECT_EQ(at_kms("approve " + ticket + " --out " + file, kms).code, 1) << "the operator who ordered it";
    const Outcome approved = at_kms("approve " + ticket + " --as administrator --out " + file, kms);
    ASSERT_EQ(approved.code, 0) << approved.error;
    const std::int64_t before = call_keys(result(terminal(uid, "medium")));
    EXPECT_EQ(call_keys(result(terminal(uid, "load-charge " + file))), before + 24);
    EXPECT_EQ(terminal(uid, "load-charge " + file).code, 1) << "a file is loaded once";
  }
  /// The terminal has a medium that was charged offline: since an earlier test, or from now on.
  void has_offline_stock(const std::string& uid) const {
    if (terminal(uid, "medium").code != 0) charge_by_file(uid, medium(uid, "sim", true));
  }
  Json called(const std::string& from, const std::string& to) const {
    const auto summary = net().hold_call(from, to, folder_ / "call", 20);
    EXPECT_TRUE(summary) << (summary ? "" : summary.error().message);
    return summary.value_or(Json::object());
  }
  static std::string of(const Json& summary, const char* side, const char* member) {
    const auto found = summary.object(side);
    return found ? found->text(member).value_or("?") : "?";
  }

  static bool says(const Json& summary, const char* side, const char* member, bool absent) {
    const auto found = summary.object(side);
    return found ? found->boolean(member).value_or(absent) : absent;
  }

  TemporaryDirectory folder_;
};

class ChargedKeys : public Media {
 protected:
  static void SetUpTestSuite() {
    options_.status_fresh_ms = 200;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B", "C"}) net().enrol(uid);
  }
  /// The terminal's command, which dies at this place.
  Outcome crash(const std::string& place, const std::string& uid, const std::string& arguments) const {
    const testing::ScopedTrace trace(__FILE__, __LINE__, "the terminal dies at " + place);
    const std::filesystem::path mark = net().network().folder() / ("crashed-" + place);
    Outcome out = terminal(uid, arguments, QANAT_CRASH_PROGRAM, "QANAT_CRASH_AT=" + place + " QANAT_CRASH_ONCE=" + mark.string());
    EXPECT_TRUE(std::filesystem::exists(mark)) << "the place was not reached";
    return out;
  }
  /// kms-a, which does not run, is started and dies at this place: during the deed, or without one at its start.
  static void die(const std::string& place, const std::function<void()>& deed) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, "the KMS dies at " + place);
    const std::filesystem::path mark = net().network().folder() / ("crashed-" + place);
    const auto armed = net().running().start_element("kms-a", QANAT_CRASH_PROGRAM, {"QANAT_CRASH_AT=" + place, "QANAT_CRASH_ONCE=" + mark.string()});
    if (deed) {
      ASSERT_TRUE(armed) << armed.error().message;
      deed();
    }
    TestNetwork::await("its death", [] { return !net().running().lives("kms-a"); });
    EXPECT_TRUE(std::filesystem::exists(mark)) << "the place was not reached";
    net().running().stop_element("kms-a", RunningNetwork::Ending::kill);
  }
  /// kms-a dies at this place during the deed, and starts again.
  static void crash(const std::string& place, const std::function<void()>& deed) {
    net().running().stop_element("kms-a", RunningNetwork::Ending::orderly);
    die(place, deed);
    const auto restarted = net().running().start_element("kms-a");
    ASSERT_TRUE(restarted) << restarted.error().message;
  }
};

TEST_F(ChargedKeys, WithoutAMediumTheResultSaysWhatTheLastMileRestsOn) {
  const Json summary = called("A", "C");
  EXPECT_TRUE(of(summary, "caller", "last_mile").contains("falls if both fall"));
  EXPECT_EQ(of(summary, "caller", "charged"), "");
}

TEST_F(ChargedKeys, ATransportKeyIsWhereItWasUntilItsKmsHasIt) {
  const std::string id(32, 'e');
  const std::filesystem::path key = folder_ / "carried.transport";
  std::ofstream(key, std::ios::binary) << std::string(64, 'a') << "\n";
  std::filesystem::permissions(key, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const std::string entry = "medium register " + id + " --kind sim --transport-key " + key.string() + " --terminal ";
  const auto expect_refusal = [](const Outcome& outcome, const char* reason) {
    EXPECT_EQ(outcome.code, 1);
    EXPECT_TRUE(outcome.error.contains(reason)) << outcome.error;
  };
  const std::filesystem::path carried = net().network().media_keys_of("kms-a") / (id + ".key");
  expect_refusal(run_program("kms " + entry + "C --state " + (folder_ / "none").string(), folder_), "qanat up");
  expect_refusal(at_kms(entry + "C", "kms-z"), "there is no element 'kms-z'");
  expect_refusal(at_kms(entry + "C", "cas"), "does not answer this");
  expect_refusal(at_kms(entry + "B"), "no terminal B is enrolled at kms-a");
  EXPECT_TRUE(std::filesystem::exists(key)) << "nothing has become of it";
  EXPECT_FALSE(std::filesystem::exists(carried)) << "the copy of a command that was refused is gone";
  EXPECT_FALSE(std::filesystem::exists(net().network().media_keys_of("kms-z"))) << "there is no such KMS";

  std::filesystem::create_directories(carried.parent_path());
  std::filesystem::rename(key, carried);
  expect_refusal(at_kms(entry + "B"), "no terminal B is enrolled at kms-a");
  EXPECT_TRUE(std::filesystem::exists(carried)) << "what was carried there before stays";
  const Outcome entered = at_kms(entry + "C");
  EXPECT_EQ(entered.code, 0) << entered.error;
  EXPECT_FALSE(std::filesystem::exists(carried)) << "the KMS has it sealed";

  const Outcome half = at_kms("charge --medium " + id + " --authentication 0 --call 2 --distribution 0 --second operator --out " + (folder_ / "C.charge").string());
  expect_refusal(half, "");
  EXPECT_FALSE(half.json().text("ticket").value_or("").empty()) << "ordered, and not approved by who ordered it: another operator needs its number";
  EXPECT_EQ(at_kms("medium wipe " + id).code, 0);
}

TEST_F(ChargedKeys, ACallAcrossTheDomainsUnderStockThatWasChargedOfflineAtBothEnds) {
  net().await_quantum_keys();
  charge_by_file("A", medium("A", "sim", true));
  charge_by_file("B", medium("B", "tf-card", true, "kms-b"), "kms-b");
  const Json summary = called("A", "B");
  for (const char* side : {"caller", "callee"}) {
    EXPECT_EQ(of(summary, side, "last_mile"), "also protected by a charged key, offline") << side;
    EXPECT_TRUE(says(summary, side, "injected", false)) << side;
  }
  net().expect_audit("kms-a", "kim.used", "charged offline");
  net().expect_audit("kms-b", "kim.used", "charged offline");
  const Json again = called("A", "B");
  EXPECT_EQ(of(again, "callee", "last_mile"), "also protected by a charged key, offline");
  EXPECT_LE(call_keys(result(terminal("A", "medium"))), 22) << "one key each";
}

POINT_TEST(ChargedKeys, Km_1, refuses, AnApplicationWithoutAChargedKeyOfWhoWasChargedByFile) {
  has_offline_stock("A");
  const auto a = TestTerminal::open(net().network(), "A");
  ASSERT_TRUE(a) << a.error().message;
  const auto c = TestTerminal::open(net().network(), "C");
  ASSERT_TRUE(c) << c.error().message;
  const Number& caller = (*a)->number();
  const Number& called = (*c)->number();
  const auto stripped = (*a)->application({.role = wire::Role::caller, .sid_wk = net().rng().id<SidWk>(),
                                           .sid_call = wire::make_sid_call(caller, called, net().rng().bytes(16)), .caller = caller, .called = called});
  ASSERT_TRUE(stripped) << stripped.error().message;
  const auto refused = (*a)->send(Endpoint::km1_application, stripped->octets());
  ASSERT_FALSE(refused) << "whoever forges its signatures could do that";
  EXPECT_EQ(refused.error().code, ErrorCode::denied) << refused.error().message;
  net().expect_audit("kms-a", "km-1.application", "terminal A was charged by file");
}

POINT_TEST(ChargedKeys, Km_1, accepts, AChargeOverTheWireWhichIsSaidToAddNothingIfPublicKeysFall) {
  has_offline_stock("A");
  (void)medium("C", "software", false);
  const Json charged = result(terminal("C", "charge --call 8"));
  EXPECT_EQ(charged.text("charged").value_or(""), "wire");
  net().expect_audit("kms-a", "km-1.charge", "wire");
  net().expect_audit("kms-a", "km-1.charged", "");
  const Json summary = called("C", "A");
  EXPECT_TRUE(of(summary, "caller", "last_mile").contains("adds nothing if both fall"));
  EXPECT_FALSE(says(summary, "caller", "injected", true));
  EXPECT_TRUE(says(summary, "callee", "injected", false)) << "A's stock came offline";
}

POINT_TEST(ChargedKeys, Km_1, accepts, AChargeOverTheWireUnderAKeyThatCameOffline) {
  has_offline_stock("A");
  const Json charged = result(terminal("A", "charge --authentication 0 --call 4 --distribution 0"));
  EXPECT_EQ(charged.text("charged").value_or(""), "wire under offline");
  EXPECT_TRUE(charged.boolean("counts").value_or(false));
}

TEST_F(ChargedKeys, AQuantumKeyForAChargeMeetsWhatTheKmsDemandsOfThem) {
  has_offline_stock("A");
  net().await_quantum_keys();
  const std::string errand = "charge --authentication 0 --call 1 --distribution 0";
  std::string origin;
  for (int i = 0; i < 4 && origin != "quantum"; ++i) origin = result(terminal("A", errand)).text("origin").value_or("");  // there may be none at one moment
  EXPECT_EQ(origin, "quantum");
  const std::filesystem::path file = net().network().config_of("kms-a");
  std::ifstream in(file, std::ios::binary);
  const std::string before(std::istreambuf_iterator<char>(in), {});
  const auto restart_with = [&](const std::string& lines) {
    std::string config = before;
    const std::size_t at = config.find("[kms]\n");
    ASSERT_NE(at, std::string::npos) << config;
    config.insert(at + 6, lines);
    net().running().stop_element("kms-a", RunningNetwork::Ending::orderly);
    std::ofstream(file, std::ios::binary | std::ios::trunc) << config;
    const auto started = net().running().start_element("kms-a");
    ASSERT_TRUE(started) << started.error().message;
  };
  restart_with("quantum_photons = \"measured\"\n");  // no link of this network is measured
  EXPECT_EQ(result(terminal("A", errand)).text("origin").value_or(""), "device") << "none of the quantum keys is as good as that";
  restart_with("");
}

TEST_F(ChargedKeys, WhateverDiesWhileAMediumIsChargedBothEndsAgreeAfterwards) {
  const std::string errand = "charge --authentication 0 --call 2 --distribution 1";
  const auto expect_agreement = [&] {
    EXPECT_EQ(result(terminal("A", errand)).text("order").value_or(""), "charge");
    EXPECT_FALSE(of(called("A", "C"), "caller", "charged").empty());
  };
  const auto terminal_dies = [&](const Outcome& dead) {
    EXPECT_NE(dead.code, 0);
    expect_agreement();
  };
  terminal_dies(crash("medium.key.burnt", "A", errand));
  terminal_dies(crash("medium.key.erased", "A", errand));
  terminal_dies(crash("terminal.charge.asked", "A", errand));
  terminal_dies(crash("medium.charge.written", "A", errand));
  terminal_dies(crash("medium.charge.in_force", "A", errand));
  terminal_dies(crash("terminal.charge.written", "A", errand));
  terminal_dies(crash("terminal.charge.received", "A", errand));
  const auto charging = [&] { (void)terminal("A", errand); };
  crash("kms.charge.stocked", charging);
  expect_agreement();
  crash("kms.charge.given", charging);
  expect_agreement();
  crash("kms.charge.received", charging);
  expect_agreement();
  const std::size_t used = net().audit("kms-a", "kim.used").size();
  crash("kms.injection.burnt", [&] { EXPECT_FALSE(net().hold_call("A", "C", folder_ / "cut", 20)) << "its KMS is gone"; });
  EXPECT_GT(net().audit("kms-a", "kim.used").size(), used) << "the key that was burnt is on record all the same";
  expect_agreement();
}

TEST_F(ChargedKeys, ALostMediumIsRefusedAtOnceAndLocksItselfWhenItIsSeen) {
  const std::string id = result(terminal("B", "medium")).text("medium").value_or("");
  ASSERT_EQ(at_kms("medium lock " + id, "kms-b").code, 0);
  const auto refused = net().hold_call("A", "B", folder_ / "refused", 20);
  EXPECT_FALSE(refused);
  net().expect_audit("kms-b", "km-1.application", "is locked");
  EXPECT_EQ(result(terminal("B", "medium")).text("state").value_or(""), "locked") << "the terminal has asked what the KMS wants of it";
  charge_by_file("B", id, "kms-b");
  EXPECT_EQ(of(called("A", "B"), "callee", "last_mile"), "also protected by a charged key, offline") << "two operators opened it again";
}

TEST_F(ChargedKeys, AWipeAndAnotherMediumComeToTheirEndWhateverDies) {
  const std::string old = result(terminal("A", "medium")).text("medium").value_or("");
  ASSERT_EQ(at_kms("medium wipe " + old).code, 0);
  EXPECT_NE(crash("medium.wiped", "A", "charge --call 1").code, 0);
  EXPECT_EQ(result(terminal("A", "medium")).text("state").value_or(""), "wiped");
  std::filesystem::remove_all(net().network().medium_of("A"));

  const std::string key = (folder_ / "A.transport").string();
  const std::string id = result(terminal("A", "make-medium --kind sim --transport-key " + key)).text("medium").value_or("");
  const std::string entry = "medium register " + id + " --terminal A --kind sim";
  crash("kms.medium.registered", [&] { EXPECT_EQ(at_kms(entry + " --transport-key " + key).code, 1); });
  const std::filesystem::path carried = net().network().media_keys_of("kms-a") / (id + ".key");
  EXPECT_TRUE(std::filesystem::exists(key)) << "who was not answered has it still";
  EXPECT_FALSE(std::filesystem::exists(carried));
  std::filesystem::rename(key, carried);  // as a command that was killed leaves it
  const Outcome again = at_kms(entry);
  EXPECT_EQ(again.code, 1);
  EXPECT_TRUE(again.error.contains("is registered already: it is active")) << again.error;
  EXPECT_FALSE(std::filesystem::exists(carried)) << "the KMS has it sealed";
  const Outcome second = terminal("A", "make-medium --kind sim --transport-key " + key);
  EXPECT_EQ(second.code, 1);
  EXPECT_TRUE(second.error.contains("remove it first")) << second.error;
  EXPECT_FALSE(std::filesystem::exists(key)) << "the key of no medium";

  const std::string ticket = at_kms("charge --medium " + id + " --authentication 0 --call 2 --distribution 0").json().text("ticket").value_or("");
  const std::string file = (folder_ / "A.lost").string();
  crash("kms.charge.approved", [&] { EXPECT_EQ(at_kms("approve " + ticket + " --as administrator --out " + file).code, 1); });
  const Outcome lost = at_kms("collect " + ticket + " --out " + file);
  EXPECT_EQ(lost.code, 1);
  EXPECT_TRUE(lost.error.contains("order another one")) << lost.error;
  charge_by_file("A", id);
  EXPECT_EQ(of(called("A", "C"), "caller", "last_mile"), "also protected by a charged key, offline");
}

POINT_TEST(ChargedKeys, Km_1, refuses, ChargesOfForeignMediaReplayedReceiptsAndRevokedTerminals) {
  const std::string of_a = result(terminal("A", "medium")).text("medium").value_or("");
  const std::string own = result(terminal("C", "medium")).text("medium").value_or("");
  TestTerminal& c = net().terminal("C");
  const auto asking = [&](const std::string& medium) {
    return terminal::ChargeAsking::make(c.applicant(), wire::MediumId::parse_hex(medium).value(), {0, 1, 0}, std::nullopt, SystemClock().now_ms(), net().rng())
        .value();
  };
  const auto foreign = c.send(Endpoint::km1_charge, asking(of_a).octets());
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, ErrorCode::denied) << foreign.error().message;
  net().expect_audit("kms-a", "km-1.charge", "is not one of terminal C");

  const terminal::ChargeAsking good = asking(own);
  const auto octets = c.send(Endpoint::km1_charge, good.octets());
  ASSERT_TRUE(octets) << octets.error().message;
  const auto kms = c.kms();
  ASSERT_TRUE(kms) << kms.error().message;
  const auto answer = good.judge(*octets, **kms, SystemClock().now_ms());
  ASSERT_TRUE(answer) << answer.error().message;
  const Bytes receipt = good.receipt(*answer, true, net().rng()).value();
  ASSERT_TRUE(c.send(Endpoint::km1_charged, receipt));
  const auto replayed = c.send(Endpoint::km1_charged, receipt);
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error().code, ErrorCode::conflict) << replayed.error().message;
  net().expect_audit("kms-a", "km-1.charged", "(replay)");

  ASSERT_TRUE(net().op().revoke(Identity{.domain = "a", .kind = Kind::app1, .name = "C"}));
  net().expect_audit("kms-a", "kim.revoked", "the stock is burnt");
  const auto revoked = c.send(Endpoint::km1_charge, asking(own).octets());
  EXPECT_FALSE(revoked);
}

POINT_TEST(ChargedKeys, Km_1, refuses, ChargesThatElementsAskForAndWhatIsNoMessage) {
  for (const Endpoint endpoint : {Endpoint::km1_charge, Endpoint::km1_charged}) {
    const auto element = net().call("kms-b", endpoint, "kms-a", as_bytes("{}"));
    ASSERT_TRUE(element);
    EXPECT_EQ(element->status, 403U);
    const auto garbage = net().call("A", endpoint, "kms-a", as_bytes("QFC2 but no message"));
    ASSERT_TRUE(garbage);
    EXPECT_EQ(garbage->status, 400U);
  }
}

POINT_TEST(ChargedKeys, X_5, refuses, TheDeskOfMediaToWhoIsNoOperator) {
  const auto terminal = net().call("A", Endpoint::x5_medium, "kms-a", as_bytes(R"({"op":"list"})"));
  ASSERT_TRUE(terminal);
  EXPECT_EQ(terminal->status, 403U);
}

TEST_F(ChargedKeys, AKmsThatDiesOverARevocationHasBurntTheStock) {
  const std::string id = result(terminal("A", "medium")).text("medium").value_or("");
  net().running().stop_element("kms-a", RunningNetwork::Ending::orderly);
  die("kms.injection.revoked", [] { ASSERT_TRUE(net().op().revoke(Identity{.domain = "a", .kind = Kind::app1, .name = "A"})); });
  die("kms.owed.recorded", {});  // at the start, when it has made up for the records and has not noted that
  const auto restarted = net().running().start_element("kms-a");
  ASSERT_TRUE(restarted) << restarted.error().message;
  const Outcome listed = at_kms("medium list");
  ASSERT_EQ(listed.code, 0) << listed.error;
  const auto media = listed.json().array("media");
  ASSERT_TRUE(media);
  const auto found = std::ranges::find(*media, id, [](const Json& one) { return one.text("medium").value_or(""); });
  ASSERT_NE(found, media->end());
  EXPECT_EQ(found->text("state").value_or(""), "wiped");
  EXPECT_EQ(found->object("keys")->integer("call").value_or(-1), 0);
  // It died before it had said so: what it owed to the record was in the database, and is on record since the start; since it died over that too, twice.
  const auto of_a = [](const Json& record) { return record.text("subject").value_or("") == "A"; };
  const auto burnt = net().audit("kms-a", "kim.revoked", "the stock is burnt");
  EXPECT_EQ(std::ranges::count_if(burnt, [&](const Json& record) { return of_a(record) && record.text("object").value_or("") == id; }), 2);
  EXPECT_EQ(std::ranges::count_if(net().audit("kms-a", "kp.purged", "are gone here"), of_a), 2);
}

class SymmetricMode : public Media {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;
    options_.status_fresh_ms = 200;
    options_.status_lifetime_s = 2;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "C"}) net().enrol(uid);
  }
  static void allow(const std::string& name, const std::string& table) {
    const std::filesystem::path file = net().network().config_of(name);
    std::ifstream in(file, std::ios::binary);
    std::string config(std::istreambuf_iterator<char>(in), {});
    const std::size_t at = config.find(table);
    ASSERT_NE(at, std::string::npos);
    config.insert(at + table.size(), "symmetric_mode = true\n");
    std::ofstream(file, std::ios::binary | std::ios::trunc) << config;
  }
};

TEST_F(SymmetricMode, WithoutCasTheStockAdmitsWhomPolicyLetsItAndTheResultSaysSo) {
  for (const char* uid : {"A", "C"}) charge_by_file(uid, medium(uid, "software", true));
  EXPECT_FALSE(says(called("A", "C"), "caller", "symmetric_mode", true));  // and both have their tokens
  net().close_op();
  net().running().stop_element("cas", RunningNetwork::Ending::kill);
  TestNetwork::await(
      "the end of what CAS said last", [&] { return !net().hold_call("A", "C", folder_ / "refused", 20); }, std::chrono::seconds(60));
  net().running().stop_element("kms-a", RunningNetwork::Ending::orderly);
  allow("kms-a", "[kms]\n");
  ASSERT_TRUE(net().running().start_element("kms-a"));
  for (const char* uid : {"A", "C"}) allow(uid, "[terminal]\n");
  const Json summary = called("A", "C");
  for (const char* side : {"caller", "callee"}) {
    EXPECT_TRUE(says(summary, side, "symmetric_mode", false)) << side;
    EXPECT_TRUE(of(summary, side, "last_mile").contains("ADMITTED IN SYMMETRIC MODE")) << of(summary, side, "last_mile");
  }
  net().expect_audit("kms-a", "kim.symmetric_mode", "its certificates could not be checked");
  ASSERT_TRUE(net().running().start_element("cas"));
}

}  // namespace
}  // namespace qanat::test
