// How the controller's searches grow with the network: 100, 1,000 and 10,000 QKMs.
#pragma once

#include "report.hpp"

namespace qanat::bench {

/// Rows: a route, a pair of node-disjoint routes, and new routes for 100 that a lost node cut, in milliseconds of processor time.
Result<void> measure_controller(Report& report);

}  // namespace qanat::bench
