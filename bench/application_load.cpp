#include "application_load.hpp"

#include <algorithm>
#include <cmath>
#include <thread>

namespace qanat::bench {
namespace {

using steady = std::chrono::steady_clock;

constexpr std::chrono::milliseconds settle_look{20};
constexpr int settle_looks_max = 100;
constexpr double settled_s = 0.0002;                    // processor time in one look that counts as rest
constexpr std::chrono::milliseconds callee_after{200};  // in pace(): the callee's terminal applies when the INVITE has reached it
constexpr std::chrono::milliseconds pace_begins_in{50};
constexpr std::size_t warm_senders = 4;

/// The gap to the next event of a Poisson process.
std::chrono::nanoseconds gap(double per_second, crypto::Rng& rng) {
  double part = 0;  // [0, 1)
  for (const std::uint8_t octet : rng.bytes(6)) part = (part + static_cast<double>(octet)) / 256;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(-std::log(1 - part) / per_second * 1e9));
}

}  // namespace

double settled_cpu_s(const ProcessClock& clock) {
  double before = clock.cpu_s();
  for (int look = 0; look < settle_looks_max; ++look) {
    std::this_thread::sleep_for(settle_look);
    const double now = clock.cpu_s();
    if (now - before < settled_s) return now;
    before = now;
  }
  return before;
}

Result<void> ApplicationLoad::prepare(std::size_t sessions, Legs legs) {
  legs_.clear();
  const std::size_t pairs = terminals_.size() / 2;
  for (std::size_t i = 0; i < sessions; ++i) {
    const std::size_t caller_at = 2 * (i % pairs);
    const Number& caller = terminals_[caller_at]->number();
    const Number& called = terminals_[caller_at + 1]->number();
    const SidWk sid_wk = ground_.rng().id<SidWk>();
    const SidCall sid_call = wire::make_sid_call(caller, called, ground_.rng().bytes(16));
    for (const wire::Role role : {wire::Role::caller, wire::Role::callee}) {
      if (role == wire::Role::callee && legs == Legs::callers) continue;
      AppliedLeg& leg = legs_.emplace_back();
      leg.at = caller_at + (role == wire::Role::caller ? 0 : 1);
      leg.terminal = terminals_[leg.at].get();
      TRY(prepare_leg(leg, {.role = role, .sid_wk = sid_wk, .sid_call = sid_call, .caller = caller, .called = called}));
    }
  }
  return {};
}

Result<void> ApplicationLoad::prepare_leg(AppliedLeg& leg, const terminal::KeyWanted& wanted) {
  ASSIGN_OR_RETURN(leg.application, leg.terminal->apply(wanted, SystemClock().now_ms(), ground_.rng()));
  return {};
}

/// A pair of terminals stays with one thread, so that a callee comes behind its caller and no terminal needs a second connection.
ApplicationLoad::Lanes ApplicationLoad::lanes(std::size_t senders) const {
  Lanes out(senders);
  for (std::size_t i = 0; i < legs_.size(); ++i) out[legs_[i].at / 2 % senders].push_back(i);
  return out;
}

Result<std::vector<ProcessClock>> ApplicationLoad::others() const {
  std::vector<ProcessClock> out;
  for (const app::ElementPlan& element : ground_.network().elements()) {
    if (!element.started || element.name() == kms_) continue;
    ASSIGN_OR_RETURN(const ProcessClock clock, ground_.clock_of(element.name()));
    out.push_back(clock);
  }
  return out;
}

Result<Driven> ApplicationLoad::drive(const Lanes& lanes, Timing timing) {
  ASSIGN_OR_RETURN(const ProcessClock kms, ground_.clock_of(kms_));
  ASSIGN_OR_RETURN(const std::vector<ProcessClock> elements, others());
  const auto others_s = [&] {
    double out = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (const ProcessClock& one : elements) out += one.cpu_s();
    return out;
  };
  const double kms_before = settled_cpu_s(kms);
  const double others_before = others_s();
  const auto send = [&](const std::vector<std::size_t>& lane) {
    for (const std::size_t i : lane) {
      AppliedLeg& leg = legs_[i];
      if (timing == Timing::when_due) {
        std::this_thread::sleep_until(leg.due);
      } else {
        leg.due = steady::now();
      }
      leg.answer = leg.terminal->send(points::Endpoint::km1_application, leg.application->octets());
      leg.latency_ms = std::chrono::duration<double, std::milli>(steady::now() - leg.due).count();
    }
  };
  const auto start = steady::now();
  {
    std::vector<std::jthread> senders;
    senders.reserve(lanes.size());
    for (const std::vector<std::size_t>& lane : lanes) senders.emplace_back([&send, &lane] { send(lane); });
  }
  Driven out;
  out.seconds = std::chrono::duration<double>(steady::now() - start).count();
  out.other_cpu_s = others_s() - others_before;
  out.kms_cpu_s = settled_cpu_s(kms) - kms_before;
  for (const AppliedLeg& leg : legs_) {
    if (!leg.answer) return fail(leg.answer.error());
    out.latency_ms.push_back(leg.latency_ms);
  }
  return out;
}

Result<Driven> ApplicationLoad::saturate(std::size_t senders) { return drive(lanes(senders), Timing::at_once); }

Result<Driven> ApplicationLoad::pace(double per_second) {
  Lanes by_terminal(terminals_.size());
  auto due = steady::now() + pace_begins_in;
  for (std::size_t i = 0; i < legs_.size(); ++i) {
    const bool callee = legs_[i].at % 2 == 1;
    if (!callee) due += std::chrono::duration_cast<steady::duration>(gap(per_second / 2, ground_.rng()));
    legs_[i].due = callee ? due + callee_after : due;
    by_terminal[legs_[i].at].push_back(i);
  }
  return drive(by_terminal, Timing::when_due);
}

Result<void> ApplicationLoad::finish(std::size_t senders) {
  const UnixMs now = SystemClock().now_ms();
  std::vector<Bytes> acknowledgements;
  for (AppliedLeg& leg : legs_) {
    if (!leg.answer) return fail(leg.answer.error());
    ASSIGN_OR_RETURN(const auto key, leg.terminal->open(*leg.application, *leg.answer, now));
    ASSIGN_OR_RETURN(auto acknowledgement, leg.application->acknowledgement(key.h_deliver, true, ground_.rng()));
    acknowledgements.push_back(std::move(acknowledgement));
  }
  std::vector<Result<Bytes>> answers(legs_.size(), Bytes{});
  const Lanes all = lanes(senders);
  {
    std::vector<std::jthread> running;
    running.reserve(all.size());
    for (const std::vector<std::size_t>& lane : all) {
      running.emplace_back([&] {
        for (const std::size_t i : lane) answers[i] = legs_[i].terminal->send(points::Endpoint::km1_ack, acknowledgements[i]);
      });
    }
  }
  for (const Result<Bytes>& answer : answers) {
    if (!answer) return fail_in("acknowledgement", answer.error());
  }
  return {};
}

Result<void> ApplicationLoad::warm_up(Legs legs) {
  TRY(prepare(terminals_.size() / 2, legs));
  TRY(saturate(warm_senders));
  return finish(warm_senders);
}

}  // namespace qanat::bench
