// The relay network as numbers: nodes are indices, links arcs with a cost. Built to be changed one report at a time and searched many times:
// ten thousand nodes are searched in milliseconds (bench/controller.cpp).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/id.hpp"

namespace qanat::qkdnc {

using NodeIndex = std::uint32_t;
inline constexpr NodeIndex no_node = ~NodeIndex{0};

struct Arc {
  NodeIndex to = no_node;
  std::int64_t cost = 0;  // at least 1
};

class Graph {
 public:
  /// The node's index, new if it was not there.
  NodeIndex add(const ElementName& node);
  [[nodiscard]] std::optional<NodeIndex> find(const ElementName& node) const;
  [[nodiscard]] const ElementName& name(NodeIndex node) const { return names_[node]; }
  [[nodiscard]] std::size_t size() const noexcept { return names_.size(); }

  /// Where the node's name stands in the order of all names: who goes first between equals.
  [[nodiscard]] std::uint32_t rank(NodeIndex node) const;

  /// What leaves `node` from now on.
  void set_arcs(NodeIndex node, std::vector<Arc> arcs) { arcs_[node] = std::move(arcs); }
  [[nodiscard]] std::span<const Arc> arcs(NodeIndex node) const { return arcs_[node]; }
  /// A node that is closed is passed by no path, whatever its neighbours say.
  void set_open(NodeIndex node, bool open) { open_[node] = open; }
  [[nodiscard]] bool is_open(NodeIndex node) const { return open_[node]; }

 private:
  std::vector<ElementName> names_;
  std::vector<std::vector<Arc>> arcs_;
  std::vector<bool> open_;
  std::unordered_map<ElementName, NodeIndex> index_;
  mutable std::vector<std::uint32_t> ranks_;  // made when they are asked for and a node has come
};

using NodePath = std::vector<NodeIndex>;

/// Searches of one graph; keeps its memory from search to search. Not for several threads at once.
class Search {
 public:
  explicit Search(const Graph& graph) : graph_(graph) {}

  /// The cheapest path (Dijkstra 1959), both ends included; of equally cheap ones the one with fewer nodes, then the one whose last differing
  /// node sorts first. Nothing if there is none.
  std::optional<NodePath> cheapest(NodeIndex from, NodeIndex to);
  /// The path with the fewest nodes.
  std::optional<NodePath> shortest(NodeIndex from, NodeIndex to);
  /// The cheapest path that enters none of `avoided` but may begin and end there.
  std::optional<NodePath> cheapest_around(NodeIndex from, NodeIndex to, std::span<const NodeIndex> avoided);
  /// Up to `count` paths that share no node but their ends, of least total cost (Suurballe 1974, Suurballe and Tarjan 1984, over split nodes):
  /// as many as there are, cheapest first. That pair need not contain the cheapest single path.
  std::vector<NodePath> disjoint(NodeIndex from, NodeIndex to, std::size_t count);

 private:
  struct Label {
    std::int64_t cost = 0;
    std::uint32_t hops = 0;
    NodeIndex before = no_node;
    std::uint32_t round = 0;  // of the search that it belongs to
    bool settled = false;
  };
  struct Flow;
  enum class By : std::uint8_t { cost, nodes };
  std::optional<NodePath> search(NodeIndex from, NodeIndex to, By by, std::span<const NodeIndex> avoided);
  [[nodiscard]] bool better(const Label& a, const Label& b) const;
  Label& label(NodeIndex node);

  const Graph& graph_;
  std::vector<Label> labels_;
  std::vector<std::uint64_t> open_;  // a heap
  std::uint32_t round_ = 0;
};

}  // namespace qanat::qkdnc
