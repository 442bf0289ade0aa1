#include "quantum/qkdnc/routing.hpp"

#include <algorithm>
#include <map>

#include "crypto/kdf.hpp"

namespace qanat::qkdnc {
namespace {

constexpr std::int64_t hop_cost = 1000;
constexpr std::int64_t stock_plenty = 64;     // keys; from here on more makes no difference
constexpr std::int64_t shortage_cost = 2000;  // of a stock of nothing; two hops round it are worth as much
constexpr std::int64_t not_alive_cost = 500;
constexpr std::int64_t unusable_cost = 1000000;  // more than any path of usable edges
constexpr std::int64_t keys_per_relay = 2;
static_assert(static_cast<std::int64_t>(path_nodes_max) * (hop_cost + shortage_cost + not_alive_cost) < unusable_cost);

struct Label {
  std::int64_t cost = 0;
  std::vector<ElementName> path;
  auto operator<=>(const Label&) const = default;
};

}  // namespace

std::int64_t cost_of(const Edge& edge) {
  const std::int64_t stock = std::clamp<std::int64_t>(edge.stock, 0, stock_plenty);
  return hop_cost + shortage_cost * (stock_plenty - stock) / stock_plenty + (edge.alive ? 0 : not_alive_cost) +
         (edge.stock < keys_per_relay ? unusable_cost : 0);
}

std::optional<std::vector<ElementName>> cheapest_path(std::span<const Edge> edges, const ElementName& from, const ElementName& to) {
  // Dijkstra over (cost, path): networks of relays have tens of nodes, so the least label is searched for, not kept in a heap.
  std::map<ElementName, Label> open{{from, Label{.cost = 0, .path = {from}}}};
  std::map<ElementName, Label> closed;
  while (!open.empty()) {
    const auto least = std::ranges::min_element(open, {}, [](const auto& entry) -> const Label& { return entry.second; });
    const auto [node, label] = *least;
    open.erase(least);
    closed.emplace(node, label);
    if (node == to) return label.path.size() < 2 ? std::nullopt : std::optional(label.path);
    if (label.path.size() == path_nodes_max) continue;
    for (const Edge& edge : edges) {
      if (edge.from != node || closed.contains(edge.to)) continue;
      Label next{.cost = label.cost + cost_of(edge), .path = label.path};
      next.path.push_back(edge.to);
      const auto [known, is_new] = open.try_emplace(edge.to, next);
      if (!is_new && next < known->second) known->second = std::move(next);
    }
  }
  return std::nullopt;
}

std::vector<std::vector<ElementName>> separate_paths(std::vector<Edge> edges, const ElementName& from, const ElementName& to, std::size_t most) {
  std::vector<std::vector<ElementName>> out;
  while (out.size() < most) {
    auto path = cheapest_path(edges, from, to);
    if (!path) break;
    const auto inner = std::span(*path).subspan(1, path->size() - 2);
    const auto is_used = [&](const Edge& edge) {
      const bool is_direct = inner.empty() && edge.from == from && edge.to == to;
      return is_direct || std::ranges::find(inner, edge.from) != inner.end() || std::ranges::find(inner, edge.to) != inner.end();
    };
    std::erase_if(edges, is_used);
    out.push_back(std::move(*path));
  }
  return out;
}

PathId path_id_of(std::span<const ElementName> path) {
  Bytes names;
  for (const ElementName& node : path) {
    names.push_back(static_cast<std::uint8_t>(node.text().size()));
    append(names, node.view());
  }
  return PathId(ByteView(crypto::digest(crypto::Hash::sha256, names)).first(PathId::size));
}

}  // namespace qanat::qkdnc
