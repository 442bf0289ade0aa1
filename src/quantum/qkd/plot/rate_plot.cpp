#include "quantum/qkd/plot/rate_plot.hpp"

#include "quantum/qkd/plot/numbers.hpp"

namespace qanat::qkd {
namespace {

std::string link_in_words(const LinkParameters& link) {
  return "Link: " + general_text(link.attenuation_db_per_km) + " dB/km, receiver " + general_text(link.receiver_loss_db) + " dB, detectors " +
         general_text(100.0 * link.detector_efficiency) + " %, dark counts " + general_text(link.dark_count_probability) + " per gate, afterpulses " +
         general_text(100.0 * link.afterpulse_probability) + " %, misalignment " + general_text(100.0 * link.misalignment_error) + " %, " +
         general_text(link.gate_rate_hz / 1e6) + " MHz, dead time " + general_text(link.dead_time_s * 1e9) + " ns";
}

}  // namespace

Plot rate_plot(const RatePlot& content) {
  Plot out;
  out.title = content.simulated.empty() ? "Secret key rate against distance, computed" : "Secret key rate against distance, computed and simulated";
  out.subtitle = link_in_words(content.link);
  out.x_label = "length of fibre in km";
  out.y_label = content.unit == RateUnit::bits_per_pulse ? "secret bits per pulse sent" : "secret bits per second";
  for (const ComputedCurve& curve : content.computed) {
    Series series{.label = curve.label, .source = "this link, computed", .style = SeriesStyle::line, .points = {}};
    for (const CurvePoint& point : curve.points) series.points.push_back({.x = point.distance_km, .y = point.rate(content.unit)});
    out.series.push_back(std::move(series));
  }
  if (!content.simulated.empty()) {
    Series series{.label = "Blocks made by this program", .source = "this link, optics simulated", .style = SeriesStyle::markers, .points = {}};
    for (const SimulatedRate& point : content.simulated)
      series.points.push_back({.x = point.distance_km, .y = point.rate, .y_low = point.low, .y_high = point.high});
    out.series.push_back(std::move(series));
  }
  for (const PublishedCurve& curve : published_curves()) {
    if (curve.unit != content.unit) continue;
    const bool model = curve.kind == Publication::model;
    Series series{.label = std::string(curve.label),
                  .source = std::string(curve.source),
                  .style = model ? SeriesStyle::dashed : SeriesStyle::hollow_markers,
                  .points = {}};
    for (const PublishedPoint& point : curve.points) series.points.push_back({.x = point.distance_km, .y = point.rate});
    out.series.push_back(std::move(series));
  }
  out.footer = "Dashed: published models with their own devices, not this link's. Rates are those of the optics; every click in this program is simulated.";
  return out;
}

}  // namespace qanat::qkd
