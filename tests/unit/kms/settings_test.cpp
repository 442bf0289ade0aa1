// [kms]: defaults, bounds, and that nothing but what is known is taken.
#include "services/kms/settings.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "temporary_directory.hpp"

namespace qanat::kms {
namespace {

class KmsSettingsTest : public testing::Test {
 protected:
  /// The settings in a [kms] table with these lines beside the site key.
  Result<KmsSettings> read(const std::string& lines, const std::string& site_key = "site_key = \"/tmp/site.key\"\n") {
    const std::filesystem::path file = folder_ / "kms.toml";
    std::ofstream(file) << "[kms]\n" << site_key << lines;
    ASSIGN_OR_RETURN(node::Config config, node::Config::read(file));
    const KmsSettings out = KmsSettings::read(config);
    TRY(config.finish());
    return out;
  }

  test::TemporaryDirectory folder_;
};

TEST_F(KmsSettingsTest, DefaultsAreThoseOfTheReference) {
  const auto settings = read("");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->site_key, "/tmp/site.key");
  EXPECT_EQ(settings->wk_lifetime, std::chrono::seconds(60));
  EXPECT_EQ(settings->clock_window, std::chrono::seconds(120));
  EXPECT_EQ(settings->callee_wait, std::chrono::seconds(5));
  EXPECT_EQ(settings->quantum_shares, 1);
  EXPECT_TRUE(settings->pqc_fallback);
  EXPECT_FALSE(settings->profile_v1) << "the paper's own messages are served only where somebody asks for them";
  EXPECT_EQ(settings->history, HistoryPolicy::none) << "no private key of a terminal is kept unless somebody asks for it";
  EXPECT_EQ(settings->history_keys_kept, std::chrono::days(365)) << "and one that is kept ends";
  EXPECT_EQ(settings->pool_key_lifetime, std::chrono::days(30));
  EXPECT_EQ(settings->quantum_pool_high, 0);
}

TEST_F(KmsSettingsTest, WaterMarksAndTheHistoryPolicyAreRead) {
  const auto settings = read("standby_low = 2\nstandby_high = 5\nquantum_pool_high = 7\nhistory = \"encryption_keys\"\nhistory_keys_days = 7\npool_key_days = 1\n");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->standby_low, 2);
  EXPECT_EQ(settings->standby_high, 5);
  EXPECT_EQ(settings->quantum_pool_low, 4) << "half, unless it is said";
  EXPECT_EQ(settings->quantum_pool_high, 7);
  EXPECT_EQ(settings->history, HistoryPolicy::encryption_keys);
  EXPECT_EQ(settings->history_keys_kept, std::chrono::days(7));
  EXPECT_EQ(settings->pool_key_lifetime, std::chrono::days(1));
  EXPECT_EQ(read("standby_high = 0\n")->standby_low, 0);
  for (const char* wrong : {"history = \"working_keys\"\n", "history = \"all\"\n", "standby_low = 6\nstandby_high = 5\n", "quantum_pool_low = 1\n",
                            "quantum_pool_high = 1025\n", "pool_key_days = 0\n", "history_keys_days = 0\n", "history_keys_days = 3651\n", "standby_high = -1\n"}) {
    EXPECT_FALSE(read(wrong)) << wrong;
  }
}

TEST_F(KmsSettingsTest, TakesWhatIsWithinItsBounds) {
  const auto settings =
      read("wk_lifetime_ms = 3600000\nclock_window_ms = 1\ncallee_wait_ms = 30000\nquantum_shares = 4\npqc_fallback = false\nprofile_v1 = true\n");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->wk_lifetime, std::chrono::hours(1));
  EXPECT_EQ(settings->clock_window, std::chrono::milliseconds(1));
  EXPECT_EQ(settings->callee_wait, std::chrono::seconds(30));
  EXPECT_EQ(settings->quantum_shares, 4);
  EXPECT_FALSE(settings->pqc_fallback);
  EXPECT_TRUE(settings->profile_v1);
}

TEST_F(KmsSettingsTest, SymmetricModeIsOffAndMediaAreChargedOverAWireAloneUnlessSomebodySaysOtherwise) {
  const auto settings = read("");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_FALSE(settings->symmetric_mode);
  EXPECT_TRUE(settings->media_keys.empty());
  EXPECT_EQ(settings->revocation_lists_every, std::chrono::minutes(10));
  const auto other = read("symmetric_mode = true\nmedia_keys = \"/var/lib/qanat/media\"\nrevocation_lists_every_s = 0\n");
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_TRUE(other->symmetric_mode);
  EXPECT_EQ(other->media_keys, "/var/lib/qanat/media");
  EXPECT_EQ(other->revocation_lists_every.count(), 0);
  EXPECT_FALSE(read("revocation_lists_every_s = 86401\n"));
}

TEST_F(KmsSettingsTest, WhoWasChargedByFileIsHeldToItUnlessSomebodySaysOtherwise) {
  EXPECT_EQ(read("")->charged_keys, ChargedPolicy::required_if_stocked);
  EXPECT_TRUE(read("")->charged_released.empty());
  const auto settings = read("charged_keys = \"optional\"\ncharged_released = [\"A\", \"B\"]\n");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->charged_keys, ChargedPolicy::optional);
  EXPECT_EQ(settings->charged_released, (std::set<Uid>{Uid("A"), Uid("B")}));
  EXPECT_EQ(read("charged_keys = \"required_if_stocked\"\n")->charged_keys, ChargedPolicy::required_if_stocked);
  for (const char* wrong : {"charged_keys = \"required\"\n", "charged_keys = true\n", "charged_released = [\"a b\"]\n", "charged_released = \"A\"\n"})
    EXPECT_FALSE(read(wrong)) << wrong;
}

TEST_F(KmsSettingsTest, CmspsDirectoryStandsInForNothingUnlessSomebodySaysSo) {
  EXPECT_FALSE(read("")->directory_fallback);
  const auto settings = read("directory_fallback = true\n[kms.policy]\nno_directory_with = [\"c\"]\n");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_TRUE(settings->directory_fallback);
  EXPECT_EQ(settings->policy.no_directory_with, (std::set<std::string>{"c"}));
  EXPECT_FALSE(read("directory_fallback = 1\n"));
}

TEST_F(KmsSettingsTest, HowManyTerminalsAreKeptReadyHasADefaultAndBounds) {
  EXPECT_EQ(read("")->known_terminals, 1024);
  EXPECT_EQ(read("known_terminals = 1000000\n")->known_terminals, 1'000'000);
  EXPECT_FALSE(read("known_terminals = 0\n"));
  EXPECT_FALSE(read("known_terminals = 1000001\n"));
}

TEST_F(KmsSettingsTest, HowManyDeliveriesShareASignatureHasADefaultAndBounds) {
  EXPECT_EQ(read("")->joint_deliveries, 64);
  EXPECT_EQ(read("joint_deliveries = 1\n")->joint_deliveries, 1);
  EXPECT_FALSE(read("joint_deliveries = 0\n"));
  EXPECT_FALSE(read("joint_deliveries = 65\n"));
}

TEST_F(KmsSettingsTest, EvidenceIsShownEveryHourUnlessSomebodySaysOtherwise) {
  EXPECT_EQ(read("")->evidence_every, std::chrono::hours(1));
  EXPECT_EQ(read("evidence_every_s = 0\n")->evidence_every.count(), 0);
  EXPECT_FALSE(read("evidence_every_s = 86401\n"));
}

TEST_F(KmsSettingsTest, AFinishedKeyStaysADayAndNeverLessThanBothSidesOfTheClockWindow) {
  EXPECT_EQ(read("")->history_retention, std::chrono::days(1));
  EXPECT_EQ(read("history_retention_s = 240\n")->history_retention, std::chrono::seconds(240));
  EXPECT_EQ(read("clock_window_ms = 500\nhistory_retention_s = 1\n")->history_retention, std::chrono::seconds(1));
  for (const char* wrong : {"history_retention_s = 239\n", "history_retention_s = 0\n", "history_retention_s = 315360001\n"}) EXPECT_FALSE(read(wrong)) << wrong;
}

TEST_F(KmsSettingsTest, ADemandOnQuantumKeysIsReadInTheWordsOfKm3) {
  const auto settings = read("quantum_bound = \"one-decoy-finite\"\nquantum_eps_max = 1e-9\nquantum_photons = \"real\"\nquantum_relays_max = 2\n");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_TRUE(settings->quantum_demand.is_met_by({.bounds = 8, .photons = 8, .eps = 1e-9}));
  EXPECT_FALSE(settings->quantum_demand.is_met_by({.bounds = 8, .photons = 2, .eps = 1e-9})) << "simulated";
  EXPECT_FALSE(settings->quantum_demand.is_met_by({.bounds = 32, .photons = 8, .eps = 1e-9})) << "two decoys";
  EXPECT_EQ(settings->quantum_relays_max, 2);
  EXPECT_TRUE(read("")->quantum_demand.is_any());
  for (const char* wrong : {"quantum_bound = \"best\"\n", "quantum_photons = \"few\"\n", "quantum_eps_max = 0.0\n", "quantum_eps_max = 1.5\n",
                            "quantum_relays_max = 127\n", "quantum_relays_max = -1\n"}) {
    EXPECT_FALSE(read(wrong)) << wrong;
  }
}

TEST_F(KmsSettingsTest, TheCsaHasATableOfItsOwn) {
  const auto absent = read("");
  ASSERT_TRUE(absent);
  EXPECT_FALSE(absent->csa.listener) << "software of others is served only where somebody asks for it";
  EXPECT_EQ(absent->csa.limits.seals.max, std::int64_t{1} << 32);
  const auto settings = read("[kms.csa]\nkeys_per_application = 0\nseals_per_version = 100\nport = 9443\ncertificate = \"/c\"\nkey = \"/k\"\nroots = \"/r\"\n");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->csa.limits.keys_per_application, 0);
  EXPECT_EQ(settings->csa.limits.seals.block, 100) << "no block is larger than all that there is";
  ASSERT_TRUE(settings->csa.listener);
  EXPECT_EQ(settings->csa.listener->port, 9443);
  for (const char* wrong : {"certificate = \"/c\"", "key = \"/k\"\nroots = \"/r\"", "port = 65536", "requests_per_minute = 0", "deletion_wait_min_s = 0",
                            "challenge_life_ms = 999", "seals_per_version = 4294967297", "colour = 1"})
    EXPECT_FALSE(read("[kms.csa]\n" + std::string(wrong) + "\n")) << wrong;
}

TEST_F(KmsSettingsTest, RefusesWhatIsOutOfBounds) {
  const std::pair<const char*, std::int64_t> most[] = {
      {"wk_lifetime_ms", 3600000}, {"clock_window_ms", 600000}, {"callee_wait_ms", 30000}, {"quantum_shares", 4}};
  for (const auto& [name, max] : most) {
    for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, max + 1}) {
      const std::string line = std::string(name) + " = " + std::to_string(value);
      const auto settings = read(line + "\n");
      ASSERT_FALSE(settings) << line;
      EXPECT_EQ(settings.error().message, "kms.toml:3: kms." + line + ": must be between 1 and " + std::to_string(max));
    }
    EXPECT_TRUE(read(std::string(name) + " = " + std::to_string(max) + "\n")) << name;
  }
}

TEST_F(KmsSettingsTest, PolicyOfKeysHasDefaultsBoundsAndNamesOfTraffic) {
  const auto absent = read("");
  ASSERT_TRUE(absent) << absent.error().message;
  EXPECT_EQ(absent->policy.terms_for(Traffic::device), (KeyTerms{.traffic = Traffic::device, .level_min = wire::Assurance::local_rng, .deliveries_max = 4}));
  EXPECT_EQ(absent->policy.applications.burst, 300);
  EXPECT_EQ(absent->policy.applications.per_minute, 300);
  EXPECT_EQ(absent->policy.charges_kept_days, 400);
  EXPECT_TRUE(absent->policy.quantum_on_demand.empty());
  EXPECT_EQ(absent->policy.ephemeral_keys_of(Traffic::voice), EphemeralKeys::as_the_terminal_can);
  EXPECT_EQ(absent->policy.groups.members, 16);
  EXPECT_EQ(absent->policy.groups.domains, 4);
  const auto groups = read("[kms.policy]\ngroup_members_max = 0\ngroup_domains_max = 1\n");
  ASSERT_TRUE(groups) << groups.error().message;
  EXPECT_EQ(groups->policy.groups.members, 0);
  EXPECT_EQ(groups->policy.groups.domains, 1);

  const auto settings = read(
      "[kms.policy]\ndeliveries_max = 1\napplications_burst = 5\napplications_per_minute = 2\ncharges_kept_days = 30\n"
      "quantum_on_demand = [\"message\", \"device\"]\nno_quantum_with = [\"c\"]\nquantum_reserve = 100\nephemeral_required = [\"voice\", \"cloud\"]\n[kms.policy.level_min]\ngateway = 3\n");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->policy.terms_for(Traffic::gateway), (KeyTerms{.traffic = Traffic::gateway, .level_min = wire::Assurance::one_qkd_path, .deliveries_max = 1}));
  EXPECT_EQ(settings->policy.terms_for(Traffic::voice).level_min, wire::Assurance::local_rng);
  EXPECT_EQ(settings->policy.applications.burst, 5);
  EXPECT_EQ(settings->policy.applications.per_minute, 2);
  EXPECT_EQ(settings->policy.charges_kept_days, 30);
  EXPECT_EQ(settings->policy.quantum_on_demand, (std::set{Traffic::message, Traffic::device}));
  EXPECT_EQ(settings->policy.no_quantum_with, std::set<std::string>{"c"});
  EXPECT_EQ(settings->policy.quantum_reserve, 100);
  EXPECT_EQ(settings->policy.ephemeral_required, (std::set{Traffic::voice, Traffic::cloud}));
  EXPECT_EQ(settings->policy.ephemeral_keys_of(Traffic::cloud), EphemeralKeys::required);
  EXPECT_EQ(settings->policy.ephemeral_keys_of(Traffic::device), EphemeralKeys::as_the_terminal_can);

  for (const char* wrong : {"[kms.policy]\ndeliveries_max = 0\n", "[kms.policy]\ndeliveries_max = 256\n", "[kms.policy]\napplications_per_minute = 0\n",
                            "[kms.policy]\napplications_burst = 1000001\n", "[kms.policy]\ncharges_kept_days = 0\n", "[kms.policy]\nquantum_reserve = -1\n",
                            "[kms.policy]\ngroup_members_max = 65\n", "[kms.policy]\ngroup_domains_max = 0\n", "[kms.policy]\nquantum_on_demand = [\"Voice\"]\n", "[kms.policy]\nephemeral_required = [\"all\"]\n", "[kms.policy.level_min]\nvoice = 5\n", "[kms.policy.level_min]\nvideo = 1\n"}) {
    EXPECT_FALSE(read(wrong)) << wrong;
  }
}

TEST_F(KmsSettingsTest, RefusesOtherTypesAndUnknownSettings) {
  EXPECT_FALSE(read("pqc_fallback = 1\n"));
  EXPECT_FALSE(read("profile_v1 = \"on\"\n")) << "a switch is true or false";
  const auto unknown = read("profile_v0 = true\n");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message, "kms.toml:3: kms.profile_v0: no such setting");
}

TEST_F(KmsSettingsTest, KeysForSaesAreOffUnlessThereIsATable) {
  EXPECT_FALSE(read("")->sae);
  const std::string table = "pqc_fallback = false\n[sae]\nroots = \"/r\"\n";
  const std::string chain = "[sae.chains.one]\ncertificate = \"/c\"\nkey = \"/k\"\n";
  const auto some = read(table + "serve = [\"etsi014\", \"skip\"]\nstock_low = 10\nstock_high = 20\niam_refresh_ms = 500\n" + chain);
  ASSERT_TRUE(some) << some.error().message;
  ASSERT_TRUE(some->sae);
  EXPECT_EQ(some->sae->served.size(), 2U);
  EXPECT_EQ(some->sae->supply.low, 10);
  EXPECT_EQ(some->sae->supply.high, 20);
  EXPECT_FALSE(some->sae->supply.pqc_fallback) << "as for working keys";
  EXPECT_EQ(some->sae->iam_refresh, std::chrono::milliseconds(500));
  for (const char* wrong : {"serve = []\n", "serve = [\"etsi020\"]\n", "serve = [\"skip\"]\nstock_low = 30\nstock_high = 20\n",
                            "serve = [\"skip\"]\niam_refresh_ms = 5000\niam_lifetime_ms = 4000\n", "serve = [\"skip\"]\nnames = 1\n"}) {
    EXPECT_FALSE(read(table + wrong + chain)) << wrong;
  }
  EXPECT_FALSE(read(table + "serve = [\"skip\"]\n")) << "no chain";
}

TEST_F(KmsSettingsTest, SiteKeyIsRequired) {
  const auto settings = read("", "");
  ASSERT_FALSE(settings);
  EXPECT_NE(settings.error().message.find("kms.site_key: is required"), std::string::npos) << settings.error().message;
}

}  // namespace
}  // namespace qanat::kms
