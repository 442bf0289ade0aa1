#include "kms_workers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <thread>

#include "process_figures.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

constexpr double wanted = 1.9;
constexpr std::array worker_counts{1U, 2U};

/// The rounds with one number of workers.
struct Series {
  std::vector<double> per_cpu_s;
  std::vector<double> per_s;
  std::vector<double> machine_s;      // processor seconds of all processes for one delivery
  std::vector<double> octet_mover_s;  // of the busiest thread that is no worker, for one delivery
};

/// What the busiest thread that is none of the `workers` busiest used between two looks: the one that moves the octets of all connections.
double of_octet_mover(const std::map<pid_t, double>& before, const std::map<pid_t, double>& after, std::size_t workers) {
  std::vector<double> used;
  for (const auto& [thread, seconds] : after) {
    const auto earlier = before.find(thread);
    used.push_back(seconds - (earlier == before.end() ? 0 : earlier->second));
  }
  std::ranges::sort(used, std::greater());
  return used.size() > workers ? used[workers] : 0;
}

Result<void> add_rounds(ApplicationLoad& load, const WorkersPlan& plan, unsigned workers, Series& series) {
  Ground& ground = load.ground();
  TRY(ground.restart(load.kms(), [&](std::string config) { return with_value(std::move(config), "worker_threads", std::to_string(workers)); }));
  TRY(load.warm_up(Legs::callers));
  const pid_t kms = ground.running().pid_of(load.kms());
  for (std::size_t i = 0; i < plan.rounds; ++i) {
    TRY(load.prepare(plan.sessions, Legs::callers));
    ASSIGN_OR_RETURN(const auto threads_before, thread_seconds_of(kms));
    ASSIGN_OR_RETURN(const Driven done, load.saturate(plan.senders));
    ASSIGN_OR_RETURN(const auto threads_after, thread_seconds_of(kms));
    series.per_cpu_s.push_back(done.per_kms_cpu_second());
    series.per_s.push_back(done.per_second());
    series.machine_s.push_back((done.kms_cpu_s + done.other_cpu_s) / done.count());
    series.octet_mover_s.push_back(of_octet_mover(threads_before, threads_after, workers) / done.count());
    TRY(load.finish(plan.senders));
  }
  return {};
}

void add_rows(Report& report, const WorkersPlan& plan, const std::array<Series, worker_counts.size()>& all) {
  const std::string common = fmt::format(
      "callers' applications alone, since a KMS lets no more callees wait than half of its workers; {} of them a round from {} threads, more "
      "than the workers can take at a time; signed beforehand, status and access tokens known; limits.worker_threads = ",
      plan.sessions, plan.senders);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string name = fmt::format("KMS with {} worker{}: ", worker_counts[i], worker_counts[i] == 1 ? "" : "s");
    report.add(median_row(name + "callers' deliveries per KMS CPU second", all[i].per_cpu_s, "1/CPU s", common + std::to_string(worker_counts[i])));
    report.add(median_row(name + "callers' deliveries by the clock", all[i].per_s, "1/s",
                          "the same rounds; the client and the other elements on the same processors"));
  }
  const double capacity = 2 * median(all[1].per_cpu_s) / median(all[0].per_cpu_s);
  report.add(
      {.name = "KMS: two workers to one, by what a delivery costs",
       .value = capacity,
       .unit = "ratio",
       .limit = wanted,
       .ratio = capacity / wanted,
       .value_spread = {},
       .ratio_spread = {},
       .note = "workers / processor time of a delivery while all of them are at work, two to one: what the second worker would bring if each had a processor "
               "and none waited for another. It has what contention costs in processor time (spinning, caches, woken threads), not waiting for locks and "
               "for the disk, which the next row has; must reach 1.9"});
  const double clock = median(all[1].per_s) / median(all[0].per_s);
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const double machine = static_cast<double>(cores) / median(all[1].machine_s) / median(all[0].per_s);
  const double limit = std::min(2.0, machine);
  report.add(
      {.name = "KMS: two workers to one, by the clock",
       .value = clock,
       .unit = "ratio",
       .limit = limit,
       .ratio = clock / limit,
       .value_spread = {},
       .ratio_spread = {},
       .note = fmt::format("limit: two, or what the {} processors of this machine allow all processes together ({:.2f}), the client's and the other elements' "
                           "work included. 1.9 is to be reached on a machine where that is at least two",
                           cores, machine)});
  std::vector<double> ceilings;
  for (const double seconds : all[1].octet_mover_s) {
    if (seconds > 0) ceilings.push_back(1 / seconds);
  }
  if (ceilings.empty()) return;
  report.add(median_row("KMS: deliveries per second that its one thread for octets can move", ceilings, "1/s",
                        "1 / processor time of the busiest thread that is no worker, for one delivery: TLS, HTTP and what else it does. A front end with many "
                        "processors delivers no more than this"));
}

}  // namespace

Result<void> measure_workers(ApplicationLoad& load, const WorkersPlan& plan, Report& report) {
  std::array<Series, worker_counts.size()> all;
  std::string before;
  TRY(load.ground().configure(load.kms(), [&](std::string config) -> Result<std::string> {
    before = config;
    return config;
  }));
  for (std::size_t turn = 0; turn < plan.turns; ++turn) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::size_t which = turn % 2 == 0 ? i : all.size() - 1 - i;  // there and back: what drifts meets both alike
      TRY(add_rounds(load, plan, worker_counts[which], all[which]));
    }
  }
  add_rows(report, plan, all);
  return load.ground().restart(load.kms(), [&](const std::string&) -> Result<std::string> { return before; });
}

}  // namespace qanat::bench
