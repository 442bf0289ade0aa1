#include "etsi014.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <set>

#include "cpu_clock.hpp"
#include "http_load.hpp"
#include "launch.hpp"
#include "quantum/qkm/schema.hpp"
#include "quantum/qkm/key_stock.hpp"
#include "sae_demo.hpp"

namespace qanat::bench {
namespace {

constexpr std::size_t chunks_together = 512;  // of one transaction while the stock is filled
constexpr double floor_per_cpu_second = 10000;

/// A key's place in both ends' stocks before a measurement, as if quantum links had brought it.
class Filler {
 public:
  static Result<Filler> open(const app::Network& network, const std::string& qkm, crypto::Rng& rng) {
    Filler out;
    ASSIGN_OR_RETURN(out.device_, crypto::open_software_device(network.secret_of(qkm + ".master"), rng));
    ASSIGN_OR_RETURN(out.store_, store::Store::open(network.state_of(qkm) / "qkm.db", qkm::migrations));
    return Result<Filler>(std::move(out));
  }
  Result<std::size_t> level(const qkm::StockName& name) {
    qkm::KeyStock stock(*device_);
    ASSIGN_OR_RETURN(const qkm::StockLevel level,
                     store_->transact([&](store::Transaction& transaction) { return stock.level(transaction, name, SystemClock().now_ms()); }));
    return static_cast<std::size_t>(std::max(level.own, level.peer));
  }
  Result<void> add(const qkm::StockName& name, std::span<const BatchId> batches, qkm::Owner owner, const Secret& keys) {
    qkm::KeyStock stock(*device_);
    for (; !batches.empty(); batches = batches.subspan(std::min(batches.size(), chunks_together))) {
      std::vector<qkm::Chunk> chunks;
      for (const BatchId& batch : batches.first(std::min(batches.size(), chunks_together))) {
        chunks.push_back({.batch = batch, .owner = owner, .keys = keys.duplicate(), .about = "", .expires_ms = 0});
      }
      TRY(store_->transact([&](store::Transaction& transaction) { return stock.add(transaction, name, {}, chunks, SystemClock().now_ms()); }));
    }
    return {};
  }

 private:
  std::unique_ptr<crypto::CryptoDevice> device_;
  std::unique_ptr<store::Store> store_;
};

class Measurement {
 public:
  Measurement(const Etsi014Plan& plan, app::Network network) : plan_(plan), network_(std::move(network)) {}

  Result<void> start() {
    ASSIGN_OR_RETURN(rng_, crypto::open_rng());
    TRY(network_.create());
    ASSIGN_OR_RETURN(demo_, app::prepare_saes(network_));
    ASSIGN_OR_RETURN(running_, app::RunningNetwork::start(network_, plan_.program, {}));
    // The two KMEs and CAS, which they ask for each other's status, stay; nobody else shall use the processor.
    for (const app::ElementPlan& element : network_.elements()) {
      const Kind kind = element.identity.kind;
      if (element.started && kind != Kind::cas) running_->stop_element(element.name(), app::RunningNetwork::Ending::orderly);
    }
    return {};
  }

  struct Outcome {
    double per_cpu_second = 0;
    double per_second = 0;
    double p50_ms = 0;
    double p99_ms = 0;
    std::string group;
  };

  Result<Outcome> measure(std::size_t stock) {
    std::vector<HttpLoad> loads;
    double cpu_s = 0;
    std::size_t done = 0;
    while (done < plan_.requests) {
      TRY(fill(stock));
      for (const char* name : {"qkm-a", "qkm-b"}) TRY(running_->start_element(name));
      const std::size_t requests = std::min(plan_.requests - done, stock * 9 / 10);
      ASSIGN_OR_RETURN(HttpLoad load, drive(requests, cpu_s));
      done += requests;
      loads.push_back(std::move(load));
      for (const char* name : {"qkm-a", "qkm-b"}) running_->stop_element(name, app::RunningNetwork::Ending::orderly);
    }
    Outcome out{.per_cpu_second = static_cast<double>(done) / cpu_s, .group = loads.front().group};
    double seconds = 0;
    std::vector<double> latencies;
    for (const HttpLoad& load : loads) {
      seconds += load.seconds;
      latencies.insert(latencies.end(), load.latency_ms.begin(), load.latency_ms.end());
    }
    std::ranges::sort(latencies);
    out.per_second = static_cast<double>(done) / seconds;
    out.p50_ms = latencies[latencies.size() / 2];
    out.p99_ms = latencies[latencies.size() * 99 / 100];
    return out;
  }

 private:
  Result<HttpLoad> drive(std::size_t requests, double& cpu_s) {
    ASSIGN_OR_RETURN(const ProcessClock near, ProcessClock::of(running_->pid_of("qkm-a")));
    ASSIGN_OR_RETURN(const ProcessClock far, ProcessClock::of(running_->pid_of("qkm-b")));
    constexpr std::string_view body = R"({"number":1,"size":256})";
    const HttpLoadPlan load{
        .port = demo_.ports.at("qkm-a"),
        .client = demo_.saes.at("sae-a"),
        .root = demo_.root.certificate,
        .connections = std::min(plan_.connections, requests),
        .requests = requests,
        .request = fmt::format("POST /api/v1/keys/sae-b/enc_keys HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                               body.size(), body)};
    double before = 0;
    std::size_t twice = 0;
    const auto seen = [&](std::string_view answer) {
      const std::size_t at = answer.find("key_ID");
      if (at != std::string_view::npos && !ids_.insert(std::string(answer.substr(at + 9, 36))).second) ++twice;
    };
    ASSIGN_OR_RETURN(HttpLoad out, bench::drive(load, [&] { before = near.cpu_s() + far.cpu_s(); }, seen));
    cpu_s += near.cpu_s() + far.cpu_s() - before;
    if (twice > 0) return fail(ErrorCode::internal, "a key was delivered twice");
    return Result<HttpLoad>(std::move(out));
  }

  /// Both ends, to `keys` keys that domain a may choose.
  Result<void> fill(std::size_t keys) {
    ASSIGN_OR_RETURN(Filler near, Filler::open(network_, "qkm-a", *rng_));
    ASSIGN_OR_RETURN(Filler far, Filler::open(network_, "qkm-b", *rng_));
    const qkm::StockName at_a("domain/b/bench");
    const qkm::StockName at_b("domain/a/bench");
    ASSIGN_OR_RETURN(const std::size_t there, near.level(at_a));
    std::vector<BatchId> batches;
    for (std::size_t missing = keys - std::min(there, keys); missing > 0; missing -= std::min<std::size_t>(missing, qkm::chunk_keys_max)) {
      batches.push_back(rng_->id<BatchId>());
    }
    // One block of octets for every chunk: what the keys are makes no difference to what they cost.
    const Secret octets = rng_->secret(std::size_t{qkm::chunk_keys_max} * qkm::stock_key_size);
    TRY(near.add(at_a, batches, qkm::Owner::self, octets));
    return far.add(at_b, batches, qkm::Owner::peer, octets);
  }

  const Etsi014Plan& plan_;
  app::Network network_;
  std::unique_ptr<crypto::Rng> rng_;
  app::SaeDemo demo_;
  std::unique_ptr<app::RunningNetwork> running_;
  std::set<std::string> ids_;
};

Result<void> measure_in(const std::filesystem::path& folder, Report& report, const Etsi014Plan& plan) {
  ASSIGN_OR_RETURN(app::Network network, app::Network::plan(folder, {}));
  Measurement measurement(plan, std::move(network));
  TRY(measurement.start());
  std::vector<double> rates;
  for (const std::size_t stock : plan.stocks) {
    ASSIGN_OR_RETURN(const Measurement::Outcome outcome, measurement.measure(stock));
    rates.push_back(outcome.per_cpu_second);
    const std::string of = fmt::format("ETSI 014 enc_keys, {} keys stored", stock);
    const std::string note = fmt::format("number = 1, far end activated first; {} connections, {}; KMEs' user and system time", plan.connections, outcome.group);
    report.add({.name = of + ", both KMEs", .value = outcome.per_cpu_second, .unit = "requests per CPU second", .limit = floor_per_cpu_second,
                .ratio = outcome.per_cpu_second / floor_per_cpu_second, .value_spread = {}, .ratio_spread = {}, .note = note});
    report.add({.name = of + ", whole machine", .value = outcome.per_second, .unit = "requests/s", .limit = {}, .ratio = {}, .value_spread = {},
                .ratio_spread = {}, .note = "wall clock, the client and its TLS on the same processors"});
    report.add({.name = of + ", p50", .value = outcome.p50_ms, .unit = "ms", .limit = {}, .ratio = {}, .value_spread = {}, .ratio_spread = {}, .note = ""});
    report.add({.name = of + ", p99", .value = outcome.p99_ms, .unit = "ms", .limit = {}, .ratio = {}, .value_spread = {}, .ratio_spread = {}, .note = ""});
  }
  const auto [low, high] = std::ranges::minmax(rates);
  report.add({.name = "ETSI 014 enc_keys, smallest to largest rate over the stocks", .value = low / high, .unit = "ratio", .limit = {}, .ratio = {},
              .value_spread = {}, .ratio_spread = {}, .note = "1 is flat"});
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
