// The plot of `qanat qkd simulate`: key rate against distance of one link, computed and simulated, beside what is published.
#pragma once

#include <span>

#include "quantum/qkd/keyrate/curve.hpp"
#include "quantum/qkd/plot/svg.hpp"

namespace qanat::qkd {

/// What finished blocks of the simulated link gave at one distance.
struct SimulatedRate {
  double distance_km = 0.0;
  double rate = 0.0;  // in the plot's unit, over the simulated time or pulses; 0: the blocks gave no key
  double low = 0.0;   // spread of the blocks; no bar unless 0 < low < high
  double high = 0.0;
};

struct ComputedCurve {
  std::string label;  // "Wiesemann 2026, n = 10⁷"
  std::vector<CurvePoint> points;
};

struct RatePlot {
  RateUnit unit = RateUnit::bits_per_second;
  LinkParameters link;  // for the subtitle
  std::vector<ComputedCurve> computed;
  std::vector<SimulatedRate> simulated;
};

/// Title, units and legend say which figures are computed, which simulated, and which are other people's. All published curves of the unit are drawn.
Plot rate_plot(const RatePlot& content);

}  // namespace qanat::qkd
