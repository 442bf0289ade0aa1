#include "kme/stock/pool_filler.hpp"

#include <algorithm>

namespace qanat::kme {

PoolFiller::PoolFiller(const std::vector<std::string>& domains, Fill fill, Pauses pauses) : fill_(std::move(fill)), pauses_(pauses) {
  for (const std::string& domain : domains) domains_.push_back({.name = domain});
}

void PoolFiller::start() {
  thread_ = std::thread([this] { run(); });
}

void PoolFiller::run() {
  while (true) {
    const std::uint64_t seen = rung_.count();
    if (stopping_) return;  // after the count: the ring of stop() is not missed
    rung_.wait(seen, Deadline(look()));
  }
}

Deadline::clock::time_point PoolFiller::look() {
  auto next = Deadline::clock::now() + pauses_.look_every;
  for (Domain& domain : domains_) {
    if (stopping_) break;
    if (Deadline::clock::now() >= domain.not_before) {
      const bool filled = fill_(domain.name).has_value();
      domain.pause = filled ? std::chrono::milliseconds(0) : std::min(2 * std::max(domain.pause, pauses_.look_every), pauses_.failed_max);
      domain.not_before = Deadline::clock::now() + domain.pause;
    }
    if (domain.pause.count() > 0) next = std::min(next, domain.not_before);
  }
  return next;
}

void PoolFiller::stop() {
  stopping_ = true;
  rung_.ring();
  if (thread_.joinable()) thread_.join();
}

}  // namespace qanat::kme
