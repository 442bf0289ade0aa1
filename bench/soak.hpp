// `make soak`: a load near the capacity for a long time, on a network whose parts are killed meanwhile; and whether everything that was promised held.
#pragma once

#include "report.hpp"
#include "soak_evidence.hpp"

namespace qanat::bench {

struct SoakPlan {
  std::string program;
  std::filesystem::path within;
  std::chrono::seconds length{1800};
  std::size_t terminals = 128;  // in each domain
  std::uint64_t seed = 1;
  double share = 0.8;              // of the capacity
  double rate_max = 1e6;           // sessions a second, whatever the capacity
  std::chrono::seconds every{40};  // one disturbance, on average
  std::string again;               // the command, for the report
};

struct RampStep {
  std::size_t at_once = 0;
  double per_second = 0;
};
/// A disturbance that came about; times as the load counts them.
struct Happened {
  Planned planned;
  double at_s = 0;
  double back_s = 0;  // what was killed serves again
};

struct SoakRun {
  std::vector<RampStep> ramp;
  double capacity = 0;  // sessions a second
  double rate = 0;
  double began_s = 0;  // the load at this rate
  double ended_s = 0;
  std::vector<Happened> happened;
  LoadTally tally;
  std::map<std::string, std::vector<ProcessMemory>> memory;
  Evidence evidence;
  std::vector<std::string> findings;  // promises broken, processes that ended, memory that grew
};

/// Runs it all. A failure: the test could not be carried out. What did not hold is in the run's findings.
Result<SoakRun> soak(const SoakPlan& plan, SoakCounts& counts);

Report report_of(const SoakPlan& plan, const SoakRun& run, const SoakCounts& counts);

/// Sessions that were given up although nothing was disturbed while they were under way, nor in the ten seconds before.
std::size_t given_up_in_peace(const std::vector<GivenUp>& given_up, const std::vector<Happened>& happened);
/// The longest time in which none of these sessions was served, from `from_s` to `until_s`.
double longest_gap_s(const std::vector<Served>& served, double from_s, double until_s, const std::function<bool(const Served&)>& counts);

}  // namespace qanat::bench
