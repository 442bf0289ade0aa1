#include "soak_schedule.hpp"

#include <algorithm>
#include <random>

namespace qanat::bench {
namespace {

// The second front end has no place in the network's plan: soak_network.hpp names it so.
constexpr std::array<std::string_view, 2> front_ends{"kms-a", "kms-a-2"};
constexpr std::array<std::string_view, 3> qkms{"qkm-a", "qkm-r", "qkm-b"};

/// The standard leaves the algorithms of its distributions and of shuffle() open; this is the same everywhere.
std::uint64_t below(std::mt19937_64& random, std::uint64_t bound) { return random() % bound; }

template <class T>
void mix(std::vector<T>& values, std::mt19937_64& random) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(random, i)]);
}

}  // namespace

std::string_view name(Disturbance what) noexcept {
  switch (what) {
    case Disturbance::front_end_killed:
      return "kill -9 of a KMS front end";
    case Disturbance::qkm_killed:
      return "kill -9 of a QKM";
    case Disturbance::connections_ended:
      return "database connections ended";
    case Disturbance::database_restarted:
      return "database server crashed and restarted";
  }
  return "?";
}

std::vector<Planned> schedule_of(std::uint64_t seed, std::chrono::milliseconds length, std::chrono::milliseconds every) {
  std::mt19937_64 random(seed);
  const std::int64_t first = length.count() / 12;
  const std::int64_t last = length.count() * 2 / 3;
  const auto rounds = std::max<std::int64_t>(1, (last - first) / (every.count() * std::ssize(all_disturbances)));
  const std::int64_t slot = (last - first) / (rounds * std::ssize(all_disturbances));
  std::uint64_t front_end = below(random, front_ends.size());
  std::uint64_t qkm = below(random, qkms.size());
  std::vector<Planned> out;
  for (std::int64_t round = 0; round < rounds; ++round) {
    std::vector<Disturbance> kinds(all_disturbances.begin(), all_disturbances.end());
    mix(kinds, random);
    for (const Disturbance kind : kinds) {
      // Within the first half of its slot, so that there is time to come back before the next.
      const std::int64_t begin = first + slot * std::ssize(out);
      const auto shift = static_cast<std::int64_t>(below(random, static_cast<std::uint64_t>(slot / 2) + 1));
      std::string victim;
      if (kind == Disturbance::front_end_killed) victim = front_ends[front_end++ % front_ends.size()];
      if (kind == Disturbance::qkm_killed) victim = qkms[qkm++ % qkms.size()];
      out.push_back({.at = std::chrono::milliseconds(begin + shift), .what = kind, .victim = std::move(victim)});
    }
  }
  return out;
}

}  // namespace qanat::bench
