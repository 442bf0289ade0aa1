// kill -9 while a terminal renews, of the terminal, of CAS, of its KMS: when it has tried again it has one bundle that is good, its KMS has the same, and
// nothing is left of what was begun and not ended.
#include <fstream>

#include "crypto/certificate_bundle.hpp"
#include "program.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using app::RunningNetwork;
using points::Endpoint;
using wire::Json;

constexpr std::chrono::seconds renewal_death_max{30};

class CrashWhileATerminalRenews : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;
    options_.status_fresh_ms = 200;
    SharedNetwork::SetUpTestSuite();
    if (net().ok()) net().enrol("A");
  }

  Outcome renew(const std::string& program, const std::string& environment = "") const {
    return run_line(environment + " " + program + " terminal renew --config " + net().network().config_of("A").string(), folder_);
  }
  /// {live, revoked} certificates in A's name, by their roles' count.
  static std::pair<std::size_t, std::size_t> standing() {
    const auto response = net().call("A", Endpoint::ce2_issued, "cas", {});
    EXPECT_TRUE(response) << response.error().message;
    const auto json = response ? Json::parse(response->body) : Result<Json>(fail(response.error()));
    std::size_t live = 0;
    std::size_t revoked = 0;
    for (const Json& one : json ? json->array("certificates").value_or(std::vector<Json>{}) : std::vector<Json>{})
      ++(one.boolean("revoked").value_or(false) ? revoked : live);
    return {live, revoked};
  }
  /// In order after all: A renews by itself, shows what its KMS has, and has four certificates that are not revoked.
  void expect_in_order() {
    const Outcome again = renew(QANAT_PROGRAM);
    EXPECT_EQ(again.code, 0) << again.error;
    EXPECT_FALSE(again.error.contains("ALARM")) << again.error;
    EXPECT_EQ(standing().first, 4U);
    // Said with nothing to prove it: true only of the certificate that the KMS has already.
    const Json body = Json::object({{"successions", "AA=="}, {"encryption", Json::object({{"classical", "AA=="}, {"ml_kem", "AA=="}})}});
    const auto known = net().call_json("A", Endpoint::km1_renewed, "kms-a", body);
    ASSERT_TRUE(known) << known.error().message;
    EXPECT_EQ(known->status, 200U) << "the KMS keeps to another certificate";
  }
  std::string armed(const std::string& place) {
    mark_ = net().network().folder() / ("crashed-" + place);
    return "QANAT_CRASH_AT=" + place + " QANAT_CRASH_ONCE=" + mark_.string();
  }
  /// The terminal dies at the place.
  void crash(const std::string& place) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, "the terminal dies at " + place);
    EXPECT_NE(renew(QANAT_CRASH_PROGRAM, armed(place)).code, 0);
    EXPECT_TRUE(std::filesystem::exists(mark_)) << "the place was not reached";
    expect_in_order();
  }
  /// The element dies there while the terminal renews.
  void crash(const std::string& place, const std::string& element) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, element + " dies at " + place);
    static_cast<void>(armed(place));
    net().running().stop_element(element, RunningNetwork::Ending::orderly);
    const auto started = net().running().start_element(element, QANAT_CRASH_PROGRAM, {"QANAT_CRASH_AT=" + place, "QANAT_CRASH_ONCE=" + mark_.string()});
    ASSERT_TRUE(started) << started.error().message;
    EXPECT_NE(renew(QANAT_PROGRAM).code, 0);
    TestNetwork::await(
        "its death", [&] { return !net().running().lives(element); }, renewal_death_max);
    EXPECT_TRUE(std::filesystem::exists(mark_)) << "the place was not reached";
    net().running().stop_element(element, RunningNetwork::Ending::kill);
    const auto restarted = net().running().start_element(element);
    ASSERT_TRUE(restarted) << restarted.error().message;
    expect_in_order();
  }

  std::filesystem::path mark_;
  TemporaryDirectory folder_;
};

TEST_F(CrashWhileATerminalRenews, WithKeysThatNobodyHasCertified) { crash("terminal.renew.prepared"); }
TEST_F(CrashWhileATerminalRenews, BetweenTheTwoRequests) { crash("terminal.renew.half"); }
TEST_F(CrashWhileATerminalRenews, WithCertificatesThatAreNotStored) { crash("terminal.renew.certified"); }
TEST_F(CrashWhileATerminalRenews, WithCertificatesOfWhichItsKmsHasNotHeard) { crash("terminal.renew.stored"); }
TEST_F(CrashWhileATerminalRenews, BeforeCasHears) { crash("terminal.renew.told"); }
TEST_F(CrashWhileATerminalRenews, BeforeItKnowsThatAllIsDone) { crash("terminal.renew.confirmed"); }
TEST_F(CrashWhileATerminalRenews, AndItsKmsHasStoredTheNewCertificates) { crash("kms.renewal.stored", "kms-a"); }
TEST_F(CrashWhileATerminalRenews, AndCasMeantToIssue) { crash("cas.bundle.intended", "cas"); }
TEST_F(CrashWhileATerminalRenews, AndCasHasSigned) { crash("cas.bundle.signed", "cas"); }
TEST_F(CrashWhileATerminalRenews, AndCasHasRecorded) { crash("cas.bundle.recorded", "cas"); }
TEST_F(CrashWhileATerminalRenews, AndCasHasEndedTheFormerBundle) { crash("cas.bundle.superseded", "cas"); }

}  // namespace
}  // namespace qanat::test
