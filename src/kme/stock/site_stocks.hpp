// The stocks that this element shares with one other site, as an order sees them: which of them have what it demands, and keys out of them.
#pragma once

#include <functional>

#include "kme/stock/pools.hpp"
#include "kme/stock/activation.hpp"

namespace qanat::kme {

class SiteStocks {
 public:
  /// `meets`: whether a stock's keys are of the quality demanded.
  using Meets = std::function<bool(const StockName& stock, const Demands& demands)>;
  /// How a key comes over several paths: each stock's keys came over one, and one key is the XOR of as many stocks' keys; or each key of a stock is of all its
  /// paths already, and `meets` knows of how many, and over how many relays.
  enum class Paths : std::uint8_t { of_stocks, of_keys };
  SiteStocks(KeyStock& stock, const std::string& domain, const Meets& meets, UnixMs now, Paths paths);

  /// Stock keys of which one key is the XOR.
  static std::uint32_t shares_of(const Demands& demands, Paths paths) { return paths == Paths::of_stocks ? demands.paths : 1; }

  /// How many keys of 256 bits an order can have. Over several paths: a key of as many stocks each, of which no two share a node between the ends. What must be
  /// proved must be so of each stock key; of a large stock the oldest million keys are looked at for that.
  Result<std::int64_t> available(store::Transaction& transaction, const Demands& demands);
  struct Claimed {
    std::vector<StockRun> runs;  // over several paths: those of the first stock, then those of the next
    Secret keys;                 // 32 octets each; over several paths the XOR of the stocks' keys
  };
  /// Exactly so many, destroyed in the stock: their octets now exist in this process alone. exhausted if there are fewer.
  Result<Claimed> take(store::Transaction& transaction, const Demands& demands, std::uint32_t keys, const std::string& holder);

 private:
  struct Fitting {
    StockName name;
    Pool pool;  // without a path where the name has none
  };
  Result<std::vector<Fitting>> fitting(store::Transaction& transaction, const Demands& demands);
  struct Claim {
    std::string holder;
    QualityDemand demand;
    Claimed out;
    std::vector<Secret> parts;
  };
  Result<void> claim(store::Transaction& transaction, const StockName& name, std::size_t keys, Claim& so_far);

  KeyStock& stock_;
  const std::string prefix_;
  const Meets& meets_;
  const UnixMs now_;
  const Paths paths_;
};

}  // namespace qanat::kme
