#include "etsi014.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <set>

#include "cpu_clock.hpp"
#include "http_load.hpp"
#include "launch.hpp"
#include "sae_demo.hpp"
#include "statistics.hpp"
#include "stock_end.hpp"
#include "stock_feed.hpp"

namespace qanat::bench {
namespace {

constexpr double floor_per_cpu_second = 10000;
constexpr const char* kmes[] = {"qkm-a", "qkm-b"};
// Of the near end, which orders, and of the far one.
const qkm::StockName near_name("domain/b/bench");
const qkm::StockName far_name("domain/a/bench");

struct Outcome {
  double per_cpu_second = 0;
  double per_second = 0;
  double p50_ms = 0;
  double p99_ms = 0;
  double upkeep_us = 0;  // processor microseconds per key that was replaced, both ends
  std::int64_t lowest = 0;
  std::int64_t highest = 0;
  std::string group;
};

/// What the runs with one stock gave.
struct Series {
  std::vector<Outcome> runs;
  [[nodiscard]] std::vector<double> values(double Outcome::*of) const {
    std::vector<double> out;
    for (const Outcome& run : runs) out.push_back(run.*of);
    return out;
  }
};

class Measurement {
 public:
  Measurement(const Etsi014Plan& plan, app::Network network) : plan_(plan), network_(std::move(network)) {}

  Result<void> start() {
    ASSIGN_OR_RETURN(rng_, crypto::open_rng());
    TRY(network_.create());
    ASSIGN_OR_RETURN(demo_, app::prepare_saes(network_));
    ASSIGN_OR_RETURN(running_, app::RunningNetwork::start(network_, plan_.program, {}));
    // CAS, which the KMEs ask for each other's status, stays; nobody else shall use the processor.
    for (const app::ElementPlan& element : network_.elements()) {
      if (element.started && element.identity.kind != Kind::cas) running_->stop_element(element.name(), app::RunningNetwork::Ending::orderly);
    }
    for (const std::size_t stock : plan_.stocks) TRY(fill(stock));
    return {};
  }

  /// One run with this stock in place.
  Result<Outcome> run(std::size_t stock) {
    TRY(move_stock(stock, To::kmes));
    // The bench's own KMEs: argv[1] is `qkm`, as for the elements.
    for (const char* kme : kmes) TRY(running_->start_element(kme, app::own_program()));
    auto out = [&]() -> Result<Outcome> {
      ASSIGN_OR_RETURN(const auto near, StockFeed::connect(network_.state_of("qkm-a") / "bench.sock", near_name, qkm::Owner::self));
      ASSIGN_OR_RETURN(const auto far, StockFeed::connect(network_.state_of("qkm-b") / "bench.sock", far_name, qkm::Owner::peer));
      TRY(near->add({}));
      const auto there = static_cast<std::size_t>(near->level());
      StockUpkeep upkeep(*near, *far, *rng_, stock - std::min(stock, there));
      return drive(upkeep);
    }();
    for (const char* kme : kmes) running_->stop_element(kme, app::RunningNetwork::Ending::orderly);
    TRY(move_stock(stock, To::shelf));
    return out;
  }

 private:
  enum class To : std::uint8_t { kmes, shelf };
  [[nodiscard]] std::filesystem::path shelf(std::size_t stock, const std::string& kme) const {
    return network_.folder() / "stocks" / std::to_string(stock) / kme;
  }

  /// Each stock is a database of its own, so that the stocks can take turns.
  Result<void> move_stock(std::size_t stock, To to) const {
    std::error_code error;
    for (const char* kme : kmes) {
      for (const char* file : {"qkm.db", "qkm.db-wal", "qkm.db-shm"}) {
        const std::filesystem::path on_shelf = shelf(stock, kme) / file;
        const std::filesystem::path in_use = network_.state_of(kme) / file;
        const auto& [from, where] = to == To::kmes ? std::pair(on_shelf, in_use) : std::pair(in_use, on_shelf);
        std::filesystem::remove(where, error);
        if (std::filesystem::exists(from)) std::filesystem::rename(from, where, error);
        if (error) return fail(ErrorCode::internal, from.string() + ": " + error.message());
      }
    }
    return {};
  }

  /// Both ends, with keys that domain a may choose.
  Result<void> fill(std::size_t keys) {
    std::vector<BatchId> batches;
    for (std::size_t i = 0; i < (keys + qkm::chunk_keys_max - 1) / qkm::chunk_keys_max; ++i) batches.push_back(rng_->id<BatchId>());
    const Secret octets = rng_->secret(std::size_t{qkm::chunk_keys_max} * qkm::stock_key_size);
    for (const char* kme : kmes) {
      std::filesystem::create_directories(shelf(keys, kme));
      ASSIGN_OR_RETURN(const auto end, StockEnd::open(network_.secret_of(std::string(kme) + ".master"), shelf(keys, kme) / "qkm.db", *rng_));
      const bool near = kme == kmes[0];
      TRY(end->add(near ? near_name : far_name, batches, near ? qkm::Owner::self : qkm::Owner::peer, octets));
    }
    return {};
  }

  [[nodiscard]] HttpLoadPlan load() const {
    constexpr std::string_view body = R"({"number":1,"size":256})";
    return {
        .port = demo_.ports.at("qkm-a"),
        .client = demo_.saes.at("sae-a"),
        .root = demo_.root.certificate,
        .connections = plan_.connections,
        .warm_up = plan_.warm_up,
        .requests = plan_.requests,
        .request = fmt::format("POST /api/v1/keys/sae-b/enc_keys HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                               body.size(), body)};
  }

  Result<Outcome> drive(StockUpkeep& upkeep) {
    ASSIGN_OR_RETURN(const ProcessClock near, ProcessClock::of(running_->pid_of("qkm-a")));
    ASSIGN_OR_RETURN(const ProcessClock far, ProcessClock::of(running_->pid_of("qkm-b")));
    const HttpLoadPlan load = this->load();
    double kmes_before = 0;
    double upkeep_before = 0;
    std::size_t replaced_before = 0;
    const auto begin = [&]() -> Result<void> {
      TRY(upkeep.settle());
      kmes_before = near.cpu_s() + far.cpu_s();
      upkeep_before = upkeep.cpu_s();
      replaced_before = upkeep.replaced();
      return {};
    };
    std::size_t twice = 0;
    const auto seen = [&](std::string_view answer) {
      const std::size_t at = answer.find("key_ID");
      if (at != std::string_view::npos && !ids_.insert(std::string(answer.substr(at + 9, 36))).second) ++twice;
      upkeep.used();
    };
    ASSIGN_OR_RETURN(const HttpLoad done, bench::drive(load, begin, seen));
    TRY(upkeep.settle());
    if (twice > 0) return fail(ErrorCode::internal, "a key was delivered twice");
    const double upkeep_s = upkeep.cpu_s() - upkeep_before;
    const double serving_s = near.cpu_s() + far.cpu_s() - kmes_before - upkeep_s;
    const auto requests = static_cast<double>(plan_.requests);
    return Outcome{.per_cpu_second = requests / serving_s,
                   .per_second = done.per_second(),
                   .p50_ms = done.percentile(0.5),
                   .p99_ms = done.percentile(0.99),
                   .upkeep_us = 1e6 * upkeep_s / static_cast<double>(upkeep.replaced() - replaced_before),
                   .lowest = upkeep.lowest(),
                   .highest = upkeep.highest(),
                   .group = done.group};
  }

  const Etsi014Plan& plan_;
  app::Network network_;
  std::unique_ptr<crypto::Rng> rng_;
  app::SaeDemo demo_;
  std::unique_ptr<app::RunningNetwork> running_;
  std::set<std::string> ids_;
};

void add_rows(Report& report, const Etsi014Plan& plan, std::size_t stock, const Series& series) {
  std::int64_t lowest = INT64_MAX;
  std::int64_t highest = 0;
  for (const Outcome& run : series.runs) {
    lowest = std::min(lowest, run.lowest);
    highest = std::max(highest, run.highest);
  }
  const std::string of = fmt::format("ETSI 014 enc_keys, {} keys stored", stock);
  Row both = median_row(of + ", both KMEs", series.values(&Outcome::per_cpu_second), "requests per CPU second",
                        fmt::format("number = 1, far end activated first; {} connections kept open, {}; {} requests a run after {} unmeasured ones; median of "
                                    "{} runs, the stocks taking turns; "
                                    "KMEs' user and system time, without the threads that bring in keys, which hold the level (the client waits while two chunks are missing; {} … {} keys seen)",
                                    plan.connections, series.runs.front().group, plan.requests, plan.warm_up, series.runs.size(), lowest, highest));
  both.limit = floor_per_cpu_second;
  both.ratio = both.value / floor_per_cpu_second;
  report.add(std::move(both));
  report.add(median_row(of + ", whole machine", series.values(&Outcome::per_second), "requests/s",
                        "wall clock; the client, its TLS and the intake of keys on the same processors"));
  report.add(median_row(of + ", p50", series.values(&Outcome::p50_ms), "ms", ""));
  report.add(median_row(of + ", p99", series.values(&Outcome::p99_ms), "ms", ""));
  report.add(median_row(of + ", to hold the level", series.values(&Outcome::upkeep_us), "CPU us per key",
                        "sealed and durable at both ends, mostly 256 keys to a commit, while requests run; not in the first row"));
}

Result<void> measure_in(const std::filesystem::path& folder, Report& report, const Etsi014Plan& plan) {
  ASSIGN_OR_RETURN(app::Network network, app::Network::plan(folder, {}));
  Measurement measurement(plan, std::move(network));
  TRY(measurement.start());
  std::vector<Series> all(plan.stocks.size());
  for (std::size_t run = 0; run < plan.runs; ++run) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::size_t turn = run % 2 == 0 ? i : all.size() - 1 - i;  // there and back: what drifts meets all alike
      ASSIGN_OR_RETURN(Outcome outcome, measurement.run(plan.stocks[turn]));
      all[turn].runs.push_back(std::move(outcome));
    }
  }
  std::vector<double> rates;
  for (std::size_t i = 0; i < all.size(); ++i) {
    add_rows(report, plan, plan.stocks[i], all[i]);
    rates.push_back(median(all[i].values(&Outcome::per_cpu_second)));
  }
  report.add(flatness_row("ETSI 014 enc_keys, smallest to largest rate over the stocks", rates, "of the medians, per CPU second"));
  return {};
}

}  // namespace

Result<void> measure_etsi014(Report& report, const Etsi014Plan& plan) {
  ::signal(SIGPIPE, SIG_IGN);
  const std::filesystem::path within = plan.within.empty() ? std::filesystem::temp_directory_path() : plan.within;
  std::string pattern = (within / "qanat-etsi014-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return fail(ErrorCode::internal, within.string() + ": no temporary folder can be made here");
  const Result<void> done = measure_in(pattern, report, plan);
  std::error_code ignored;
  std::filesystem::remove_all(pattern, ignored);
  return done;
}

}  // namespace qanat::bench
