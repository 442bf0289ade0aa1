#include "controller.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "cpu_clock.hpp"
#include "quantum/qkdnc/topology.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

constexpr double limit_ms = 50.0;
constexpr std::size_t rerouted_wanted = 100;
constexpr std::size_t searches = 60;
constexpr UnixMs start_ms = 1000000;

double processor_ms() { return thread_cpu_s() * 1e3; }

/// A country: QKMs at random places, each with links to its nearest neighbours, so that paths are long where the country is large.
class Country {
 public:
  explicit Country(std::size_t nodes) : places_(nodes), links_(nodes), topology_(qkdnc::TopologyPolicy{}) {
    std::uniform_real_distribution<double> anywhere(0.0, 1.0);
    for (auto& place : places_) place = {anywhere(random_), anywhere(random_)};
    for (std::size_t i = 0; i < nodes; ++i) join_nearest(i, 4);
    for (std::size_t i = 0; i < nodes; ++i) report(i, start_ms);
  }

  [[nodiscard]] std::size_t size() const { return places_.size(); }
  static ElementName name(std::size_t i) { return ElementName(fmt::format("qkm-{:05}", i)); }
  qkdnc::Topology& topology() { return topology_; }
  std::size_t anybody() { return random_() % places_.size(); }
  void report(std::size_t i, UnixMs now) {
    std::vector<qkdnc::ReportedLink> links;
    for (const std::size_t peer : links_[i]) {
      // Plenty of keys: costs are hops, the hardest case for a search that prunes by cost.
      links.push_back({.link = fmt::format("{}-{}", std::min(i, peer), std::max(i, peer)),
                       .peer = name(peer),
                       .state = {.stock = 1000, .rate_bps = 1e6, .qber = 0.01, .loss_db = 10.0, .alive = true}});
    }
    topology_.report(name(i), std::move(links), now);
  }

 private:
  void join_nearest(std::size_t i, std::size_t count) {
    std::vector<std::pair<double, std::size_t>> others;
    for (std::size_t j = 0; j < places_.size(); ++j) {
      if (j == i) continue;
      others.emplace_back(std::hypot(places_[i].first - places_[j].first, places_[i].second - places_[j].second), j);
    }
    const auto nearest = others.begin() + static_cast<std::ptrdiff_t>(std::min(count, others.size()));
    std::ranges::partial_sort(others, nearest);
    for (auto other = others.begin(); other != nearest; ++other) {
      join(i, other->second);
      join(other->second, i);
    }
  }
  void join(std::size_t from, std::size_t to) {
    if (std::ranges::find(links_[from], to) == links_[from].end()) links_[from].push_back(to);
  }

  std::mt19937_64 random_{20261128};
  std::vector<std::pair<double, double>> places_;
  std::vector<std::vector<std::size_t>> links_;
  qkdnc::Topology topology_;
};

struct Times {
  double middle = 0;
  double longest = 0;
};

Times times_of(std::vector<double> samples) {
  std::ranges::sort(samples);
  return {.middle = samples[samples.size() / 2], .longest = samples.back()};
}

/// Searches between QKMs anywhere; those for which a relay would be too long count as well, the search is the same.
Times search(Country& country, std::size_t paths) {
  std::vector<double> samples;
  while (samples.size() < searches) {
    const std::size_t from = country.anybody();
    const std::size_t to = country.anybody();
    if (from == to) continue;
    const double before = processor_ms();
    (void)country.topology().routes({.from = Country::name(from), .to = Country::name(to), .paths = paths}, start_ms);
    samples.push_back(processor_ms() - before);
  }
  return times_of(std::move(samples));
}

/// Routes are put in use until 100 of them pass one QKM, which then reports nothing but dead links.
Result<double> reroute(Country& country) {
  std::map<ElementName, std::size_t> passed;
  ElementName busiest;
  for (std::size_t tries = 0; tries < 200 * rerouted_wanted; ++tries) {
    const auto routes = country.topology().routes({.from = Country::name(country.anybody()), .to = Country::name(country.anybody())}, start_ms);
    if (!routes) continue;
    const auto& path = routes->front().path;
    for (std::size_t i = 1; i + 1 < path.size(); ++i) {
      if (++passed[path[i]] >= rerouted_wanted) busiest = path[i];
    }
    if (!busiest.empty()) break;
  }
  if (busiest.empty()) return fail(ErrorCode::internal, "no QKM of the made-up country is passed by 100 routes");
  std::size_t number = 0;
  while (Country::name(number) != busiest) ++number;
  const std::uint64_t before_count = country.topology().counts().rerouted;
  const double before = processor_ms();
  country.topology().report(busiest, {}, start_ms + 1);
  const double spent = processor_ms() - before;
  const std::uint64_t rerouted = country.topology().counts().rerouted - before_count;
  country.report(number, start_ms + 2);
  if (rerouted == 0) return fail(ErrorCode::internal, "nothing was routed anew");
  return spent * static_cast<double>(rerouted_wanted) / static_cast<double>(rerouted);
}

}  // namespace

Result<void> measure_controller(Report& report) {
  for (const std::size_t nodes : {std::size_t{100}, std::size_t{1000}, std::size_t{10000}}) {
    Country country(nodes);
    const auto add = [&](const std::string& what, const Times& times, const std::string& note) {
      report.add({.name = fmt::format("controller, {} QKMs: {}", nodes, what),
                  .value = times.middle,
                  .unit = "ms",
                  .limit = limit_ms,
                  .ratio = times.middle / limit_ms,
                  .value_spread = {},
                  .ratio_spread = {},
                  .note = fmt::format("{}; limit: what the issue asks at 10,000; longest of {} {:.2f} ms", note, searches, times.longest)});
    };
    add("a route", search(country, 1), "median, one thread");
    add("a pair of node-disjoint routes", search(country, 2), "median, one thread");
    Country fresh(nodes);
    ASSIGN_OR_RETURN(const double anew, reroute(fresh));
    report.add({.name = fmt::format("controller, {} QKMs: new routes for 100 that a lost QKM cut", nodes),
                .value = anew,
                .unit = "ms",
                .limit = limit_ms,
                .ratio = anew / limit_ms,
                .value_spread = {},
                .ratio_spread = {},
                .note = "one report of the QKM itself, all its links gone; scaled to 100 if more were cut"});
  }
  return {};
}

}  // namespace qanat::bench
