// How many working keys a KMS delivers for one second of its processor, against the cryptography alone.
#pragma once

#include <span>

#include "bench_terminal.hpp"
#include "report.hpp"

namespace qanat::bench {

struct DeliveryPlan {
  std::size_t terminals = 64;  // even; each verifying key is met once per round, after all the others
  std::size_t rounds = 7;
  std::size_t senders = 4;  // threads, each with its own connections
};

/// Enrols plan.terminals terminals in domain a.
Result<std::vector<std::unique_ptr<BenchTerminal>>> enrol_terminals(Ground& ground, std::size_t count);

/// Adds the rows on deliveries; the terminals pair up, first with second and so on.
Result<void> measure_deliveries(Ground& ground, std::span<const std::unique_ptr<BenchTerminal>> terminals, const DeliveryPlan& plan, Report& report);

}  // namespace qanat::bench
