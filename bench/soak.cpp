#include "soak.hpp"

#include <fmt/format.h>

#include <thread>

namespace qanat::bench {
namespace {

constexpr std::chrono::milliseconds look_every{100};
constexpr std::chrono::seconds keys_max{120};
constexpr std::int64_t keys_wanted = 16;  // at the near end of each link, before anything is measured
constexpr std::array<std::size_t, 6> ramp_at_once{1, 2, 4, 8, 16, soak_sessions_at_once};
constexpr double aftermath_s = 10;

void say(const std::string& text) {
  fmt::print("  {}\n", text);
  std::fflush(stdout);
}

double seconds_of(std::chrono::milliseconds span) { return std::chrono::duration<double>(span).count(); }

Result<std::vector<std::unique_ptr<SoakTerminal>>> enrol_all(SoakNetwork& network, std::size_t in_each) {
  std::vector<std::unique_ptr<SoakTerminal>> out;
  for (const char* domain : {"a", "b"}) {
    ASSIGN_OR_RETURN(const std::vector<net::Target> places, network.places_of_kms(domain));
    for (std::size_t i = 0; i < in_each; ++i) {
      const app::TerminalPlan plan{.uid = fmt::format("soak-{}-{:04}", domain, i),
                                   .number = fmt::format("+86551{}{:05}", *domain == 'a' ? "190" : "290", i),
                                   .domain = domain,
                                   .kms = std::string("kms-") + domain};
      ASSIGN_OR_RETURN(auto terminal, SoakTerminal::enrol(network.ground(), plan, places, i));
      out.push_back(std::move(terminal));
    }
  }
  return Result<std::vector<std::unique_ptr<SoakTerminal>>>(std::move(out));
}

/// Every link has keys at its near end: sessions between the domains rest on quantum keys from the beginning.
Result<void> await_quantum_keys(Ground& ground) {
  const Deadline until = Deadline::after(keys_max);
  for (const char* qkm : {"qkm-a", "qkm-r", "qkm-b"}) {
    const auto ready = [&] {
      const auto health = ground.op().health(qkm);
      const auto links = health ? health->array("links") : Result<std::vector<wire::Json>>(fail(health.error()));
      return links && std::ranges::all_of(*links, [](const wire::Json& link) { return link.integer("own_keys").value_or(0) >= keys_wanted; });
    };
    while (!ready()) {
      if (until.passed()) return fail(ErrorCode::deadline_exceeded, std::string(qkm) + " has no link keys");
      std::this_thread::sleep_for(look_every);
    }
  }
  return {};
}

/// What is served by the second when as many are under way as the generator has at most: with more at once it may be less than the most of the ramp, and what has
/// waited for a restart must be worked off beside what comes in.
void measure_capacity(Load& load, std::chrono::milliseconds step, SoakRun& run) {
  (void)load.saturate(soak_sessions_at_once, step);  // not counted: brings the terminals their tokens, and opens connections
  for (const std::size_t at_once : ramp_at_once) run.ramp.push_back({.at_once = at_once, .per_second = load.saturate(at_once, step)});
  run.capacity = run.ramp.back().per_second;
}

/// Until the time is over and the schedule done, or something did not hold: there is no point in going on then.
void disturb_all(const SoakPlan& plan, SoakNetwork& network, Load& load, const Promises& promises, SoakRun& run) {
  const std::vector<Planned> schedule = schedule_of(plan.seed, plan.length, plan.every);
  const double length_s = seconds_of(plan.length);
  auto next = schedule.begin();
  while (promises.kept() && (next != schedule.end() || load.now_s() - run.began_s < length_s)) {
    if (auto ended = network.casualty()) {
      run.findings.push_back("a process ended by itself: " + *ended);
      return;
    }
    if (next == schedule.end() || load.now_s() - run.began_s < seconds_of(next->at)) {
      std::this_thread::sleep_for(look_every);
      continue;
    }
    Happened happened{.planned = *next, .at_s = load.now_s(), .back_s = 0};
    const auto done = network.disturb(*next);
    happened.back_s = load.now_s();
    say(fmt::format("{:6.1f} s: {} {}", happened.at_s - run.began_s, name(next->what), next->victim));
    if (!done) {
      run.findings.push_back(fmt::format("{} {}: {}", name(next->what), next->victim, done.error().message));
      return;
    }
    run.happened.push_back(std::move(happened));
    ++next;
  }
}

void judge_memory(SoakRun& run) {
  for (const auto& [name, all] : run.memory) {
    for (const ProcessMemory& process : all) {
      for (const auto& [what, series, judged_s] : views_of(process)) {
        const MemoryVerdict verdict = judge(*series, judged_s);
        if (verdict.flat) continue;
        run.findings.push_back(fmt::format("memory of {}, {}, grew by {:.1f} MiB, {:.1f} %, over the last half of {:.0f} s", name, what, verdict.growth_kib / 1024,
                                           100 * verdict.growth_part, verdict.seconds));
      }
    }
  }
}

}  // namespace

std::size_t given_up_in_peace(const std::vector<GivenUp>& given_up, const std::vector<Happened>& happened) {
  return static_cast<std::size_t>(std::ranges::count_if(given_up, [&](const GivenUp& session) {
    return std::ranges::none_of(happened, [&](const Happened& one) { return one.at_s <= session.ended_s && session.planned_s <= one.back_s + aftermath_s; });
  }));
}

double longest_gap_s(const std::vector<Served>& served, double from_s, double until_s, const std::function<bool(const Served&)>& counts) {
  std::vector<double> times{from_s, until_s};
  for (const Served& one : served) {
    if (one.done_s > from_s && one.done_s < until_s && counts(one)) times.push_back(one.done_s);
  }
  std::ranges::sort(times);
  double out = 0;
  for (std::size_t i = 1; i < times.size(); ++i) out = std::max(out, times[i] - times[i - 1]);
  return out;
}

Result<SoakRun> soak(const SoakPlan& plan, SoakCounts& counts) {
  SoakRun run;
  say("starting two domains, a database server and a second front end of kms-a");
  ASSIGN_OR_RETURN(const auto network, SoakNetwork::lay(plan.program, plan.within));
  say(fmt::format("enrolling {} terminals in each domain", plan.terminals));
  ASSIGN_OR_RETURN(const auto terminals, enrol_all(*network, plan.terminals));
  TRY(await_quantum_keys(network->ground()));
  const std::chrono::milliseconds step = std::clamp<std::chrono::milliseconds>(plan.length / 120, std::chrono::seconds(1), std::chrono::seconds(15));

  Promises promises;
  {
    Load load(network->ground(), terminals, promises, counts, plan.seed);
    measure_capacity(load, step, run);
    run.rate = std::min(plan.share * run.capacity, plan.rate_max);
    if (run.rate <= 0)
      return fail(ErrorCode::unavailable, "no session was served: " + (load.tally().reasons.empty() ? "" : load.tally().reasons.begin()->first));
    say(fmt::format("capacity {:.1f} sessions a second; load {:.1f} for {} s", run.capacity, run.rate, plan.length.count()));
    MemoryWatch memory([&] { return network->processes(); }, [&](const std::string& element) { return network->memory_in_use(element); });
    run.began_s = load.now_s();
    load.begin(run.rate);
    disturb_all(plan, *network, load, promises, run);
    run.ended_s = load.now_s();
    load.finish();
    run.memory = memory.stop();
    run.tally = load.tally();
  }
  say("stopping everything, and looking at what is left");
  const auto roots = network->ground().trust()->roots();
  network->stop();
  ASSIGN_OR_RETURN(run.evidence, gather(*network, run.tally.legs, roots));
  for (const std::string& what : promises.findings()) run.findings.push_back(what);
  for (const std::string& what : run.evidence.findings) run.findings.push_back(what);
  judge_memory(run);
  return Result<SoakRun>(std::move(run));
}

}  // namespace qanat::bench
