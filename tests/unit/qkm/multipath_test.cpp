// Longer chains, and keys split over separate paths: what one node between the ends sees is not enough.
#include "harness.hpp"

namespace qanat::qkm {
namespace {

using test::Core;
using test::Network;
using test::soon;

/// qkm-a — n1 — n2 — … — qkm-b
class Chain {
 public:
  explicit Chain(std::size_t nodes) : network(Network::Empty()) {
    const std::map<std::string, ElementName> ends{{"a", ElementName("qkm-a")}, {"b", ElementName("qkm-b")}};
    for (std::size_t i = 0; i < nodes; ++i) path.emplace_back(i == 0 ? "qkm-a" : i + 1 == nodes ? "qkm-b" : "n" + std::to_string(i));
    for (std::size_t i = 0; i < nodes; ++i) {
      std::map<ElementName, LinkId> links;
      if (i > 0) links.emplace(path[i - 1], link(i));
      if (i + 1 < nodes) links.emplace(path[i + 1], link(i + 1));
      network.add(path[i].text(), i == 0 ? "a" : i + 1 == nodes ? "b" : "core", links, ends);
    }
    network.find_paths = [this](const ElementName&, const ElementName&) { return std::vector<Path>{path}; };
  }
  static LinkId link(std::size_t i) { return LinkId("l" + std::to_string(i)); }
  void fill(std::uint64_t block, std::size_t keys) {
    for (std::size_t i = 1; i < path.size(); ++i) {
      Network::give(network.at(path[i - 1].text()), link(i), path[i], block, keys);
      Network::give(network.at(path[i].text()), link(i), path[i - 1], block, keys);
    }
  }
  Network network;
  Path path;
};

TEST(LongChainTest, ABatchCrossesFortyNodesAndIsTheSameAtBothEnds) {
  constexpr std::size_t nodes = 40;
  Chain chain(nodes);
  chain.fill(1, 260);
  Core& a = chain.network.a();
  Core& b = chain.network.b();
  const auto batch = a.relay_to("b", 100);
  ASSERT_TRUE(batch) << batch.error().message;
  const auto taken = a.supply->take(a.session("b"), 20, soon());
  ASSERT_TRUE(taken);
  std::vector<KeyId> ids;
  for (const RelayedKey& key : *taken) ids.push_back(key.id);
  const auto fetched = b.supply->fetch(b.session("a"), ids, test::at_once());
  ASSERT_TRUE(fetched) << fetched.error().message;
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_TRUE(equal_secret(taken->at(i).key, fetched->at(i).key));
  EXPECT_EQ(taken->front().relays(), nodes - 2);
  for (const ElementName& node : chain.path) {
    for (const auto& [key, times] : chain.network.at(node.text()).uses("link_key.used")) EXPECT_EQ(times, 1);
  }
  EXPECT_EQ(a.uses("link_key.used").size(), 101U) << "as many pads as keys, and one MAC key";
  EXPECT_EQ(chain.network.at("n1").events.size(), 2U) << "one record per hop, however large the batch";
}

TEST(LongChainTest, APathIsAsLongAsTheControllerMayNameAndNoLonger) {
  RelayOrder order{.domain = "b", .path = {}, .keys = 1};
  for (std::size_t i = 0; i + 1 < relay_nodes_max; ++i) order.path.emplace_back("n" + std::to_string(i));
  order.path.emplace_back("qkm-b");
  const RelayPlace place{.self = ElementName("n0"),
                         .domain = "a",
                         .links = {{ElementName("n1"), LinkId("l")}, {ElementName("longer"), LinkId("m")}},
                         .end_nodes = {{"b", ElementName("qkm-b")}}};
  EXPECT_TRUE(check_order(place, order));
  order.path.insert(order.path.begin() + 2, ElementName("longer"));
  EXPECT_EQ(check_order(place, order).error().code, ErrorCode::unavailable);
}

TEST(LongChainTest, APathThatIsNoneUsesNoKey) {
  const ElementName a("qkm-a");
  const ElementName r("qkm-r");
  const ElementName b("qkm-b");
  const RelayPlace place{.self = a, .domain = "a", .links = {{r, LinkId("l")}}, .end_nodes = {{"b", b}}};
  const auto code = [&](RelayOrder order) {
    const auto checked = check_order(place, order);
    return checked ? std::optional<ErrorCode>() : checked.error().code;
  };
  EXPECT_EQ(code({.domain = "b", .path = {a, r, b}, .keys = relay_secrets_max}), std::nullopt);
  EXPECT_EQ(code({.domain = "c", .path = {a, r, b}, .keys = 1}), ErrorCode::not_found);
  EXPECT_EQ(code({.domain = "b", .path = {a, r, ElementName("s"), r, b}, .keys = 1}), ErrorCode::unavailable) << "in a circle";
  EXPECT_EQ(code({.domain = "b", .path = {a, r}, .keys = 1}), ErrorCode::unavailable) << "to another";
  EXPECT_EQ(code({.domain = "b", .path = {r, b}, .keys = 1}), ErrorCode::unavailable) << "from another";
  EXPECT_EQ(code({.domain = "b", .path = {a, ElementName("s"), b}, .keys = 1}), ErrorCode::unavailable) << "over no neighbour";
  EXPECT_EQ(code({.domain = "b", .path = {a, r, b}, .keys = 0}), ErrorCode::invalid_argument);
  EXPECT_EQ(code({.domain = "b", .path = {a, r, b}, .keys = relay_secrets_max + 1}), ErrorCode::invalid_argument);
}

TEST(LongChainTest, ABlockThatIsLostAtOneEndOfALinkStopsNoRelay) {
  Chain chain(3);
  chain.fill(1, 4);
  // The second block never comes to n1; the first has two own keys left at qkm-a, then the second would be next.
  Network::give(chain.network.a(), Chain::link(1), ElementName("n1"), 2, 600);
  chain.fill(3, 40);
  Core& a = chain.network.a();
  int brought = 0;
  for (int i = 0; i < 6; ++i) brought += a.relay_to("b").has_value() ? 1 : 0;
  EXPECT_EQ(brought, 6) << "other keys are taken at once";
  EXPECT_EQ(a.count("SELECT count(*) FROM key_chunk WHERE own = 1 AND seq = 2"), 0) << "and the block is given up as a whole";
}

TEST(LongChainTest, ALinkWithoutEnoughKeysCarriesNoPartOfABatch) {
  Chain chain(3);
  chain.fill(1, 40);
  EXPECT_EQ(chain.network.a().relay_to("b", 20).error().code, ErrorCode::exhausted);
  EXPECT_EQ(chain.network.a().stock(Chain::link(1)).own, 20) << "nothing was used up";
  EXPECT_TRUE(chain.network.a().relay_to("b", 19));
}

TEST(LongChainTest, APoolThatHoldsMoreThanABatchIsFilledByAsManyBatchesAsItTakes) {
  Chain chain(3);
  chain.fill(1, 1400);
  Core& a = chain.network.a();
  const std::size_t target = 2 * relay_secrets_max + 88;
  ASSERT_TRUE(a.supply->fill("b", 1, target, soon(), "1"));
  EXPECT_EQ(*a.supply->stock("b"), static_cast<std::int64_t>(target));
  EXPECT_EQ(a.count("SELECT count(*) FROM key_chunk WHERE stock LIKE 'domain/%'"), 3);
  EXPECT_EQ(a.stock(Chain::link(1)).own, 700 - static_cast<std::int64_t>(target) - 3) << "and one MAC key each";
}

/// qkm-a — qkm-r — qkm-b and qkm-a — qkm-r2 — qkm-b. Whatever reaches qkm-r is recorded.
class TwoPaths : public testing::Test {
 protected:
  TwoPaths() : network_(Network::Empty()) {
    const std::map<std::string, ElementName> ends{{"a", ElementName("qkm-a")}, {"b", ElementName("qkm-b")}};
    const ElementName a("qkm-a");
    const ElementName b("qkm-b");
    const ElementName r("qkm-r");
    const ElementName r2("qkm-r2");
    network_.add("qkm-a", "a", {{r, LinkId("a-r")}, {r2, LinkId("a-r2")}}, ends);
    network_.add("qkm-b", "b", {{r, LinkId("b-r")}, {r2, LinkId("b-r2")}}, ends);
    network_.add("qkm-r", "r", {{a, LinkId("a-r")}, {b, LinkId("b-r")}}, ends);
    network_.add("qkm-r2", "r2", {{a, LinkId("a-r2")}, {b, LinkId("b-r2")}}, ends);
    network_.find_paths = [=](const ElementName& from, const ElementName& to) { return std::vector<Path>{{from, r, to}, {from, r2, to}}; };
    for (const auto& [near, far, link] : {std::tuple{a, r, "a-r"}, std::tuple{b, r, "b-r"}, std::tuple{a, r2, "a-r2"}, std::tuple{b, r2, "b-r2"}}) {
      Network::give(network_.at(near.text()), LinkId(link), far, 1, keys_per_block);
      Network::give(network_.at(far.text()), LinkId(link), near, 1, keys_per_block);
    }
    network_.wire = [this](const ElementName& from, const ElementName& to, ByteView message, const Network::Deliver& deliver) {
      if (to.text() == dead_) return Result<Bytes>(fail(ErrorCode::unavailable, "connection refused"));
      auto answer = deliver(message);
      if (from.text() == "qkm-r" || to.text() == "qkm-r") {
        seen_by_r_.push_back(to_bytes(message));
        if (answer) seen_by_r_.push_back(*answer);
      }
      return answer;
    };
  }
  static constexpr std::size_t keys_per_block = 80;
  Core& a() { return network_.a(); }
  Core& b() { return network_.b(); }

  Result<std::pair<Secret, Secret>> agreed(const Quality& quality) {
    auto taken = a().supply->take(a().session("b", quality), quality.paths, soon());
    if (!taken) return fail(taken.error());
    std::vector<KeyId> ids;
    for (const RelayedKey& key : *taken) ids.push_back(key.id);
    ASSIGN_OR_RETURN(const auto fetched, b().supply->fetch(b().session("a", quality), ids, test::at_once()));
    shares_ = *std::move(taken);
    ASSIGN_OR_RETURN(Secret near, combine(shares_));
    ASSIGN_OR_RETURN(Secret far, combine(fetched));
    return std::pair(std::move(near), std::move(far));
  }

  /// Everything that qkm-r can have: all keys of its links, and what they open of all messages that it ever saw.
  std::vector<Secret> known_to_r() {
    std::map<KeyId, Secret> link_keys;
    for (const char* link : {"a-r", "b-r"}) {
      const Secret block = Network::block_keys(LinkId(link), 1, keys_per_block);
      for (std::uint32_t i = 0; i < keys_per_block; ++i) link_keys.emplace(link_key_id(LinkId(link), 1, i), slice_keys(block, i, 1));
    }
    std::vector<Secret> out;
    for (const Bytes& octets : seen_by_r_) {
      const auto message = parse_relay(octets);
      if (!message) {
        if (octets.size() >= 32) out.push_back(Secret::copy_of(ByteView(octets).last(32)));  // an answer's confirmation
        continue;
      }
      std::vector<Taken> named;
      for (const KeyRun& run : message->header.runs) {
        for (std::uint32_t k = 0; k < run.count; ++k)
          named.push_back({.run = KeyRun::one(run.id(k)), .keys = link_keys.at(run.id(k)).duplicate(), .about = ""});
      }
      HopKeys keys = *hop_keys(named);
      keys.runs = message->header.runs;
      const auto secrets = unprotect(octets, *message, keys);
      EXPECT_TRUE(secrets) << "qkm-r can read what passes through it";
      const Secret delivered = relayed_keys(*secrets);
      for (std::size_t k = 0; k < message->header.secrets; ++k) {
        out.push_back(slice_keys(*secrets, k, 1));
        out.push_back(slice_keys(delivered, k, 1));
        out.push_back(Secret::copy_of(ByteView(message->ciphertext).subspan(32 * k, 32)));
      }
    }
    for (auto& [id, key] : link_keys) out.push_back(std::move(key));
    return out;
  }
  /// The sum of one, two or three of them is the key.
  static bool can_be_made(const std::vector<Secret>& known, const Secret& key) {
    std::set<Bytes> values;
    for (const Secret& one : known) values.insert(to_bytes(one.reveal()));
    for (std::size_t i = 0; i < known.size(); ++i) {
      Secret rest = key.duplicate();
      rest.xor_with(known[i]);
      if (values.contains(to_bytes(rest.reveal())) || equal_secret(known[i], key)) return true;
      for (std::size_t j = i + 1; j < known.size(); ++j) {
        Secret less = rest.duplicate();
        less.xor_with(known[j]);
        if (values.contains(to_bytes(less.reveal()))) return true;
      }
    }
    return false;
  }

  Network network_;
  std::vector<Bytes> seen_by_r_;
  std::vector<RelayedKey> shares_;
  std::string dead_;
};

TEST_F(TwoPaths, TheSharesComeOverSeparatePathsAndBothEndsMakeTheSameKey) {
  const auto keys = agreed({.paths = 2});
  ASSERT_TRUE(keys) << keys.error().message;
  EXPECT_TRUE(equal_secret(keys->first, keys->second));
  ASSERT_EQ(shares_.size(), 2U);
  EXPECT_NE(shares_[0].path_id(), shares_[1].path_id());
  EXPECT_TRUE(are_disjoint(shares_[0].path, shares_[1].path));
}

TEST_F(TwoPaths, ARelayThatRecordsEverythingCannotMakeTheKey) {
  // That the record is worth something: a key over one path is in it.
  const auto single = agreed({.paths = 1});
  ASSERT_TRUE(single);
  EXPECT_TRUE(can_be_made(known_to_r(), single->first)) << "over one path each relay knows the key";
  const auto split = agreed({.paths = 2});
  ASSERT_TRUE(split) << split.error().message;
  const std::vector<Secret> known = known_to_r();
  EXPECT_GT(known.size(), 2 * keys_per_block);
  const bool first_over_r = shares_[0].path[1].text() == "qkm-r";
  EXPECT_TRUE(can_be_made(known, shares_[first_over_r ? 0 : 1].key)) << "one share it knows";
  EXPECT_FALSE(can_be_made(known, shares_[first_over_r ? 1 : 0].key));
  EXPECT_FALSE(can_be_made(known, split->first));
  // Whichever share the other relay knows: the key is neither of the two, it is both.
  for (const RelayedKey& share : shares_) EXPECT_FALSE(equal_secret(split->first, share.key));
  Secret both = shares_[0].key.duplicate();
  both.xor_with(shares_[1].key);
  EXPECT_TRUE(equal_secret(split->first, both));
  // Nor is any link key of the other path, or anything that crossed it, among what it has: the other share was drawn for that path alone.
  for (const char* link : {"a-r2", "b-r2"}) {
    const Secret block = Network::block_keys(LinkId(link), 1, keys_per_block);
    for (std::size_t i = 0; i < keys_per_block; ++i) {
      for (const Secret& one : known) EXPECT_FALSE(equal_secret(one, slice_keys(block, i, 1)));
    }
  }
}

TEST_F(TwoPaths, WithoutASecondPathThereIsNoSuchKeyAndNothingIsHandedOut) {
  dead_ = "qkm-r2";
  const auto refused = agreed({.paths = 2});
  ASSERT_FALSE(refused);
  EXPECT_EQ(a().count("SELECT count(*) FROM key_run WHERE state = 'delivered'"), 0);
  network_.find_paths = [](const ElementName& from, const ElementName& to) { return std::vector<Path>{{from, ElementName("qkm-r"), to}}; };
  EXPECT_EQ(agreed({.paths = 2}).error().code, ErrorCode::unavailable);
  EXPECT_TRUE(agreed({.paths = 1}));
}

TEST_F(TwoPaths, AKeyOverOnePathTakesTheOtherWhenItsRelayIsDead) {
  for (const std::string dead : {"qkm-r", "qkm-r2", "qkm-r"}) {
    dead_ = dead;
    const auto keys = agreed({.paths = 1});
    ASSERT_TRUE(keys) << keys.error().message;
    EXPECT_TRUE(equal_secret(keys->first, keys->second));
    EXPECT_NE(shares_.front().path[1].text(), dead);
  }
}

TEST_F(TwoPaths, PoolsAreFilledOverEachPathInBatches) {
  ASSERT_TRUE(a().supply->fill("b", 2, 10, soon(), "1"));
  EXPECT_EQ(*a().supply->stock("b"), 20);
  EXPECT_EQ(a().count("SELECT count(*) FROM key_chunk WHERE stock LIKE 'domain/%'"), 2);
  const std::size_t messages = seen_by_r_.size();
  ASSERT_TRUE(agreed({.paths = 2}));
  EXPECT_EQ(seen_by_r_.size(), messages) << "from the pools";
  ASSERT_TRUE(a().supply->fill("b", 2, 10, soon(), "1"));
  EXPECT_EQ(*a().supply->stock("b"), 18) << "they are more than half full";
}

TEST_F(TwoPaths, KeysOverMoreRelaysThanAskedForAreNotHandedOut) {
  ASSERT_TRUE(a().supply->fill("b", 2, 4, soon(), "1"));
  EXPECT_EQ(agreed({.paths = 1, .relays_max = 0}).error().code, ErrorCode::unavailable);
  EXPECT_TRUE(agreed({.paths = 1, .relays_max = 1}));
}

TEST_F(TwoPaths, KeysInStockOverPathsThatMeetAreNotTheSharesOfOneKey) {
  const ElementName r("qkm-r");
  for (const Path& path : {Path{a().name, r, b().name}, Path{a().name, ElementName("qkm-x"), r, b().name}}) {
    const RelayedBatch batch{.id = test::rng().id<BatchId>(),
                             .end = End::near,
                             .peer_domain = "b",
                             .path = path,
                             .way = "",
                             .keys = Secret(relay_secret_size),
                             .expires_ms = a().clock.now_ms() + 60000,
                             .quality = {}};
    ASSERT_TRUE(a().store->transact([&](store::Transaction& t) { return a().relayed_keys->add(t, batch, a().clock.now_ms()); }));
  }
  network_.find_paths = [&](const ElementName& from, const ElementName& to) { return std::vector<Path>{{from, r, to}}; };
  EXPECT_EQ(agreed({.paths = 2}).error().code, ErrorCode::unavailable) << "qkm-r would know both";
  EXPECT_EQ(*a().supply->stock("b"), 2);
}

TEST_F(TwoPaths, CombineNeedsWholeShares) {
  EXPECT_FALSE(combine({}));
  std::vector<RelayedKey> shares;
  shares.push_back({.id = KeyId(), .path = {}, .way = "", .key = Secret(31)});
  EXPECT_EQ(combine(shares).error().code, ErrorCode::invalid_argument);
}

TEST(PoolsTest, DisjointPoolsAreFoundWhereTheFirstChoiceBlocks) {
  const auto pool = [](std::vector<std::string> inner, std::int64_t keys) {
    Pool out{.peer_domain = "b", .path = {ElementName("a")}, .keys = keys};
    for (const std::string& node : inner) out.path.emplace_back(node);
    out.path.emplace_back("b");
    return out;
  };
  const std::vector<Pool> pools{pool({"x", "y"}, 1), pool({"x"}, 1), pool({"z"}, 0), pool({"y"}, 1)};
  const auto found = disjoint_pools(pools, 2);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].path, pools[1].path);
  EXPECT_EQ(found[1].path, pools[3].path);
  EXPECT_TRUE(disjoint_pools(pools, 3).empty()) << "an empty pool is none";
  EXPECT_FALSE(are_disjoint(pool({}, 1).path, pool({}, 1).path)) << "one link is not two";
}

}  // namespace
}  // namespace qanat::qkm
