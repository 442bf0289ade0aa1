// `qanat qkd simulate`, `process` and `clock`: a QKD link's post-processing alone, without a network.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "commands.hpp"
#include "quantum/qkd/photonics/recorded_clock.hpp"
#include "quantum/qkd/session/settings.hpp"

namespace CLI {
class App;
}

namespace qanat::app {

enum class DecoyChoice : std::uint8_t { by_bound, one, two, vacuum_weak };

/// What both commands are told.
struct QkdOptions {
  qkd::SessionSettings settings;
  std::string bound;  // a name, or empty
  std::string reconciliation = "cascade";
  std::string leak_model = "both_directions";
  std::string length_rule = "fixed";
  std::size_t blocks = 3;
  Output output = Output::people;
};

struct SimulateOptions {
  QkdOptions common;
  DecoyChoice decoys = DecoyChoice::by_bound;
  std::string sweep;  // "from:to:step", km
  std::string eavesdropper = "none";
  bool optimise = true;
  std::filesystem::path plot;  // SVG
};

struct ProcessOptions {
  QkdOptions common;
  std::filesystem::path alice;  // event files; the side files stand beside them, or are named
  std::filesystem::path bob;
  std::filesystem::path alice_side;
  std::filesystem::path bob_side;
  std::uint64_t alice_origin = 0;  // time of pulse 0 by each file's clock, in units of 125 ps
  std::uint64_t bob_origin = 0;
  double alice_phase = 0.0;  // and the rest of a unit
  double bob_phase = 0.0;
  double window_s = 0.0;  // how far from its pulse's time an event may lie; 0: half a period
};

struct ClockOptions {
  std::filesystem::path alice;  // event files; Alice's side file stands beside hers, or is named
  std::filesystem::path bob;
  std::filesystem::path alice_side;
  qkd::EventClock clock;  // Alice's
  qkd::ClockWanted wanted;
  Output output = Output::people;
};

int qkd_simulate(SimulateOptions options);
int qkd_process(ProcessOptions options);
int qkd_clock(const ClockOptions& options);

/// "0:150:10" as 0, 10, … 150. invalid_argument when it is not like that, or more than 200 values.
Result<std::vector<double>> parse_sweep(const std::string& text);

/// Adds them below the `qkd` command; `on` connects a command with what it does.
void add_qkd_commands(CLI::App& qkd, const std::function<void(CLI::App*, std::function<int()>)>& on);

}  // namespace qanat::app
