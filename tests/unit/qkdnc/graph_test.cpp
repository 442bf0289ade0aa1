#include "quantum/qkdnc/graph.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace qanat::qkdnc {
namespace {

using Names = std::vector<std::string>;

/// A graph from "from to cost" lines, and paths as names.
class Net {
 public:
  Net& arc(const std::string& from, const std::string& to, std::int64_t cost = 1) {
    const NodeIndex a = graph_.add(ElementName(from));
    const NodeIndex b = graph_.add(ElementName(to));
    arcs_[a].push_back({.to = b, .cost = cost});
    graph_.set_arcs(a, arcs_[a]);
    return *this;
  }
  Net& both(const std::string& one, const std::string& other, std::int64_t cost = 1) { return arc(one, other, cost).arc(other, one, cost); }
  Graph& graph() { return graph_; }
  NodeIndex at(const std::string& name) { return *graph_.find(ElementName(name)); }

  std::optional<Names> cheapest(const std::string& from, const std::string& to) { return named(Search(graph_).cheapest(at(from), at(to))); }
  std::optional<Names> shortest(const std::string& from, const std::string& to) { return named(Search(graph_).shortest(at(from), at(to))); }
  std::vector<Names> disjoint(const std::string& from, const std::string& to, std::size_t count) {
    std::vector<Names> out;
    for (const NodePath& path : Search(graph_).disjoint(at(from), at(to), count)) out.push_back(*named(path));
    return out;
  }
  std::int64_t cost(const Names& path) {
    std::int64_t total = 0;
    for (std::size_t i = 0; i + 1 < path.size(); ++i) {
      std::int64_t least = -1;
      for (const Arc& arc : arcs_[at(path[i])]) {
        if (arc.to == at(path[i + 1]) && (least < 0 || arc.cost < least)) least = arc.cost;
      }
      EXPECT_GE(least, 0) << "an arc that is not there";
      total += least;
    }
    return total;
  }

 private:
  std::optional<Names> named(const std::optional<NodePath>& path) const {
    if (!path) return std::nullopt;
    Names out;
    for (const NodeIndex node : *path) out.push_back(graph_.name(node).text());
    return out;
  }
  Graph graph_;
  std::map<NodeIndex, std::vector<Arc>> arcs_;
};

TEST(GraphTest, TheCheapestPathIsTakenEvenIfItIsLonger) {
  Net net;
  net.both("a", "r", 100).both("r", "b", 100).both("a", "s").both("s", "t").both("t", "b");
  EXPECT_EQ(net.cheapest("a", "b"), (Names{"a", "s", "t", "b"}));
  EXPECT_EQ(net.shortest("a", "b"), (Names{"a", "r", "b"}));
}

TEST(GraphTest, OnlyTheDirectionAskedForCounts) {
  Net net;
  net.both("a", "r").both("r", "b").both("a", "s").both("s", "b").arc("r", "a", 1);
  net.arc("s", "x").arc("x", "b");
  EXPECT_EQ(net.cheapest("a", "b"), (Names{"a", "r", "b"}));
  Net one_way;
  one_way.arc("a", "b");
  EXPECT_EQ(one_way.cheapest("b", "a"), std::nullopt);
}

TEST(GraphTest, OfEqualPathsTheFirstByNameIsTakenWhateverTheOrderOfReports) {
  Net one;
  one.both("a", "s").both("s", "b").both("a", "r").both("r", "b");
  EXPECT_EQ(one.cheapest("a", "b"), (Names{"a", "r", "b"}));
  Net other;
  other.both("r", "b").both("a", "r").both("s", "b").both("a", "s");
  EXPECT_EQ(other.cheapest("a", "b"), (Names{"a", "r", "b"}));
}

TEST(GraphTest, UnconnectedEqualAndClosedEndsHaveNoPath) {
  Net net;
  net.both("a", "r").both("s", "b").both("r", "t");
  EXPECT_EQ(net.cheapest("a", "b"), std::nullopt);
  EXPECT_EQ(net.cheapest("a", "a"), std::nullopt);
  EXPECT_TRUE(net.disjoint("a", "b", 2).empty());
  EXPECT_TRUE(net.disjoint("a", "a", 2).empty());
  EXPECT_EQ(net.cheapest("a", "t"), (Names{"a", "r", "t"}));
  net.graph().set_open(net.at("r"), false);
  EXPECT_EQ(net.cheapest("a", "t"), std::nullopt);
}

// The classic trap: the cheapest path uses the middle of both disjoint ones, and removing it leaves none.
TEST(GraphTest, ADisjointPairIsFoundWhereTheCheapestPathMustBeGivenUp) {
  Net net;
  net.arc("a", "p", 1).arc("p", "q", 1).arc("q", "b", 1).arc("a", "q", 5).arc("p", "b", 5);
  EXPECT_EQ(net.cheapest("a", "b"), (Names{"a", "p", "q", "b"}));
  EXPECT_EQ(net.disjoint("a", "b", 2), (std::vector<Names>{{"a", "p", "b"}, {"a", "q", "b"}}));
  EXPECT_EQ(net.disjoint("a", "b", 1), (std::vector<Names>{{"a", "p", "q", "b"}}));
}

TEST(GraphTest, FewerPathsAreGivenWhereThereAreNoMore) {
  Net net;
  net.both("a", "r").both("r", "b");
  EXPECT_EQ(net.disjoint("a", "b", 3).size(), 1U);
  net.both("a", "b", 10);
  EXPECT_EQ(net.disjoint("a", "b", 3), (std::vector<Names>{{"a", "r", "b"}, {"a", "b"}}));
}

TEST(GraphTest, AWayRoundEntersNothingThatItShallAvoid) {
  Net net;
  net.both("a", "r").both("r", "b").both("a", "s", 5).both("s", "b", 5);
  const std::vector<NodeIndex> avoided{net.at("r")};
  const auto path = Search(net.graph()).cheapest_around(net.at("a"), net.at("b"), avoided);
  EXPECT_EQ(path, (NodePath{net.at("a"), net.at("s"), net.at("b")}));
  const std::vector<NodeIndex> both{net.at("r"), net.at("s")};
  EXPECT_EQ(Search(net.graph()).cheapest_around(net.at("a"), net.at("b"), both), std::nullopt);
}

TEST(GraphTest, TwoArcDisjointPathsThroughOneNodeAreNotNodeDisjoint) {
  Net net;
  net.arc("a", "p").arc("a", "q").arc("p", "m").arc("q", "m").arc("m", "s").arc("m", "t").arc("s", "b").arc("t", "b");
  EXPECT_EQ(net.disjoint("a", "b", 2).size(), 1U);
}

struct Tried {
  std::int64_t cost = 0;
  std::set<std::string> inner;
};

/// Every simple path by trying.
void every_path(Net& net, const std::map<std::string, std::vector<std::pair<std::string, std::int64_t>>>& arcs, const std::string& at, const std::string& to,
                std::vector<std::string>& so_far, std::int64_t cost, std::vector<Tried>& out) {
  if (at == to) {
    out.push_back({.cost = cost, .inner = {so_far.begin() + 1, so_far.end() - 1}});
    return;
  }
  const auto found = arcs.find(at);
  if (found == arcs.end()) return;
  for (const auto& [next, price] : found->second) {
    if (std::ranges::find(so_far, next) != so_far.end()) continue;
    so_far.push_back(next);
    every_path(net, arcs, next, to, so_far, cost + price, out);
    so_far.pop_back();
  }
}

std::optional<std::int64_t> least_pair(const std::vector<Tried>& paths) {
  std::optional<std::int64_t> best;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    for (std::size_t j = 0; j < paths.size(); ++j) {
      const bool both_direct = paths[i].inner.empty() && paths[j].inner.empty();
      if (i == j || both_direct) continue;
      const bool share = std::ranges::any_of(paths[i].inner, [&](const std::string& node) { return paths[j].inner.contains(node); });
      if (!share && (!best || paths[i].cost + paths[j].cost < *best)) best = paths[i].cost + paths[j].cost;
    }
  }
  return best;
}

TEST(GraphTest, OnRandomNetworksPathsAndPairsAreAsCheapAsAnyOther) {
  std::mt19937 random(20261128);
  for (int round = 0; round < 500; ++round) {
    const unsigned nodes = 2 + random() % 5;
    Net net;
    std::map<std::string, std::vector<std::pair<std::string, std::int64_t>>> arcs;
    const auto called = [](unsigned i) { return std::string(1, static_cast<char>('a' + i)); };
    for (unsigned i = 0; i < nodes; ++i) net.graph().add(ElementName(called(i)));
    for (unsigned i = 0; i < nodes; ++i) {
      for (unsigned j = 0; j < nodes; ++j) {
        if (i == j || random() % 10 < 4) continue;
        const auto cost = static_cast<std::int64_t>(1 + random() % 20);
        net.arc(called(i), called(j), cost);
        arcs[called(i)].emplace_back(called(j), cost);
      }
    }
    std::vector<Tried> all;
    std::vector<std::string> so_far{"a"};
    every_path(net, arcs, "a", "b", so_far, 0, all);
    const auto path = net.cheapest("a", "b");
    ASSERT_EQ(path.has_value(), !all.empty());
    if (!path) continue;
    EXPECT_EQ(net.cost(*path), std::ranges::min_element(all, {}, &Tried::cost)->cost);
    EXPECT_EQ(std::set<std::string>(path->begin(), path->end()).size(), path->size());
    const auto pair = net.disjoint("a", "b", 2);
    const auto least = least_pair(all);
    ASSERT_EQ(pair.size(), least ? 2U : 1U);
    if (!least) continue;
    EXPECT_EQ(net.cost(pair[0]) + net.cost(pair[1]), *least);
    EXPECT_LE(net.cost(pair[0]), net.cost(pair[1]));
    for (std::size_t i = 1; i + 1 < pair[0].size(); ++i) EXPECT_EQ(std::ranges::find(pair[1], pair[0][i]), pair[1].end());
  }
}

}  // namespace
}  // namespace qanat::qkdnc
