// Recordings: the formats of docs/quantum-formats.md, the clocks, and the drivers that read them.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "harness.hpp"
#include "quantum/qkd/photonics/file_device.hpp"
#include "quantum/qkd/photonics/recorded_clock.hpp"
#include "quantum/qkd/sifting/sifting.hpp"

namespace qanat::qkd {
namespace {


Bytes octets(std::string_view hex) {
  std::string compact;
  for (const char c : hex) {
    if (c != ' ') compact += c;
  }
  return *from_hex(compact);
}

// The worked examples of docs/quantum-formats.md, made by a script with Python's struct module.
const Bytes bob_events = octets(
    "01010000 05000000 02000000 31000000 04000000"
    "00800200 0200f401 00800200 0c80f801 00000000 00000000");
const Bytes alice_side = octets(
    "51414e4154534431 01 00000000000000 01 06 ff"
    "0200000000000000 0200000000000000 000000000000f87f 000000000000f87f");
const Bytes bob_side = octets(
    "51414e4154534431 02 00000000000000 0d 0e ff"
    "0200000000000000 0200000000000000 48afbc9af2d77a3e 48afbc9af2d78a3e");

Result<std::vector<TimedEvent>> read_events(ByteView input) {
  EventReader reader(octets_in_memory(input), "events");
  std::vector<TimedEvent> out;
  for (;;) {
    ASSIGN_OR_RETURN(const auto event, reader.next());
    if (!event) return out;
    out.push_back(*event);
  }
}

Result<std::vector<SideEntry>> read_side(ByteView input, RecordingSide side) {
  SideReader reader(octets_in_memory(input), "side", side);
  std::vector<SideEntry> out;
  for (;;) {
    ASSIGN_OR_RETURN(const auto entry, reader.next());
    if (!entry) return out;
    out.push_back(*entry);
  }
}

constexpr std::uint64_t epoch_5 = 5 * epoch_units;

TEST(EventFileTest, ReadsTheWorkedExample) {
  const auto events = read_events(bob_events);
  ASSERT_TRUE(events) << events.error().message;
  EXPECT_EQ(*events, (std::vector<TimedEvent>{{.time = epoch_5 + 1000, .pattern = 2}, {.time = epoch_5 + 1009, .pattern = 12}}));
  EXPECT_EQ(event_pattern(Basis::key_x, true), 2);
  EXPECT_EQ(event_pattern(Basis::check_z, false) | event_pattern(Basis::check_z, true), 12);
}

TEST(EventFileTest, WritesWhatItReads) {
  std::ostringstream out;
  EventWriter writer(out);
  ASSERT_TRUE(writer.write({.time = epoch_5 + 1000, .pattern = 2}));
  ASSERT_TRUE(writer.write({.time = epoch_5 + 1009, .pattern = 12}));
  ASSERT_TRUE(writer.write({.time = 6 * epoch_units, .pattern = 1}));
  ASSERT_TRUE(writer.write({.time = (std::uint64_t{0x20007} << 32) + 1, .pattern = 15}));  // an epoch of more than 17 bits
  EXPECT_FALSE(writer.write({.time = epoch_5, .pattern = 1}));
  EXPECT_FALSE(writer.write({.time = std::uint64_t{0x20008} << 32, .pattern = 0}));
  ASSERT_TRUE(writer.finish());
  const std::string text = out.str();
  Bytes expected = bob_events;
  expected[8] = 0;  // the writer does not announce lengths
  EXPECT_TRUE(equal(as_bytes(text).first(expected.size()), expected));
  const auto events = read_events(as_bytes(text));
  ASSERT_TRUE(events) << events.error().message;
  ASSERT_EQ(events->size(), 4U);
  EXPECT_EQ((*events)[3], (TimedEvent{.time = (std::uint64_t{0x20007} << 32) + 1, .pattern = 15}));
}

TEST(EventFileTest, RefusesWhatIsMalformedAndSaysWhere) {
  const auto refusal = [](Bytes input) {
    const auto events = read_events(input);
    EXPECT_TRUE(events || events.error().code == ErrorCode::invalid_argument);
    return events ? std::string("accepted") : events.error().message;
  };
  const auto changed = [](std::size_t at, std::uint8_t value) {
    Bytes out = bob_events;
    out[at] = value;
    return out;
  };
  EXPECT_EQ(refusal(changed(0, 2)).substr(0, 17), "events: offset 0:");
  EXPECT_NE(refusal(changed(12, 48)).find("offset 12"), std::string::npos);
  EXPECT_NE(refusal(changed(16, 5)).find("offset 16"), std::string::npos);
  EXPECT_NE(refusal(changed(8, 3)).find("offset 36"), std::string::npos);  // three announced, two there
  EXPECT_NE(refusal(changed(8, 1)).find("offset 28"), std::string::npos);  // one announced
  EXPECT_NE(refusal(changed(24, 0)).find("without detector"), std::string::npos);
  EXPECT_NE(refusal(changed(24, 0x12)).find("unused bits"), std::string::npos);
  EXPECT_NE(refusal(changed(30, 3)).find("two epochs"), std::string::npos);
  EXPECT_NE(refusal(changed(34, 0x01)).find("times descend"), std::string::npos);
  EXPECT_NE(refusal(changed(4, 4)).find("accepted"), std::string::npos);  // an extended epoch need not match the upper bits …
  Bytes plain = changed(1, 0);
  EXPECT_NE(refusal(plain).find("accepted"), std::string::npos);
  plain[4] = 4;  // … a plain one must
  EXPECT_NE(refusal(plain).find("epoch"), std::string::npos);
  for (std::size_t size = 1; size < bob_events.size(); ++size) {
    EXPECT_NE(refusal(Bytes(bob_events.begin(), bob_events.begin() + static_cast<std::ptrdiff_t>(size))), "accepted") << size;
  }
  Bytes twice = bob_events;
  append(twice, bob_events);
  EXPECT_NE(refusal(twice).find("epochs do not ascend"), std::string::npos);
  EXPECT_TRUE(read_events({})->empty());
}

TEST(SideFileTest, ReadsAndWritesTheWorkedExamples) {
  const std::vector<SideEntry> alice{{.basis = Basis::key_x, .bit = true, .intensity = Intensity::signal},
                                     {.basis = Basis::check_z, .bit = false, .intensity = Intensity::decoy}};
  const std::vector<SideEntry> bob{{.basis = Basis::key_x, .bit = true, .intensity = {}}, {.basis = Basis::check_z, .bit = false, .intensity = {}}};
  EXPECT_EQ(*read_side(alice_side, RecordingSide::alice), alice);
  EXPECT_EQ(*read_side(bob_side, RecordingSide::bob), bob);
  SideReader reader(octets_in_memory(bob_side), "side", RecordingSide::bob);
  for (auto entry = reader.next(); entry && *entry; entry = reader.next()) {
  }
  EXPECT_EQ(reader.trailer().gates, 2U);
  EXPECT_EQ(reader.trailer().photocurrent_a, (std::array{1e-7, 2e-7}));
  std::ostringstream out;
  SideWriter writer(out, RecordingSide::bob);
  for (const SideEntry& entry : bob) writer.write(entry);
  ASSERT_TRUE(writer.finish({.entries = 0, .gates = 2, .photocurrent_a = std::array{1e-7, 2e-7}}));
  EXPECT_TRUE(equal(as_bytes(out.str()), bob_side));
}

TEST(SideFileTest, RefusesWhatIsMalformed) {
  EXPECT_FALSE(read_side(alice_side, RecordingSide::bob));
  EXPECT_FALSE(read_side({}, RecordingSide::alice));
  for (const auto& [at, value] : {std::pair<std::size_t, std::uint8_t>{0, 'X'}, {9, 2}, {10, 1}, {16, 0x11}, {16, 0x0d}, {19, 3}, {27, 1}}) {
    Bytes input = alice_side;
    input[at] = value;
    const auto entries = read_side(input, RecordingSide::alice);
    ASSERT_FALSE(entries) << at;
    EXPECT_NE(entries.error().message.find("side: offset"), std::string::npos);
  }
  for (std::size_t size = 0; size < alice_side.size(); ++size) {
    EXPECT_FALSE(read_side(ByteView(alice_side).first(size), RecordingSide::alice)) << size;
  }
  Bytes longer = alice_side;
  longer.push_back(0);
  EXPECT_FALSE(read_side(longer, RecordingSide::alice));
}

TEST(EventClockTest, GivesEachTagTheNearestPulseWithinTheWindow) {
  const EventClock clock{.gate_rate_hz = 1e9, .origin = 1000, .origin_phase = 0.0, .window_s = 125e-12 * 2};
  ASSERT_TRUE(clock.validate());
  EXPECT_EQ(clock.pulse_of(1000), 0U);
  EXPECT_EQ(clock.pulse_of(1009), 1U);
  EXPECT_EQ(clock.pulse_of(1006), 1U);
  EXPECT_EQ(clock.pulse_of(999), 0U);
  EXPECT_FALSE(clock.pulse_of(1004));  // four units from either
  EXPECT_FALSE(clock.pulse_of(900));
  EXPECT_FALSE((EventClock{.gate_rate_hz = 1e10}).validate());
  EXPECT_FALSE((EventClock{.gate_rate_hz = 1e9, .origin = 0, .origin_phase = 0.0, .window_s = 1e-9}).validate());
  const EventClock odd{.gate_rate_hz = 1.25e9 / 3.0, .origin = epoch_5, .origin_phase = 0.4, .window_s = 0.0};
  for (const std::uint64_t pulse : {0ULL, 1ULL, 999'999'937ULL, 400'000'000'000ULL}) EXPECT_EQ(odd.pulse_of(odd.time_of(pulse)), pulse);
}

TEST(EventClockTest, FindsTheOffsetOfTheOtherClock) {
  const EventClock alice{.gate_rate_hz = 1e9, .origin = 5000, .origin_phase = 0.0, .window_s = 0.0};
  const EventClock bob{.gate_rate_hz = 1e9, .origin = 77'777'003, .origin_phase = 0.25, .window_s = 0.0};
  test::SeededRng random(4);
  std::vector<std::uint64_t> sent;
  std::vector<std::uint64_t> seen;
  for (std::uint64_t pulse = 0; pulse < 200'000; ++pulse) {
    const bool is_bright = random.below(20) == 0;
    if (is_bright) sent.push_back(alice.time_of(pulse));
    if (random.below(is_bright ? 10U : 400U) == 0) seen.push_back(bob.time_of(pulse));
  }
  const auto found = find_clock(alice, sent, seen, 1U << 24);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_GT(found->coincidences, 4 * found->runner_up);
  for (const std::uint64_t pulse : {0ULL, 12'345ULL, 199'999ULL}) EXPECT_EQ(found->clock.pulse_of(bob.time_of(pulse)), pulse);
  // The other way round: the second clock is ahead.
  const auto back = find_clock(bob, seen, sent, 1U << 24);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->offset_pulses, -found->offset_pulses);
  EXPECT_EQ(back->clock.pulse_of(alice.time_of(12'345)), 12'345U);
}

TEST(EventClockTest, DoesNotFindWhatIsNotThere) {
  const EventClock clock{.gate_rate_hz = 1e9, .origin = 0, .origin_phase = 0.0, .window_s = 0.0};
  test::SeededRng random(5);
  std::vector<std::uint64_t> sent;
  std::vector<std::uint64_t> unrelated;
  std::vector<std::uint64_t> noise;
  for (std::uint64_t pulse = 0; pulse < 100'000; ++pulse) {
    if (random.below(20) == 0) sent.push_back(clock.time_of(pulse));
    if (random.below(200) == 0) unrelated.push_back(clock.time_of(pulse));
    if (random.below(200) == 0) noise.push_back(8 * pulse + random.below(8));
  }
  EXPECT_EQ(find_clock(clock, sent, unrelated, 1000).error().code, ErrorCode::not_found);
  EXPECT_NE(find_clock(clock, sent, noise, 1000).error().message.find("gate frequency"), std::string::npos);
  EXPECT_FALSE(find_clock(clock, {}, unrelated, 1000));
  EXPECT_FALSE(find_clock(clock, sent, unrelated, 0));
}

/// Four files in a folder of their own.
class RecordingTest : public testing::Test {
 protected:
  RecordingTest() {
    folder_ = std::filesystem::temp_directory_path() /
              ("qanat-recording-" + std::to_string(::getpid()) + "-" + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    request_.clicks = 20'000;
    request_.alice = {.events = folder_ / "alice.events",
                      .side = folder_ / "alice.side",
                      .clock = {.gate_rate_hz = 1e9, .origin = epoch_5, .origin_phase = 0.0, .window_s = 0.0}};
    request_.bob = {.events = folder_ / "bob.events",
                    .side = folder_ / "bob.side",
                    .clock = {.gate_rate_hz = 1e9, .origin = epoch_5 + 4'000'000, .origin_phase = 0.5, .window_s = 250e-12}};
  }
  ~RecordingTest() override { std::filesystem::remove_all(folder_); }

  Result<double> export_run() { return export_events(link_, test::secret_of(fibre_seed_size, 3), test::run(1), request_); }

  static SiftedBlock sift(AliceDevice& alice, const Clicks& clicks, std::uint64_t gates) {
    const auto sent = alice.emissions(clicks.indices);
    EXPECT_TRUE(sent) << sent.error().message;
    Sifted out(clicks.indices.size());
    if (sent) judge(*sent, announce(clicks), out);
    return out.take(1, gates);
  }

  LinkParameters link_;
  std::filesystem::path folder_;
  ExportRequest request_;
  test::SeededRng random_{1};
};

TEST_F(RecordingTest, SaysThatTheSimulatorExportedIt) {
  ASSERT_TRUE(export_run());
  EXPECT_EQ(*recording_origin(request_.alice, RecordingSide::alice), RecordingOrigin::simulated);
  EXPECT_EQ(*recording_origin(request_.bob, RecordingSide::bob), RecordingOrigin::simulated);
  EXPECT_FALSE(recording_origin(request_.bob, RecordingSide::alice));
  // The worked example was not: nobody says so.
  std::ofstream(request_.alice.side, std::ios::binary | std::ios::trunc).write(reinterpret_cast<const char*>(alice_side.data()), static_cast<std::streamsize>(alice_side.size()));
  EXPECT_EQ(*recording_origin(request_.alice, RecordingSide::alice), RecordingOrigin::measured);
}

TEST_F(RecordingTest, BobsClockIsFoundFromTheFiles) {
  ASSERT_TRUE(export_run());
  Recording unknown = request_.bob;
  unknown.clock = {};
  const auto found = find_recorded_clock(request_.alice, unknown, {});
  ASSERT_TRUE(found) << found.error().message;
  for (const std::uint64_t pulse : {0ULL, 1ULL, 999'999ULL}) EXPECT_EQ(found->clock.pulse_of(request_.bob.clock.time_of(pulse)), pulse);
  // Too narrow a search, another gate rate, a file that is not there.
  EXPECT_EQ(find_recorded_clock(request_.alice, unknown, {.pulses_max = 1000}).error().code, ErrorCode::not_found);
  Recording slower = request_.alice;
  slower.clock.gate_rate_hz = 0.9e9;
  EXPECT_FALSE(find_recorded_clock(slower, unknown, {}));
  Recording absent = request_.alice;
  absent.side = folder_ / "absent";
  EXPECT_FALSE(find_recorded_clock(absent, unknown, {}));
}

TEST_F(RecordingTest, DriversSiftTheSameFromFilesAsFromTheSimulation) {
  const auto seconds = export_run();
  ASSERT_TRUE(seconds) << seconds.error().message;
  auto simulated_alice = std::move(*open_simulated_alice(link_, test::secret_of(fibre_seed_size, 3)));
  auto simulated_bob = std::move(*open_simulated_bob(link_, test::secret_of(fibre_seed_size, 3)));
  auto alice = open_file_alice(request_.alice);
  auto bob = open_file_bob(request_.bob, random_);
  ASSERT_TRUE(alice && bob);
  ASSERT_TRUE(simulated_alice->start(test::run(1)) && simulated_bob->start(test::run(1)) && (*alice)->start(test::run(9)) && (*bob)->start(test::run(9)));
  auto expected = simulated_bob->collect(request_.clicks);
  auto seen = (*bob)->collect(request_.clicks);
  ASSERT_TRUE(seen) << seen.error().message;
  const Clicks clicks = seen->clicks.take_all();
  const Clicks simulated = expected->clicks.take_all();
  EXPECT_EQ(clicks.indices, simulated.indices);
  EXPECT_EQ(clicks.bases, simulated.bases);
  EXPECT_TRUE(equal_secret(clicks.bits, simulated.bits));
  EXPECT_EQ(seen->gates, expected->gates);
  EXPECT_DOUBLE_EQ(*seconds, static_cast<double>(seen->gates) / 1e9);
  EXPECT_EQ(seen->monitor.firings, expected->monitor.firings);
  EXPECT_EQ(seen->monitor.double_clicks, expected->monitor.double_clicks);
  EXPECT_TRUE(check_monitor(seen->monitor, link_));
  const SiftedBlock from_files = sift(**alice, clicks, seen->gates);
  const SiftedBlock from_simulation = sift(*simulated_alice, simulated, expected->gates);
  EXPECT_GT(from_files.key_bits, 5000U);
  EXPECT_EQ(from_files.key_counts, from_simulation.key_counts);
  EXPECT_EQ(from_files.check.detections, from_simulation.check.detections);
  EXPECT_EQ(from_files.check.errors, from_simulation.check.errors);
  struct stat facts {};
  ASSERT_EQ(::stat(request_.bob.side.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 077U, 0U);
}

TEST_F(RecordingTest, BobNeedsNoSideFile) {
  ASSERT_TRUE(export_run());
  auto with = open_file_bob(request_.bob, random_);
  ASSERT_TRUE(with && (*with)->start(test::run(9)));
  auto expected = (*with)->collect(10'000);
  std::filesystem::remove(request_.bob.events.string() + ".used");
  request_.bob.side.clear();
  auto bob = open_file_bob(request_.bob, random_);
  ASSERT_TRUE(bob && (*bob)->start(test::run(9)));
  auto seen = (*bob)->collect(10'000);
  ASSERT_TRUE(seen);
  const Clicks clicks = seen->clicks.take_all();
  const Clicks resolved = expected->clicks.take_all();
  EXPECT_EQ(clicks.indices, resolved.indices);
  EXPECT_EQ(clicks.bases, resolved.bases);
  EXPECT_EQ(seen->monitor.double_clicks, expected->monitor.double_clicks);
  EXPECT_GT(seen->monitor.double_clicks, 5U);
  std::size_t differing = 0;  // double clicks are random anew
  for (std::size_t i = 0; i < 10'000; ++i) differing += clicks.bits.reveal()[i] != resolved.bits.reveal()[i] ? 1 : 0;
  EXPECT_LE(differing, seen->monitor.double_clicks);
  EXPECT_FALSE(seen->monitor.photocurrent_a);
  EXPECT_FALSE(check_monitor(seen->monitor, link_));
  link_.photocurrent_limit_a = 0.0;
  EXPECT_TRUE(check_monitor(seen->monitor, link_));
}

TEST_F(RecordingTest, BlocksFollowEachOtherAndNothingIsUsedTwiceAcrossARestart) {
  ASSERT_TRUE(export_run());
  std::uint64_t last = 0;
  std::uint64_t gates = 0;
  for (int process = 0; process < 2; ++process) {
    auto alice = open_file_alice(request_.alice);
    auto bob = open_file_bob(request_.bob, random_);
    for (int block = 0; block < 2; ++block) {
      ASSERT_TRUE((*alice)->start(test::run(9)) && (*bob)->start(test::run(9)));
      auto seen = (*bob)->collect(4000);
      ASSERT_TRUE(seen) << seen.error().message;
      const Clicks clicks = seen->clicks.take_all();
      EXPECT_TRUE(last == 0 || clicks.indices.front() > last);
      last = clicks.indices.back();
      gates += seen->gates;
      EXPECT_GT(sift(**alice, clicks, seen->gates).key_bits, 1000U);
      EXPECT_FALSE((*alice)->emissions(std::array{last}));  // asked before
    }
  }
  EXPECT_EQ(gates, last + 1);
  auto alice = open_file_alice(request_.alice);
  ASSERT_TRUE((*alice)->start(test::run(9)));
  EXPECT_FALSE((*alice)->emissions(std::array{last}));
  auto bob = open_file_bob(request_.bob, random_);
  ASSERT_TRUE((*bob)->start(test::run(9)));
  const auto beyond = (*bob)->collect(10'000);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, ErrorCode::exhausted);
}

TEST_F(RecordingTest, AliceKnowsEveryPulseThatHerRecordingHoldsAndNoOther) {
  request_.clicks = 200;
  ASSERT_TRUE(export_run());
  auto sparse = open_file_alice(request_.alice);
  ASSERT_TRUE((*sparse)->start(test::run(9)));
  EXPECT_EQ((*sparse)->emissions(std::array<std::uint64_t, 1>{0}).error().code, ErrorCode::not_found);
  for (const auto& file : {request_.alice.events, request_.alice.side, request_.bob.events, request_.bob.side}) std::filesystem::remove(file);
  std::filesystem::remove(request_.alice.events.string() + ".used");
  request_.pulses = ExportedPulses::all;
  ASSERT_TRUE(export_run());
  auto all = open_file_alice(request_.alice);
  auto simulated = std::move(*open_simulated_alice(link_, test::secret_of(fibre_seed_size, 3)));
  ASSERT_TRUE((*all)->start(test::run(9)) && simulated->start(test::run(1)));
  const std::array<std::uint64_t, 5> pulses{0, 1, 2, 100, 101};
  const auto sent = (*all)->emissions(pulses);
  ASSERT_TRUE(sent) << sent.error().message;
  const auto expected = simulated->emissions(pulses);
  EXPECT_EQ(sent->bases, expected->bases);
  EXPECT_EQ(sent->intensities, expected->intensities);
  EXPECT_TRUE(equal_secret(sent->bits, expected->bits));
}

TEST_F(RecordingTest, RefusesFilesThatDoNotBelongTogetherAndNeverOverwrites) {
  ASSERT_TRUE(export_run());
  EXPECT_FALSE(export_run());
  Recording swapped = request_.alice;
  swapped.side = request_.bob.side;
  EXPECT_FALSE(open_file_alice(swapped));
  swapped.side = folder_ / "missing";
  EXPECT_EQ(open_file_alice(swapped).error().code, ErrorCode::not_found);
  // One event fewer than the side file has entries.
  std::ofstream(folder_ / "short", std::ios::binary).write(reinterpret_cast<const char*>(bob_events.data()), static_cast<std::streamsize>(bob_events.size()));
  Recording shorter = request_.alice;
  shorter.events = folder_ / "short";
  auto alice = open_file_alice(shorter);
  ASSERT_TRUE(alice && (*alice)->start(test::run(9)));
  const auto sent = (*alice)->emissions(std::array<std::uint64_t, 1>{5000});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::invalid_argument);
  std::ofstream(request_.bob.events.string() + ".used") << "12x\n";
  EXPECT_FALSE(open_file_bob(request_.bob, random_));
}

TEST_F(RecordingTest, IsNotUsedWhenItsMarkCannotBeRead) {
  ASSERT_TRUE(export_run());
  const std::filesystem::path mark = request_.bob.events.string() + ".used";
  std::filesystem::create_symlink(mark, mark);  // leads nowhere, whoever asks
  const auto opened = open_file_bob(request_.bob, random_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::internal);
  EXPECT_NE(opened.error().message.find(".used"), std::string::npos) << opened.error().message;
}

}  // namespace
}  // namespace qanat::qkd
