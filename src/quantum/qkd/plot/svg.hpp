// Plots as SVG text: a logarithmic vertical axis, a linear horizontal one from nought, lines, dashed lines, markers with error bars, a legend.
// What is drawn comes in as values; rate_plot.hpp says what a plot of key rates holds.
#pragma once

#include <string>
#include <vector>

namespace qanat::qkd {

enum class SeriesStyle : unsigned char { line, dashed, markers, hollow_markers };

struct PlotPoint {
  double x = 0.0;
  double y = 0.0;      // not positive: nothing is drawn here, and a line ends before
  double y_low = 0.0;  // error bar; none unless 0 < y_low < y_high
  double y_high = 0.0;
};

struct Series {
  std::string label;   // first line of its legend entry
  std::string source;  // second line, small; may be empty
  SeriesStyle style = SeriesStyle::line;
  std::vector<PlotPoint> points;
};

struct Plot {
  std::string title;
  std::string subtitle;  // may be empty
  std::string x_label;   // with unit
  std::string y_label;   // with unit
  std::vector<Series> series;
  std::string footer;  // small, below the legend; may be empty
};

/// A complete SVG document (UTF-8, 960 units wide, height by the legend). The same plot gives the same text. Without any positive value the axes
/// stand alone, with a note.
std::string svg_plot(const Plot& plot);

}  // namespace qanat::qkd
