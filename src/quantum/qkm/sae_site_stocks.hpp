// The stocks that this QKM shares with one other site, as an order sees them: which of them have what it demands, and keys out of them. Private to
// sae_selling.
#pragma once

#include "quantum/qkm/relayed_keys.hpp"
#include "quantum/qkm/sae_activation.hpp"

namespace qanat::qkm {

class SiteStocks {
 public:
  /// `meets`: whether a stock's keys are of the quality demanded.
  using Meets = std::function<bool(const StockName& stock, const kme::Demands& demands)>;
  SiteStocks(KeyStock& stock, const std::string& domain, const Meets& meets, UnixMs now);

  /// How many keys of 256 bits an order can have. Over several paths: a key of as many stocks each, of which no two share a node between the ends. What must be
  /// proved must be so of each stock key; of a large stock the oldest million keys are looked at for that.
  Result<std::int64_t> available(store::Transaction& transaction, const kme::Demands& demands);
  struct Claimed {
    std::vector<StockRun> runs;  // over several paths: those of the first stock, then those of the next
    Secret keys;                 // 32 octets each; over several paths the XOR of the stocks' keys
  };
  /// Exactly so many, destroyed in the stock: their octets now exist in this process alone. exhausted if there are fewer.
  Result<Claimed> take(store::Transaction& transaction, const kme::Demands& demands, std::uint32_t keys, const std::string& holder);

 private:
  struct Fitting {
    StockName name;
    Pool pool;  // without a path where the name has none
  };
  Result<std::vector<Fitting>> fitting(store::Transaction& transaction, const kme::Demands& demands);
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
};

}  // namespace qanat::qkm
