// How long a call across two domains takes to set up, against the sum of what stands on its critical path.
#pragma once

#include "bench_terminal.hpp"
#include "primitives.hpp"

namespace qanat::bench {

struct CallPlan {
  std::size_t calls = 30;
  double pace = 20;  // of the media: the calls' sound is not what is measured
};

/// What one exchange between two processes costs, in milliseconds by the clock.
struct Travel {
  double round_trip = 0;  // a small request on a kept mutual-TLS connection
  double connection = 0;  // opening one: TCP, mutual TLS 1.3 with ML-DSA certificates and X25519MLKEM768
};
Result<Travel> measure_travel(Ground& ground, BenchTerminal& terminal, std::size_t turns, Report& report);

/// Enrols the network's terminals A and B and calls from A to B.
Result<void> measure_calls(Ground& ground, const CallPlan& plan, const Primitives& primitives, const Travel& travel, Report& report);

}  // namespace qanat::bench
