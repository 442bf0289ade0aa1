#include "quantum/qkd/plot/svg.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "quantum/qkd/plot/numbers.hpp"

namespace qanat::qkd {
namespace {

constexpr double width = 960.0;
constexpr double margin = 30.0;  // of title and legend
constexpr double left = 92.0;
constexpr double right = 930.0;
constexpr double top = 84.0;
constexpr double bottom = 500.0;
constexpr double marker_room = 8.0;  // a marker on an axis is drawn whole
constexpr double legend_top = 572.0;
constexpr double legend_row = 36.0;
constexpr std::size_t legend_columns = 3;
constexpr int decades_min = 2;
constexpr int decades_max = 14;  // what lies further below the top is not drawn

// Okabe and Ito's colours, which people with any kind of colour vision can tell apart; black is left for text.
constexpr std::array colours{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#882255", "#332288"};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;  // control characters are not XML
    }
  }
  return out;
}

struct Axes {
  double x_last = 1.0;
  double x_step = 1.0;
  int decade_low = 0;
  int decade_high = 1;

  [[nodiscard]] double x(double value) const { return left + (right - left) * value / x_last; }
  [[nodiscard]] double y(double value) const { return bottom - (bottom - top) * (std::log10(value) - decade_low) / (decade_high - decade_low); }
};

bool drawn(const PlotPoint& point) { return point.y > 0.0 && std::isfinite(point.y) && point.x >= 0.0 && std::isfinite(point.x); }
bool has_bar(const PlotPoint& point) { return point.y_low > 0.0 && point.y_low < point.y_high && std::isfinite(point.y_high); }

/// 1, 2 or 5 times a power of ten, so that about eight steps make the range.
double round_step(double range) {
  const double rough = range / 8.0;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power) return factor * power;
  }
  return 10.0 * power;
}

Axes axes_for(const Plot& plot) {
  double x_last = 0.0;
  double y_low = std::numeric_limits<double>::max();
  double y_high = 0.0;
  for (const Series& series : plot.series) {
    for (const PlotPoint& point : series.points) {
      if (std::isfinite(point.x)) x_last = std::max(x_last, point.x);
      if (!drawn(point)) continue;
      y_low = std::min(y_low, has_bar(point) ? point.y_low : point.y);
      y_high = std::max(y_high, has_bar(point) ? point.y_high : point.y);
    }
  }
  Axes out;
  if (x_last > 0.0) {
    out.x_step = round_step(x_last);
    out.x_last = out.x_step * std::ceil(x_last / out.x_step - 1e-9);
  }
  if (y_high > 0.0) {
    out.decade_high = static_cast<int>(std::ceil(std::log10(y_high) + 0.05));  // some air above the highest point
    out.decade_low = std::clamp(static_cast<int>(std::floor(std::log10(y_low))), out.decade_high - decades_max, out.decade_high - decades_min);
  }
  return out;
}

using Attributes = std::vector<std::pair<std::string_view, std::string>>;

std::string place(double value) { return fixed_text(value, 1); }

/// <name a="…" …/>, or with content <name a="…" …>content</name>. Attribute values are ours; content is escaped here.
std::string element(std::string_view name, const Attributes& attributes, std::string_view content = "") {
  std::string out = "<" + std::string(name);
  for (const auto& [key, value] : attributes) out += " " + std::string(key) + "=\"" + value + "\"";
  return out + (content.empty() ? "/>\n" : ">" + escaped(content) + "</" + std::string(name) + ">\n");
}

struct TextLook {
  std::string_view anchor = "start";
  double size = 13.0;
  std::string_view colour = "#111111";
  std::string_view weight = "normal";
};

std::string text(double x, double y, const TextLook& look, std::string_view content) {
  return element("text",
                 {{"x", place(x)},
                  {"y", place(y)},
                  {"text-anchor", std::string(look.anchor)},
                  {"font-size", general_text(look.size)},
                  {"font-weight", std::string(look.weight)},
                  {"fill", std::string(look.colour)}},
                 content);
}

std::string rule(double x1, double y1, double x2, double y2, std::string_view colour, double thickness) {
  return element(
      "line",
      {{"x1", place(x1)}, {"y1", place(y1)}, {"x2", place(x2)}, {"y2", place(y2)}, {"stroke", std::string(colour)}, {"stroke-width", general_text(thickness)}});
}

/// The field between the axes, with room around it.
Attributes field(double room) {
  return {{"x", place(left - room)}, {"y", place(top - room)}, {"width", place(right - left + 2 * room)}, {"height", place(bottom - top + 2 * room)}};
}

std::string grid(const Axes& axes, const Plot& plot) {
  constexpr TextLook label{.anchor = "middle", .size = 14.0};
  std::string out;
  const bool crowded = axes.decade_high - axes.decade_low > 8;
  for (int decade = axes.decade_low; decade <= axes.decade_high; ++decade) {
    const double y = axes.y(std::pow(10.0, decade));
    out += rule(left, y, right, y, "#d9d9d9", 1.0);
    out += text(left - 10, y + 4.5, {.anchor = "end", .colour = "#333333"}, power_of_ten(decade));
    for (int i = 2; i < 10 && decade < axes.decade_high && !crowded; ++i) {
      const double minor = axes.y(i * std::pow(10.0, decade));
      out += rule(left, minor, right, minor, "#f0f0f0", 0.8);
    }
  }
  const int steps = static_cast<int>(std::lround(axes.x_last / axes.x_step));
  for (int i = 0; i <= steps; ++i) {
    const double value = i * axes.x_step;
    out += rule(axes.x(value), top, axes.x(value), bottom, "#d9d9d9", 1.0);
    out += text(axes.x(value), bottom + 20, {.anchor = "middle", .colour = "#333333"}, general_text(value));
  }
  Attributes frame = field(0.0);
  frame.insert(frame.end(), {{"fill", "none"}, {"stroke", "#333333"}, {"stroke-width", "1.2"}});
  out += element("rect", frame);
  out += text((left + right) / 2, bottom + 46, label, plot.x_label);
  out += "<g transform=\"translate(26 " + place((top + bottom) / 2) + ") rotate(-90)\">\n" + text(0, 0, label, plot.y_label) + "</g>\n";
  return out;
}

std::string path(std::string shape, SeriesStyle style, std::string_view colour) {
  Attributes attributes{{"d", std::move(shape)}, {"fill", "none"}, {"stroke-linejoin", "round"}, {"stroke", std::string(colour)}};
  attributes.emplace_back("stroke-width", style == SeriesStyle::dashed ? "1.8" : "2.6");
  if (style == SeriesStyle::dashed) attributes.emplace_back("stroke-dasharray", "7 5");
  return element("path", attributes);
}

std::string marker(double x, double y, SeriesStyle style, std::string_view colour) {
  if (style == SeriesStyle::hollow_markers) {
    return element("path", {{"d", "M" + place(x) + " " + place(y - 6.5) + "l6.5 6.5l-6.5 6.5l-6.5 -6.5z"},
                            {"fill", "#ffffff"},
                            {"stroke", std::string(colour)},
                            {"stroke-width", "2"}});
  }
  return element("circle", {{"cx", place(x)}, {"cy", place(y)}, {"r", "4.6"}, {"fill", std::string(colour)}, {"stroke", "#ffffff"}, {"stroke-width", "1.2"}});
}

/// A line ends where a point has nothing to draw.
std::string lines(const Series& series, const Axes& axes, std::string_view colour) {
  std::string out;
  std::string shape;
  for (const PlotPoint& point : series.points) {
    if (drawn(point)) {
      shape += (shape.empty() ? "M" : "L") + fixed_text(axes.x(point.x), 2) + " " + fixed_text(axes.y(point.y), 2);
    } else if (!shape.empty()) {
      out += path(std::exchange(shape, {}), series.style, colour);
    }
  }
  return shape.empty() ? out : out + path(std::move(shape), series.style, colour);
}

std::string markers(const Series& series, const Axes& axes, std::string_view colour) {
  std::string out;
  for (const PlotPoint& point : series.points) {
    if (!drawn(point)) continue;
    const double x = axes.x(point.x);
    if (has_bar(point)) {
      const double low = axes.y(point.y_low);
      const double high = axes.y(point.y_high);
      out += rule(x, low, x, high, colour, 1.6);
      out += rule(x - 5, low, x + 5, low, colour, 1.6);
      out += rule(x - 5, high, x + 5, high, colour, 1.6);
    }
    out += marker(x, axes.y(point.y), series.style, colour);
  }
  return out;
}

bool is_line(SeriesStyle style) { return style == SeriesStyle::line || style == SeriesStyle::dashed; }

std::string legend_entry(const Series& series, std::size_t index, std::string_view colour) {
  const double column = (right - margin) / static_cast<double>(legend_columns);
  const double x = margin + column * static_cast<double>(index % legend_columns);
  const std::size_t row = index / legend_columns;
  const double y = legend_top + legend_row * static_cast<double>(row);
  std::string out = is_line(series.style) ? path("M" + place(x) + " " + place(y) + "h34", series.style, colour) : marker(x + 17, y, series.style, colour);
  out += text(x + 44, y + 4.5, {}, series.label);
  if (!series.source.empty()) out += text(x + 44, y + 19, {.size = 10.5, .colour = "#666666"}, series.source);
  return out;
}

/// Lines first, so that markers lie above all of them.
std::string drawing(const Plot& plot, const Axes& axes) {
  std::string under;
  std::string over;
  for (std::size_t i = 0; i < plot.series.size(); ++i) {
    const std::string_view colour = colours[i % colours.size()];
    const Series& series = plot.series[i];
    if (is_line(series.style)) {
      under += lines(series, axes, colour);
    } else {
      over += markers(series, axes, colour);
    }
  }
  if (under.empty() && over.empty()) {
    return text((left + right) / 2, (top + bottom) / 2, {.anchor = "middle", .size = 15.0, .colour = "#555555"}, "no secret key at any of these distances");
  }
  return "<g clip-path=\"url(#field)\">\n" + under + over + "</g>\n";
}

}  // namespace

std::string svg_plot(const Plot& plot) {
  const Axes axes = axes_for(plot);
  const std::size_t rows = (plot.series.size() + legend_columns - 1) / legend_columns;
  const double height = legend_top + static_cast<double>(rows) * legend_row + (plot.footer.empty() ? 0.0 : 20.0);
  const std::string size = general_text(width) + " " + general_text(height);
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + general_text(width) + "\" height=\"" + general_text(height) + "\" viewBox=\"0 0 " +
                    size + "\" font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\">\n";
  out += element("title", {}, plot.title);
  out += element("rect", {{"width", "100%"}, {"height", "100%"}, {"fill", "#ffffff"}});
  out += "<clipPath id=\"field\">" + element("rect", field(marker_room)) + "</clipPath>\n";
  out += text(margin, 34, {.size = 19.0, .weight = "bold"}, plot.title);
  out += text(margin, 58, {.size = 12.5, .colour = "#555555"}, plot.subtitle);
  out += grid(axes, plot) + drawing(plot, axes);
  for (std::size_t i = 0; i < plot.series.size(); ++i) out += legend_entry(plot.series[i], i, colours[i % colours.size()]);
  out += text(margin, height - 12, {.size = 10.5, .colour = "#666666"}, plot.footer);
  return out + "</svg>\n";
}

}  // namespace qanat::qkd
