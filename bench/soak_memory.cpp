#include "soak_memory.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <optional>
#include <span>

namespace qanat::bench {
namespace {

constexpr std::chrono::seconds look_every{1};
constexpr std::uint64_t asked_every = 5;  // looks
constexpr double seconds_per_hour = 3600;

std::optional<double> resident_kib(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  if (!(in >> total >> resident) || resident == 0) return std::nullopt;  // it has just ended
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1024;
}

struct Line {
  double slope = 0;  // KiB a second
  double mean = 0;
};
/// Least squares.
Line fitted(std::span<const MemorySample> samples) {
  double time = 0;
  double memory = 0;
  for (const MemorySample& sample : samples) {
    time += sample.at_s;
    memory += sample.kib;
  }
  const auto count = static_cast<double>(samples.size());
  time /= count;
  memory /= count;
  double both = 0;
  double square = 0;
  for (const MemorySample& sample : samples) {
    both += (sample.at_s - time) * (sample.kib - memory);
    square += (sample.at_s - time) * (sample.at_s - time);
  }
  return {.slope = square > 0 ? both / square : 0, .mean = memory};
}

}  // namespace

MemoryVerdict judge(const MemorySeries& series, double judged_s) {
  MemoryVerdict out;
  if (series.size() < 2) return out;
  const auto [low, high] = std::ranges::minmax_element(series, {}, &MemorySample::kib);
  out.low_kib = low->kib;
  out.high_kib = high->kib;
  out.seconds = series.back().at_s - series.front().at_s;
  const std::span all(series);
  out.slope_kib_per_h = fitted(all.subspan(all.size() / 3)).slope * seconds_per_hour;
  const auto half = all.subspan(all.size() / 2);
  const Line line = fitted(half);
  out.growth_kib = line.slope * (half.back().at_s - half.front().at_s);
  out.growth_part = line.mean > 0 ? out.growth_kib / line.mean : 0;
  out.judged = out.seconds >= judged_s;
  out.flat = !out.judged || out.growth_part < memory_growth_max || out.growth_kib < memory_growth_kib_max;
  return out;
}

std::string as_csv(const std::map<std::string, std::vector<ProcessMemory>>& memory) {
  std::string out = "element,start,what,at_s,kib\n";
  for (const auto& [name, all] : memory) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      for (const auto& [what, series, judged_s] : views_of(all[i])) {
        for (const MemorySample& sample : *series) out += fmt::format("{},{},{},{:.1f},{:.0f}\n", name, i + 1, what, sample.at_s, sample.kib);
      }
    }
  }
  return out;
}

MemoryWatch::MemoryWatch(std::function<std::vector<NamedProcess>()> processes, std::function<std::optional<double>(const std::string& element)> in_use)
    : processes_(std::move(processes)), in_use_(std::move(in_use)), thread_([this](const std::stop_token& stopped) { run(stopped); }) {}

MemoryWatch::~MemoryWatch() { (void)stop(); }

std::map<std::string, std::vector<ProcessMemory>> MemoryWatch::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  return series_;
}

void MemoryWatch::run(const std::stop_token& stopped) {
  const auto began = std::chrono::steady_clock::now();
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  for (std::uint64_t look = 0; !stopped.stop_requested(); ++look) {
    const double now_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    for (const NamedProcess& process : processes_()) {
      const auto resident = resident_kib(process.pid);
      if (!resident) continue;
      std::vector<ProcessMemory>& of_element = series_[process.name];
      if (of_element.empty() || std::exchange(last_pid_[process.name], process.pid) != process.pid) of_element.emplace_back();
      last_pid_[process.name] = process.pid;
      of_element.back().resident.push_back({.at_s = now_s, .kib = *resident});
      if (look % asked_every != 0) continue;
      if (const auto in_use = in_use_(process.name)) of_element.back().in_use.push_back({.at_s = now_s, .kib = *in_use});
    }
    never.wait_for(lock, stopped, look_every, [] { return false; });
  }
}

}  // namespace qanat::bench
