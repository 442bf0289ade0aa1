// CMSP dies: where policy allows it, calls across the domains go on by its directory, and say so; once it is back its grants count again.
#include <fstream>

#include "point_test.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using app::RunningNetwork;
using points::Endpoint;
using wire::Json;

constexpr std::string_view by_directory = "granted by the directory, CMSP did not answer";

class CmspSilent : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;  // no quantum keys: what is agreed across domains is agreed by PQC alone
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* kms : {"kms-a", "kms-b"}) allow(kms, true);
    for (const char* uid : {"A", "B"}) net().enrol(uid);
    await_directory();
  }
  /// The setting, and a restart with it.
  static void allow(const std::string& kms, bool allowed) {
    net().running().stop_element(kms, RunningNetwork::Ending::orderly);
    const std::filesystem::path file = net().network().config_of(kms);
    std::ifstream in(file, std::ios::binary);
    std::string config(std::istreambuf_iterator<char>(in), {});
    const std::string table = "[kms]\n";
    const std::size_t at = config.find(table);
    ASSERT_NE(at, std::string::npos);
    const std::string on = "directory_fallback = true\n";
    const std::string off = "directory_fallback = false\n";
    for (const std::string& line : {on, off}) {
      if (const std::size_t former = config.find(line); former != std::string::npos) config.erase(former, line.size());
    }
    config.insert(at + table.size(), allowed ? on : off);
    std::ofstream(file, std::ios::binary | std::ios::trunc) << config;
    const auto started = net().running().start_element(kms);
    ASSERT_TRUE(started) << started.error().message;
  }
  static void await_directory() {
    for (const char* kms : {"kms-a", "kms-b"}) {
      TestNetwork::await(
          std::string("a directory with both numbers at ") + kms,
          [&] {
            const auto health = net().op().health(kms);
            const auto directory = health ? health->object("directory") : Result<Json>(fail(ErrorCode::not_found, "no health"));
            return directory && directory->integer("numbers").value_or(0) == 2;
          },
          std::chrono::seconds(40));
    }
  }
  /// How the call was granted, at both ends.
  void expect_call(std::string_view grant) const {
    const auto summary = net().hold_call("A", "B", folder_ / "call", 20);
    ASSERT_TRUE(summary) << summary.error().message;
    for (const char* side : {"caller", "callee"}) {
      const auto end = summary->object(side);
      ASSERT_TRUE(end) << side;
      EXPECT_EQ(end->text("grant").value_or("?"), grant) << side;
    }
  }
  static std::int64_t epoch_at(const std::string& element) {
    const auto health = net().op().health(element);
    const auto directory = health ? health->object("directory") : Result<Json>(fail(ErrorCode::not_found, "no health"));
    return directory ? directory->integer("epoch").value_or(0) : 0;
  }
  /// The KMS dies at that place, which `meanwhile` leads it to, and starts again.
  void crash(const std::string& place, const std::string& kms, const std::function<void()>& meanwhile) const {
    const testing::ScopedTrace trace(__FILE__, __LINE__, kms + " dies at " + place);
    const std::filesystem::path mark = folder_ / place;
    net().running().stop_element(kms, RunningNetwork::Ending::orderly);
    // It may come there before it says that it is ready.
    static_cast<void>(net().running().start_element(kms, QANAT_CRASH_PROGRAM, {"QANAT_CRASH_AT=" + place, "QANAT_CRASH_ONCE=" + mark.string()}));
    meanwhile();
    TestNetwork::await("its death", [&] { return !net().running().lives(kms); }, std::chrono::seconds(40));
    EXPECT_TRUE(std::filesystem::exists(mark)) << "the place was not reached";
    net().running().stop_element(kms, RunningNetwork::Ending::kill);
    const auto restarted = net().running().start_element(kms);
    ASSERT_TRUE(restarted) << restarted.error().message;
  }
  static unsigned status_of(const Result<net::Response>& response) {
    EXPECT_TRUE(response) << (response ? "" : response.error().message);
    return response ? response->status : 0;
  }

  TemporaryDirectory folder_;
};

POINT_TEST(CmspSilent, Ma_2, accepts, TheDirectoryThatCarriesCallsWhileCmspIsDead) {
  expect_call("");
  net().running().stop_element("cmsp", RunningNetwork::Ending::kill);
  expect_call(by_directory);
  for (const char* kms : {"kms-a", "kms-b"}) {
    net().expect_audit(kms, "km-2.open", "CMSP does not answer");
    net().expect_audit(kms, "km-1.delivered", "granted by CMSP's directory");
    const auto charges = net().op().ask(Endpoint::x5_charges, kms, Json::object({{"from_ms", 0}, {"until_ms", INT64_MAX}}));
    ASSERT_TRUE(charges) << charges.error().message;
    const auto list = charges->array("charges").value_or(std::vector<Json>{});
    ASSERT_EQ(list.size(), 2U) << kms;
    EXPECT_FALSE(list[0].has("directory_epoch")) << kms;
    EXPECT_TRUE(list[1].has("directory_epoch")) << kms;
  }

  allow("kms-b", false);
  EXPECT_FALSE(net().hold_call("A", "B", folder_ / "refused", 20));
  net().expect_audit("kms-b", "km-2.open", "policy of kms-b allows no session by CMSP's directory");
  net().expect_audit("kms-a", "km-1.application", "policy of kms-b allows no session by CMSP's directory");
  allow("kms-b", true);

  allow("kms-a", false);
  EXPECT_FALSE(net().hold_call("A", "B", folder_ / "refused", 20));
  net().expect_audit("kms-a", "km-1.application", "and policy allows no session by its directory");
  allow("kms-a", true);
  expect_call(by_directory);  // by what was kept on the disk: CMSP is still dead

  const auto back = net().running().start_element("cmsp");
  ASSERT_TRUE(back) << back.error().message;
  expect_call("");
}

TEST_F(CmspSilent, AKmsThatDiesMeanwhileGoesOnAfterItsRestart) {
  crash("kms.directory.brought", "kms-a", [] {
    const auto changed = net().op().ask(Endpoint::x5_account, "cmsp",
                                        Json::object({{"number", "+8655119999999"}, {"uid", "Z"}, {"kms", "kms-a"}, {"service", "closed"}}));
    EXPECT_TRUE(changed) << (changed ? "" : changed.error().message);
  });
  TestNetwork::await("CMSP's directory at kms-a", [] { return epoch_at("cmsp") != 0 && epoch_at("kms-a") == epoch_at("cmsp"); }, std::chrono::seconds(40));
  await_directory();
  net().running().stop_element("cmsp", RunningNetwork::Ending::kill);
  const auto failing_call = [this] { EXPECT_FALSE(net().hold_call("A", "B", folder_ / "refused", 20)); };
  crash("kms.directory.opening", "kms-a", failing_call);
  expect_call(by_directory);
  crash("kms.session.announced", "kms-b", failing_call);
  expect_call(by_directory);
  const auto back = net().running().start_element("cmsp");
  ASSERT_TRUE(back) << back.error().message;
  expect_call("");
}

POINT_TEST(CmspSilent, Ma_2, refuses, DirectoriesToOthersThanKmssAndOtherQuestions) {
  for (const char* caller : {"A", "qkm-a", "iam", "operator"}) {
    EXPECT_EQ(status_of(net().call(caller, Endpoint::ma2_directory, "cmsp", {}, "after=0")), 403U) << caller;
    EXPECT_EQ(status_of(net().call(caller, Endpoint::ma2_directory_page, "cmsp", {}, "hash=" + std::string(64, '0'))), 403U) << caller;
  }
  EXPECT_EQ(status_of(net().call("kms-a", Endpoint::ma2_directory, "cmsp", {}, "after=x")), 400U);
  EXPECT_EQ(status_of(net().call("kms-a", Endpoint::ma2_directory_page, "cmsp", {}, "hash=" + std::string(64, '0'))), 404U);
  EXPECT_EQ(status_of(net().call("kms-a", Endpoint::ma2_directory, "cmsp", {})), 204U);
}

POINT_TEST(CmspSilent, Km_2, refuses, SessionsByTheDirectoryOfOthersThanKmssAndWhatIsNone) {
  for (const char* caller : {"A", "cmsp", "iam", "operator"})
    EXPECT_EQ(status_of(net().call(caller, Endpoint::km2_open, "kms-b", to_bytes("x"))), 403U) << caller;
  EXPECT_EQ(status_of(net().call("kms-a", Endpoint::km2_open, "kms-b", to_bytes("x"))), 400U);
  net().expect_audit("kms-b", "km-2.open", "envelope");
}

}  // namespace
}  // namespace qanat::test
