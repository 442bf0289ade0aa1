// The operational log of a process: one line per event, to a file and (for errors) to standard error. Not the audit record.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace qanat::node {

enum class LogLevel : std::uint8_t { debug, note, warning, error };

/// Opens `<folder>/<name>.log` for the process. Called once by main.
Result<void> open_log(const std::filesystem::path& folder, std::string_view name, LogLevel least);
void log_line(LogLevel level, std::string_view line);

template <class... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  log_line(level, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace qanat::node
