#include "soak_load.hpp"

#include <cmath>

#include "wire/key_schedule.hpp"

namespace qanat::bench {
namespace {

constexpr std::chrono::seconds session_max{30};  // less than a working key lives at the KMS
constexpr std::uint64_t probed_every = 16;       // sessions
constexpr std::size_t session_number_digits = 16;

/// The message without what differs from one session to the next, so that like reasons count as one.
std::string general(const std::string& message) {
  std::string out;
  std::size_t digits = 0;
  for (const char c : message + " ") {
    const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (digit) {
      ++digits;
      out += c;
      continue;
    }
    if (digits >= session_number_digits) out.replace(out.size() - digits, digits, "…");
    digits = 0;
    out += c;
  }
  out.pop_back();
  return out;
}

}  // namespace

struct Load::Session {
  explicit Session(Deadline until) : deadline(until) {}

  SidWk sid_wk;
  SidCall sid_call;
  SoakTerminal* caller = nullptr;
  SoakTerminal* callee = nullptr;
  double planned_s = 0;
  Deadline deadline;
  Probing probing{};
  std::mutex mutex;
  std::size_t legs_left = 2;  // under mutex, as the ends
  Leg caller_end;
  Leg callee_end;
};

Load::Load(Ground& ground, std::span<const std::unique_ptr<SoakTerminal>> terminals, Promises& promises, SoakCounts& counts, std::uint64_t seed)
    : ground_(ground), promises_(promises), counts_(counts), random_(seed) {
  for (const std::unique_ptr<SoakTerminal>& terminal : terminals) (terminal->domain() == "a" ? of_a_ : of_b_).push_back(terminal.get());
  CHECK(of_a_.size() >= 2 && !of_b_.empty());
  workers_.reserve(2 * soak_sessions_at_once);
  for (std::size_t i = 0; i < 2 * soak_sessions_at_once; ++i) workers_.emplace_back([this](const std::stop_token& stopped) { work(stopped); });
}

Load::~Load() {
  pacer_ = {};
  for (std::jthread& worker : workers_) worker.request_stop();
  workers_.clear();
}

double Load::saturate(std::size_t at_once, std::chrono::milliseconds span) {
  std::unique_lock lock(mutex_);
  const std::size_t before = tally_.served.size();
  follow_ = true;
  for (std::size_t i = 0; i < at_once; ++i) add_session();
  const auto began = clock::now();
  changed_.wait_until(lock, began + span, [] { return false; });
  const auto by_second = [&] { return static_cast<double>(tally_.served.size() - before) / std::chrono::duration<double>(clock::now() - began).count(); };
  const double within = by_second();
  follow_ = false;
  changed_.wait(lock, [&] { return under_way_ == 0; });
  return std::max(within, by_second());  // where a session takes longer than the span
}

void Load::begin(double per_second) {
  pacer_ = std::jthread([this, per_second](const std::stop_token& stopped) { pace(stopped, per_second); });
}

void Load::finish() {
  pacer_ = {};
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return under_way_ == 0; });
}

std::uint64_t Load::begun() const {
  const std::lock_guard lock(mutex_);
  return tally_.begun;
}

void Load::pace(const std::stop_token& stopped, double per_second) {
  clock::time_point next = clock::now();
  std::condition_variable_any never;
  std::unique_lock lock(mutex_);
  while (!stopped.stop_requested()) {
    // Exponential: what many callers do who do not know of one another. The time is the plan's, not that of the wake-up.
    const double part = static_cast<double>(random_() >> 11U) * 0x1p-53;
    next += std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(-std::log1p(-part) / per_second));
    never.wait_until(lock, stopped, next, [] { return false; });
    if (!stopped.stop_requested()) add_session();
  }
}

void Load::add_session() {
  if (waiting_.size() + 2 > 2 * soak_waiting_max) {
    ++tally_.not_begun;
    return;
  }
  const std::shared_ptr<Session> session = next_session();
  ++tally_.begun;
  ++under_way_;
  waiting_.push_back({.session = session, .role = wire::Role::caller});
  waiting_.push_back({.session = session, .role = wire::Role::callee});
  to_do_.notify_one();
  to_do_.notify_one();
}

/// Half of them inside domain a, a quarter each way between the domains.
std::shared_ptr<Load::Session> Load::next_session() {
  const auto any_of = [&](const std::vector<SoakTerminal*>& terminals) { return terminals[random_() % terminals.size()]; };
  auto out = std::make_shared<Session>(Deadline::after(session_max));
  out->planned_s = now_s();
  out->probing = tally_.begun % probed_every == 0 ? Probing::repeats : Probing::none;
  switch (random_() % 4) {
    case 0:
      out->caller = any_of(of_a_);
      out->callee = any_of(of_b_);
      break;
    case 1:
      out->caller = any_of(of_b_);
      out->callee = any_of(of_a_);
      break;
    default:
      out->caller = any_of(of_a_);
      do {
        out->callee = any_of(of_a_);
      } while (out->callee == out->caller);
  }
  out->sid_wk = ground_.rng().id<SidWk>();
  out->sid_call = wire::make_sid_call(out->caller->number(), out->callee->number(), ground_.rng().bytes(16));
  return out;
}

void Load::work(const std::stop_token& stopped) {
  while (true) {
    std::unique_lock lock(mutex_);
    if (!to_do_.wait(lock, stopped, [&] { return !waiting_.empty(); }) || stopped.stop_requested()) return;
    const Work one = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    carry_out(one);
  }
}

void Load::carry_out(const Work& one) {
  Session& session = *one.session;
  const bool calls = one.role == wire::Role::caller;
  SoakTerminal& terminal = calls ? *session.caller : *session.callee;
  Leg leg = terminal.obtain(
      {.role = one.role, .sid_wk = session.sid_wk, .sid_call = session.sid_call, .caller = session.caller->number(), .called = session.callee->number()},
      session.deadline, session.probing, promises_, counts_);
  const std::lock_guard lock(session.mutex);
  (calls ? session.caller_end : session.callee_end) = std::move(leg);
  if (--session.legs_left == 0) ended(session);
}

void Load::ended(const Session& session) {
  const bool served = session.caller_end.opened && session.callee_end.opened;
  const std::lock_guard lock(mutex_);
  for (const wire::Role role : {wire::Role::caller, wire::Role::callee}) {
    const bool calls = role == wire::Role::caller;
    const Leg& leg = calls ? session.caller_end : session.callee_end;
    const SoakTerminal& terminal = calls ? *session.caller : *session.callee;
    if (leg.opened) tally_.legs.push_back({.domain = terminal.domain(), .session = session.sid_wk, .role = role, .acknowledged = leg.acknowledged});
  }
  if (served) {
    tally_.served.push_back({.planned_s = session.planned_s,
                             .done_s = now_s(),
                             .across = session.caller->domain() != session.callee->domain(),
                             .quantum = session.caller_end.assurance >= wire::Assurance::one_qkd_path});
  } else {
    tally_.given_up.push_back({.planned_s = session.planned_s, .ended_s = now_s()});
    // The callee's end waits for the caller's: where both failed, the caller's says why.
    const Leg& failed = session.caller_end.opened ? session.callee_end : session.caller_end;
    ++tally_.reasons[std::string(session.caller_end.opened ? "callee: " : "caller: ") + std::string(name(failed.reason.code)) + ": " +
                     general(failed.reason.message)];
  }
  --under_way_;
  if (follow_) add_session();
  changed_.notify_all();
}

}  // namespace qanat::bench
