#include "recovery.hpp"

#include <fmt/format.h>

#include <chrono>
#include <set>
#include <thread>

#include "key_taker.hpp"
#include "quantum/qkm/relay_message.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

using Ending = app::RunningNetwork::Ending;

constexpr std::chrono::seconds take_max{5};
constexpr std::chrono::seconds wait_max{120};
constexpr std::chrono::milliseconds look_every{20};
constexpr std::size_t undisturbed = 40;

double since_ms(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
}

/// Two paths between the domains, two controllers; each key is relayed when it is asked for, so that no pool hides what happens.
class Stream {
 public:
  explicit Stream(const RecoveryPlan& plan) : plan_(plan) {}

  Result<void> lay() {
    GroundOptions options{
        .program = plan_.program, .within = plan_.within, .network = {}, .qkm_settings = "pool_target = 0\nlow_water = 48\nhigh_water = 96\nkeys_max = 1024\n"};
    options.network.paths = 2;
    options.network.controllers = 2;
    ASSIGN_OR_RETURN(ground_, Ground::lay(options));
    for (const char* relay : {"qkm-r", "qkm-r2"}) {
      const std::vector<ElementName> path{ElementName("qkm-a"), ElementName(relay), ElementName("qkm-b")};
      relays_.emplace(qkm::path_id_of(path).hex(), relay);
    }
    ASSIGN_OR_RETURN(KeyTaker taker, KeyTaker::at(*ground_, "qkm-a"));
    taker_.emplace(std::move(taker));
    return await_both_paths();
  }

  /// One key: over which relay, and how long it took from the first request on. Refusals are asked again.
  struct Got {
    std::string relay;
    double ms = 0;
  };
  Result<Got> next() {
    const auto began = std::chrono::steady_clock::now();
    const Deadline until = Deadline::after(wait_max);
    while (true) {
      const auto keys = taker_->take(1, Deadline::after(take_max));
      if (keys && keys->size() == 1) {
        if (!ids_.insert(keys->front().id).second) return fail(ErrorCode::internal, "key " + keys->front().id + " came twice");
        return Got{.relay = relays_[keys->front().path_id], .ms = since_ms(began)};
      }
      if (until.passed()) return fail(ErrorCode::deadline_exceeded, keys ? "no key came" : "no key came: " + keys.error().message);
    }
  }

  Result<std::vector<double>> calm() {
    std::vector<double> out;
    for (std::size_t i = 0; i < undisturbed; ++i) {
      ASSIGN_OR_RETURN(const Got got, next());
      out.push_back(got.ms);
    }
    return out;
  }

  struct Outage {
    double first_other_ms = 0;  // from the kill to the first key over the other relay
    double longest_ms = 0;      // that one key was waited for, meanwhile
  };
  /// Kills what serves the path of the last key. `victim` names it by the relay.
  template <class Victim>
  Result<Outage> kill(const Victim& victim) {
    TRY(await_both_paths());
    ASSIGN_OR_RETURN(const Got last, next());
    const std::string name = victim(last.relay);
    ground_->running().stop_element(name, Ending::kill);
    const auto began = std::chrono::steady_clock::now();
    Outage out;
    const Deadline until = Deadline::after(wait_max);
    while (true) {
      ASSIGN_OR_RETURN(const Got got, next());
      out.longest_ms = std::max(out.longest_ms, got.ms);
      if (got.relay != last.relay) break;
      if (until.passed()) return fail(ErrorCode::deadline_exceeded, name + " is dead, and keys still come over " + last.relay);
    }
    out.first_other_ms = since_ms(began);
    TRY(ground_->running().start_element(name));
    return out;
  }

  struct Succession {
    double first_key_ms = 0;
    double new_leader_ms = 0;
  };
  Result<Succession> kill_leader() {
    TRY(await_both_paths());
    std::string leader;
    TRY(await("a leader", [&] {
      for (const char* name : {"qkdnc", "qkdnc-2"}) {
        if (leads(name)) leader = name;
      }
      return !leader.empty();
    }));
    const std::string other = leader == "qkdnc" ? "qkdnc-2" : "qkdnc";
    ground_->running().stop_element(leader, Ending::kill);
    const auto began = std::chrono::steady_clock::now();
    Succession out;
    ASSIGN_OR_RETURN(const Got first, next());
    out.first_key_ms = first.ms;
    TRY(await("the other controller to lead", [&] { return leads(other); }));
    out.new_leader_ms = since_ms(began);
    TRY(ground_->running().start_element(leader));
    return out;
  }

 private:
  template <class Holds>
  static Result<void> await(const std::string& what, const Holds& holds) {
    const Deadline until = Deadline::after(wait_max);
    while (!holds()) {
      if (until.passed()) return fail(ErrorCode::deadline_exceeded, "waited in vain for " + what);
      std::this_thread::sleep_for(look_every);
    }
    return {};
  }
  bool leads(const std::string& controller) {
    const auto health = ground_->op().health(controller);
    return health && health->boolean("leads").value_or(false);
  }
  /// Every link has keys at the near end, and both controllers run.
  Result<void> await_both_paths() {
    return await("link keys on both paths", [&] {
      for (const char* qkm : {"qkm-a", "qkm-r", "qkm-r2"}) {
        const auto health = ground_->op().health(qkm);
        const auto links = health ? health->array("links") : Result<std::vector<wire::Json>>(fail(health.error()));
        if (!links) return false;
        for (const wire::Json& link : *links) {
          if (link.integer("own_keys").value_or(0) < 16) return false;
        }
      }
      return true;
    });
  }

  const RecoveryPlan plan_;
  std::unique_ptr<Ground> ground_;
  std::optional<KeyTaker> taker_;
  std::map<std::string, std::string> relays_;  // by path id
  std::set<std::string> ids_;
};

Row row_of(const std::string& name, const std::vector<double>& values, double limit, std::string note) {
  const double middle = median(values);
  return {.name = "recovery: " + name,
          .value = middle,
          .unit = "ms",
          .limit = limit,
          .ratio = limit / middle,
          .value_spread = spread_of(values),
          .ratio_spread = {},
          .note = std::move(note)};
}

}  // namespace

Result<void> measure_recovery(Report& report, const RecoveryPlan& plan) {
  Stream stream(plan);
  TRY(stream.lay());
  ASSIGN_OR_RETURN(const std::vector<double> calm, stream.calm());
  const double limit = median(calm);
  const std::string limit_note = fmt::format("limit: a key on demand when nothing is wrong, {:.1f} ms; median of {}", limit, plan.rounds);

  std::vector<double> relay;
  std::vector<double> link;
  std::vector<double> link_gap;
  std::vector<double> key;
  std::vector<double> leader;
  for (std::size_t i = 0; i < plan.rounds; ++i) {
    ASSIGN_OR_RETURN(const Stream::Outage outage, stream.kill([](const std::string& over) { return over; }));
    relay.push_back(outage.first_other_ms);
  }
  for (std::size_t i = 0; i < plan.rounds; ++i) {
    ASSIGN_OR_RETURN(const Stream::Outage outage,
                     stream.kill([](const std::string& over) { return std::string(over == "qkm-r" ? "qkd-ar-alice" : "qkd-ar2-alice"); }));
    link.push_back(outage.first_other_ms);
    link_gap.push_back(outage.longest_ms);
  }
  for (std::size_t i = 0; i < plan.rounds; ++i) {
    ASSIGN_OR_RETURN(const Stream::Succession succession, stream.kill_leader());
    key.push_back(succession.first_key_ms);
    leader.push_back(succession.new_leader_ms);
  }
  report.add(row_of("kill -9 of the QKM that relays, to the first key over the other", relay, limit, "keys one by one on demand, no pool; " + limit_note));
  report.add(
      row_of("kill -9 of a QKD of the link in use: the longest wait for a key until they go the other way", link_gap, limit,
             fmt::format("its keys in stock serve on; the first key the other way came {:.0f} ms after the kill (median); {}", median(link), limit_note)));
  report.add(row_of("kill -9 of the leading controller, to the next key", key, limit, "the last routes serve; " + limit_note));
  report.add({.name = "recovery: kill -9 of the leading controller, to the other one that leads",
              .value = median(leader),
              .unit = "ms",
              .limit = 3000,
              .ratio = 3000 / median(leader),
              .value_spread = spread_of(leader),
              .ratio_spread = {},
              .note = "limit: the silence that must pass by configuration (takeover_ms; twice that for the one that sorts last)"});
  return {};
}

}  // namespace qanat::bench
