#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "quantum/qkd/plot/numbers.hpp"
#include "quantum/qkd/plot/rate_plot.hpp"

namespace qanat::qkd {
namespace {

std::size_t times(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

LinkParameters one_decoy_link() {
  LinkParameters link;
  link.intensity = {0.5, 0.15, 0.0};
  link.intensity_probability = {0.7, 1.0 - 0.7, 0.0};
  link.key_basis_probability = 0.9;
  return link;
}

TEST(CurveTest, FallsWithDistanceAndEnds) {
  const auto curve = computed_curve(one_decoy_link(), Bound::wiesemann_2026, {.n_key = 1e7}, distances_up_to(250.0, 26), Choices::as_given);
  ASSERT_TRUE(curve);
  ASSERT_EQ(curve->size(), 26U);
  EXPECT_GT(curve->front().bits_per_second, 1e6);
  EXPECT_EQ(curve->back().bits_per_second, 0.0);
  EXPECT_EQ(curve->back().bits_per_pulse, 0.0);
  for (std::size_t i = 1; i < curve->size(); ++i) EXPECT_LE(curve->at(i).bits_per_second, curve->at(i - 1).bits_per_second);
}

TEST(CurveTest, TheBestChoicesAreNoWorseThanTheGivenOnes) {
  const auto distances = distances_up_to(150.0, 4);
  const auto given = computed_curve(one_decoy_link(), Bound::wiesemann_2026, {.n_key = 1e7}, distances, Choices::as_given);
  const auto best = computed_curve(one_decoy_link(), Bound::wiesemann_2026, {.n_key = 1e7}, distances, Choices::best_anywhere);
  ASSERT_TRUE(given && best);
  for (std::size_t i = 0; i < distances.size(); ++i) EXPECT_GE(best->at(i).bits_per_second, given->at(i).bits_per_second);
}

TEST(CurveTest, RefusesWhatTheBoundRefuses) {
  const std::array distances{10.0};
  const auto refused = computed_curve(LinkParameters{}, Bound::rusca_2018, {.n_key = 1e7}, distances, Choices::as_given);  // that link sends two decoys
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  EXPECT_TRUE(computed_curve(LinkParameters{}, Bound::rusca_2018, {.n_key = 1e7}, distances, Choices::best_anywhere));
  const std::array backwards{-1.0};
  EXPECT_EQ(computed_curve(one_decoy_link(), Bound::rusca_2018, {.n_key = 1e7}, backwards, Choices::as_given).error().code, ErrorCode::invalid_argument);
}

TEST(PublishedCurvesTest, AllHaveASourceAndFall) {
  for (const PublishedCurve& curve : published_curves()) {
    EXPECT_FALSE(curve.label.empty());
    EXPECT_FALSE(curve.source.empty());
    ASSERT_FALSE(curve.points.empty());
    for (std::size_t i = 1; i < curve.points.size(); ++i) {
      EXPECT_GT(curve.points[i].distance_km, curve.points[i - 1].distance_km);
      EXPECT_LT(curve.points[i].rate, curve.points[i - 1].rate);
    }
  }
}

TEST(SvgPlotTest, DrawsLinesThatEndAndMarkersWithBars) {
  const Plot plot{
      .title = "t",
      .subtitle = "",
      .x_label = "x in km",
      .y_label = "y in bit/s",
      .series = {{.label = "line", .source = "", .style = SeriesStyle::line, .points = {{.x = 0, .y = 1e5}, {.x = 50, .y = 1e3}, {.x = 100, .y = 0}}},
                 {.label = "points", .source = "", .style = SeriesStyle::markers, .points = {{.x = 10, .y = 2e4, .y_low = 1e4, .y_high = 3e4}}}},
      .footer = ""};
  const std::string svg = svg_plot(plot);
  EXPECT_EQ(svg, svg_plot(plot));
  EXPECT_TRUE(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_NE(svg.find("x in km"), std::string::npos);
  EXPECT_NE(svg.find("y in bit/s"), std::string::npos);
  EXPECT_EQ(times(svg, "<circle"), 2U);  // one in the field, one in the legend
  EXPECT_NE(svg.find("d=\"M92.00 "), std::string::npos);
  EXPECT_NE(svg.find("L511.00 "), std::string::npos);  // half of the way; nothing is drawn at 100
  EXPECT_EQ(svg.find("L930.00 "), std::string::npos);
  EXPECT_NE(svg.find("10³"), std::string::npos);
}

TEST(SvgPlotTest, EscapesWhatItIsTold) {
  const std::string svg = svg_plot({.title = "a<b & \"c\"\x01",
                                    .subtitle = "",
                                    .x_label = "",
                                    .y_label = "",
                                    .series = {{.label = "<script>", .source = "&", .style = SeriesStyle::dashed, .points = {{.x = 1, .y = 1}}}},
                                    .footer = ""});
  EXPECT_NE(svg.find("a&lt;b &amp; &quot;c&quot; "), std::string::npos);
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(svg.find('\x01'), std::string::npos);
}

TEST(SvgPlotTest, SaysSoWhenThereIsNothingToDraw) {
  const double none = std::numeric_limits<double>::quiet_NaN();
  const std::string svg =
      svg_plot({.title = "t",
                .subtitle = "",
                .x_label = "",
                .y_label = "",
                .series = {{.label = "l", .source = "", .style = SeriesStyle::line, .points = {{.x = 10, .y = 0}, {.x = none, .y = 1}, {.x = 1, .y = none}}}},
                .footer = ""});
  EXPECT_NE(svg.find("no secret key"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(RatePlotTest, TellsComputedSimulatedAndPublishedApart) {
  const std::array distances{0.0, 50.0};
  RatePlot content;
  content.link = one_decoy_link();
  content.computed = {{.label = "Wiesemann 2026, n = " + short_number(1e7),
                       .points = *computed_curve(content.link, Bound::wiesemann_2026, {.n_key = 1e7}, distances, Choices::as_given)}};
  EXPECT_EQ(rate_plot(content).title.find("simulated"), std::string::npos);
  content.simulated = {{.distance_km = 50.0, .rate = 1e6, .low = 0.9e6, .high = 1.1e6}};
  for (const RateUnit unit : {RateUnit::bits_per_second, RateUnit::bits_per_pulse}) {
    content.unit = unit;
    const Plot plot = rate_plot(content);
    EXPECT_NE(plot.title.find("computed and simulated"), std::string::npos);
    EXPECT_EQ(plot.series[0].style, SeriesStyle::line);
    EXPECT_EQ(plot.series[1].style, SeriesStyle::markers);
    EXPECT_NE(plot.series[1].source.find("simulated"), std::string::npos);
    const auto same_unit = std::ranges::count(published_curves(), unit, &PublishedCurve::unit);
    EXPECT_EQ(plot.series.size(), 2 + static_cast<std::size_t>(same_unit));
    const std::string svg = svg_plot(plot);
    for (const PublishedCurve& curve : published_curves()) EXPECT_EQ(svg.find(curve.source) != std::string::npos, curve.unit == unit) << curve.source;
  }
}

TEST(NumbersTest, AreShortAndTheSameEverywhere) {
  EXPECT_EQ(short_number(1e7), "10⁷");
  EXPECT_EQ(short_number(2.5e5), "2.5·10⁵");
  EXPECT_EQ(short_number(9.999e6), "10⁷");
  EXPECT_EQ(short_number(500), "500");
  EXPECT_EQ(power_of_ten(-12), "10⁻¹²");
  EXPECT_EQ(fixed_text(-1.005, 1), "-1.0");
  EXPECT_EQ(general_text(6e-7), "6e-07");
}

}  // namespace
}  // namespace qanat::qkd
