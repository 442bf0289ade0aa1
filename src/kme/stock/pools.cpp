#include "kme/stock/pools.hpp"

#include <algorithm>

namespace qanat::kme {
namespace {

constexpr char between_nodes = '>';  // no name has it

}  // namespace

StockName stock_of(std::string_view domain, std::span<const ElementName> path) {
  std::string out = std::string(domain_stocks) + std::string(domain) + "/";
  for (std::size_t i = 0; i < path.size(); ++i) out += (i == 0 ? "" : std::string(1, between_nodes)) + path[i].text();
  return StockName(std::move(out));
}

Result<Pool> pool_named(const StockName& stock) {
  std::string_view rest = stock.text();
  rest.remove_prefix(std::min(rest.size(), domain_stocks.size()));
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return fail(ErrorCode::internal, stock.text() + ": is no pool of relayed keys");
  Pool out{.peer_domain = std::string(rest.substr(0, slash)), .path = {}, .keys = 0};
  rest.remove_prefix(slash + 1);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(between_nodes), rest.size());
    out.path.emplace_back(std::string(rest.substr(0, end)));
    rest.remove_prefix(std::min(rest.size(), end + 1));
  }
  if (out.path.size() < 2) return fail(ErrorCode::internal, stock.text() + ": has no path");
  return out;
}

bool are_disjoint(std::span<const ElementName> one, std::span<const ElementName> other) {
  if (one.size() == 2 && other.size() == 2) return false;  // one link twice
  const auto inner = one.subspan(1, one.size() - 2);
  return std::ranges::none_of(inner, [&](const ElementName& node) { return std::ranges::find(other, node) != other.end(); });
}

std::vector<Pool> disjoint_pools(std::span<const Pool> pools, std::size_t count) {
  if (count == 0) return {};
  for (std::size_t i = 0; i < pools.size(); ++i) {
    if (pools[i].keys < 1) continue;
    std::vector<Pool> out{pools[i]};
    if (count == 1) return out;
    std::vector<Pool> rest;
    for (const Pool& pool : pools.subspan(i + 1)) {
      if (are_disjoint(pools[i].path, pool.path)) rest.push_back(pool);
    }
    std::vector<Pool> others = disjoint_pools(rest, count - 1);
    if (others.empty()) continue;
    out.insert(out.end(), others.begin(), others.end());
    return out;
  }
  return {};
}

}  // namespace qanat::kme
