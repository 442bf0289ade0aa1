#include <cmath>
#include <numbers>

#include "quantum/qkd/photonics/file_device.hpp"
#include "quantum/qkd/photonics/simulated_device.hpp"

namespace qanat::qkd {
namespace {

constexpr std::uint8_t trigger_pattern = 1;  // Alice's events say when; what she sent stands in the side file
constexpr std::uint64_t pulses_max = std::uint64_t{1} << 32;

struct Files {
  EventWriter events;
  SideWriter side;
};

Result<Files> create(const Recording& recording, RecordingSide side, double gate_rate_hz) {
  TRY(recording.clock.validate());
  if (recording.clock.gate_rate_hz != gate_rate_hz) return fail(ErrorCode::invalid_argument, "export: the clock's gate frequency is not the link's");
  ASSIGN_OR_RETURN(EventWriter events, EventWriter::create(recording.events));
  ASSIGN_OR_RETURN(SideWriter entries, SideWriter::create(recording.side, side, RecordingOrigin::simulated));
  return Result<Files>(Files{.events = std::move(events), .side = std::move(entries)});
}

/// Of a photon that was detected within the gate: normal, cut off at half the gate width to either side.
double jitter_s(const LinkParameters& link, FibreRandom& random) {
  if (link.timing_jitter_s == 0.0) return 0.0;
  for (;;) {
    const double radius = std::sqrt(2.0 * random.exponential());
    const double late = link.timing_jitter_s * radius * std::cos(2.0 * std::numbers::pi * random.uniform());
    if (std::abs(late) <= link.effective_gate_width_s / 2.0) return late;
  }
}

Result<void> write_pulse(Files& files, const EventClock& clock, const Click& pulse) {
  TRY(files.events.write({.time = clock.time_of(pulse.index), .pattern = trigger_pattern}));
  files.side.write({.basis = pulse.alice_basis, .bit = pulse.alice_bit, .intensity = pulse.intensity});
  return {};
}

Result<void> write_click(Files& files, const EventClock& clock, const Click& click, double late_s) {
  std::uint8_t pattern = 0;
  for (unsigned detector = 0; detector < 2; ++detector) {
    if ((click.fired >> detector & 1U) != 0) pattern |= event_pattern(click.bob_basis, detector == 1);
  }
  TRY(files.events.write({.time = clock.time_of(click.index, late_s), .pattern = pattern}));
  files.side.write({.basis = click.bob_basis, .bit = click.bob_bit, .intensity = {}});
  return {};
}

}  // namespace

Result<double> export_events(const LinkParameters& link, const Secret& fibre_seed, const RunId& run, const ExportRequest& request) {
  // The device runs first: it validates the arguments and measures what the monitor measures.
  ASSIGN_OR_RETURN(const auto bob, open_simulated_bob(link, fibre_seed.duplicate()));
  TRY(bob->start(run));
  ASSIGN_OR_RETURN(const DetectionRecord seen, bob->collect(request.clicks));
  if (request.pulses == ExportedPulses::all && seen.gates > pulses_max) {
    return fail(ErrorCode::invalid_argument, "export: " + std::to_string(seen.gates) + " pulses are too many to write them all");
  }
  ASSIGN_OR_RETURN(Files alice_files, create(request.alice, RecordingSide::alice, link.gate_rate_hz));
  ASSIGN_OR_RETURN(Files bob_files, create(request.bob, RecordingSide::bob, link.gate_rate_hz));
  SimulatedFibre fibre(link, fibre_seed, run);
  FibreRandom arrival(fibre_key(fibre_seed, run, "qanat simulated fibre: arrival times"));
  std::uint64_t next_pulse = 0;
  for (std::size_t i = 0; i < request.clicks; ++i) {
    const Click click = fibre.next();
    for (; request.pulses == ExportedPulses::all && next_pulse < click.index; ++next_pulse) {
      TRY(write_pulse(alice_files, request.alice.clock, fibre.quiet_pulse(next_pulse)));
    }
    next_pulse = click.index + 1;
    TRY(write_pulse(alice_files, request.alice.clock, click));
    TRY(write_click(bob_files, request.bob.clock, click, jitter_s(link, arrival)));
  }
  TRY(alice_files.events.finish());
  TRY(alice_files.side.finish({.entries = 0, .gates = seen.gates, .photocurrent_a = {}}));
  TRY(bob_files.events.finish());
  TRY(bob_files.side.finish({.entries = 0, .gates = seen.gates, .photocurrent_a = seen.monitor.photocurrent_a}));
  return static_cast<double>(seen.gates) / link.gate_rate_hz;
}

}  // namespace qanat::qkd
