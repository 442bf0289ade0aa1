#include "kms_etsi014.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <set>
#include <thread>

#include "application_load.hpp"
#include "http_load.hpp"
#include "kms_database.hpp"
#include "sae_authority.hpp"
#include "services/kms/kp/pool_keys.hpp"
#include "services/kms/sae/supply.hpp"
#include "statistics.hpp"

namespace qanat::bench {
namespace {

using Ending = app::RunningNetwork::Ending;

constexpr double floor_per_cpu_second = 10000;
constexpr std::size_t chunks_together = 512;  // of one transaction
constexpr std::size_t refill = 488;           // below the stock by so much, the KMS agrees on two batches of 256: the same at every stock
constexpr UnixMs day_ms = 86'400'000;
constexpr std::chrono::hours pool_key_life{30 * 24};
constexpr std::chrono::milliseconds calm_max{60000};
constexpr std::chrono::seconds known_max{30};
constexpr std::chrono::milliseconds look_every{20};
constexpr const char* kmss[] = {"kms-a", "kms-b"};
constexpr const char* saes[] = {"enc-a", "enc-b"};  // by KMS
constexpr const char* domains[] = {"a", "b"};

struct Outcome {
  double enc_per_cpu_second = 0;
  double dec_per_cpu_second = 0;
  double per_second = 0;
  double p50_ms = 0;
  double p99_ms = 0;
};

struct Series {
  std::vector<Outcome> runs;
  [[nodiscard]] std::vector<double> values(double Outcome::*of) const {
    std::vector<double> out;
    for (const Outcome& run : runs) out.push_back(run.*of);
    return out;
  }
};

/// A request of HTTP with a body of JSON, or without one.
std::string post(const std::string& path, std::string_view body) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", path, body.size(), body);
}
std::string get(const std::string& path) { return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", path); }

class Measurement {
 public:
  Measurement(Ground& ground, const KmsEtsi014Plan& plan) : ground_(ground), plan_(plan) {}

  Result<void> let_saes_in() {
    ASSIGN_OR_RETURN(app::SaeAuthority authority, app::SaeAuthority::open(ground_.network()));
    for (std::size_t i = 0; i < std::size(saes); ++i) {
      ASSIGN_OR_RETURN(const app::SaeRecord made, authority.add({.name = saes[i], .domain = domains[i], .folder = {}, .at = app::SaeAt::kms}));
      clients_.push_back(made.files());
      root_ = made.roots().string();
      ASSIGN_OR_RETURN(const app::ElementPlan* kms, ground_.network().element(kmss[i]));
      ports_.push_back(kms->sae_port);
      const auto identity = wire::Json::object({{"uid", saes[i]},
                                                {"class", "application"},
                                                {"domain", domains[i]},
                                                {"home_kms", kmss[i]},
                                                {"keys_per_second", 0},
                                                {"keys_per_day", 0},
                                                {"peer_domains", wire::Json::array({"*"})}});
      TRY(ground_.op().ask(points::Endpoint::x5_identity, "iam", wire::Json::object({{"op", "create"}, {"identity", identity}})));
    }
    return {};
  }

  /// Both ends of the stock at `keys`, and the near KMS to hold it there.
  Result<void> grow_to(std::size_t keys) {
    for (const char* kms : kmss) ground_.running().stop_element(kms, Ending::orderly);
    TRY(fill(keys));
    TRY(ground_.configure(kmss[0], [&](std::string config) -> Result<std::string> {
      ASSIGN_OR_RETURN(std::string low, with_value(std::move(config), "stock_low", std::to_string(keys - refill)));
      return with_value(std::move(low), "stock_high", std::to_string(keys));
    }));
    for (const char* kms : kmss) TRY(ground_.running().start_element(kms));
    return await_saes();
  }

  Result<Outcome> run() {
    std::vector<std::string> ids;
    const std::string enc = post(fmt::format("/api/v1/keys/{}/enc_keys", saes[1]), R"({"number":1,"size":256})");
    std::size_t twice = 0;
    ASSIGN_OR_RETURN(const Driven ordered, drive(
                                               0, [&] { return enc; }, plan_.requests,
                                               [&](std::string_view answer) {
                                                 const std::size_t at = answer.find("key_ID");
                                                 if (at == std::string_view::npos) return;
                                                 ids.emplace_back(answer.substr(at + 9, 36));
                                                 if (!seen_.insert(ids.back()).second) ++twice;
                                               }));
    if (twice > 0) return fail(ErrorCode::internal, "a key was delivered twice");
    if (ids.size() <= plan_.warm_up) return fail(ErrorCode::internal, "answers without a key");
    auto next = ids.begin();
    const std::size_t fetched = ids.size() - plan_.warm_up;
    ASSIGN_OR_RETURN(const Driven collected,
                     drive(
                         1, [&] { return get(fmt::format("/api/v1/keys/{}/dec_keys?key_ID={}", saes[0], *next++)); }, fetched, [](std::string_view) {}));
    return Outcome{.enc_per_cpu_second = static_cast<double>(plan_.requests) / ordered.cpu_s,
                   .dec_per_cpu_second = static_cast<double>(fetched) / collected.cpu_s,
                   .per_second = ordered.load.per_second(),
                   .p50_ms = ordered.load.percentile(0.5),
                   .p99_ms = ordered.load.percentile(0.99)};
  }

 private:
  struct Driven {
    double cpu_s = 0;  // of both KMSs, all that they did meanwhile
    HttpLoad load;
  };
  Result<Driven> drive(std::size_t at, const std::function<std::string()>& make, std::size_t requests, const std::function<void(std::string_view)>& seen) {
    ASSIGN_OR_RETURN(const ProcessClock near, ground_.clock_of(kmss[0]));
    ASSIGN_OR_RETURN(const ProcessClock far, ground_.clock_of(kmss[1]));
    const HttpLoadPlan load{.port = ports_[at],
                            .client = clients_[at],
                            .root = root_,
                            .connections = plan_.connections,
                            .warm_up = plan_.warm_up,
                            .requests = requests,
                            .request = "",
                            .make = make};
    double before = 0;
    ASSIGN_OR_RETURN(HttpLoad done, bench::drive(
                                        load,
                                        [&]() -> Result<void> {
                                          before = settled_cpu_s(near) + settled_cpu_s(far);
                                          return {};
                                        },
                                        seen));
    return Driven{.cpu_s = settled_cpu_s(near) + settled_cpu_s(far) - before, .load = std::move(done)};
  }

  /// What is missing, under the same ids at both ends, as an agreement over one quantum path would have left it. The near end may choose.
  Result<void> fill(std::size_t keys) {
    const Secret octets = ground_.rng().secret(std::size_t{kme::chunk_keys_max} * kme::stock_key_size);
    std::vector<BatchId> batches;
    for (std::size_t i = 0; i < std::size(kmss); ++i) {
      ASSIGN_OR_RETURN(const auto database, KmsDatabase::open(ground_, kmss[i]));
      const UnixMs now = SystemClock().now_ms();
      ASSIGN_OR_RETURN(
          const auto pool_keys,
          kms::PoolKeys::open({.store = database->store(), .device = database->device(), .suite = ground_.suite(), .lifetime = pool_key_life}, now));
      kme::KeyStock stock(pool_keys->of(kms::Pool::sae));
      const kme::StockName name = kms::supply_stock(domains[1 - i], 1);
      if (i == 0) {
        ASSIGN_OR_RETURN(const kme::StockLevel level,
                         database->store().transact([&](store::Transaction& transaction) { return stock.level(transaction, name, now); }));
        const std::size_t there = static_cast<std::size_t>(level.own);
        const std::size_t missing = (keys - std::min(keys, there) + kme::chunk_keys_max - 1) / kme::chunk_keys_max;
        for (std::size_t k = 0; k < missing; ++k) batches.push_back(ground_.rng().id<BatchId>());
      }
      const std::span<const BatchId> all(batches);
      for (std::size_t from = 0; from < all.size(); from += chunks_together) {
        const auto some = all.subspan(from, std::min(chunks_together, all.size() - from));
        TRY(database->store().transact([&](store::Transaction& transaction) -> Result<void> {
          std::vector<kme::Chunk> chunks;
          chunks.reserve(some.size());
          for (const BatchId& batch : some) {
            chunks.push_back(
                {.batch = batch, .owner = i == 0 ? kme::Owner::self : kme::Owner::peer, .keys = octets.duplicate(), .expires_ms = now + day_ms * (1 + i)});
          }
          TRY(stock.add(transaction, name, {}, chunks, now));
          return {};
        }));
      }
      TRY(database->close());
    }
    return {};
  }

  /// Both KMSs have IAM's word on who the SAEs are.
  Result<void> await_saes() {
    const Deadline until = Deadline::after(known_max);
    const auto knows = [&](const char* kms) {
      const auto health = ground_.op().health(kms);
      if (!health) return false;
      const auto front = health->object("saes");
      return front && front->integer("names").value_or(0) >= static_cast<std::int64_t>(std::size(saes));
    };
    while (!knows(kmss[0]) || !knows(kmss[1])) {
      if (until.passed()) return fail(ErrorCode::deadline_exceeded, "the KMSs were not told of the SAEs");
      std::this_thread::sleep_for(look_every);
    }
    return {};
  }

  Ground& ground_;
  const KmsEtsi014Plan& plan_;
  std::vector<crypto::PemFiles> clients_;
  std::vector<std::uint16_t> ports_;
  std::string root_;
  std::set<std::string> seen_;
};

void add_rows(Report& report, const KmsEtsi014Plan& plan, std::size_t stock, const Series& series) {
  const std::string enc = fmt::format("KMS: ETSI 014 enc_keys, {} keys stored", stock);
  Row both = median_row(
      enc + ", both KMSs", series.values(&Outcome::enc_per_cpu_second), "requests per CPU second",
      fmt::format("number = 1, expanded from the stock's key, far end activated first; {} connections kept open; {} requests a run after {} unmeasured ones; "
                  "{} runs; all user and system time of both KMSs, their agreements on new keys, two batches of 256 at a time, included",
                  plan.connections, plan.requests, plan.warm_up, series.runs.size()));
  both.limit = floor_per_cpu_second;
  both.ratio = both.value / floor_per_cpu_second;
  report.add(std::move(both));
  report.add(median_row(enc + ", whole machine", series.values(&Outcome::per_second), "requests/s",
                        "wall clock; client and the other elements on the same processors"));
  report.add(median_row(enc + ", p50", series.values(&Outcome::p50_ms), "ms", ""));
  report.add(median_row(enc + ", p99", series.values(&Outcome::p99_ms), "ms", ""));
  report.add(median_row(fmt::format("KMS: ETSI 014 dec_keys, {} keys stored, both KMSs", stock), series.values(&Outcome::dec_per_cpu_second),
                        "requests per CPU second", "one key_ID each, the keys of the row above, fetched once by the other SAE at the other KMS"));
}

}  // namespace

Result<void> measure_kms_etsi014(Report& report, const KmsEtsi014Plan& plan) {
  ::signal(SIGPIPE, SIG_IGN);
  GroundOptions options{.program = plan.program, .within = plan.within};
  options.network.saes = true;
  options.kms_sae_settings =
      "stock_low = 0\nstock_high = 1\nstock_peer_max = 100000000\n";  // nothing is agreed on by itself: stocks are as big as they are said to be
  ASSIGN_OR_RETURN(const auto ground, Ground::lay(options));
  Measurement measurement(*ground, plan);
  TRY(measurement.let_saes_in());
  if (!ground->await_calm(calm_max)) report.remark("the QKD simulators were still at work before: ETSI 014 at the KMS");
  std::vector<double> enc;
  std::vector<double> dec;
  for (const std::size_t stock : plan.stocks) {
    TRY(measurement.grow_to(stock));
    Series series;
    for (std::size_t i = 0; i < plan.runs; ++i) {
      auto outcome = measurement.run();
      if (outcome) {
        series.runs.push_back(*outcome);
      } else {
        report.remark(fmt::format("ETSI 014 at the KMS, {} keys stored, a run failed: {}", stock, outcome.error().message));
      }
    }
    if (series.runs.empty()) continue;
    add_rows(report, plan, stock, series);
    enc.push_back(median(series.values(&Outcome::enc_per_cpu_second)));
    dec.push_back(median(series.values(&Outcome::dec_per_cpu_second)));
  }
  if (enc.empty()) return fail(ErrorCode::unavailable, "ETSI 014 at the KMS: no run succeeded");
  const std::string note = fmt::format("of the medians, per CPU second, over {} of {} stocks, the smaller ones first", enc.size(), plan.stocks.size());
  report.add(flatness_row("KMS: ETSI 014 enc_keys, smallest to largest rate over the stocks", enc, note));
  report.add(flatness_row("KMS: ETSI 014 dec_keys, smallest to largest rate over the stocks", dec, note));
  return {};
}

}  // namespace qanat::bench
