#include "quantum/qkdnc/graph.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/check.hpp"

namespace qanat::qkdnc {
namespace {

// What waits to be searched is one number, so that a heap of ten thousands compares words: the cost above, the index below.
constexpr unsigned index_bits = 25;  // of a side of a node: 2^24 nodes
constexpr std::int64_t cost_max = std::int64_t{1} << (63 - index_bits);

std::uint64_t entry_of(std::int64_t cost, std::uint32_t index) {
  CHECK(cost < cost_max && index < (1U << index_bits));
  return static_cast<std::uint64_t>(cost) << index_bits | index;
}
std::uint32_t index_of(std::uint64_t entry) { return static_cast<std::uint32_t>(entry & ((1U << index_bits) - 1)); }

void push(std::vector<std::uint64_t>& heap, std::uint64_t entry) {
  heap.push_back(entry);
  std::ranges::push_heap(heap, std::greater<>());
}
std::uint64_t pop(std::vector<std::uint64_t>& heap) {
  std::ranges::pop_heap(heap, std::greater<>());
  const std::uint64_t out = heap.back();
  heap.pop_back();
  return out;
}

}  // namespace

NodeIndex Graph::add(const ElementName& node) {
  const auto [found, is_new] = index_.try_emplace(node, static_cast<NodeIndex>(names_.size()));
  if (is_new) {
    names_.push_back(node);
    arcs_.emplace_back();
    open_.push_back(true);
  }
  return found->second;
}

std::optional<NodeIndex> Graph::find(const ElementName& node) const {
  const auto found = index_.find(node);
  return found == index_.end() ? std::nullopt : std::optional(found->second);
}

std::uint32_t Graph::rank(NodeIndex node) const {
  if (ranks_.size() != names_.size()) {
    std::vector<NodeIndex> order(names_.size());
    std::iota(order.begin(), order.end(), NodeIndex{0});
    std::ranges::sort(order, {}, [this](NodeIndex i) -> const ElementName& { return names_[i]; });
    ranks_.resize(names_.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) ranks_[order[i]] = i;
  }
  return ranks_[node];
}

Search::Label& Search::label(NodeIndex node) {
  Label& out = labels_[node];
  if (out.round != round_) out = Label{.cost = std::numeric_limits<std::int64_t>::max(), .hops = 0, .before = no_node, .round = round_, .settled = false};
  return out;
}

/// Names decide between equals, so that the order of reports makes no difference.
bool Search::better(const Label& a, const Label& b) const {
  if (a.cost != b.cost) return a.cost < b.cost;
  if (a.hops != b.hops) return a.hops < b.hops;
  return b.before != no_node && a.before != b.before && graph_.rank(a.before) < graph_.rank(b.before);
}

std::optional<NodePath> Search::search(NodeIndex from, NodeIndex to, By by, std::span<const NodeIndex> avoided) {
  if (from == to || !graph_.is_open(from) || !graph_.is_open(to)) return std::nullopt;
  labels_.resize(graph_.size());
  ++round_;
  for (const NodeIndex node : avoided) label(node).settled = node != to;
  label(from) = Label{.cost = 0, .hops = 0, .before = no_node, .round = round_, .settled = false};
  open_.clear();
  push(open_, entry_of(0, from));
  bool found = false;
  while (!open_.empty() && !found) {
    const NodeIndex node = index_of(pop(open_));
    Label& here = labels_[node];
    if (here.settled) continue;
    here.settled = true;
    found = node == to;
    if (found) break;
    for (const Arc& arc : graph_.arcs(node)) {
      Label& there = label(arc.to);
      if (there.settled || !graph_.is_open(arc.to)) continue;
      const Label next{.cost = here.cost + (by == By::cost ? arc.cost : 1), .hops = here.hops + 1, .before = node, .round = round_, .settled = false};
      if (!better(next, there)) continue;
      const bool cheaper = next.cost < there.cost;
      there = next;
      if (cheaper) push(open_, entry_of(next.cost, arc.to));
    }
  }
  if (!found) return std::nullopt;
  NodePath path;
  for (NodeIndex node = to; node != no_node; node = labels_[node].before) path.push_back(node);
  std::ranges::reverse(path);
  return path;
}

std::optional<NodePath> Search::cheapest(NodeIndex from, NodeIndex to) { return search(from, to, By::cost, {}); }
std::optional<NodePath> Search::shortest(NodeIndex from, NodeIndex to) { return search(from, to, By::nodes, {}); }
std::optional<NodePath> Search::cheapest_around(NodeIndex from, NodeIndex to, std::span<const NodeIndex> avoided) { return search(from, to, By::cost, avoided); }

/// Unit flows of least cost over the graph in which every node but the ends is split into an entrance and an exit joined by one unit of
/// room: paths that share no node are units of such a flow. Each round augments by a shortest path of the residual graph; potentials keep
/// its costs from becoming negative (Edmonds, Karp 1972; Suurballe 1974).
struct Search::Flow {
  // Side 2v is the entrance of node v, 2v+1 its exit.
  struct Step {
    std::int64_t distance = std::numeric_limits<std::int64_t>::max();
    std::uint32_t before = no_node;
    bool settled = false;
  };

  Flow(const Graph& graph, NodeIndex from, NodeIndex to)
      : graph_(graph), from_(from), to_(to), potential_(2 * graph.size(), 0), steps_(2 * graph.size()), into_(graph.size(), no_node) {}

  bool augment() {
    std::ranges::fill(steps_, Step{});
    open_.clear();
    const auto relax = [&](std::uint32_t at, std::uint32_t next, std::int64_t cost) {
      const std::int64_t distance = steps_[at].distance + cost + potential_[at] - potential_[next];
      if (distance >= steps_[next].distance) return;
      steps_[next].distance = distance;
      steps_[next].before = at;
      push(open_, entry_of(distance, next));
    };
    steps_[exit_of(from_)].distance = 0;
    push(open_, entry_of(0, exit_of(from_)));
    const std::uint32_t goal = entrance_of(to_);
    while (!open_.empty() && !steps_[goal].settled) {
      const std::uint32_t at = index_of(pop(open_));
      if (steps_[at].settled) continue;
      steps_[at].settled = true;
      if (at != goal) expand(at, relax);
    }
    if (!steps_[goal].settled) return false;
    // Sides that were not settled are at least as far as the goal: raising their potential by its distance keeps reduced costs at 0 or more.
    const std::int64_t reached = steps_[goal].distance;
    for (std::size_t i = 0; i < steps_.size(); ++i) potential_[i] += steps_[i].settled ? steps_[i].distance : reached;
    take();
    return true;
  }

  /// The units, each as a path.
  std::vector<NodePath> paths() const {
    std::vector<NodePath> out;
    for (const NodeIndex last : into_goal_) {
      NodePath path{to_};
      for (NodeIndex node = last; node != from_; node = into_[node]) path.push_back(node);
      path.push_back(from_);
      std::ranges::reverse(path);
      out.push_back(std::move(path));
    }
    return out;
  }

 private:
  static std::uint32_t entrance_of(NodeIndex node) { return 2 * node; }
  static std::uint32_t exit_of(NodeIndex node) { return 2 * node + 1; }
  [[nodiscard]] bool carries(NodeIndex tail, NodeIndex head) const {
    return head == to_ ? std::ranges::find(into_goal_, tail) != into_goal_.end() : into_[head] == tail;
  }
  [[nodiscard]] std::int64_t cost(NodeIndex tail, NodeIndex head) const {
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    for (const Arc& arc : graph_.arcs(tail)) {
      if (arc.to == head) least = std::min(least, arc.cost);
    }
    return least;
  }

  template <class Relax>
  void expand(std::uint32_t at, const Relax& relax) const {
    const NodeIndex node = at / 2;
    const bool is_used = node != from_ && node != to_ && into_[node] != no_node;
    if (at == entrance_of(node)) {
      if (!is_used) relax(at, exit_of(node), 0);
      // Taking back the unit that enters here.
      if (is_used) relax(at, exit_of(into_[node]), -cost(into_[node], node));
      return;
    }
    if (is_used) relax(at, entrance_of(node), 0);
    for (const Arc& arc : graph_.arcs(node)) {
      if (arc.to != from_ && graph_.is_open(arc.to) && !carries(node, arc.to)) relax(at, entrance_of(arc.to), arc.cost);
    }
  }

  /// Along the path just found: forward arcs gain the unit, backward ones lose it. Losses first, so that a node can change its tail.
  void take() {
    std::vector<std::pair<NodeIndex, NodeIndex>> gained;
    for (std::uint32_t at = entrance_of(to_); at != exit_of(from_); at = steps_[at].before) {
      const std::uint32_t before = steps_[at].before;
      const NodeIndex node = at / 2;
      const NodeIndex tail = before / 2;
      if (node == tail) continue;  // through a node, either way
      if (at == entrance_of(node)) {
        gained.emplace_back(tail, node);
      } else {
        into_[tail] = no_node;  // from the entrance of `tail` back to the exit of `node`
      }
    }
    for (const auto& [tail, head] : gained) {
      if (head == to_) {
        into_goal_.push_back(tail);
      } else {
        into_[head] = tail;
      }
    }
  }

  const Graph& graph_;
  const NodeIndex from_;
  const NodeIndex to_;
  std::vector<std::int64_t> potential_;
  std::vector<Step> steps_;
  std::vector<NodeIndex> into_;  // where the unit through this node comes from
  std::vector<NodeIndex> into_goal_;
  std::vector<std::uint64_t> open_;  // a heap
};

std::vector<NodePath> Search::disjoint(NodeIndex from, NodeIndex to, std::size_t count) {
  if (from == to || count == 0 || !graph_.is_open(from) || !graph_.is_open(to)) return {};
  Flow flow(graph_, from, to);
  std::size_t found = 0;
  while (found < count && flow.augment()) ++found;
  std::vector<NodePath> paths = flow.paths();
  const auto cost_of = [this](const NodePath& path) {
    std::int64_t total = 0;
    for (std::size_t i = 0; i + 1 < path.size(); ++i) {
      std::int64_t least = std::numeric_limits<std::int64_t>::max();
      for (const Arc& arc : graph_.arcs(path[i])) {
        if (arc.to == path[i + 1]) least = std::min(least, arc.cost);
      }
      total += least;
    }
    return total;
  };
  std::ranges::sort(paths, [&](const NodePath& a, const NodePath& b) {
    const std::int64_t cost_a = cost_of(a);
    const std::int64_t cost_b = cost_of(b);
    if (cost_a != cost_b) return cost_a < cost_b;
    return std::ranges::lexicographical_compare(a, b, [this](NodeIndex x, NodeIndex y) { return graph_.rank(x) < graph_.rank(y); });
  });
  return paths;
}

}  // namespace qanat::qkdnc
