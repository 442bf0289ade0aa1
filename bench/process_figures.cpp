#include "process_figures.hpp"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace qanat::bench {
namespace {

std::filesystem::path folder_of(pid_t pid) { return "/proc/" + std::to_string(pid); }

Error unreadable(const std::filesystem::path& file) { return {ErrorCode::unavailable, file.string() + ": cannot be read"}; }

/// The number behind "Name:" at the beginning of a line.
std::optional<double> field(const std::filesystem::path& file, const std::string& name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(name + ":")) continue;
    const std::size_t from = line.find_first_of("0123456789", name.size());
    if (from == std::string::npos) return std::nullopt;
    std::uint64_t out = 0;
    std::from_chars(line.data() + from, line.data() + line.size(), out);
    return static_cast<double>(out);
  }
  return std::nullopt;
}

}  // namespace

Result<Memory> memory_of(pid_t pid) {
  const std::filesystem::path file = folder_of(pid) / "smaps_rollup";
  const auto resident = field(file, "Rss");
  const auto proportional = field(file, "Pss");
  const auto clean = field(file, "Private_Clean");
  const auto dirty = field(file, "Private_Dirty");
  if (!resident || !proportional || !clean || !dirty) return fail(unreadable(file));
  return Memory{.resident = *resident, .proportional = *proportional, .own = *clean + *dirty};
}

Result<double> octets_written_by(pid_t pid) {
  const std::filesystem::path file = folder_of(pid) / "io";
  const auto out = field(file, "write_bytes");
  if (!out) return fail(unreadable(file));
  return *out;
}

Result<std::map<pid_t, double>> thread_seconds_of(pid_t pid) {
  std::map<pid_t, double> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_of(pid) / "task", error)) {
    std::ifstream in(entry.path() / "schedstat");
    std::uint64_t nanoseconds = 0;
    if (!(in >> nanoseconds)) continue;  // it has ended
    const std::string name = entry.path().filename().string();
    pid_t thread = 0;
    std::from_chars(name.data(), name.data() + name.size(), thread);
    out.emplace(thread, static_cast<double>(nanoseconds) * 1e-9);
  }
  if (out.empty()) return fail(unreadable(folder_of(pid) / "task"));
  return out;
}

}  // namespace qanat::bench
