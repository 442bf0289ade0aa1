// What the stocks of one other site are named after: "domain/<domain>/<node>…<node>", one stock per path that its keys came over.
#pragma once

#include <span>

#include "kme/stock/key_stock.hpp"

namespace qanat::kme {

inline constexpr std::string_view domain_stocks = "domain/";

/// Own keys that came over one path.
struct Pool {
  std::string peer_domain;
  std::vector<ElementName> path;
  std::int64_t keys = 0;
};
/// The domain and the path that a stock is named after; its level is not read. internal for a stock that is none of a path's.
Result<Pool> pool_named(const StockName& stock);
/// The name of the stock of a path.
StockName stock_of(std::string_view domain, std::span<const ElementName> path);
/// True if the paths share no node but their ends.
bool are_disjoint(std::span<const ElementName> one, std::span<const ElementName> other);
/// `count` of the pools, each with a key and no two with a common node between the ends; empty if there are none.
std::vector<Pool> disjoint_pools(std::span<const Pool> pools, std::size_t count);

}  // namespace qanat::kme
