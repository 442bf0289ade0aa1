// What a relayed key is worth: what its hops' QKDs proved, together; and that whoever demands a quality gets such keys or none.
#include <thread>

#include "harness.hpp"

namespace qanat::qkm {
namespace {

using points::KeyProof;
using test::Core;
using test::Network;
using test::soon;

constexpr KeyProof one_decoy{.bounds = 8, .photons = 8, .eps = 1e-10};  // Wiesemann et al., measured
constexpr KeyProof simulated{.bounds = 8, .photons = 2, .eps = 2e-10};
constexpr KeyProof two_decoys{.bounds = 32, .photons = 8, .eps = 3e-10};
constexpr KeyProof vendor{.bounds = 2, .photons = 4, .eps = 1.0};

Quality demanding(double eps_max, std::string_view bound = "any", std::string_view photons = "any") {
  Quality out;
  out.demand.proof = {.bounds = *points::bounds_demanded(bound), .photons = *points::photons_demanded(photons), .eps_max = eps_max};
  return out;
}

class QualityTest : public testing::Test {
 protected:
  void fill(std::uint64_t block, std::size_t keys, const KeyProof& ar, const KeyProof& rb) {
    Network::give(a(), LinkId("a-r"), r().name, block, keys, ar);
    Network::give(r(), LinkId("a-r"), a().name, block, keys, ar);
    Network::give(r(), LinkId("r-b"), b().name, block, keys, rb);
    Network::give(b(), LinkId("r-b"), r().name, block, keys, rb);
  }
  Result<std::vector<RelayedKey>> take(const Quality& quality = {}, std::size_t count = 1) { return a().supply->take(a().session("b", quality), count, soon()); }
  Result<std::vector<RelayedKey>> fetch(std::span<const RelayedKey> keys) {
    std::vector<KeyId> ids;
    for (const RelayedKey& key : keys) ids.push_back(key.id);
    return b().supply->fetch(b().session("a"), ids, test::at_once());
  }
  Core& a() { return network_.a(); }
  Core& r() { return network_.r(); }
  Core& b() { return network_.b(); }
  Network network_;
};

TEST_F(QualityTest, ARelayedKeyIsWorthWhatItsHopsAreTogetherAndBothEndsSayTheSame) {
  fill(1, 40, one_decoy, two_decoys);
  const auto taken = take();
  ASSERT_TRUE(taken) << taken.error().message;
  const KeyQuality& quality = taken->front().quality;
  EXPECT_EQ(quality.proof.bounds, 8 | 32);
  EXPECT_EQ(quality.proof.photons, 8);
  EXPECT_DOUBLE_EQ(quality.proof.eps, 4e-10) << "eps adds";
  EXPECT_EQ(quality.way, KeyWay::hop_by_hop);
  const auto fetched = fetch(*taken);
  ASSERT_TRUE(fetched);
  EXPECT_EQ(fetched->front().quality, quality);
}

TEST_F(QualityTest, LinkKeysThatTheNeighbourNeverHadSayNothingOfTheKey) {
  Network::give(r(), LinkId("r-b"), b().name, 1, 40, vendor);  // its QKD lost it
  Network::give(a(), LinkId("a-r"), r().name, 1, 40, one_decoy);
  Network::give(r(), LinkId("a-r"), a().name, 1, 40, one_decoy);
  Network::give(r(), LinkId("r-b"), b().name, 2, 40, two_decoys);
  Network::give(b(), LinkId("r-b"), r().name, 2, 40, two_decoys);
  const auto taken = take();
  ASSERT_TRUE(taken) << taken.error().message;
  const KeyProof both{.bounds = 8 | 32, .photons = 8, .eps = taken->front().quality.proof.eps};
  EXPECT_EQ(taken->front().quality.proof, both) << "the vendor's block was named and not used";
  EXPECT_DOUBLE_EQ(both.eps, 4e-10);
}

TEST_F(QualityTest, TheWeakestHopDecidesTheGrade) {
  fill(1, 40, one_decoy, vendor);
  const auto taken = take();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->front().quality.proof.grade(), "vendor");
  EXPECT_EQ(taken->front().quality.proof.eps, 1.0);
}

TEST_F(QualityTest, TheEpsOfEachBlockThatAHopUsesCountsOnce) {
  fill(1, 4, one_decoy, one_decoy);
  fill(2, 40, one_decoy, one_decoy);
  ASSERT_TRUE(a().relay_to("b", 3)) << "four keys of each link: two blocks, as each end owns half of one";
  const auto taken = take();
  ASSERT_TRUE(taken);
  EXPECT_DOUBLE_EQ(taken->front().quality.proof.eps, 4e-10) << "two links, two blocks of each";
}

TEST_F(QualityTest, TheEpsOfABlockCountsOnceHoweverManyOfItsChunksAreUsed) {
  fill(1, 4, one_decoy, one_decoy);
  fill(2, 300, one_decoy, one_decoy);
  ASSERT_TRUE(a().relay_to("b", 100)) << "of each link two keys of the first block, and more of the second than a chunk has";
  const auto taken = take();
  ASSERT_TRUE(taken);
  EXPECT_DOUBLE_EQ(taken->front().quality.proof.eps, 4e-10);
}

TEST_F(QualityTest, ADemandThatTheLinksMeetIsServedWithNothingWorse) {
  fill(1, 40, simulated, one_decoy);
  ASSERT_TRUE(a().relay_to("b", 2)) << "in the pool: simulated";
  EXPECT_TRUE(take(demanding(3e-10, "one-decoy-finite")));
  fill(2, 40, one_decoy, one_decoy);
  const auto taken = take(demanding(1e-9, "one-decoy-finite", "measured"));
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->front().quality.proof.photons, 8) << "neither the pool's nor the older block's";
  EXPECT_DOUBLE_EQ(taken->front().quality.proof.eps, 2e-10);
  const auto rest = take();
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->front().quality.proof.photons, 2 | 8) << "who demands nothing gets the oldest, which is still there";
}

TEST_F(QualityTest, ADemandThatCannotBeMetIsRefusedSaysWhyAndUsesNoKeyOfTheFirstLink) {
  fill(1, 40, simulated, two_decoys);
  const auto refused = take(demanding(1e-9, "one-decoy-finite", "measured"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::exhausted);
  EXPECT_NE(refused.error().message.find("link/a-r has no key left with bound wiesemann-2026 rusca-2018, eps at most 1e-09, photons measured; its oldest: finite "
                                         "(wiesemann-2026), eps 2e-10, photons simulated"),
            std::string::npos)
      << refused.error().message;
  EXPECT_EQ(a().stock(LinkId("a-r")).own, 20);
  EXPECT_EQ(r().stock(LinkId("r-b")).own, 20);
  EXPECT_EQ(*a().supply->stock("b"), 0);
}

TEST_F(QualityTest, AnEpsThatIsMetByEachHopButNotByAllIsRefusedWhereItIsPassed) {
  fill(1, 40, simulated, simulated);
  const auto refused = take(demanding(3e-10));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("link r-b: the path up to here has finite (wiesemann-2026), eps 4e-10"), std::string::npos) << refused.error().message;
  EXPECT_EQ(r().stock(LinkId("r-b")).own, 20) << "the hop that would pass it uses nothing up";
  EXPECT_TRUE(take(demanding(4e-10)));
}

TEST_F(QualityTest, WhoeverWaitsIsServedWhenKeysOfTheQualityCome) {
  fill(1, 40, vendor, one_decoy);
  KeySupply::Session session = a().session("b", demanding(1e-9, "finite"));
  session.waits = true;
  const auto late = a().supply->take(session, 1, Deadline::after(std::chrono::milliseconds(400)));
  ASSERT_FALSE(late);
  EXPECT_NE(late.error().message.find("vendor"), std::string::npos) << late.error().message;
  std::jthread bringing([&] { fill(2, 40, one_decoy, one_decoy); });
  const auto taken = a().supply->take(session, 1, soon());
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->front().quality.proof.grade(), "finite");
}

TEST_F(QualityTest, ANodeThatSaysMoreThanTheOtherEndKnowsIsNotBelieved) {
  Network::give(a(), LinkId("a-r"), r().name, 1, 40, one_decoy);
  Network::give(r(), LinkId("a-r"), a().name, 1, 40, simulated);  // the other end of the link knows better
  Network::give(r(), LinkId("r-b"), b().name, 1, 40, one_decoy);
  Network::give(b(), LinkId("r-b"), r().name, 1, 40, one_decoy);
  const auto refused = take(demanding(1e-9, "finite", "measured"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("here its keys have finite (wiesemann-2026), eps 2e-10, photons simulated measured"), std::string::npos)
      << refused.error().message;
  const auto taken = take();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->front().quality.proof.photons, 2 | 8);
  EXPECT_DOUBLE_EQ(taken->front().quality.proof.eps, 3e-10);
}

TEST_F(QualityTest, AnAnswerThatMakesTheKeysBetterIsRefused) {
  fill(1, 40, simulated, simulated);
  network_.wire = [&](const ElementName&, const ElementName& to, ByteView message, const Network::Deliver& deliver) -> Result<Bytes> {
    auto answer = deliver(message);
    if (to.text() != "qkm-r" || !answer) return answer;
    const auto read = parse_relay_answer(*answer, parse_relay(message)->header.relay_id);
    return write_relay_answer(parse_relay(message)->header.relay_id, one_decoy, read->confirmation);
  };
  const auto refused = take();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
  EXPECT_EQ(*a().supply->stock("b"), 0);
}

/// A destination that says something else of the keys, and confirms that with the secrets, which it has.
class FarEndThatLies : public QualityTest {
 protected:
  void let_it_say(const KeyProof& proof) {
    network_.wire = [proof](const ElementName&, const ElementName& to, ByteView octets, const Network::Deliver& deliver) -> Result<Bytes> {
      auto answer = deliver(octets);
      if (to.text() != "qkm-b" || !answer) return answer;
      const auto message = parse_relay(octets);
      const BatchId id = message->header.relay_id;
      return write_relay_answer(id, proof, relay_confirmation(secrets_of(octets, *message), id, proof));
    };
  }
  static Secret secrets_of(ByteView octets, const RelayMessage& message) {
    const LinkId link("r-b");
    const Secret block = Network::block_keys(link, 1, 40);
    std::vector<Taken> named;
    for (const KeyRun& run : message.header.runs) {
      for (std::uint32_t key = 0; key < run.count; ++key) {
        std::uint32_t index = 0;
        while (link_key_id(link, 1, index) != run.id(key)) ++index;
        named.push_back({.run = KeyRun::one(run.id(key)), .keys = slice_keys(block, index, 1), .about = ""});
      }
    }
    HopKeys keys = *hop_keys(named);
    keys.runs = message.header.runs;
    return *unprotect(octets, message, keys);
  }
};

TEST_F(FarEndThatLies, WhatIsSaidToBeWorthMoreThanTheFirstHopIsRefusedThoughItIsConfirmed) {
  fill(1, 40, simulated, simulated);
  let_it_say(one_decoy);
  const auto refused = take();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
  EXPECT_NE(refused.error().message.find("worth more than its first hop"), std::string::npos) << refused.error().message;
  EXPECT_EQ(*a().supply->stock("b"), 0);
}

TEST_F(FarEndThatLies, WhatIsConfirmedToBeWorthLessThanDemandedDoesNotCount) {
  fill(1, 40, one_decoy, one_decoy);
  let_it_say({.bounds = 8 | 2, .photons = 8, .eps = 1.0});
  const RelayOrder order{.domain = "b", .path = network_.paths(a().name, b().name).front(), .keys = 1, .demand = demanding(1e-9, "finite").demand.proof};
  const auto refused = a().relay->relay(order, soon(), "1");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::exhausted) << refused.error().message;
  EXPECT_EQ(*a().supply->stock("b"), 0);
}

/// A supply whose relays are counted, and fail as the test says.
class SupplyAlone : public QualityTest {
 protected:
  Result<std::vector<RelayedKey>> take_failing(const Error& why, const Quality& quality) {
    const RelayPlace place{.self = a().name, .domain = "a", .links = a().links, .end_nodes = a().ends};
    KeySupply supply({*a().commits, *a().relayed_keys,
                      [&](const RelayOrder& order, Deadline, const std::string&) -> Result<BatchId> {
                        orders_.push_back(order);
                        return fail(why);
                      },
                      routes_, place, a().clock, a().arrivals, [](std::span<const KeyEvent>) -> Result<void> { return {}; }, *a().given});
    return supply.take(a().session("b", quality), 1, soon());
  }
  int asked_ = 0;
  std::vector<RelayOrder> orders_;
  Routes routes_{a().name, {r().name}, std::chrono::hours(1), [this](const ElementName& to, std::size_t, Deadline, const std::string&) -> Result<std::vector<Path>> {
                   ++asked_;
                   return network_.paths(a().name, to);
                 }};
};

TEST_F(SupplyAlone, TheOrderToRelayCarriesTheWholeDemand) {
  Quality quality = demanding(1e-9, "finite", "measured");
  quality.demand.ways = 1U << static_cast<unsigned>(KeyWay::centralised);
  ASSERT_FALSE(take_failing({ErrorCode::unavailable, "not that way"}, quality));
  ASSERT_FALSE(orders_.empty());
  EXPECT_EQ(orders_.front().demand, quality.demand.proof);
  EXPECT_EQ(orders_.front().ways, quality.demand.ways);
}

TEST_F(SupplyAlone, AQualityThatAPathLacksIsNothingAgainstThePath) {
  const Error none{ErrorCode::exhausted, "no such keys"};
  ASSERT_FALSE(take_failing(none, demanding(1e-9, "finite")));
  ASSERT_FALSE(take_failing(none, demanding(1e-9, "finite")));
  EXPECT_EQ(asked_, 1);
  ASSERT_FALSE(take_failing({ErrorCode::unavailable, "it is dead"}, demanding(1e-9, "finite")));
  ASSERT_FALSE(take_failing(none, demanding(1e-9, "finite")));
  EXPECT_EQ(asked_, 2) << "the controllers are asked anew once a path is dead";
}

TEST(SeparatePathsTest, APoolWithoutTheQualityDoesNotStandInTheWayOfTwoThatHaveIt) {
  Network network{Network::Empty()};
  const std::map<std::string, ElementName> ends{{"a", ElementName("qkm-a")}, {"b", ElementName("qkm-b")}};
  std::map<ElementName, LinkId> of_a;
  std::map<ElementName, LinkId> of_b;
  const std::vector<std::string> relays{"qkm-r", "qkm-s", "qkm-t"};
  for (const std::string& relay : relays) {
    of_a.emplace(relay, "a-" + relay);
    of_b.emplace(relay, "b-" + relay);
    network.add(relay, relay, {{ElementName("qkm-a"), LinkId("a-" + relay)}, {ElementName("qkm-b"), LinkId("b-" + relay)}}, ends);
  }
  network.add("qkm-a", "a", of_a, ends);
  network.add("qkm-b", "b", of_b, ends);
  for (const std::string& relay : relays) {
    const KeyProof proof = relay == relays.front() ? simulated : one_decoy;
    for (const std::string end : {"a", "b"}) {
      Network::give(network.at("qkm-" + end), LinkId(end + "-" + relay), ElementName(relay), 1, 4, proof);
      Network::give(network.at(relay), LinkId(end + "-" + relay), ElementName("qkm-" + end), 1, 4, proof);
    }
    const RelayOrder order{.domain = "b", .path = {ElementName("qkm-a"), ElementName(relay), ElementName("qkm-b")}, .keys = 1};
    const auto brought = network.a().relay->relay(order, soon(), "1");  // and the links have no key left
    ASSERT_TRUE(brought) << brought.error().message;
  }
  Quality quality = demanding(1e-9, "finite", "measured");
  quality.paths = 2;
  const auto taken = network.a().supply->take(network.a().session("b", quality), 2, soon());
  ASSERT_TRUE(taken) << taken.error().message;
  for (const RelayedKey& key : *taken) EXPECT_NE(key.path[1].text(), relays.front());
}

TEST_F(QualityTest, WhatKeysAreWorthIsKeptAcrossARestart) {
  fill(1, 40, one_decoy, one_decoy);
  ASSERT_TRUE(a().relay_to("b", 2));
  for (Core* core : {&a(), &r(), &b()}) core->restart();
  const auto taken = take(demanding(2e-10, "finite", "measured"));
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(fetch(*taken)->front().quality, taken->front().quality);
  EXPECT_TRUE(take(demanding(2e-10, "finite", "measured"), 4)) << "from the pool, and by another relay over the same links";
}

TEST_F(QualityTest, OfKeysFromBeforeTheMigrationNothingIsProved) {
  network_.fill(1, 40);
  a().close();
  {
    // The database as version 4 had it.
    auto old = *store::Store::open(a().directory / "old.db", std::span(migrations).first(4));
    ASSERT_TRUE(old->transact([&](store::Transaction& transaction) {
      return transaction.run("INSERT INTO key_chunk (batch_id, stock, own, seq, size, expires_ms, about, gone, sealed) VALUES (?, 'link/a-r', 1, 1, 2, 0, '', ?, ?)",
                             {ByteView(Bytes(12, 1)), ByteView(Bytes(1, 0)), ByteView(Bytes(8, 0))});
    }));
  }
  const auto now = *store::Store::open(a().directory / "old.db", migrations);
  const auto quality = now->transact([&](store::Transaction& transaction) -> Result<std::optional<KeyQuality>> {
    return KeyStock(*a().device).quality(transaction, StockName("link/a-r"), {}, 1);
  });
  ASSERT_TRUE(quality && *quality);
  EXPECT_EQ((*quality)->proof, KeyProof());
  EXPECT_EQ((*quality)->proof.eps, 1.0);
  a().open();
}

TEST(SeparatePathsTest, KeysCountAsSeparateOnlyIfNoTwoShareANode) {
  const auto over = [](std::initializer_list<const char*> names) {
    RelayedKey out;
    for (const char* name : names) out.path.emplace_back(name);
    return out;
  };
  std::vector<RelayedKey> keys;
  keys.push_back(over({"a", "r", "b"}));
  EXPECT_EQ(separate_paths(keys), 1U);
  keys.push_back(over({"a", "s", "b"}));
  EXPECT_EQ(separate_paths(keys), 2U);
  keys.push_back(over({"a", "t", "r", "b"}));
  EXPECT_EQ(separate_paths(keys), 1U);
}

}  // namespace
}  // namespace qanat::qkm
