#include "quantum/qkdnc/routing.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace qanat::qkdnc {
namespace {

using Path = std::vector<ElementName>;

Path path_of(std::initializer_list<const char*> names) {
  Path out;
  for (const char* name : names) out.emplace_back(name);
  return out;
}

void both_ways(std::vector<Edge>& edges, const char* one, const char* other, std::int64_t stock = 100) {
  edges.push_back({.from = ElementName(one), .to = ElementName(other), .stock = stock, .alive = true});
  edges.push_back({.from = ElementName(other), .to = ElementName(one), .stock = stock, .alive = true});
}

// Computed with Python's hashlib; tests/unit/qkm/relay_message_test.cpp holds the QKM to the same value.
TEST(RoutingTest, PathIdIsTheStartOfADigestOverTheNames) { EXPECT_EQ(path_id_of(path_of({"qkm-a", "qkm-r", "qkm-b"})).hex(), "8f3d2b69c05aeb72"); }

TEST(RoutingTest, TheShorterPathIsTakenWhileItHasKeys) {
  std::vector<Edge> edges;
  both_ways(edges, "a", "r");
  both_ways(edges, "r", "b");
  both_ways(edges, "a", "s");
  both_ways(edges, "s", "t");
  both_ways(edges, "t", "b");
  EXPECT_EQ(cheapest_path(edges, ElementName("a"), ElementName("b")), path_of({"a", "r", "b"}));
  EXPECT_EQ(cheapest_path(edges, ElementName("b"), ElementName("a")), path_of({"b", "r", "a"}));
}

TEST(RoutingTest, APathWithKeysIsPreferredToAShorterOneWithout) {
  std::vector<Edge> edges;
  both_ways(edges, "a", "r", 1);
  both_ways(edges, "r", "b", 100);
  both_ways(edges, "a", "s");
  both_ways(edges, "s", "t");
  both_ways(edges, "t", "b");
  EXPECT_EQ(cheapest_path(edges, ElementName("a"), ElementName("b")), path_of({"a", "s", "t", "b"}));
}

TEST(RoutingTest, APathWithoutKeysIsStillAPathWhereThereIsNoOther) {
  std::vector<Edge> edges;
  both_ways(edges, "a", "r", 0);
  both_ways(edges, "r", "b", 0);
  EXPECT_EQ(cheapest_path(edges, ElementName("a"), ElementName("b")), path_of({"a", "r", "b"}));
}

TEST(RoutingTest, OnlyTheSendersKeysCount) {
  std::vector<Edge> edges;
  both_ways(edges, "a", "r");
  both_ways(edges, "r", "b");
  both_ways(edges, "a", "s");
  both_ways(edges, "s", "b");
  edges[1].stock = 0;  // r towards a: not on the way from a to b
  EXPECT_EQ(cheapest_path(edges, ElementName("a"), ElementName("b")), path_of({"a", "r", "b"}));
  EXPECT_EQ(cheapest_path(edges, ElementName("b"), ElementName("a")), path_of({"b", "s", "a"}));
}

TEST(RoutingTest, OfEqualPathsTheFirstByNameIsTaken) {
  std::vector<Edge> edges;
  both_ways(edges, "a", "s");
  both_ways(edges, "s", "b");
  both_ways(edges, "a", "r");
  both_ways(edges, "r", "b");
  EXPECT_EQ(cheapest_path(edges, ElementName("a"), ElementName("b")), path_of({"a", "r", "b"}));
}

TEST(RoutingTest, UnconnectedAndEqualEndsHaveNoPath) {
  std::vector<Edge> edges;
  both_ways(edges, "a", "r");
  both_ways(edges, "s", "b");
  EXPECT_EQ(cheapest_path(edges, ElementName("a"), ElementName("b")), std::nullopt);
  EXPECT_EQ(cheapest_path(edges, ElementName("a"), ElementName("a")), std::nullopt);
  EXPECT_EQ(cheapest_path({}, ElementName("a"), ElementName("b")), std::nullopt);
}

TEST(RoutingTest, NoPathIsLongerThanARelayMayBe) {
  std::vector<Edge> edges;
  for (int i = 0; i < 20; ++i) {
    both_ways(edges, ("n" + std::to_string(10 + i)).c_str(), ("n" + std::to_string(11 + i)).c_str());
  }
  EXPECT_EQ(cheapest_path(edges, ElementName("n10"), ElementName("n25"))->size(), path_nodes_max);
  EXPECT_EQ(cheapest_path(edges, ElementName("n10"), ElementName("n26")), std::nullopt);
}

TEST(RoutingTest, MoreKeysNeverMakeAnEdgeDearer) {
  Edge edge{.from = ElementName("a"), .to = ElementName("b"), .stock = 0, .alive = true};
  std::int64_t last = cost_of(edge);
  for (edge.stock = 1; edge.stock < 200; ++edge.stock) {
    EXPECT_LE(cost_of(edge), last);
    last = cost_of(edge);
    Edge dead = edge;
    dead.alive = false;
    EXPECT_GT(cost_of(dead), cost_of(edge));
  }
}

std::int64_t cost_of_path(const std::vector<Edge>& edges, const Path& path) {
  std::int64_t total = 0;
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    std::int64_t best = -1;
    for (const Edge& edge : edges) {
      if (edge.from == path[i] && edge.to == path[i + 1] && (best < 0 || cost_of(edge) < best)) best = cost_of(edge);
    }
    EXPECT_GE(best, 0) << "an edge that is not there";
    total += best;
  }
  return total;
}

/// The least cost by trying every order of every subset of nodes.
std::optional<std::int64_t> cheapest_by_trying(const std::vector<Edge>& edges, const ElementName& at, const ElementName& to, std::set<ElementName>& visited) {
  if (at == to) return 0;
  std::optional<std::int64_t> best;
  visited.insert(at);
  for (const Edge& edge : edges) {
    if (edge.from != at || visited.contains(edge.to)) continue;
    const auto rest = cheapest_by_trying(edges, edge.to, to, visited);
    if (rest && (!best || *rest + cost_of(edge) < *best)) best = *rest + cost_of(edge);
  }
  visited.erase(at);
  return best;
}

TEST(RoutingTest, OnRandomNetworksThePathIsSimpleAndAsCheapAsAnyOther) {
  std::mt19937 random(20261122);
  for (int round = 0; round < 400; ++round) {
    const unsigned nodes = 2 + random() % 5;
    std::vector<Edge> edges;
    for (unsigned i = 0; i < nodes; ++i) {
      for (unsigned j = 0; j < nodes; ++j) {
        if (i == j || random() % 10 < 4) continue;
        edges.push_back({.from = ElementName(std::string(1, static_cast<char>('a' + i))),
                         .to = ElementName(std::string(1, static_cast<char>('a' + j))),
                         .stock = static_cast<std::int64_t>(random() % 100),
                         .alive = random() % 4 != 0});
      }
    }
    std::ranges::shuffle(edges, random);
    std::set<ElementName> visited;
    const auto least = cheapest_by_trying(edges, ElementName("a"), ElementName("b"), visited);
    const auto path = cheapest_path(edges, ElementName("a"), ElementName("b"));
    ASSERT_EQ(path.has_value(), least.has_value());
    if (!path) continue;
    EXPECT_EQ(path->front(), ElementName("a"));
    EXPECT_EQ(path->back(), ElementName("b"));
    EXPECT_EQ(std::set<ElementName>(path->begin(), path->end()).size(), path->size());
    EXPECT_EQ(cost_of_path(edges, *path), *least);
    std::ranges::shuffle(edges, random);
    EXPECT_EQ(cheapest_path(edges, ElementName("a"), ElementName("b")), path) << "the order of reports makes no difference";
  }
}

TEST(RoutingTest, SeparatePathsShareNoNodeBetweenTheirEnds) {
  const auto both_ways = [](const char* one, const char* other) {
    return std::vector<Edge>{{.from = ElementName(one), .to = ElementName(other), .stock = 64},
                             {.from = ElementName(other), .to = ElementName(one), .stock = 64}};
  };
  std::vector<Edge> edges;
  for (const auto& [one, other] :
       {std::pair{"a", "r"}, std::pair{"r", "b"}, std::pair{"a", "s"}, std::pair{"s", "t"}, std::pair{"t", "b"}, std::pair{"r", "t"}}) {
    for (const Edge& edge : both_ways(one, other)) edges.push_back(edge);
  }
  const auto paths = separate_paths(edges, ElementName("a"), ElementName("b"), 5);
  ASSERT_EQ(paths.size(), 2U);
  EXPECT_EQ(paths[0], (std::vector{ElementName("a"), ElementName("r"), ElementName("b")}));
  EXPECT_EQ(paths[1], (std::vector{ElementName("a"), ElementName("s"), ElementName("t"), ElementName("b")}));
  EXPECT_EQ(separate_paths(edges, ElementName("a"), ElementName("b"), 1).size(), 1U);
  for (const Edge& edge : both_ways("a", "b")) edges.push_back(edge);
  const auto direct = separate_paths(edges, ElementName("a"), ElementName("b"), 5);
  ASSERT_EQ(direct.size(), 3U) << "the link itself, once, and the two ways round it";
  EXPECT_EQ(direct[0].size(), 2U);
}

}  // namespace
}  // namespace qanat::qkdnc
