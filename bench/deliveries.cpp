#include "deliveries.hpp"

#include <fmt/format.h>

#include <thread>

#include "bare_loop.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

constexpr std::chrono::milliseconds reports_wait{60};  // behaviour records to IAM wait that long for others, and a little (node/behaviour_reporter.hpp)
constexpr std::chrono::milliseconds settle_look{20};
constexpr int settle_looks_max = 100;
constexpr double settled_s = 0.0002;  // processor time in one look that counts as rest
constexpr std::chrono::milliseconds stale_margin{300};

/// One application under way.
struct Leg {
  BenchTerminal* terminal = nullptr;
  std::optional<terminal::KeyApplication> application;
  Result<Bytes> answer = Bytes{};
  Bytes acknowledgement;
};
/// The caller's leg and the callee's.
struct Session {
  Leg caller;
  Leg callee;
};

/// What one round of all sessions cost.
struct Round {
  double delivery_cpu_s = 0;
  double acknowledgement_cpu_s = 0;
  double bare_cpu_s = 0;
  double wall_s = 0;
};

class Deliveries {
 public:
  Deliveries(Ground& ground, std::span<const std::unique_ptr<BenchTerminal>> terminals, const DeliveryPlan& plan, ProcessClock kms, BareLoop bare)
      : ground_(ground), terminals_(terminals), plan_(plan), kms_(kms), bare_(std::move(bare)) {}

  Result<void> prepare();
  Result<Round> run();
  [[nodiscard]] double deliveries() const { return static_cast<double>(2 * sessions_.size()); }

 private:
  Result<void> prepare(Leg& leg, const terminal::KeyWanted& wanted);
  template <class Work>
  double kms_cost(Work&& work);
  void in_parallel(const std::function<void(Session&)>& work);
  Result<void> open_all();
  double settled() const;

  Ground& ground_;
  std::span<const std::unique_ptr<BenchTerminal>> terminals_;
  const DeliveryPlan plan_;
  ProcessClock kms_;
  BareLoop bare_;
  std::vector<Session> sessions_;
  std::vector<BareDelivery> bare_deliveries_;
};

Result<void> Deliveries::prepare() {
  sessions_.clear();
  bare_deliveries_.clear();
  for (std::size_t i = 0; i + 1 < terminals_.size(); i += 2) {
    Session session;
    session.caller.terminal = terminals_[i].get();
    session.callee.terminal = terminals_[i + 1].get();
    const Number& caller = session.caller.terminal->number();
    const Number& called = session.callee.terminal->number();
    const SidWk sid_wk = ground_.rng().id<SidWk>();
    const SidCall sid_call = wire::make_sid_call(caller, called, ground_.rng().bytes(16));
    TRY(prepare(session.caller, {.role = wire::Role::caller, .sid_wk = sid_wk, .sid_call = sid_call, .caller = caller, .called = called}));
    TRY(prepare(session.callee, {.role = wire::Role::callee, .sid_wk = sid_wk, .sid_call = sid_call, .caller = caller, .called = called}));
    sessions_.push_back(std::move(session));
  }
  return {};
}

Result<void> Deliveries::prepare(Leg& leg, const terminal::KeyWanted& wanted) {
  ASSIGN_OR_RETURN(leg.application, leg.terminal->apply(wanted, SystemClock().now_ms(), ground_.rng()));
  ASSIGN_OR_RETURN(auto bare, bare_.delivery_for(*leg.terminal, *leg.application));
  bare_deliveries_.push_back(std::move(bare));
  return {};
}

/// The KMS's processor time once it has come to rest: what it does behind an answer (its behaviour records to IAM) belongs to the delivery.
double Deliveries::settled() const {
  double before = kms_.cpu_s();
  for (int look = 0; look < settle_looks_max; ++look) {
    std::this_thread::sleep_for(settle_look);
    const double now = kms_.cpu_s();
    if (now - before < settled_s) return now;
    before = now;
  }
  return before;
}

template <class Work>
double Deliveries::kms_cost(Work&& work) {
  const double before = settled();
  work();
  std::this_thread::sleep_for(reports_wait);
  return settled() - before;
}

void Deliveries::in_parallel(const std::function<void(Session&)>& work) {
  std::vector<std::jthread> senders;
  for (std::size_t i = 0; i < plan_.senders; ++i) {
    senders.emplace_back([this, i, &work] {
      for (std::size_t j = i; j < sessions_.size(); j += plan_.senders) work(sessions_[j]);
    });
  }
}

Result<void> Deliveries::open_all() {
  const UnixMs now = SystemClock().now_ms();
  for (Session& session : sessions_) {
    std::optional<Secret> first;
    for (Leg* leg : {&session.caller, &session.callee}) {
      if (!leg->answer) return fail(leg->answer.error());
      ASSIGN_OR_RETURN(auto key, leg->terminal->open(*leg->application, *leg->answer, now));
      ASSIGN_OR_RETURN(leg->acknowledgement, leg->application->acknowledgement(key.h_deliver, true, ground_.rng()));
      if (!first) {
        first = std::move(key.wk);
      } else if (!equal_secret(*first, key.wk)) {
        return fail(ErrorCode::internal, "caller and callee were delivered different working keys");
      }
    }
  }
  return {};
}

Result<Round> Deliveries::run() {
  Round out;
  ASSIGN_OR_RETURN(out.bare_cpu_s, bare_.run(bare_deliveries_));
  out.delivery_cpu_s = kms_cost([&] {
    const auto start = std::chrono::steady_clock::now();
    in_parallel([](Session& session) {
      for (Leg* leg : {&session.caller, &session.callee}) leg->answer = leg->terminal->send(points::Endpoint::km1_application, leg->application->octets());
    });
    out.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  });
  TRY(open_all());
  out.acknowledgement_cpu_s = kms_cost([&] {
    in_parallel([](Session& session) {
      for (Leg* leg : {&session.caller, &session.callee}) leg->answer = leg->terminal->send(points::Endpoint::km1_ack, leg->acknowledgement);
    });
  });
  for (const Session& session : sessions_) {
    for (const Leg* leg : {&session.caller, &session.callee}) {
      if (!leg->answer) return fail_in("acknowledgement", leg->answer.error());
    }
  }
  return out;
}

/// The rounds of one kind, summed up.
struct Series {
  std::vector<double> per_cpu_s;
  std::vector<double> limit;
  std::vector<double> ratio;
  std::vector<double> with_acknowledgement;
  std::vector<double> ratio_with_acknowledgement;
  std::vector<double> per_wall_s;

  void add(const Round& round, double deliveries) {
    const double bare = deliveries / round.bare_cpu_s;
    const double one = deliveries / round.delivery_cpu_s;
    const double both = deliveries / (round.delivery_cpu_s + round.acknowledgement_cpu_s);
    per_cpu_s.push_back(one);
    limit.push_back(bare);
    ratio.push_back(one / bare);
    with_acknowledgement.push_back(both);
    ratio_with_acknowledgement.push_back(both / bare);
    per_wall_s.push_back(deliveries / round.wall_s);
  }
};

Row row_of(std::string name, const std::vector<double>& values, const std::vector<double>& ratios, const std::vector<double>& limits, std::string note) {
  return {.name = std::move(name),
          .value = median(values),
          .unit = "1/CPU s",
          .limit = median(limits),
          .ratio = median(ratios),
          .value_spread = spread_of(values),
          .ratio_spread = spread_of(ratios),
          .note = std::move(note)};
}

}  // namespace

Result<std::vector<std::unique_ptr<BenchTerminal>>> enrol_terminals(Ground& ground, std::size_t count) {
  std::vector<std::unique_ptr<BenchTerminal>> out;
  for (std::size_t i = 0; i < count; ++i) {
    const app::TerminalPlan plan{.uid = fmt::format("bench-{:04}", i), .number = fmt::format("+86551190{:05}", i), .domain = "a", .kms = "kms-a"};
    ASSIGN_OR_RETURN(auto terminal, BenchTerminal::enrol(ground, plan));
    out.push_back(std::move(terminal));
  }
  return Result<std::vector<std::unique_ptr<BenchTerminal>>>(std::move(out));
}

Result<void> measure_deliveries(Ground& ground, std::span<const std::unique_ptr<BenchTerminal>> terminals, const DeliveryPlan& plan, Report& report) {
  ASSIGN_OR_RETURN(const ProcessClock kms, ground.clock_of("kms-a"));
  ASSIGN_OR_RETURN(BareLoop bare, BareLoop::prepare(ground));
  Deliveries deliveries(ground, terminals, plan, kms, std::move(bare));
  const std::chrono::milliseconds fresh(ground.network().options().status_fresh_ms);

  TRY(deliveries.prepare());
  TRY(deliveries.run());  // not counted: brings every terminal its access token
  Series good;
  Series stale;
  std::size_t late = 0;
  for (std::size_t i = 0; i < plan.rounds; ++i) {
    std::this_thread::sleep_for(fresh + stale_margin);  // every certificate status is now too old
    TRY(deliveries.prepare());
    const auto start = std::chrono::steady_clock::now();
    ASSIGN_OR_RETURN(const Round asked, deliveries.run());
    stale.add(asked, deliveries.deliveries());
    TRY(deliveries.prepare());
    ASSIGN_OR_RETURN(const Round known, deliveries.run());
    // Taken from the first question on: only then was every status still fresh throughout the second round.
    if (std::chrono::steady_clock::now() - start >= fresh) {
      ++late;
      continue;
    }
    good.add(known, deliveries.deliveries());
  }
  if (late > 0) report.remark(fmt::format("{} of {} rounds with fresh certificate status took too long and are left out", late, plan.rounds));

  const std::string common = fmt::format(
      "steps 4–11 in one domain, F_EPH, {} terminals, so {} deliveries a round (caller's and callee's leg each count), {} connections kept open, "
      "applications signed beforehand; user and system time of the KMS process alone, from before the first request until the process has come to rest; both "
      "legs' working keys are opened and compared afterwards.",
      terminals.size(), terminals.size(), terminals.size());
  const std::string limit =
      " Limit: the same applications in this process: both signatures verified under a verifying key parsed each time, static and ephemeral encapsulation, "
      "key schedule, seal, both signatures made (thread's processor time).";
  if (!good.ratio.empty()) {
    report.add(row_of(
        "WK deliveries per KMS CPU second", good.per_cpu_s, good.ratio, good.limit,
        common + " The access token and both certificates' status are known from less than status_fresh_ms before. Acknowledgements are outside." + limit));
    report.add(row_of("… acknowledgements included", good.with_acknowledgement, good.ratio_with_acknowledgement, good.limit,
                      "the same rounds, with the KMS's work for the terminals' DeliverAck (two signatures verified, key destroyed); the limit is that of the "
                      "deliveries alone."));
  }
  report.add(row_of(
      "… with certificate status asked anew", stale.per_cpu_s, stale.ratio, stale.limit,
      "as the first row, but the status of both certificates is older than status_fresh_ms: each delivery asks CAS twice. Acknowledgements are outside."));
  const std::vector<double>& wall = good.per_wall_s.empty() ? stale.per_wall_s : good.per_wall_s;
  report.add({.name = "WK deliveries per second, all processes on this machine",
              .value = median(wall),
              .unit = "1/s",
              .limit = {},
              .ratio = {},
              .value_spread = spread_of(wall),
              .ratio_spread = {},
              .note = fmt::format("the rounds of the first row by the clock: {} senders, the client's own work included.", plan.senders)});
  return {};
}

}  // namespace qanat::bench
