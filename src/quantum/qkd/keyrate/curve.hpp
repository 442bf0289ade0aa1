// Key rate against distance: of a link, by the bounds and the link model; and of the literature, as data to draw beside it.
#pragma once

#include <span>
#include <vector>

#include "quantum/qkd/keyrate/link_model.hpp"

namespace qanat::qkd {

enum class RateUnit : std::uint8_t { bits_per_pulse, bits_per_second };

struct CurvePoint {
  double distance_km = 0.0;
  double bits_per_pulse = 0.0;   // secret bits; 0: no key
  double bits_per_second = 0.0;  // of the optics; computing time is another matter
  double qber = 0.0;
  double phase_error = 0.5;
  LinkParameters link;  // with the choices used at this distance

  [[nodiscard]] double rate(RateUnit unit) const { return unit == RateUnit::bits_per_pulse ? bits_per_pulse : bits_per_second; }
};

/// What the two ends choose (intensities, their probabilities, bias of the bases) along the curve.
enum class Choices : std::uint8_t {
  as_given,       // the link's own; the bound must suit them
  best_anywhere,  // the best at each distance, as the literature's curves do
};

/// One point per distance, in that order. invalid_argument as for key_length, or when a distance is negative.
Result<std::vector<CurvePoint>> computed_curve(const LinkParameters& link, Bound bound, const BlockTarget& target, std::span<const double> distances_km,
                                               Choices choices);

/// `count` distances (2 or more) from nought to `last_km`.
std::vector<double> distances_up_to(double last_km, std::size_t count);

struct PublishedPoint {
  double distance_km;
  double rate;
};

enum class Publication : std::uint8_t {
  model,       // a paper's formulas with its parameters: a curve
  experiment,  // what somebody measured: single points
};

struct PublishedCurve {
  std::string_view label;   // for a legend
  std::string_view source;  // where the values come from
  Publication kind;
  RateUnit unit;
  std::span<const PublishedPoint> points;
};

/// Everything that is known here, all units.
std::span<const PublishedCurve> published_curves();

}  // namespace qanat::qkd
