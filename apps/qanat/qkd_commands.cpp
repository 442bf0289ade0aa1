#include "qkd_commands.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <fstream>

#include "qkd_laboratory.hpp"
#include "quantum/qkd/keyrate/optimise.hpp"
#include "quantum/qkd/keyrate/statistics.hpp"
#include "quantum/qkd/photonics/file_device.hpp"
#include "quantum/qkd/photonics/simulated_device.hpp"
#include "quantum/qkd/plot/numbers.hpp"
#include "quantum/qkd/plot/rate_plot.hpp"
#include "quantum/qkd/process/account.hpp"

namespace qanat::app {
namespace {

using namespace qkd;

constexpr std::size_t sweep_values_max = 200;
constexpr double efficiency_planned = 1.06;  // of error correction, for choosing intensities
constexpr std::size_t curve_points = 41;
constexpr double curve_beyond_km = 200.0;

/// One distance of a simulation, or one pair of recordings.
struct Point {
  SessionSettings settings;
  RecordingOrigin origin = RecordingOrigin::simulated;  // whether photons were there
  LaboratoryOutcome outcome;
};

void tell(const std::string& text) { fmt::print(stderr, "{}\n", text); }

Result<void> read_choices(QkdOptions& options) {
  SessionSettings& settings = options.settings;
  settings.link = LinkId("laboratory");
  if (!options.bound.empty()) {
    ASSIGN_OR_RETURN(settings.bound, bound_from_name(options.bound));
  }
  settings.reconciliation = options.reconciliation == name(ReconciliationMethod::ldpc) ? ReconciliationMethod::ldpc : ReconciliationMethod::cascade;
  settings.leak_model = options.leak_model == name(LeakModel::one_way) ? LeakModel::one_way : LeakModel::both_directions;
  ASSIGN_OR_RETURN(settings.length_rule, length_rule_from_name(options.length_rule));
  return {};
}

/// The bound by the decoys, unless it was asked for.
void choose_decoys(SimulateOptions& options) {
  SessionSettings& settings = options.common.settings;
  if (!settings.bound) settings.bound = options.decoys == DecoyChoice::one || options.decoys == DecoyChoice::by_bound ? Bound::wiesemann_2026 : Bound::lim_2014;
  // A choice of decoys that the bound does not take is left as it is: validate() says so.
  LinkParameters& link = settings.parameters;
  if (options.decoys == DecoyChoice::by_bound) {
    link = suited_to(link, *settings.bound);
  } else if (options.decoys == DecoyChoice::one) {
    link = suited_to(link, Bound::wiesemann_2026);
  } else {
    link = suited_to(link, Bound::lim_2014);
    if (options.decoys == DecoyChoice::vacuum_weak) link.intensity[index_of(Intensity::vacuum)] = 0.0;
  }
}

BlockTarget target_of(const SessionSettings& settings) {
  const bool twice = settings.leak_model == LeakModel::both_directions && settings.reconciliation == ReconciliationMethod::cascade;
  return {.n_key = static_cast<double>(settings.block_size),
          .f_EC = twice ? 2.0 * efficiency_planned : efficiency_planned,
          .eps_sec = settings.eps_sec,
          .eps_cor = settings.eps_cor};
}

Result<Point> simulate_at(const SimulateOptions& options, double distance_km, crypto::Rng& random) {
  Point point{.settings = options.common.settings, .origin = RecordingOrigin::simulated, .outcome = {}};
  SessionSettings& settings = point.settings;
  settings.parameters.distance_km = distance_km;
  TRY(settings.validate());
  if (options.optimise) {
    // Chosen for the link as its owners know it: they do not know of an eavesdropper.
    if (const auto best = best_parameters(settings.parameters, settings.effective_bound(), target_of(settings))) settings.parameters = best->link;
    TRY(settings.validate());
  }
  const LinkParameters& link = settings.parameters;
  tell(fmt::format("{:.1f} km, simulated: mu {:.3f}/{:.3f}/{:.1e} with p {:.3f}/{:.3f}/{:.3f}, key basis {:.3f}, {}", distance_km, link.intensity[0],
                   link.intensity[1], link.intensity[2], link.intensity_probability[0], link.intensity_probability[1], link.intensity_probability[2],
                   link.key_basis_probability, name(settings.effective_bound())));
  const Bytes fibre = random.bytes(fibre_seed_size);
  ASSIGN_OR_RETURN(point.outcome, run_laboratory({.settings = settings,
                                                  .blocks = options.common.blocks,
                                                  .open_alice = [&](crypto::Rng&) { return open_simulated_alice(link, Secret::copy_of(fibre)); },
                                                  .open_bob = [&](crypto::Rng&) { return open_simulated_bob(link, Secret::copy_of(fibre)); },
                                                  .progress = tell}));
  return Result<Point>(std::move(point));
}

double leak_efficiency(const LaboratoryOutcome& outcome) {
  double given = 0.0;
  double least = 0.0;
  for (const LaboratoryBlock& block : outcome.blocks) {
    if (!block.summary) continue;
    given += static_cast<double>(block.summary->report.disclosed.by_alice);
    least += static_cast<double>(block.summary->report.n_sift) * binary_entropy(block.summary->report.qber_key);
  }
  return least > 0.0 ? given / least : 0.0;
}

wire::Json json_of(const Point& point) {
  const LaboratoryOutcome& outcome = point.outcome;
  wire::Json blocks = wire::Json::array();
  wire::Json failures = wire::Json::array();
  for (const LaboratoryBlock& block : outcome.blocks) {
    if (block.summary) {
      blocks.push(describe(point.settings, block.block_id, *block.summary, point.origin));
    } else {
      failures.push(wire::Json::object({{"block_id", block.block_id}, {"why", block.failure}}));
    }
  }
  return wire::Json::object({{"distance_km", point.settings.parameters.distance_km},
                             {"post_processing", describe(point.settings)},
                             {"rate_bps", outcome.rate_bps()},
                             {"secret_bits", outcome.secret_bits()},
                             {"simulated", point.origin == RecordingOrigin::simulated},
                             {point.origin == RecordingOrigin::simulated ? "simulated_time_s" : "recorded_time_s", outcome.simulated_s()},
                             {"wall_s", outcome.wall_s},
                             {"alice_cpu_s", outcome.alice_cpu_s},
                             {"bob_cpu_s", outcome.bob_cpu_s},
                             {"classical_octets", outcome.octets},
                             {"efficiency", leak_efficiency(outcome)},
                             {"ends_agree", true},
                             {"blocks", blocks},
                             {"failures", failures}});
}

void print_table(const std::vector<Point>& points, std::string_view rate_column) {
  fmt::print("{:>9} {:>7} {:>11} {:>8} {:>8} {:>6} {:>11} {:>13} {:>10} {:>8}\n", "distance", "blocks", "sifted", "QBER", "phase", "f", "secret", rate_column,
             "optics", "wall");
  for (const Point& point : points) {
    const LaboratoryOutcome& outcome = point.outcome;
    std::uint64_t sifted = 0;
    double qber = 0.0;
    double phase = 0.0;
    for (const LaboratoryBlock& block : outcome.blocks) {
      if (!block.summary) continue;
      sifted += block.summary->report.n_sift;
      qber = block.summary->report.qber_key;
      phase = block.summary->report.phase_error;
    }
    fmt::print("{:>6.1f} km {:>3}/{:<3} {:>11} {:>6.2f} % {:>6.2f} % {:>6.3f} {:>11} {:>9.4g} b/s {:>8.3g} s {:>6.1f} s\n",
               point.settings.parameters.distance_km, outcome.finished(), outcome.blocks.size(), sifted, 100.0 * qber, 100.0 * phase, leak_efficiency(outcome),
               outcome.secret_bits(), outcome.rate_bps(), outcome.simulated_s(), outcome.wall_s);
    for (const LaboratoryBlock& block : outcome.blocks) {
      if (!block.summary) fmt::print("          block {} gave no key: {}\n", block.block_id, block.failure);
    }
  }
}

Result<void> write_plot(const SimulateOptions& options, const std::vector<Point>& points) {
  const SessionSettings& settings = options.common.settings;
  RatePlot content;
  content.link = settings.parameters;
  content.link.distance_km = 0.0;
  content.link.eavesdropper = {};
  ASSIGN_OR_RETURN(auto curve, computed_curve(content.link, settings.effective_bound(), target_of(settings), distances_up_to(curve_beyond_km, curve_points),
                                              options.optimise ? Choices::best_anywhere : Choices::as_given));
  // Thresholds agreed beforehand cost some of this: the blocks lie below it.
  content.computed.push_back(
      {.label = fmt::format("{}, n = {}, observed", name(settings.effective_bound()), short_number(static_cast<double>(settings.block_size))),
       .points = std::move(curve)});
  for (const Point& point : points) {
    SimulatedRate rate{.distance_km = point.settings.parameters.distance_km, .rate = point.outcome.rate_bps(), .low = 0.0, .high = 0.0};
    for (const LaboratoryBlock& block : point.outcome.blocks) {
      if (!block.summary) continue;
      const double own = static_cast<double>(block.summary->report.length) / block.summary->report.simulated_time_s;
      rate.low = rate.low == 0.0 ? own : std::min(rate.low, own);
      rate.high = std::max(rate.high, own);
    }
    content.simulated.push_back(rate);
  }
  std::ofstream out(options.plot, std::ios::binary | std::ios::trunc);
  out << svg_plot(rate_plot(content));
  if (!out.flush()) return fail(ErrorCode::invalid_argument, options.plot.string() + ": cannot be written");
  return {};
}

Result<void> simulate(SimulateOptions options) {
  TRY(read_choices(options.common));
  ASSIGN_OR_RETURN(options.common.settings.parameters.eavesdropper.attack, attack_from_name(options.eavesdropper));
  choose_decoys(options);
  std::vector<double> distances{options.common.settings.parameters.distance_km};
  if (!options.sweep.empty()) {
    ASSIGN_OR_RETURN(distances, parse_sweep(options.sweep));
  }
  ASSIGN_OR_RETURN(const auto random, crypto::open_rng());
  std::vector<Point> points;
  for (const double distance : distances) {
    ASSIGN_OR_RETURN(Point point, simulate_at(options, distance, *random));
    points.push_back(std::move(point));
  }
  if (!options.plot.empty()) TRY(write_plot(options, points));
  if (options.common.output == Output::json) {
    wire::Json all = wire::Json::array();
    for (const Point& point : points) all.push(json_of(point));
    fmt::print("{}\n", wire::Json::object({{"simulated", true}, {"points", all}}).pretty());
    return {};
  }
  fmt::print(
      "SIMULATED optics: no photon was sent. Post-processing is real, between two processes that share a classical channel alone.\n"
      "'optics' is the time that a link would have taken to collect the clicks; 'wall' is what simulating and processing them took.\n\n");
  print_table(points, "key rate");
  if (!options.plot.empty()) fmt::print("\nplot: {}\n", options.plot.string());
  return {};
}

std::filesystem::path side_of(const std::filesystem::path& named, const std::filesystem::path& events) {
  if (!named.empty()) return named;
  std::filesystem::path beside = events;
  beside += ".side";
  return std::filesystem::exists(beside) ? beside : std::filesystem::path();
}

std::unexpected<Error> no_alice_side(const std::filesystem::path& events) {
  return fail(ErrorCode::not_found, events.string() + ".side: Alice's side file (basis, decoy class, bit) is not there; name it with --alice-side");
}

/// Simulated if either half is.
Result<RecordingOrigin> origin_of(const Recording& alice, const Recording& bob) {
  ASSIGN_OR_RETURN(const RecordingOrigin sent, recording_origin(alice, RecordingSide::alice));
  ASSIGN_OR_RETURN(const RecordingOrigin seen, recording_origin(bob, RecordingSide::bob));
  return sent == RecordingOrigin::simulated ? sent : seen;
}

Result<void> process(ProcessOptions options) {
  TRY(read_choices(options.common));
  const SessionSettings& settings = options.common.settings;
  const double gate_rate_hz = settings.parameters.gate_rate_hz;
  const Recording alice{.events = options.alice,
                        .side = side_of(options.alice_side, options.alice),
                        .clock = {.gate_rate_hz = gate_rate_hz,
                                  .origin = options.alice_origin,
                                  .origin_phase = options.alice_phase,
                                  .window_s = options.window_s}};
  const Recording bob{.events = options.bob,
                      .side = side_of(options.bob_side, options.bob),
                      .clock = {.gate_rate_hz = gate_rate_hz, .origin = options.bob_origin, .origin_phase = options.bob_phase, .window_s = options.window_s}};
  if (alice.side.empty()) return no_alice_side(options.alice);
  Point point{.settings = settings, .origin = RecordingOrigin::measured, .outcome = {}};
  ASSIGN_OR_RETURN(point.origin, origin_of(alice, bob));
  ASSIGN_OR_RETURN(point.outcome, run_laboratory({.settings = settings,
                                                  .blocks = options.common.blocks,
                                                  .stop_at_failure = true,
                                                  .open_alice = [&](crypto::Rng&) { return open_file_alice(alice); },
                                                  .open_bob = [&](crypto::Rng& random) { return open_file_bob(bob, random); },
                                                  .progress = tell}));
  const bool simulated = point.origin == RecordingOrigin::simulated;
  if (options.common.output == Output::json) {
    wire::Json all = wire::Json::array();
    all.push(json_of(point));
    fmt::print("{}\n", wire::Json::object({{"recordings", true}, {"simulated", simulated}, {"points", all}}).pretty());
    return {};
  }
  fmt::print("{}, processed between two processes that share a classical channel alone. 'optics' is the recording's own time.\n\n",
             simulated ? "Recordings of SIMULATED optics: no photon was sent" : "Recorded detections");
  print_table({point}, "key rate");
  return {};
}

Result<void> clock_of(const ClockOptions& options) {
  const Recording alice{.events = options.alice, .side = side_of(options.alice_side, options.alice), .clock = options.clock};
  if (alice.side.empty()) return no_alice_side(options.alice);
  ASSIGN_OR_RETURN(const ClockSearch found, find_recorded_clock(alice, {.events = options.bob, .side = {}, .clock = options.clock}, options.wanted));
  if (options.output == Output::json) {
    fmt::print("{}\n", wire::Json::object({{"bob_origin", found.clock.origin},
                                           {"bob_phase", found.clock.origin_phase},
                                           {"offset_pulses", found.offset_pulses},
                                           {"coincidences", found.coincidences},
                                           {"runner_up", found.runner_up}})
                            .pretty());
    return {};
  }
  fmt::print("--bob-origin {} --bob-phase {:.3f}\n\nThe clocks differ by {} periods: {} of the clicks meet a pulse there, {} at the best other offset.\n",
             found.clock.origin, found.clock.origin_phase, found.offset_pulses, found.coincidences, found.runner_up);
  return {};
}

Result<double> number_of(std::string_view text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return fail(ErrorCode::invalid_argument, "not a number");
  return value;
}

}  // namespace

Result<std::vector<double>> parse_sweep(const std::string& text) {
  const std::string wanted = "--sweep " + text + ": must be from:to:step in km, as in 0:150:10, with at most " + std::to_string(sweep_values_max) + " steps";
  const std::size_t first = text.find(':');
  const std::size_t second = first == std::string::npos ? first : text.find(':', first + 1);
  if (second == std::string::npos) return fail(ErrorCode::invalid_argument, wanted);
  const auto from = number_of(std::string_view(text).substr(0, first));
  const auto to = number_of(std::string_view(text).substr(first + 1, second - first - 1));
  const auto step = number_of(std::string_view(text).substr(second + 1));
  if (!from || !to || !step || *from < 0.0 || *to < *from || *step <= 0.0 || (*to - *from) / *step > static_cast<double>(sweep_values_max))
    return fail(ErrorCode::invalid_argument, wanted);
  std::vector<double> out;
  for (std::size_t i = 0; *from + static_cast<double>(i) * *step <= *to + 1e-9; ++i) out.push_back(*from + static_cast<double>(i) * *step);
  return Result<std::vector<double>>(std::move(out));
}

int qkd_simulate(SimulateOptions options) {
  const auto done = simulate(std::move(options));
  return done ? 0 : complain(done.error());
}

int qkd_clock(const ClockOptions& options) {
  const auto done = clock_of(options);
  return done ? 0 : complain(done.error());
}

int qkd_process(ProcessOptions options) {
  const auto done = process(std::move(options));
  return done ? 0 : complain(done.error());
}

}  // namespace qanat::app
