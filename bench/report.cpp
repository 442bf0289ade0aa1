#include "report.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <memory>
#include <thread>

#include "statistics.hpp"

namespace qanat::bench {
namespace {

struct Machine {
  std::string cpu = "unknown";
  unsigned cores = std::thread::hardware_concurrency();
  std::string kernel = "unknown";
  std::string compiler = "clang " __clang_version__ ", " QANAT_BUILD_TYPE;
};

Machine this_machine() {
  Machine out;
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("model name")) continue;
    if (const auto colon = line.find(": "); colon != std::string::npos) out.cpu = line.substr(colon + 2);
    break;
  }
  utsname names{};
  if (::uname(&names) == 0) out.kernel = std::string(names.sysname) + " " + names.release;
  return out;
}

/// First line of a command's output, empty if it fails.
std::string output_of(const std::string& command) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen((command + " 2>/dev/null").c_str(), "r"), ::pclose);
  std::array<char, 256> line{};
  if (!pipe || std::fgets(line.data(), static_cast<int>(line.size()), pipe.get()) == nullptr) return "";
  std::string out(line.data());
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

/// The source's commit; "+" behind it if the source differs from it.
std::string this_commit() {
  const std::string git = "git -C '" QANAT_SOURCE_DIR "' ";
  const std::string commit = output_of(git + "rev-parse --short=12 HEAD");
  if (commit.empty()) return "unknown";
  return commit + (output_of(git + "status --porcelain --untracked-files=no").empty() ? "" : "+");
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

/// Three significant digits at least, no more than help.
std::string shown(double value) {
  const double size = std::fabs(value);
  if (size >= 1000) return fmt::format("{:.0f}", value);
  if (size >= 100) return fmt::format("{:.1f}", value);
  if (size >= 1) return fmt::format("{:.2f}", value);
  return fmt::format("{:.4f}", value);
}

std::string shown(const std::optional<double>& value) { return value ? shown(*value) : "–"; }
std::string shown(const std::optional<Spread>& spread) {
  return spread ? fmt::format("{} … {} ({})", shown(spread->low), shown(spread->high), spread->samples) : "–";
}

wire::Json json_of(const Spread& spread) { return wire::Json::object({{"low", spread.low}, {"high", spread.high}, {"samples", spread.samples}}); }

wire::Json json_of(const Row& row) {
  wire::Json out = wire::Json::object({{"name", row.name}, {"value", row.value}, {"unit", row.unit}});
  out.set("limit", row.limit ? wire::Json(*row.limit) : wire::Json());
  out.set("ratio", row.ratio ? wire::Json(*row.ratio) : wire::Json());
  if (row.value_spread) out.set("spread", json_of(*row.value_spread));
  if (row.ratio_spread) out.set("ratio_spread", json_of(*row.ratio_spread));
  out.set("note", row.note);
  return out;
}

}  // namespace

Spread spread_of(const std::vector<double>& values) {
  const auto [low, high] = std::ranges::minmax(values);
  return {.low = low, .high = high, .samples = values.size()};
}

Row plain_row(std::string name, double value, std::string unit, std::string note) {
  return {.name = std::move(name),
          .value = value,
          .unit = std::move(unit),
          .limit = {},
          .ratio = {},
          .value_spread = {},
          .ratio_spread = {},
          .note = std::move(note)};
}

Row median_row(std::string name, const std::vector<double>& values, std::string unit, std::string note) {
  return {.name = std::move(name),
          .value = median(values),
          .unit = std::move(unit),
          .limit = {},
          .ratio = {},
          .value_spread = spread_of(values),
          .ratio_spread = {},
          .note = std::move(note)};
}

Row flatness_row(std::string name, const std::vector<double>& values, const std::string& note) {
  const auto [low, high] = std::ranges::minmax(values);
  return {.name = std::move(name), .value = low / high, .unit = "ratio", .limit = {}, .ratio = {}, .value_spread = {}, .ratio_spread = {}, .note = note + "; 1 is flat"};
}

void Report::append(Report other) {
  for (Row& row : other.rows_) rows_.push_back(std::move(row));
  for (std::string& text : other.remarks_) remarks_.push_back(std::move(text));
}

std::string Report::markdown() const {
  const Machine machine = this_machine();
  std::string out = "# " + title_ + "\n\n";
  out += fmt::format("- machine: {}, {} cores, {}\n- compiler: {}\n- commit: {}\n- date: {}\n- again: {}\n", machine.cpu, machine.cores, machine.kernel,
                     machine.compiler, this_commit(), now_utc(), again_);
  for (const std::string& remark : remarks_) out += "- " + remark + "\n";
  out +=
      "\n| quantity | value | unit | limit | ratio | ratio: lowest … highest (samples) | value: lowest … highest (samples) "
      "|\n|---|---:|---|---:|---:|---|---|\n";
  for (const Row& row : rows_) {
    out += fmt::format("| {} | {} | {} | {} | {} | {} | {} |\n", row.name, shown(row.value), row.unit, shown(row.limit),
                       row.ratio ? fmt::format("**{:.3f}**", *row.ratio) : "–", shown(row.ratio_spread), shown(row.value_spread));
  }
  out += "\nA ratio of 1 is at the limit. Both sides of a ratio come from this run, from the same library and generator.\n\n## What is counted\n\n";
  for (const Row& row : rows_) {
    if (!row.note.empty()) out += fmt::format("- **{}**: {}\n", row.name, row.note);
  }
  if (!call_limit_.empty()) {
    out += "\n## The limit of call set-up\n\n| on the critical path | count | one, ms | together, ms |\n|---|---:|---:|---:|\n";
    double sum = 0;
    for (const CostLine& line : call_limit_) {
      out += fmt::format("| {} | {:.0f} | {:.3f} | {:.2f} |\n", line.what, line.count, line.unit_ms, line.ms());
      sum += line.ms();
    }
    out += fmt::format("| **sum** | | | **{:.2f}** |\n", sum);
  }
  return out;
}

wire::Json Report::json() const {
  const Machine machine = this_machine();
  wire::Json rows = wire::Json::array();
  for (const Row& row : rows_) rows.push(json_of(row));
  wire::Json lines = wire::Json::array();
  for (const CostLine& line : call_limit_) lines.push(wire::Json::object({{"what", line.what}, {"count", line.count}, {"unit_ms", line.unit_ms}}));
  wire::Json remarks = wire::Json::array();
  for (const std::string& remark : remarks_) remarks.push(remark);
  return wire::Json::object(
      {{"machine", wire::Json::object({{"cpu", machine.cpu}, {"cores", machine.cores}, {"kernel", machine.kernel}, {"compiler", machine.compiler}})},
       {"commit", this_commit()},
       {"date", now_utc()},
       {"remarks", remarks},
       {"rows", rows},
       {"call_limit", lines}});
}

Result<void> Report::write(const std::filesystem::path& folder) const {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(ErrorCode::invalid_argument, folder.string() + ": " + error.message());
  const auto put = [&](const char* name, const std::string& text) -> Result<void> {
    std::ofstream out(folder / name, std::ios::binary | std::ios::trunc);
    out << text;
    if (!out.flush()) return fail(ErrorCode::internal, (folder / name).string() + ": cannot be written");
    return {};
  };
  TRY(put("report.md", markdown()));
  return put("report.json", json().pretty() + "\n");
}

}  // namespace qanat::bench
