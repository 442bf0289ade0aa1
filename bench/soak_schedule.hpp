// What is disturbed when, in the load test: derived from a seed alone, so that a run can be had again.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qanat::bench {

enum class Disturbance : std::uint8_t {
  front_end_killed,    // kill -9, and started again
  qkm_killed,          // kill -9, and started again
  connections_ended,   // pg_terminate_backend for every connection of the KMS
  database_restarted,  // the server ends as after a loss of power, and is started again
};
inline constexpr std::array all_disturbances{Disturbance::front_end_killed, Disturbance::qkm_killed, Disturbance::connections_ended,
                                             Disturbance::database_restarted};
std::string_view name(Disturbance what) noexcept;

struct Planned {
  std::chrono::milliseconds at{};  // from the beginning of the load
  Disturbance what{};
  std::string victim;  // an element; empty for the database

  bool operator==(const Planned&) const = default;
};

/// In the order of their times, all in the first two thirds of `length`: the last third shows what memory does when nothing happens. Each kind comes once, and
/// once more for each `every` that there is room for; victims take turns.
std::vector<Planned> schedule_of(std::uint64_t seed, std::chrono::milliseconds length, std::chrono::milliseconds every);

}  // namespace qanat::bench
