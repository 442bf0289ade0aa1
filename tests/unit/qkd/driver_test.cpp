// What the configuration's driver opens, and that keys come of it: from recordings as from the simulation, and who says that they are simulated.
#include "quantum/qkd/process/driver.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "harness.hpp"
#include "quantum/qkd/process/account.hpp"
#include "temporary_directory.hpp"

namespace qanat::qkd {
namespace {

constexpr const char* common = "[qkd]\nlink = \"a-r\"\npeer = \"qkd-x\"\nqkm = \"qkm-a\"\n";
// test::quick_settings() in the words of the configuration.
constexpr const char* optics =
    "pre_shared_key = \"p\"\ndistance_km = 5\ndetector_efficiency = 0.6\ndark_count_probability = 1e-7\nafterpulse_probability = 0\nmisalignment_error = "
    "0.002\n"
    "p_signal = 0.2\np_decoy = 0.5\nkey_basis_probability = 0.6\nblock_size = 6000\nlength_rule = \"observed\"\neps_sec = 0.05\neps_cor = "
    "1e-6\nauthentication_reserve = 4\n"
    "authentication_target = 12\n";
constexpr const char* vendor =
    "driver = \"etsi014\"\nvendor_kme = \"https://kme-a.example:8443\"\nvendor_certificate = \"c\"\nvendor_key = \"k\"\nvendor_roots = \"r\"\n"
    "vendor_peer_sae = \"qkd-b\"\n";

class DriverTest : public testing::Test {
 protected:
  Result<QkdSettings> read(const std::string& text) {
    std::ofstream(folder_ / "qkd.toml", std::ios::trunc) << text;
    ASSIGN_OR_RETURN(node::Config config, node::Config::read(folder_ / "qkd.toml"));
    QkdSettings settings = QkdSettings::read(config);
    TRY(config.finish());
    return settings;
  }
  std::string recording(const std::string& side) const {
    return "driver = \"files\"\nrecording_events = \"" + (folder_ / (side + ".events")).string() + "\"\nrecording_side = \"" +
           (folder_ / (side + ".side")).string() + "\"\nrecording_origin = 5000\n";
  }
  qanat::test::TemporaryDirectory folder_;
};

TEST_F(DriverTest, EachDriverAsksForItsOwnKeysAndNoOthers) {
  const std::string head = std::string(common) + "role = \"alice\"\n";
  const auto simulated = read(head + optics + "simulated_fibre_seed = \"s\"\n");
  ASSERT_TRUE(simulated) << simulated.error().message;
  EXPECT_EQ(simulated->driver, Driver::simulated);
  const auto files = read(head + optics + recording("alice") + "recording_window_s = 2e-10\ngate_rate_hz = 5e8\n");
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->driver, Driver::files);
  EXPECT_EQ(files->recording.clock.origin, 5000U);
  EXPECT_EQ(files->recording.clock.gate_rate_hz, 5e8);
  EXPECT_TRUE(files->simulated_fibre_seed.empty());
  const auto etsi = read(head + vendor + "vendor_keys_per_block = 64\n");
  ASSERT_TRUE(etsi) << etsi.error().message;
  EXPECT_EQ(etsi->driver, Driver::etsi014);
  EXPECT_EQ(etsi->vendor.kme.host, "kme-a.example");
  EXPECT_EQ(etsi->vendor.kme.port, 8443);
  EXPECT_EQ(etsi->vendor.peer_sae, kme::SaeId("qkd-b"));
  EXPECT_EQ(etsi->vendor.keys_per_block, 64U);

  EXPECT_FALSE(read(head + optics + "driver = \"magic\"\nsimulated_fibre_seed = \"s\"\n"));
  EXPECT_FALSE(read(head + optics));                                                          // no seed
  EXPECT_FALSE(read(head + optics + recording("alice") + "simulated_fibre_seed = \"s\"\n"));  // not with recordings
  EXPECT_FALSE(read(head + optics + "driver = \"files\"\nrecording_events = \"e\"\n"));       // Alice's side file is needed
  EXPECT_FALSE(read(head + vendor + "distance_km = 5\n"));                                    // there are no optics here
  EXPECT_FALSE(read(head + vendor + "vendor_keys_per_block = 1025\n"));
  std::string insecure = head + vendor;
  insecure.replace(insecure.find("https"), 5, "http");
  EXPECT_NE(read(insecure).error().message.find("vendor_kme"), std::string::npos);
  const std::string bob = std::string(common) + "role = \"bob\"\n";
  EXPECT_TRUE(read(bob + optics + "driver = \"files\"\nrecording_events = \"e\"\n"));  // Bob's may be missing
}

/// One end over recordings, with its records.
struct Site {
  qanat::test::TemporaryDirectory directory;
  std::unique_ptr<crypto::Rng> random = std::move(*crypto::open_rng());
  std::unique_ptr<crypto::CryptoDevice> device = std::move(*crypto::open_software_device(directory / "master.key", *random));
  std::unique_ptr<Records> records = std::move(*Records::open(directory / "qkd.db", *device));
  SystemClock clock;
  QkdSettings settings;
  DrivenEnd end;

  Result<void> open(VendorBob::Send send) {
    const auto fresh = DurableState::fresh(test::secret_of(2 * one_time_key_size * 60, test::preshared_seed));
    TRY(records->commit(fresh->encode(), {}));
    ASSIGN_OR_RETURN(
        end, open_end(settings, {.settings = settings.session, .records = *records, .random = *random, .clock = clock, .suite = nullptr, .block_stored = [] {}},
                      std::move(send)));
    return {};
  }
};

class FilesDriverTest : public DriverTest {
 protected:
  void SetUp() override {
    alice_.settings = *read(std::string(common) + "role = \"alice\"\n" + optics + recording("alice"));
    bob_.settings = *read(std::string(common) + "role = \"bob\"\n" + optics + recording("bob"));
    RunId run;
    const auto seconds =
        export_events(alice_.settings.session.parameters, test::secret_of(fibre_seed_size, 3), run,
                      {.clicks = 60'000, .pulses = ExportedPulses::clicked, .alice = alice_.settings.recording, .bob = bob_.settings.recording});
    ASSERT_TRUE(seconds) << seconds.error().message;
  }
  void open() {
    ASSERT_TRUE(alice_.open({}));
    ASSERT_TRUE(
        bob_.open([this](ByteView octets, Deadline deadline) { return alice_.end.answer(octets, Deadline::after(std::chrono::milliseconds(0)), deadline); }));
  }
  void run_one_block() {
    alice_.end.set_run(true);
    for (int i = 0; i < 2000 && bob_.end.facts().blocks == 0; ++i) (void)bob_.end.turn(Deadline::after(std::chrono::seconds(30)));
  }
  Site alice_, bob_;
};

TEST_F(FilesDriverTest, RecordingsGiveBothEndsTheSameKey) {
  open();
  run_one_block();
  ASSERT_EQ(bob_.end.facts().blocks, 1U) << bob_.end.facts().last_failure;
  const auto mine = alice_.records->next_undelivered();
  const auto theirs = bob_.records->next_undelivered();
  ASSERT_TRUE(mine && *mine && theirs && *theirs);
  EXPECT_TRUE(equal_secret((*mine)->keys, (*theirs)->keys));
  EXPECT_EQ(alice_.end.origin, RecordingOrigin::simulated);
  const wire::Json record = bob_.end.describe_block(1, (*theirs)->summary);
  EXPECT_TRUE(*record.boolean("simulated"));
  EXPECT_NEAR(*record.number("loss_db"), -10.0 * std::log10(bob_.settings.session.parameters.transmittance()), 0.5);
}

TEST_F(FilesDriverTest, WhatWasMeasuredDoesNotCountAsSimulated) {
  for (const Site* site : {&alice_, &bob_}) {
    std::fstream side(site->settings.recording.side, std::ios::binary | std::ios::in | std::ios::out);
    side.seekp(9).put(0);  // docs/quantum-formats.md: origin
  }
  open();
  EXPECT_EQ(alice_.end.origin, RecordingOrigin::measured);
  EXPECT_EQ(bob_.end.origin, RecordingOrigin::measured);
  const wire::Json record = bob_.end.describe_block(1, BlockSummary{});
  EXPECT_FALSE(record.has("loss_db")) << "nothing is known of it";
  EXPECT_FALSE(*record.boolean("simulated"));
  EXPECT_FALSE(record.has("simulated_time_s"));
  EXPECT_TRUE(record.has("recorded_time_s"));
}

TEST_F(DriverTest, BlocksThatCanNeverPassTheirThresholdsWithAnyKeyLeftAreRefusedAtTheStart) {
  std::string text = std::string(common) + "role = \"alice\"\nsimulated_fibre_seed = \"f\"\n" + optics;
  ASSERT_TRUE(read(text));
  text.replace(text.find("observed"), 8, "fixed");
  const auto refused = read(text);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("block_size"), std::string::npos) << refused.error().message;
}

TEST_F(DriverTest, ProbabilitiesOfMoreThanOneAreRefusedWhereTheyStand) {
  std::string text = std::string(common) + "role = \"alice\"\nsimulated_fibre_seed = \"f\"\n" + optics;
  text.replace(text.find("p_decoy = 0.5"), 13, "p_decoy = 0.9");
  const auto refused = read(text);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("p_decoy"), std::string::npos) << refused.error().message;
}

TEST_F(DriverTest, AVendorsEndRefusesTheStateOfAnEndWithOptics) {
  Site site;
  site.settings = *read(std::string(common) + "role = \"bob\"\n" + vendor);
  const auto opened = site.open([](ByteView, Deadline) -> Result<Bytes> { return fail(ErrorCode::unavailable, "nobody"); });
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("another driver"), std::string::npos);
}

TEST_F(DriverTest, AVendorsBlockSaysWhatIsKnownOfIt) {
  BlockSummary block{.key_bits = 512, .report = {}};
  block.report.times.wall_ms = 100;
  const wire::Json record = describe_vendor_block(LinkId("a-r"), 4, block);
  EXPECT_EQ(*record.text("bound"), "vendor: ETSI GS QKD 014");
  EXPECT_FALSE(*record.boolean("simulated"));
  EXPECT_FALSE(*record.boolean("qber_known"));
  EXPECT_EQ(*record.number("rate_bps"), 5120.0);
  EXPECT_FALSE(record.has("n_sift"));
}

}  // namespace
}  // namespace qanat::qkd
