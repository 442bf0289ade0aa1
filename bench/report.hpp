// The report: one row per measured quantity, in Markdown for people and JSON for comparing runs.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "wire/json.hpp"

namespace qanat::bench {

/// The lowest and the highest of what one row sums up.
struct Spread {
  double low = 0;
  double high = 0;
  std::size_t samples = 0;
};

struct Row {
  std::string name;
  double value = 0;
  std::string unit;
  std::optional<double> limit;  // what cannot be surpassed, in the same unit, measured in the same run
  std::optional<double> ratio;  // how near to the limit: 1 is at it
  std::optional<Spread> value_spread;
  std::optional<Spread> ratio_spread;
  std::string note;  // what exactly is counted
};

/// Of one value at least.
Spread spread_of(const std::vector<double>& values);

/// A value by itself.
Row plain_row(std::string name, double value, std::string unit, std::string note = "");

/// A row of several measurements: their median, the lowest and the highest.
Row median_row(std::string name, const std::vector<double>& values, std::string unit, std::string note);

/// The lowest to the highest of several values, which would be 1 if they were alike.
Row flatness_row(std::string name, const std::vector<double>& values, const std::string& note);

/// One item of a limit that is a sum.
struct CostLine {
  std::string what;
  double count = 0;
  double unit_ms = 0;

  [[nodiscard]] double ms() const { return count * unit_ms; }
};

class Report {
 public:
  Report() = default;
  /// Of another program than qanat-bench. `again`: how people get such a report, in Markdown.
  Report(std::string title, std::string again) : title_(std::move(title)), again_(std::move(again)) {}

  void add(Row row) { rows_.push_back(std::move(row)); }
  /// The other report's rows and remarks behind our own.
  void append(Report other);
  /// How the limit of call set-up is put together.
  void set_call_limit(std::vector<CostLine> lines) { call_limit_ = std::move(lines); }
  /// Something about the run that a reader must know.
  void remark(std::string text) { remarks_.push_back(std::move(text)); }

  [[nodiscard]] std::string markdown() const;
  [[nodiscard]] wire::Json json() const;
  /// report.md and report.json in `folder`, which is made if need be.
  Result<void> write(const std::filesystem::path& folder) const;

 private:
  std::string title_ = "What it costs";
  std::string again_ = "`make bench` (writes `out/bench/report.md` and `report.json`)";
  std::vector<Row> rows_;
  std::vector<CostLine> call_limit_;
  std::vector<std::string> remarks_;
};

}  // namespace qanat::bench
