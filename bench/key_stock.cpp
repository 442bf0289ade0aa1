#include "key_stock.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "cpu_clock.hpp"
#include "statistics.hpp"
#include "stock_end.hpp"

namespace qanat::bench {
namespace {

constexpr std::size_t rounds = 15;
constexpr std::size_t group = 16;          // keys of one transaction
constexpr double link_keys_per_s = 53600;  // that one link may bring: 13.7 Mb/s of key
const qkm::StockName name("link/bench");

/// Keys that came in, both owners' alike.
class Stock {
 public:
  Stock(StockEnd& end, crypto::Rng& rng) : end_(end), rng_(rng), octets_(rng.secret(std::size_t{qkm::chunk_keys_max} * qkm::stock_key_size)) {}

  /// Up to `keys` in stock; what that took.
  Result<void> fill(std::size_t keys) {
    ASSIGN_OR_RETURN(const qkm::StockLevel level, end_.level(name));
    const std::size_t there = static_cast<std::size_t>(level.own + level.peer);
    const std::size_t pairs = (keys - std::min(keys, there) + 2 * qkm::chunk_keys_max - 1) / (2 * std::size_t{qkm::chunk_keys_max});
    std::vector<BatchId> own;
    std::vector<BatchId> peer;
    for (std::size_t i = 0; i < pairs; ++i) {
      own.push_back(rng_.id<BatchId>());
      peer.push_back(rng_.id<BatchId>());
    }
    const double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    const auto began = std::chrono::steady_clock::now();
    TRY(end_.add(name, own, qkm::Owner::self, octets_));
    TRY(end_.add(name, peer, qkm::Owner::peer, octets_));
    const auto count = static_cast<double>(2 * pairs * qkm::chunk_keys_max);
    per_cpu_s = count / (seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    per_s = count / std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    peer_ = std::move(peer);
    return {};
  }

  /// Processor microseconds per key.
  Result<void> use() {
    claims.clear();
    namings.clear();
    for (std::size_t round = 0; round < rounds; ++round) {
      const UnixMs now = SystemClock().now_ms();
      double before = thread_cpu_s();
      TRY(end_.transact([&](store::Transaction& transaction, qkm::KeyStock& stock) -> Result<void> {
        for (std::size_t i = 0; i < group; ++i) TRY(stock.claim(transaction, name, {}, {.state = store::KeyState::delivered}, now));
        return {};
      }));
      claims.push_back(1e6 * (thread_cpu_s() - before) / group);
      before = thread_cpu_s();
      TRY(end_.transact([&](store::Transaction& transaction, qkm::KeyStock& stock) -> Result<void> {
        for (std::size_t i = 0; i < group; ++i) {
          const std::array one{KeyRun{.batch = peer_.back(), .first = static_cast<std::uint32_t>(round * group + i), .count = 1}};
          ASSIGN_OR_RETURN(const auto receipt, stock.redeem(transaction, name, one, {.state = store::KeyState::delivered}, qkm::KeyStock::Unknown::leave, now));
          if (receipt.refusal) return fail(*receipt.refusal);
        }
        return {};
      }));
      namings.push_back(1e6 * (thread_cpu_s() - before) / group);
    }
    return {};
  }

  double per_cpu_s = 0;
  double per_s = 0;
  std::vector<double> claims;
  std::vector<double> namings;

 private:
  StockEnd& end_;
  crypto::Rng& rng_;
  Secret octets_;
  std::vector<BatchId> peer_;  // of the last filling
};

Result<void> measure_in(const std::filesystem::path& folder, Report& report, std::size_t keys_max) {
  ASSIGN_OR_RETURN(const auto rng, crypto::open_rng());
  ASSIGN_OR_RETURN(const auto end, StockEnd::open(folder / "master.key", folder / "qkm.db", *rng));
  Stock stock(*end, *rng);
  std::vector<double> costs;
  for (std::size_t keys = 1000; keys <= keys_max; keys *= 10) {
    TRY(stock.fill(keys));
    TRY(stock.use());
    const std::string with = fmt::format("key stock, {} keys: ", keys);
    report.add({.name = with + "ingest",
                .value = stock.per_cpu_s,
                .unit = "keys per CPU second",
                .limit = link_keys_per_s,
                .ratio = stock.per_cpu_s / link_keys_per_s,
                .value_spread = {},
                .ratio_spread = {},
                .note = fmt::format(
                    "the keys that bring the stock there, in chunks of 256, sealed and durable, up to 512 chunks to a commit; {:.0f} keys/s by the clock; "
                    "limit: 53,600 keys/s of one link",
                    stock.per_s)});
    report.add(median_row(with + "claim", stock.claims, "CPU us per key", fmt::format("the owner takes a key out; {} keys to a commit", group)));
    report.add(median_row(with + "redeem", stock.namings, "CPU us per key", fmt::format("a key that the other end named; {} keys to a commit", group)));
    costs.push_back(median(stock.claims) + median(stock.namings));
  }
  report.add(flatness_row("key stock, lowest to highest cost of a key over the stocks", costs, "claim and redeem"));
  return {};
}

}  // namespace

Result<void> measure_key_stock(Report& report, const std::filesystem::path& within, std::size_t keys_max) {
  const std::filesystem::path folder = (within.empty() ? std::filesystem::temp_directory_path() : within) / fmt::format("qanat-bench-stock-{}", ::getpid());
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const Result<void> done = measure_in(folder, report, keys_max);
  std::filesystem::remove_all(folder, error);
  return done;
}

}  // namespace qanat::bench
