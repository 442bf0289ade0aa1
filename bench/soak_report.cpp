#include <fmt/format.h>

#include <cmath>

#include "soak.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

constexpr double outage_window_s = 30;  // after a disturbance, if there is no other before

Row none_allowed(std::string name, std::size_t value, std::string note) {
  Row out = plain_row(std::move(name), static_cast<double>(value), "", std::move(note));
  out.limit = 0;
  return out;
}
double count(const std::atomic<std::uint64_t>& value) { return static_cast<double>(value.load()); }

void add_load(Report& report, const SoakPlan& plan, const SoakRun& run, const SoakCounts& counts) {
  std::string steps;
  for (const RampStep& step : run.ramp) steps += fmt::format("{}{} at once: {:.1f}/s", steps.empty() ? "" : ", ", step.at_once, step.per_second);
  report.add(
      plain_row("capacity", run.capacity, "sessions/s",
            "the last step of a short ramp before the test, sessions at once and what was served by the second: " + steps +
                ". A session is two applications, caller's and callee's, each signed, answered, opened and acknowledged; half of them inside domain a, a "
                "quarter each way between the domains. All elements, the database server and the terminals share this machine."));
  report.add(plain_row("load", run.rate, "sessions/s",
                   fmt::format("{:.0f} % of the capacity{}; sessions begin at random (exponential) times whether or not earlier ones are served",
                               100 * plan.share, run.rate < plan.share * run.capacity ? ", bounded by --rate-max" : "")));
  report.add(plain_row("duration", run.ended_s - run.began_s, "s", "of the load; the counts below include the ramp"));
  report.add(plain_row("sessions begun", static_cast<double>(run.tally.begun), ""));
  report.add(plain_row("sessions served", static_cast<double>(run.tally.served.size()), "", "both terminals opened the key"));
  report.add(
      plain_row("sessions given up", static_cast<double>(run.tally.given_up.size()), "",
            "under way when something was killed: refused, since the session's number was used up by who did not live to answer, or not served within 30 s. "
            "A terminal places its call anew"));
  report.add(none_allowed(
      "sessions given up in peace", given_up_in_peace(run.tally.given_up, run.happened),
      "nothing was disturbed while they were under way, nor in the ten seconds before. Not a finding: where there are any, the load was more than the "
      "machine could bear, or something is slow to come back"));
  report.add(plain_row("sessions not begun", static_cast<double>(run.tally.not_begun), "", fmt::format("{} waited in the load generator already: who calls does not wait for longer than some seconds", soak_waiting_max)));
  report.add(plain_row("applications", count(counts.applications), "", "signed by terminals"));
  report.add(
      plain_row("applications sent again", count(counts.sent_again), "", "the same octets, at the other front end where there is one, since no answer came"));
  report.add(plain_row("deliveries", count(counts.deliveries), "", "opened by terminals"));
  report.add(plain_row("deliveries acknowledged", count(counts.acknowledged), "", "and the KMS said that it knows"));
  report.add(plain_row("answers given again", count(counts.repetitions), "", "of every 16th session: the same application at another place got the same octets"));
  report.add(
      plain_row("second applications refused", count(counts.second_refused), "", "of the same sessions: another application for a key that had been delivered"));
  const auto across = std::ranges::count_if(run.tally.served, &Served::across);
  const auto quantum = std::ranges::count_if(run.tally.served, &Served::quantum);
  report.add(plain_row("sessions across domains", static_cast<double>(across), ""));
  report.add(
      plain_row("… that rest on a quantum key", static_cast<double>(quantum), "", "the others on ML-KEM and ECDH alone, as the policy allows and the result says"));
}

void add_latency(Report& report, const SoakRun& run) {
  const double calm_from = run.began_s + (run.ended_s - run.began_s) * 2 / 3;
  std::vector<double> all;
  std::vector<double> calm;
  for (const Served& one : run.tally.served) {
    if (one.planned_s < run.began_s) continue;
    all.push_back(1000 * (one.done_s - one.planned_s));
    if (one.planned_s >= calm_from) calm.push_back(all.back());
  }
  for (const auto& [what, values] : {std::pair("whole test", &all), std::pair("last third, nothing killed", &calm)}) {
    if (values->empty()) continue;
    report.add(plain_row(fmt::format("session, {}: p50", what), quantile(*values, 0.5), "ms",
                     "from the time at which it was to begin until both terminals have acknowledged"));
    report.add(plain_row(fmt::format("session, {}: p99", what), quantile(*values, 0.99), "ms"));
    report.add(plain_row(fmt::format("session, {}: longest", what), quantile(*values, 1), "ms"));
  }
  report.add(plain_row("longest time between two sessions served, last third",
                   1000 * longest_gap_s(run.tally.served, calm_from, run.ended_s, [](const Served&) { return true; }), "ms",
                   "what such a time is when nothing is wrong: read the times without service against it"));
}

void add_disturbances(Report& report, const SoakRun& run) {
  for (const Disturbance kind : all_disturbances) {
    std::vector<double> gaps;
    std::vector<double> back;
    for (std::size_t i = 0; i < run.happened.size(); ++i) {
      const Happened& one = run.happened[i];
      if (one.planned.what != kind) continue;
      const double next = i + 1 < run.happened.size() ? run.happened[i + 1].at_s : run.ended_s;
      const double until = std::min(next, one.at_s + outage_window_s);
      const bool of_quantum = kind == Disturbance::qkm_killed;
      gaps.push_back(1000 * longest_gap_s(run.tally.served, one.at_s, until, [&](const Served& session) { return !of_quantum || session.quantum; }));
      back.push_back(1000 * (one.back_s - one.at_s));
    }
    const std::string what(name(kind));
    report.add(plain_row(what, static_cast<double>(gaps.size()), ""));
    if (gaps.empty()) continue;
    const std::string counted = kind == Disturbance::qkm_killed ? "sessions that rest on a quantum key; the others go on" : "any session";
    report.add(plain_row(what + ": time without service, p50", quantile(gaps, 0.5), "ms",
                     fmt::format("the longest time after each in which none was served, until the next one or {:.0f} s later; {}", outage_window_s, counted)));
    report.add(plain_row(what + ": time without service, longest", quantile(gaps, 1), "ms"));
    report.add(plain_row(what + ": back after, longest", quantile(back, 1), "ms", "until what was killed is ready again, as it says itself"));
  }
}

void add_promises(Report& report, const SoakRun& run) {
  report.add(none_allowed(
      "findings", run.findings.size(),
      "each session has one key, equal at both ends, and no key has two sessions (SHA-256 in memory); no link key, relayed key or working key's leg "
      "used twice by the audit records, none that was used still in stock; every key that a terminal has is in its KMS's ledger and charged, every "
      "one that was acknowledged destroyed; every element's audit record whole; memory flat; no process ended by itself"));
  report.add(plain_row("working key legs looked up", static_cast<double>(run.tally.legs.size()), "", "those that terminals opened"));
  report.add(plain_row("charging records", static_cast<double>(run.evidence.charges), ""));
  report.add(plain_row("link keys used", static_cast<double>(run.evidence.link_keys), ""));
  report.add(plain_row("relayed keys handed out", static_cast<double>(run.evidence.relayed_keys), "", "at both ends: two for each key"));
  report.add(plain_row("audit records verified", static_cast<double>(run.evidence.records), "", "as `qanat audit verify` does, keys traced to the roots"));
}

std::string growth_of(const MemoryVerdict& verdict) {
  return fmt::format("over {:.0f} s; growth over the last half {:+.2f} MiB ({:+.2f} %), slope over the last two thirds {:+.2f} MiB/h{}", verdict.seconds,
                     verdict.growth_kib / 1024, 100 * verdict.growth_part, verdict.slope_kib_per_h / 1024, verdict.judged ? "" : "; too short to be judged");
}

void add_memory(Report& report, const SoakRun& run) {
  std::size_t judged = 0;
  for (const auto& [name, all] : run.memory) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::string of = name + (i == 0 ? "" : fmt::format(", start {}", i + 1));
      const bool ended_early = i + 1 < all.size() && !judge(all[i].in_use, in_use_judged_s).judged;  // by a kill
      for (const auto& [what, series, judged_s] : views_of(all[i])) {
        const MemoryVerdict verdict = judge(*series, judged_s);
        judged += verdict.judged ? 1 : 0;
        if (ended_early) continue;
        Row row = plain_row(fmt::format("memory of {}, {}", of, what), verdict.high_kib / 1024, "MiB", growth_of(verdict));
        if (verdict.high_kib > 0) row.value_spread = Spread{.low = verdict.low_kib / 1024, .high = verdict.high_kib / 1024, .samples = series->size()};
        report.add(std::move(row));
      }
    }
  }
  report.add(plain_row("memory series judged", static_cast<double>(judged), "",
                       fmt::format("from each start of a process to its end: what it has allocated and not freed, without SQLite's pages, of {:.0f} s at least; what is resident, of "
                                   "{:.0f} s at least, when caches are full. Growth over the last half stays "
                                   "under {:.0f} % or under {:.0f} MiB",
                                   in_use_judged_s, resident_judged_s, 100 * memory_growth_max, memory_growth_kib_max / 1024)));
}

}  // namespace

Report report_of(const SoakPlan& plan, const SoakRun& run, const SoakCounts& counts) {
  Report out("Load test: " + std::string(run.findings.empty() ? "everything held" : "SOMETHING DID NOT HOLD"), "`" + plan.again + "`");
  out.remark(fmt::format(
      "seed {}, {} terminals in each domain; domain a: two front ends of one KMS on PostgreSQL (on disk, synchronous commit); domain b: one KMS on SQLite",
      plan.seed, plan.terminals));
  for (const std::string& what : run.findings) out.remark("**finding:** " + what);
  for (const auto& [reason, times] : run.tally.reasons) out.remark(fmt::format("given up, {} times: {}", times, reason));
  add_promises(out, run);
  add_load(out, plan, run, counts);
  add_latency(out, run);
  add_disturbances(out, run);
  add_memory(out, run);
  return out;
}

}  // namespace qanat::bench
