#include "kms_element.hpp"

#include "deliveries.hpp"

namespace qanat::bench {

Result<void> measure_kms(Report& report, const KmsPlan& plan) {
  GroundOptions options{.program = plan.program, .within = plan.within};
  // What is asked of others now and then is asked before the clock runs: the row on status asked anew (deliveries.cpp) says what it costs.
  options.network.status_fresh_ms = 3'600'000;
  options.network.status_lifetime_s = 7200;
  options.network.token_lifetime_s = 3600;
  options.network.key_lifetime_ms = 1'800'000;  // nor are keys swept away meanwhile
  options.network.optics = false;
  ASSIGN_OR_RETURN(const auto ground, Ground::lay(options));
  ASSIGN_OR_RETURN(const auto terminals, enrol_terminals(*ground, plan.terminals));
  ApplicationLoad load(*ground, "kms-a", terminals);
  ASSIGN_OR_RETURN(const HalfLoad found, measure_latency(load, plan.latency, report));
  TRY(measure_memory(load, *terminals.front(), plan.memory, report));
  TRY(measure_workers(load, plan.workers, report));
  TRY(measure_phases(load, found, plan.phases, report));
  if (const auto casualty = ground->running().casualty()) return fail(ErrorCode::internal, "an element ended during the run: " + *casualty);
  return {};
}

}  // namespace qanat::bench
