#include "node/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace qanat::node {
namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::note: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

Result<void> open_log(const std::filesystem::path& folder, std::string_view name, LogLevel least) {
  try {
    auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>((folder / (std::string(name) + ".log")).string());
    auto standard_error = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    standard_error->set_level(spdlog::level::err);
    auto logger = std::make_shared<spdlog::logger>(std::string(name), spdlog::sinks_init_list{file, standard_error});
    logger->set_level(spdlog_level(least));
    logger->flush_on(spdlog::level::info);
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %n %l %v");
    spdlog::set_default_logger(std::move(logger));
  } catch (const spdlog::spdlog_ex& error) {
    return fail(ErrorCode::internal, fmt::format("log in {}: {}", folder.string(), error.what()));
  }
  return {};
}

void log_line(LogLevel level, std::string_view line) { spdlog::log(spdlog_level(level), "{}", line); }

}  // namespace qanat::node
