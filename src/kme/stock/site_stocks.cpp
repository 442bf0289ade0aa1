#include "kme/stock/site_stocks.hpp"

#include <algorithm>
#include <set>

namespace qanat::kme {
namespace {

std::vector<Pool> with_at_least(std::span<const Pool> pools, std::int64_t keys) {
  std::vector<Pool> out;
  std::ranges::copy_if(pools, std::back_inserter(out), [&](const Pool& pool) { return pool.path.size() > 1 && pool.keys >= keys; });
  return out;
}

constexpr unsigned way_bit(KeyWay way) { return 1U << static_cast<unsigned>(way); }

/// What each key of a stock must be worth. A relayed key came in one of the two ways.
QualityDemand quality_of(const Demands& demands) {
  if (demands.hop_by_hop && demands.centralised) return {.proof = demands.proof};
  const unsigned ways = (demands.hop_by_hop ? way_bit(KeyWay::hop_by_hop) : 0U) | (demands.centralised ? way_bit(KeyWay::centralised) : 0U);
  return {.proof = demands.proof, .ways = static_cast<std::uint8_t>(ways)};
}

/// A stock whose path is not on record has no number of relays that could be counted.
bool is_short_enough(const Pool& pool, std::uint32_t relays_max) {
  return relays_max == Demands::relays_any || (pool.path.size() > 1 && pool.path.size() - 2 <= relays_max);
}

}  // namespace

SiteStocks::SiteStocks(KeyStock& stock, const std::string& domain, const Meets& meets, UnixMs now, Paths paths)
    : stock_(stock), prefix_(std::string(domain_stocks) + domain + "/"), meets_(meets), now_(now), paths_(paths) {}

Result<std::vector<SiteStocks::Fitting>> SiteStocks::fitting(store::Transaction& transaction, const Demands& demands) {
  ASSIGN_OR_RETURN(const std::vector<StockName> names, stock_.stocks(transaction, prefix_));
  std::vector<Fitting> out;
  for (const StockName& name : names) {
    if (!meets_(name, demands)) continue;
    Pool pool = pool_named(name).value_or(Pool{});
    if (paths_ == Paths::of_stocks && !is_short_enough(pool, demands.relays_max)) continue;
    ASSIGN_OR_RETURN(const StockLevel level, stock_.level(transaction, name, now_));
    pool.keys = level.own;
    if (const QualityDemand quality = quality_of(demands); !quality.is_any() && level.own > 0) {
      ASSIGN_OR_RETURN(pool.keys, stock_.count_meeting(transaction, name, quality, now_));
    }
    if (pool.keys == 0) continue;
    out.push_back({.name = name, .pool = std::move(pool)});
  }
  return out;
}

Result<std::int64_t> SiteStocks::available(store::Transaction& transaction, const Demands& demands) {
  ASSIGN_OR_RETURN(const std::vector<Fitting> all, fitting(transaction, demands));
  std::vector<Pool> pools;
  std::set<std::int64_t> levels;
  std::int64_t sum = 0;
  for (const Fitting& one : all) {
    pools.push_back(one.pool);
    levels.insert(one.pool.keys);
    sum += one.pool.keys;
  }
  if (shares_of(demands, paths_) <= 1) return sum;
  // The best set is limited by the lowest of its stocks: the highest such level for which there is a set.
  for (auto level = levels.rbegin(); level != levels.rend(); ++level) {
    if (!disjoint_pools(with_at_least(pools, *level), demands.paths).empty()) return *level;
  }
  return 0;
}

Result<void> SiteStocks::claim(store::Transaction& transaction, const StockName& name, std::size_t keys, Claim& so_far) {
  const Onward onward{.state = store::KeyState::destroyed, .holder = so_far.holder, .until_ms = 0};
  const KeyStock::Wanted wanted{.least = keys, .most = keys, .each = false, .demand = so_far.demand};
  ASSIGN_OR_RETURN(std::vector<Taken> taken, stock_.claim(transaction, name, wanted, onward, now_));
  for (Taken& part : taken) {
    so_far.out.runs.push_back({.stock = name.text().substr(prefix_.size()), .run = part.run});
    so_far.parts.push_back(std::move(part.keys));
  }
  return {};
}

Result<SiteStocks::Claimed> SiteStocks::take(store::Transaction& transaction, const Demands& demands, std::uint32_t keys, const std::string& holder) {
  ASSIGN_OR_RETURN(const std::vector<Fitting> all, fitting(transaction, demands));
  Claim claimed{.holder = holder, .demand = quality_of(demands), .out = {}, .parts = {}};
  if (shares_of(demands, paths_) > 1) {
    std::vector<Pool> pools;
    pools.reserve(all.size());
    for (const Fitting& one : all) pools.push_back(one.pool);
    const std::vector<Pool> chosen = disjoint_pools(with_at_least(pools, keys), demands.paths);
    if (chosen.empty()) return fail(ErrorCode::exhausted, "too few keys over separate paths");
    for (const Pool& pool : chosen) {
      const auto stock = std::ranges::find_if(all, [&](const Fitting& one) { return one.pool.path == pool.path; });
      TRY(claim(transaction, stock->name, keys, claimed));
    }
    claimed.out.keys = xor_shares(joined_keys(claimed.parts), demands.paths);
    return Result<Claimed>(std::move(claimed.out));
  }
  std::size_t missing = keys;
  for (const Fitting& one : all) {
    const std::size_t most = std::min(missing, static_cast<std::size_t>(one.pool.keys));
    if (most == 0) break;
    TRY(claim(transaction, one.name, most, claimed));
    missing -= most;
  }
  if (missing > 0) return fail(ErrorCode::exhausted, "too few keys in stock");
  claimed.out.keys = joined_keys(claimed.parts);
  return Result<Claimed>(std::move(claimed.out));
}

}  // namespace qanat::kme
