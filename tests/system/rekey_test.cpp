// A running call between two domains takes other working keys, by the real terminal processes.
#include <algorithm>
#include <future>

#include "commands.hpp"
#include "terminal/wav.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using namespace std::chrono_literals;
using wire::Json;

class RekeyOverTheWire : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B"}) net().enrol(uid);
    net().await_quantum_keys();
  }

  /// A calls B in real time and talks for so many times three seconds; another key after `rekey_after_s`.
  Result<Json> call(std::size_t repeats, std::int64_t rekey_after_s) {
    std::error_code error;
    std::filesystem::create_directories(folder_ / "call", error);
    for (const char* who : {"caller", "callee"}) {
      const auto once = terminal::read_wav(std::filesystem::path(QANAT_SOURCE_DIR "/assets/voice") / (std::string(who) + ".wav")).value();
      std::vector<std::int16_t> speech;
      for (std::size_t i = 0; i < repeats; ++i) speech.insert(speech.end(), once.begin(), once.end());
      EXPECT_TRUE(terminal::write_wav(folder_ / (std::string(who) + ".wav"), speech));
    }
    return app::run_call(net().network(), {.folder = net().network().folder(),
                                           .from = "A",
                                           .to = "B",
                                           .out = folder_ / "call",
                                           .caller_wav = folder_ / "caller.wav",
                                           .callee_wav = folder_ / "callee.wav",
                                           .pace = 1,
                                           .output = app::Output::json,
                                           .program = QANAT_PROGRAM,
                                           .rekey_after_s = rekey_after_s});
  }
  static bool recorded(const std::string& element, const std::string& action, const std::string& object, const std::string& reason = "") {
    return std::ranges::any_of(net().audit(element, action, reason), [&](const Json& record) { return record.text("object").value_or("") == object; });
  }

  TemporaryDirectory folder_;
};

TEST_F(RekeyOverTheWire, ACallAcrossDomainsTakesOtherKeysAndLosesNothing) {
  const auto summary = call(3, 2);
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->integer("packets_lost").value(), 0);
  EXPECT_GT(summary->number("correlation").value(), 0.999);
  EXPECT_GT(summary->number("correlation_back").value(), 0.999);
  const auto near = summary->object("caller")->array("keys").value();
  const auto far = summary->object("callee")->array("keys").value();
  ASSERT_GE(near.size(), 3U) << "two changes in nine seconds";
  ASSERT_GE(far.size(), near.size());
  std::int64_t sent = 0;
  for (std::size_t i = 0; i < near.size(); ++i) {
    const std::string sid = near[i].text("sid_wk").value();
    EXPECT_EQ(sid, far[i].text("sid_wk").value());
    EXPECT_EQ(near[i].text("wk_fingerprint").value(), far[i].text("wk_fingerprint").value());
    EXPECT_EQ(near[i].integer("packets_sent").value(), far[i].integer("packets_received").value()) << i;
    EXPECT_GE(near[i].integer("assurance").value(), i == 0 ? 3 : 2) << "agreed anew between the KMSs";
    sent += near[i].integer("packets_sent").value();
    for (const char* kms : {"kms-a", "kms-b"}) {
      EXPECT_TRUE(recorded(kms, "km-1.delivered", sid)) << kms;
      TestNetwork::await(std::string(kms) + " to destroy its copy", [&] { return recorded(kms, "km-1.destroyed", sid); });
      if (i == 0) {
        EXPECT_FALSE(recorded(kms, "wk.updated", sid)) << "the first key of a call follows none";
        continue;
      }
      const std::string former = near[i - 1].text("sid_wk").value();
      TestNetwork::await(std::string(kms) + " to record the update", [&] { return recorded(kms, "wk.updated", sid, former); });
      EXPECT_NE(near[i].text("wk_fingerprint").value(), near[i - 1].text("wk_fingerprint").value());
    }
  }
  EXPECT_EQ(sent, 450);
  for (const char* terminal : {"A", "B"}) EXPECT_GE(net().audit(terminal, "ax-1.rekey", "both ends are on the key").size(), 2U) << terminal;
}

class RekeyWithoutItsKms : public RekeyOverTheWire {};

TEST_F(RekeyWithoutItsKms, TheCallGoesOnUnderItsKeyUntilTheLimitAndEndsWithTheReason) {
  auto running = std::async(std::launch::async, [&] { return call(4, 2); });
  // The terminals have confirmed their keys: the call needs the KMSs for nothing but another key.
  for (const char* kms : {"kms-a", "kms-b"}) {
    TestNetwork::await(
        "the first key to be confirmed", [&] { return !net().audit(kms, "km-1.destroyed").empty(); }, 30s);
  }
  net().running().stop_element("kms-a", app::RunningNetwork::Ending::kill);
  const auto summary = running.get();
  ASSERT_FALSE(summary);
  EXPECT_NE(summary.error().message.find("terminal A: the call's key has been in use for 4000 ms"), std::string::npos) << summary.error().message;
  EXPECT_NE(summary.error().message.find("no other took its place"), std::string::npos) << summary.error().message;
  const auto heard = terminal::read_wav(folder_ / "call" / "callee-heard.wav");
  ASSERT_TRUE(heard) << heard.error().message;
  EXPECT_GT(heard->size(), std::size_t{3} * 8000) << "the voice went on for seconds after the first attempt, which was after two";
  EXPECT_LT(heard->size(), std::size_t{12} * 8000);
}

}  // namespace
}  // namespace qanat::test
