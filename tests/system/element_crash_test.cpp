// kill -9 while an element enrols or renews: after its restart it has its certificates, and CAS has issued each of them once.
#include <fstream>
#include <set>

#include "test_network.hpp"

namespace qanat::test {
namespace {

using app::RunningNetwork;

constexpr std::chrono::seconds death_max{40};
constexpr std::int64_t crash_lifetime_s = 120;
constexpr std::size_t victims = 7;

/// Each death has a KMS of its own: who has enrolled once does not enrol again.
class CrashWhileItEnrols : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    for (std::size_t i = 0; i < victims; ++i) options_.spares.push_back({.domain = "a", .kind = Kind::kms, .name = "kms-" + std::to_string(i)});
    options_.optics = false;
    options_.element_lifetime_s = crash_lifetime_s;
    next_ = 0;
    SharedNetwork::SetUpTestSuite();
  }

  /// Its certificates are due seconds after it has them.
  static void hurry(const std::string& element) {
    const std::filesystem::path file = net().network().config_of(element);
    std::ifstream in(file, std::ios::binary);
    std::string config(std::istreambuf_iterator<char>(in), {});
    const std::string table = "[node]\n";
    ASSERT_TRUE(config.starts_with(table));
    config.insert(table.size(), "renew_at_percent = 10\n");
    std::ofstream(file, std::ios::binary | std::ios::trunc) << config;
  }
  /// Serials that CAS gave this element on Ce-1, as CAS's audit record has them.
  static std::set<std::string> issued(const std::string& element, const std::string& action) {
    std::set<std::string> out;
    for (const wire::Json& line : net().audit("cas", action)) {
      const bool given = line.text("outcome").value_or("") == "success" && line.text("subject").value_or("") == "qanat://a/kms/" + element;
      if (given) out.insert(line.text("object").value_or(""));
    }
    return out;
  }
  static std::size_t successes(const std::string& element, const std::string& action) {
    std::size_t out = 0;
    for (const wire::Json& line : net().audit(element, action)) out += line.text("outcome").value_or("") == "success" ? 1 : 0;
    return out;
  }
  static std::size_t renewals(const std::string& element) { return successes(element, "certificate.renewed"); }
  static std::size_t enrolments(const std::string& element) { return successes(element, "enrolled"); }
  /// The element is started, dies at the place, and starts again.
  static void die_once(const std::string& element, const std::string& place) {
    const std::filesystem::path mark = net().network().folder() / ("crashed-" + element + "-" + place);
    // Whether it says before that it is ready depends on the place.
    static_cast<void>(net().running().start_element(element, QANAT_CRASH_PROGRAM, {"QANAT_CRASH_AT=" + place, "QANAT_CRASH_ONCE=" + mark.string()}));
    TestNetwork::await("its death", [&] { return !net().running().lives(element); }, death_max);
    EXPECT_TRUE(std::filesystem::exists(mark)) << "the place was not reached";
    net().running().stop_element(element, RunningNetwork::Ending::kill);
    const auto restarted = net().running().start_element(element);
    ASSERT_TRUE(restarted) << restarted.error().message;
  }

  void crash(const std::string& place) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, "a KMS dies at " + place);
    const std::string element = "kms-" + std::to_string(next_++);
    const bool renewal = place.starts_with("node.renew.");
    if (renewal) hurry(element);
    die_once(element, place);
    if (renewal) TestNetwork::await("its renewal", [&] { return renewals(element) > 0; }, death_max);
    // Before anything is counted: it would renew again within seconds, and has its store to itself.
    net().running().stop_element(element, RunningNetwork::Ending::orderly);
    EXPECT_EQ(issued(element, "ce-1.enrol").size(), 2U) << "one certificate of each branch, however often it asked";
    EXPECT_EQ(issued(element, "ce-1.reenrol").size(), 2 * renewals(element));
    EXPECT_TRUE(net().identity_of(element)) << "it has its certificate";
    EXPECT_FALSE(std::filesystem::exists(net().network().secret_of(element + ".enrolment"))) << "the secret is spent";
    EXPECT_EQ(enrolments(element), 1U) << "on its own record";
  }
  static std::size_t next_;
};

std::size_t CrashWhileItEnrols::next_ = 0;

TEST_F(CrashWhileItEnrols, BeforeItsKeysHaveACertificate) {
  crash("node.enrol.prepared");
  crash("node.enrol.half");
}
TEST_F(CrashWhileItEnrols, WithCertificatesThatAreNotStored) { crash("node.enrol.certified"); }
TEST_F(CrashWhileItEnrols, WithASecretThatIsSpent) { crash("node.enrol.stored"); }
TEST_F(CrashWhileItEnrols, WithKeysForItsNextCertificate) { crash("node.renew.prepared"); }
TEST_F(CrashWhileItEnrols, WithNextCertificatesThatAreNotStored) { crash("node.renew.certified"); }
TEST_F(CrashWhileItEnrols, WithNextCertificatesThatNobodyHasSeen) { crash("node.renew.stored"); }

TEST_F(CrashWhileItEnrols, CasRenewsItsOwnAndDiesOverIt) {
  const auto crash_cas = [](const std::string& place) { die_once("cas", place); };
  const std::string before = net().running().certificate_of("cas");
  hurry("cas");
  net().running().stop_element("cas", RunningNetwork::Ending::orderly);
  crash_cas("cas.own.issued");
  EXPECT_NE(net().running().certificate_of("cas"), before) << "the one that was issued and not stored";
  EXPECT_TRUE(net().op().health("kms-a")) << "the network goes on";
}

}  // namespace
}  // namespace qanat::test
