#include "quantum/qkm/links.hpp"

#include <algorithm>

namespace qanat::qkm {
namespace {

constexpr UnixMs alive_ms = 15000;  // a QKD asks for orders at least every five seconds

}  // namespace

Links::Links(std::vector<LinkId> links, WaterMarks marks) : marks_(marks) {
  for (LinkId& link : links) states_.emplace(std::move(link), State());
}

void Links::set_stock(const LinkId& link, LinkStock stock) {
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    State& state = states_.at(link);
    state.stock = stock;
    const std::int64_t least = std::min(stock.own, stock.peer);
    const bool runs = least < marks_.low || (state.runs && least < marks_.high);
    changed = runs != state.runs;
    state.runs = runs;
  }
  if (changed) changes_.ring();
}

void Links::set_report(const LinkId& link, LinkReport report, UnixMs now) {
  const std::lock_guard lock(mutex_);
  State& state = states_.at(link);
  state.report = report;
  state.heard_ms = now;
}

bool Links::await_run(const LinkId& link, bool have, Deadline deadline, const Clock& clock) {
  while (true) {
    const std::uint64_t seen = changes_.count();
    bool runs = false;
    {
      const std::lock_guard lock(mutex_);
      State& state = states_.at(link);
      state.heard_ms = clock.now_ms();
      runs = state.runs;
    }
    if (runs != have || !changes_.wait(seen, deadline)) return runs;
  }
}

std::vector<LinkView> Links::view(UnixMs now) const {
  const std::lock_guard lock(mutex_);
  std::vector<LinkView> out;
  out.reserve(states_.size());
  for (const auto& [link, state] : states_) {
    out.push_back(
        {.link = link, .stock = state.stock, .report = state.report, .runs = state.runs, .alive = state.heard_ms != 0 && now < state.heard_ms + alive_ms});
  }
  return out;
}

}  // namespace qanat::qkm
