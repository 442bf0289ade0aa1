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
