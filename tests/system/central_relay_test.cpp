// The centralised relay (design: docs/relay.md), controller and QKMs in one process: what comes out at the ends, and what each party learns.
#include "base/key_run.hpp"
#include "quantum/qkdnc/centralised.hpp"
#include "quantum/qkm/central_node.hpp"
#include "unit/qkm/harness.hpp"

namespace qanat::qkm {
namespace {

using points::CentralHandover;
using points::CentralReport;
using points::CentralReportOrder;
using test::Core;
using test::Network;
using test::soon;

constexpr std::size_t keys_per_block = 80;
constexpr std::size_t nodes = 4;  // qkm-a, n1, n2, qkm-b: n1 and n2 are neighbours of an end and of one another

crypto::SiteKey controller_key_of(const ElementName& qkm) {
  Secret key(32);
  for (std::size_t i = 0; i < qkm.text().size(); ++i) key.writable()[i] = static_cast<std::uint8_t>(qkm.text()[i]);
  return crypto::SiteKey::from_secret(std::move(key));
}

Secret sum(const Secret& one, const Secret& other) {
  Secret out = one.duplicate();
  out.xor_with(other);
  return out;
}

class CentralRelayTest : public testing::Test {
 protected:
  explicit CentralRelayTest(std::size_t size = nodes) : network_(Network::Empty()) {
    const std::map<std::string, ElementName> ends{{"a", ElementName("qkm-a")}, {"b", ElementName("qkm-b")}};
    for (std::size_t i = 0; i < size; ++i) path_.emplace_back(i == 0 ? "qkm-a" : i + 1 == size ? "qkm-b" : "n" + std::to_string(i));
    for (std::size_t i = 0; i < size; ++i) {
      std::map<ElementName, LinkId> links;
      if (i > 0) links.emplace(path_[i - 1], link(i));
      if (i + 1 < size) links.emplace(path_[i + 1], link(i + 1));
      network_.add(path_[i].text(), i == 0 ? "a" : i + 1 == size ? "b" : "core", links, ends);
    }
    network_.find_paths = [this](const ElementName&, const ElementName&) { return std::vector<Path>{path_}; };
    for (std::size_t i = 1; i < size; ++i) {
      Network::give(network_.at(path_[i - 1].text()), link(i), path_[i], 1, keys_per_block);
      Network::give(network_.at(path_[i].text()), link(i), path_[i - 1], 1, keys_per_block);
    }
    std::map<ElementName, crypto::SiteKey> keys;
    for (const ElementName& node : path_) {
      keys.emplace(node, controller_key_of(node));
      central_.emplace(node, make_node(network_.at(node.text())));
    }
    controller_ = std::make_unique<qkdnc::Centralised>(
        std::move(keys), test::rng(),
        qkdnc::Centralised::Ports{.report = [this](const ElementName& qkm, const CentralReportOrder& order, Deadline deadline,
                                                   const std::string& id) { return report(qkm, order, deadline, id); },
                                  .deliver = [this](const ElementName& qkm, const CentralHandover& delivery, Deadline deadline,
                                                    const std::string& id) { return deliver(qkm, delivery, deadline, id); },
                                  .missing = [this](const ElementName& qkm, const points::CentralNotice& notice, Deadline,
                                                    const std::string&) { return central_.at(qkm)->missing(notice); }});
  }
  static LinkId link(std::size_t i) { return LinkId("l" + std::to_string(i)); }

  std::unique_ptr<CentralNode> make_node(Core& core) {
    const RelayPlace place{.self = core.name,
                           .domain = core.domain,
                           .links = core.links,
                           .end_nodes = core.ends,
                           .lifetime = std::chrono::seconds(60),
                           .block_wait = std::chrono::milliseconds(10)};
    return std::make_unique<CentralNode>(
        place, RelayNode::Parts{*core.commits, *core.link_keys, *core.relayed_keys, *core.device, core.clock, core.arrivals}, controller_key_of(core.name),
        CentralNode::Ports{.order = [this, &core](const CentralHandover& order, Deadline deadline, const std::string& id) -> Result<points::CentralAnswer> {
                             if (lost_ == "order") return fail(ErrorCode::deadline_exceeded, "no answer");
                             views_.push_back({.hop = 0, .runs = order.runs, .proof = order.proof, .x = order.x, .relay = order.relay});
                             auto out = controller_->relay(core.name, order, deadline, id);
                             if (lost_ == "confirmation") return fail(ErrorCode::deadline_exceeded, "no answer");
                             return out;
                           },
                           .record = [&core](std::span<const KeyEvent> events) -> Result<void> {
                             for (const KeyEvent& event : events) core.events.emplace_back(event.action, event.keys);
                             return {};
                           }});
  }
  Result<CentralReport> report(const ElementName& qkm, const CentralReportOrder& order, Deadline deadline, const std::string& id) {
    auto out = central_.at(qkm)->report(order, deadline, id);
    last_order_ = order;
    if (out) views_.push_back({.hop = order.hop, .runs = out->runs, .proof = out->proof, .x = out->x, .relay = order.relay});
    if (lost_ == qkm.text()) return fail(ErrorCode::deadline_exceeded, "no answer");
    if (missing_ == qkm.text()) return CentralReport{.runs = {}, .proof = {}, .x = {}, .missing = {BatchId(Bytes(12, 9))}};
    if (out && better_ == qkm.text()) out->proof = {.bounds = 8, .photons = 8, .eps = 1e-12};
    if (out && sealed_better_ == qkm.text()) {
      const Secret x = *controller_key_of(qkm).unwrap(points::central_context(order.relay, order.hop, out->runs, out->proof), out->x);
      out->proof.eps = order.proof.eps / 2;
      out->x = controller_key_of(qkm).wrap(points::central_context(order.relay, order.hop, out->runs, out->proof), x, test::rng());
    }
    if (out && altered_ == qkm.text()) {
      // A relay that lies: sealed as it should be, over another x.
      const Bytes context = points::central_context(order.relay, order.hop, out->runs, out->proof);
      Secret x = *controller_key_of(qkm).unwrap(context, out->x);
      x.writable()[5] ^= 1;
      out->x = controller_key_of(qkm).wrap(context, x, test::rng());
    }
    return out;
  }
  Result<points::CentralAnswer> deliver(const ElementName& qkm, const CentralHandover& delivery, Deadline deadline, const std::string& id) {
    views_.push_back({.hop = static_cast<std::uint8_t>(path_.size() - 1), .runs = delivery.runs, .proof = delivery.proof, .x = delivery.x, .relay = delivery.relay});
    auto shortened = delivery;
    if (is_short_) {
      const Bytes context = points::central_context(delivery.relay, views_.back().hop, delivery.runs, delivery.proof);
      shortened.x = controller_key_of(qkm).wrap(context, slice_keys(views_.back().opened(), 0, 1), test::rng());
    }
    auto out = central_.at(qkm)->deliver(shortened, deadline, id);
    if (out && confirmed_) {
      // A far end that says something else of the keys, and confirms it with the secrets.
      const std::size_t last = path_.size() - 1;
      const Secret secrets = sum(views_.back().opened(), keys_of(last, delivery.runs, delivered_block_));
      out->proof = *confirmed_;
      out->confirmation = relay_confirmation(secrets, delivery.relay.relay_id, *confirmed_);
    }
    return out;
  }
  Result<BatchId> relay(std::size_t keys, const points::ProofDemand& demand = {}) {
    return central_.at(path_.front())->relay({.domain = "b", .path = path_, .keys = keys, .demand = demand}, soon(), "1");
  }
  Core& node(std::size_t i) { return network_.at(path_[i].text()); }
  /// A block of link i, at the end that is nearer to qkm-a, the other, or both.
  enum class At { both, near_end };
  void give(std::size_t i, std::uint64_t block, At at, const points::KeyProof& proof = {}) {
    Network::give(node(i - 1), link(i), path_[i], block, keys_per_block, proof);
    if (at == At::both) Network::give(node(i), link(i), path_[i - 1], block, keys_per_block, proof);
  }

  /// The link keys of a run, as both ends of link i hold them.
  static Secret keys_of(std::size_t i, std::span<const KeyRun> runs, std::uint64_t number = 1) {
    std::map<KeyId, std::uint32_t> places;
    for (std::uint32_t k = 0; k < keys_per_block; ++k) places.emplace(link_key_id(link(i), number, k), k);
    const Secret block = Network::block_keys(link(i), number, keys_per_block);
    Secret out(keys_in(runs) * 32);
    std::size_t at = 0;
    for (const KeyRun& run : runs) {
      for (std::uint32_t k = 0; k < run.count; ++k) put_keys(out, at++, slice_keys(block, places.at(run.id(k)), 1));
    }
    return out;
  }
  /// Of the keys of link `worse` the end that is farther from qkm-a knows that their photons were simulated; the other end does not.
  void expect_what_is_known_counts(std::size_t worse) {
    ASSERT_TRUE(relay(keys_per_block / 2));  // of which nothing is proved
    const points::KeyProof finite{.bounds = 8, .photons = 8, .eps = 1e-10};
    const points::KeyProof simulated{.bounds = 8, .photons = 2, .eps = 1e-10};
    for (std::size_t i = 1; i < path_.size(); ++i) {
      Network::give(node(i - 1), link(i), path_[i], 2, 8, finite);
      Network::give(node(i), link(i), path_[i - 1], 2, 8, i == worse ? simulated : finite);
    }
    const auto refused = relay(1, {.bounds = points::bounds_finite, .photons = 8, .eps_max = 1e-9});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::exhausted) << refused.error().message;
    const auto brought = relay(1);
    ASSERT_TRUE(brought) << brought.error().message;
    ASSERT_TRUE(network_.a().supply->take(network_.a().session("b"), keys_per_block / 2, soon()));
    const auto taken = network_.a().supply->take(network_.a().session("b"), 1, soon());
    ASSERT_TRUE(taken) << taken.error().message;
    EXPECT_EQ(taken->front().quality.proof.photons, 8 | 2);
  }
  void expect_no_key_used_twice() {
    for (const ElementName& node : path_) {
      for (const auto& [key, times] : network_.at(node.text()).uses("link_key.used")) EXPECT_EQ(times, 1) << node.text() << " " << key.hex();
    }
  }

  /// One x as the controller has it: sealed, and what is public about it.
  struct View {
    std::uint8_t hop = 0;
    std::vector<KeyRun> runs;
    points::KeyProof proof;
    Bytes x;
    points::CentralRelay relay;
    [[nodiscard]] Secret opened() const {
      return std::move(*controller_key_of(relay.path[hop]).unwrap(points::central_context(relay, hop, runs, proof), x));
    }
  };

  Network network_;
  Path path_;
  std::map<ElementName, std::unique_ptr<CentralNode>> central_;
  std::unique_ptr<qkdnc::Centralised> controller_;
  std::vector<View> views_;
  CentralReportOrder last_order_;
  std::string lost_;
  std::string altered_;
  std::string missing_;  // says that it misses what nobody named
  std::string better_;   // says that the keys are worth more than they are
  std::string sealed_better_;                   // the same, under its own seal
  std::optional<points::KeyProof> confirmed_;  // what the far end says and confirms instead
  std::uint64_t delivered_block_ = 1;           // that the far end's keys are of
  bool is_short_ = false;                       // the delivery has an x of one key
};

TEST_F(CentralRelayTest, BothEndsReceiveTheSameKeysAndEachLinkKeyServedOnce) {
  const auto batch = relay(20);
  ASSERT_TRUE(batch) << batch.error().message;
  Core& a = network_.a();
  Core& b = network_.b();
  const auto taken = a.supply->take(a.session("b"), 20, soon());
  ASSERT_TRUE(taken) << taken.error().message;
  std::vector<KeyId> ids;
  for (const RelayedKey& key : *taken) ids.push_back(key.id);
  const auto fetched = b.supply->fetch(b.session("a"), ids, test::at_once());
  ASSERT_TRUE(fetched) << fetched.error().message;
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_TRUE(equal_secret(taken->at(i).key, fetched->at(i).key));
  EXPECT_EQ(taken->front().relays(), 2);
  for (std::size_t i = 1; i < nodes; ++i) EXPECT_EQ(network_.at(path_[i - 1].text()).stock(link(i)).own, 20) << "one key per link and secret, none for a MAC";
  for (std::size_t i = 0; i < nodes; ++i)
    EXPECT_EQ(node(i).uses("link_key.used").size(), i == 0 || i + 1 == nodes ? 20U : 40U) << "on record at " << path_[i].text();
  expect_no_key_used_twice();
}

/// Sums over GF(2) of the unknowns S, k1, k2, k3: bit 0 is S, bit i is ki.
using Combination = unsigned;
constexpr Combination secret = 1U;
constexpr Combination key(unsigned i) { return 1U << i; }
bool spans(const std::vector<Combination>& known, Combination wanted) {
  for (std::size_t choice = 0; choice < (std::size_t{1} << known.size()); ++choice) {
    Combination sum_of_choice = 0;
    for (std::size_t i = 0; i < known.size(); ++i) sum_of_choice ^= ((choice >> i) & 1U) != 0 ? known[i] : 0U;
    if (sum_of_choice == wanted) return true;
  }
  return false;
}

// The unknowns are uniform and independent, so a party whose values are linear combinations of them learns nothing of S exactly if S is not
// in their span. First: the values of a real relay are these combinations. Then: whose span has S.
TEST_F(CentralRelayTest, WhatEachPartyLearnsIsWhatTheRankSays) {
  ASSERT_TRUE(relay(5));
  ASSERT_EQ(views_.size(), nodes) << "the order, two reports, the delivery";
  std::vector<Secret> unknowns(4);
  for (std::size_t i = 1; i < nodes; ++i) unknowns[i] = keys_of(i, views_[i - 1].runs);
  unknowns[0] = sum(views_[0].opened(), unknowns[1]);
  const auto value = [&](Combination combination) {
    Secret out(unknowns[0].size());
    for (unsigned i = 0; i < 4; ++i) {
      if (((combination >> i) & 1U) != 0) out.xor_with(unknowns[i]);
    }
    return out;
  };
  const std::vector<Combination> reports{secret ^ key(1), key(1) ^ key(2), key(2) ^ key(3)};
  for (std::size_t i = 0; i < reports.size(); ++i) EXPECT_TRUE(equal_secret(views_[i].opened(), value(reports[i]))) << "x" << i;
  const Combination delivered = secret ^ key(3);
  EXPECT_TRUE(equal_secret(views_[3].opened(), value(delivered))) << "X";
  const auto taken = network_.a().supply->take(network_.a().session("b"), 1, soon());
  ASSERT_TRUE(taken);
  EXPECT_TRUE(equal_secret(taken->front().key, slice_keys(relayed_keys(unknowns[0]), 0, 1))) << "S is what the keys are made of";

  std::vector<Combination> controller = reports;
  controller.push_back(delivered);
  EXPECT_FALSE(spans(controller, secret)) << "the controller alone";
  for (const auto& relay_keys : {std::vector{key(1), key(2)}, std::vector{key(2), key(3)}}) {
    EXPECT_FALSE(spans(relay_keys, secret)) << "a relay alone, without the reports";
    std::vector<Combination> both = controller;
    both.insert(both.end(), relay_keys.begin(), relay_keys.end());
    EXPECT_TRUE(spans(both, secret)) << "the controller together with a relay: the limit of this variant, stated in docs/relay.md";
  }
  EXPECT_FALSE(spans({key(1), key(2), key(3)}, secret)) << "all relays together, without the reports";
  EXPECT_TRUE(spans({key(1), secret ^ key(1)}, secret)) << "which is why x0 travels sealed also against n1";
  EXPECT_TRUE(spans({key(3), delivered}, secret)) << "and X against n2";
}

TEST_F(CentralRelayTest, WhatTravelsOpensForNobodyButTheControllerAndItsSender) {
  ASSERT_TRUE(relay(3));
  for (const View& view : views_) {
    for (const ElementName& node : path_) {
      const auto opened = controller_key_of(node).unwrap(points::central_context(view.relay, view.hop, view.runs, view.proof), view.x);
      EXPECT_EQ(opened.has_value(), node == path_[view.hop]) << node.text() << " at hop " << int{view.hop};
    }
    const auto moved = static_cast<std::uint8_t>(view.hop + 1);
    EXPECT_FALSE(controller_key_of(path_[view.hop]).unwrap(points::central_context(view.relay, moved, view.runs, view.proof), view.x)) << "another hop's";
  }
}

TEST_F(CentralRelayTest, ALostMessageBurnsTheKeysAndLeavesNoneAtTheNearEnd) {
  for (const std::string lost : {"order", "n1", "n2", "confirmation"}) {
    lost_ = lost;
    EXPECT_FALSE(relay(2)) << lost;
    EXPECT_EQ(*network_.a().supply->stock("b"), 0) << lost;
    lost_.clear();
    EXPECT_TRUE(relay(2)) << "after the loss of " << lost;
    network_.a().clock.advance(30001);  // its keys are past their time
  }
  expect_no_key_used_twice();
}

TEST_F(CentralRelayTest, AReportThatLiesIsCaughtByTheConfirmation) {
  for (const std::string liar : {"n1", "n2"}) {
    altered_ = liar;
    const auto refused = relay(2);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::denied);
    EXPECT_EQ(*network_.a().supply->stock("b"), 0);
  }
  altered_.clear();
  EXPECT_TRUE(relay(2));
}

TEST_F(CentralRelayTest, AnOrderThatComesAgainIsRefusedAndUsesNoKey) {
  ASSERT_TRUE(relay(2));
  const auto again = central_.at(ElementName("n2"))->report(last_order_, soon(), "1");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::conflict);
  EXPECT_EQ(network_.at("n2").stock(link(3)).own, 38) << "its own keys are not touched";
  CentralReportOrder misled = last_order_;
  misled.hop = 1;
  EXPECT_EQ(central_.at(ElementName("n2"))->report(misled, soon(), "1").error().code, ErrorCode::denied) << "that hop is another's";
  misled.relay.path = {path_[1], ElementName("stranger"), path_[3]};  // between the same neighbours
  EXPECT_EQ(central_.at(ElementName("n2"))->report(misled, soon(), "1").error().code, ErrorCode::denied) << "a stranger's";
  const points::CentralNotice notice{
      .relay = {.relay_id = BatchId(Bytes(12, 1)), .origin_domain = "a", .destination_domain = "b", .path = {ElementName("stranger"), path_[2]}, .keys = 1},
      .hop = 0,
      .missing = {last_order_.runs.front().batch}};
  EXPECT_EQ(central_.at(path_[1])->missing(notice).error().code, ErrorCode::denied) << "a notice to a stranger";
}

TEST_F(CentralRelayTest, ADeliveryForAnotherDomainOrOfAnotherOriginOrSizeIsRefused) {
  ASSERT_TRUE(relay(2));
  const View& seen = views_.back();
  CentralHandover delivery{.relay = seen.relay, .runs = seen.runs, .proof = seen.proof, .x = seen.x};
  CentralNode& far = *central_.at(path_.back());
  EXPECT_EQ(far.deliver(delivery, soon(), "1").error().code, ErrorCode::conflict) << "the same again: its keys are used up";
  delivery.relay.destination_domain = "c";
  EXPECT_EQ(far.deliver(delivery, soon(), "1").error().code, ErrorCode::denied);
  delivery.relay.destination_domain = "b";
  delivery.relay.path.erase(delivery.relay.path.begin());
  EXPECT_EQ(far.deliver(delivery, soon(), "1").error().code, ErrorCode::denied) << "n1 is not the QKM of domain a";
  is_short_ = true;
  EXPECT_EQ(relay(2).error().code, ErrorCode::invalid_argument);
}

TEST_F(CentralRelayTest, TheControllerTakesOrdersOfTheFirstNodeAloneAndSharesAKeyWithAll) {
  CentralHandover order{.relay = {.relay_id = BatchId(Bytes(12, 1)), .origin_domain = "a", .destination_domain = "b", .path = path_, .keys = 1},
                        .runs = {{BatchId(Bytes(12, 2)), 0, 1}},
                        .proof = {},
                        .x = Bytes(80)};
  const auto of_another = controller_->relay(ElementName("n1"), order, soon(), "1");
  EXPECT_EQ(of_another.error().code, ErrorCode::denied);
  EXPECT_NE(of_another.error().message.find("its path does not begin at n1"), std::string::npos) << of_another.error().message;
  EXPECT_EQ(controller_->relay(path_.front(), order, soon(), "1").error().code, ErrorCode::denied) << "an x that was not sealed for this";
  const Bytes context = points::central_context(order.relay, 0, order.runs, order.proof);
  order.x = controller_key_of(path_.front()).wrap(context, Secret(64), test::rng());
  const auto too_long = controller_->relay(path_.front(), order, soon(), "1");
  EXPECT_NE(too_long.error().message.find("the report of qkm-a has not the size of its keys"), std::string::npos) << too_long.error().message;
  order.relay.path[2] = ElementName("stranger");
  EXPECT_EQ(controller_->relay(path_.front(), order, soon(), "1").error().code, ErrorCode::unavailable);
}

TEST_F(CentralRelayTest, ABlockThatANodeLacksIsDroppedByTheNodeBeforeAndTheRelayGoesOn) {
  std::uint64_t block = 1;
  for (std::size_t lacking = 1; lacking < nodes; ++lacking) {
    ASSERT_TRUE(relay(keys_per_block / 2)) << "all keys so far are used";
    for (std::size_t i = 1; i < nodes; ++i) give(i, block + 1, i == lacking ? At::near_end : At::both);
    for (std::size_t i = 1; i < nodes; ++i) give(i, block + 2, At::both);
    const auto done = relay(2);
    ASSERT_TRUE(done) << "node " << lacking << ": " << done.error().message;
    EXPECT_EQ(node(lacking - 1).count("SELECT count(*) FROM key_chunk WHERE own = 1 AND stock = 'link/" + link(lacking).text() + "' AND seq = " + std::to_string(block + 1)),
              0)
        << path_[lacking - 1].text() << " gives the block up as a whole";
    EXPECT_EQ(network_.b().relayed_key_state(key_id(*done, 0)), store::KeyState::generated) << "it has arrived";
    // Uneven stocks are evened out for the next round.
    for (std::size_t i = 1; i < nodes; ++i) {
      for (const std::size_t end : {i - 1, i})
        ASSERT_TRUE(node(end).store->transact([&](store::Transaction& t) { return t.run("DELETE FROM key_chunk WHERE stock LIKE 'link/%'", {}); }));
    }
    block += 3;
    for (std::size_t i = 1; i < nodes; ++i) give(i, block, At::both);
  }
  expect_no_key_used_twice();
}

TEST_F(CentralRelayTest, ABlockThatNeverComesEndsTheRelayAfterAFewOrders) {
  ASSERT_TRUE(relay(keys_per_block / 2));
  for (std::uint64_t block = 2; block < 8; ++block) give(1, block, At::near_end);
  const auto refused = relay(2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_NE(refused.error().message.find("n1 has not got the link keys"), std::string::npos) << refused.error().message;
  EXPECT_EQ(node(0).stock(link(1)).own, 3 * static_cast<std::int64_t>(keys_per_block) / 2) << "three orders, three blocks given up";
}

TEST_F(CentralRelayTest, WhatNobodyNamedIsNotDropped) {
  missing_ = "n2";
  const auto refused = relay(2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
  missing_.clear();
  EXPECT_EQ(node(1).stock(link(2)).own, 38);
  // A notice for another hop, and about chunks that are the neighbour's to choose.
  points::CentralNotice notice{.relay = last_order_.relay, .hop = 2, .missing = {last_order_.runs.front().batch}};
  EXPECT_EQ(central_.at(path_[1])->missing(notice).error().code, ErrorCode::denied);
  notice.hop = 1;
  notice.missing = {batch_of(link_key_id(link(2), 1, owner_of(0, path_[1], path_[2]) == Owner::self ? 1 : 0))};
  EXPECT_TRUE(central_.at(path_[1])->missing(notice));
  EXPECT_EQ(node(1).stock(link(2)).peer, 40) << "not this end's to drop";
}

TEST_F(CentralRelayTest, ProofsAddUpOverTheHopsAndBothEndsSayTheSame) {
  ASSERT_TRUE(relay(keys_per_block / 2 - 2)) << "of which nothing is proved; two keys of each link are left";
  EXPECT_EQ(network_.a().supply->take(network_.a().session("b"), 38, soon())->front().quality.proof, points::KeyProof());
  const points::KeyProof finite{.bounds = 8, .photons = 8, .eps = 1e-10};
  for (std::size_t i = 1; i < nodes; ++i) give(i, 2, At::both, finite);
  EXPECT_FALSE(relay(2, {.eps_max = 2.5e-10})) << "three hops have more together";
  EXPECT_EQ(node(2).stock(link(3)).own, static_cast<std::int64_t>(keys_per_block / 2 + 2)) << "the hop that would pass it uses up no key of the next link";
  const auto batch = relay(2, {.bounds = points::bounds_finite, .eps_max = 3.01e-10});
  ASSERT_TRUE(batch) << batch.error().message;
  const auto taken = network_.a().supply->take(network_.a().session("b"), 1, soon());
  ASSERT_TRUE(taken);
  EXPECT_NEAR(taken->front().quality.proof.eps, 3e-10, 1e-16);
  EXPECT_EQ(taken->front().quality.way, KeyWay::centralised);
  const auto fetched = network_.b().supply->fetch(network_.b().session("a"), std::array{taken->front().id}, test::at_once());
  ASSERT_TRUE(fetched);
  EXPECT_EQ(fetched->front().quality, taken->front().quality);
}

TEST_F(CentralRelayTest, AReportThatMakesTheKeysBetterDoesNotOpen) {
  for (const std::string liar : {"n1", "n2"}) {
    better_ = liar;
    const auto refused = relay(2);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::denied) << refused.error().message;
  }
}

TEST_F(CentralRelayTest, NobodyIsBelievedToMakeTheKeysOfThoseBeforeBetter) {
  ASSERT_TRUE(relay(keys_per_block / 2));
  delivered_block_ = 2;
  const points::KeyProof finite{.bounds = 8, .photons = 8, .eps = 1e-10};
  for (std::size_t i = 1; i < nodes; ++i) give(i, 2, At::both, finite);
  for (const std::string liar : {"n1", "n2"}) {
    sealed_better_ = liar;
    const auto refused = relay(2);
    ASSERT_FALSE(refused) << liar;
    EXPECT_NE(refused.error().message.find("says that the keys before it are worth more than they were"), std::string::npos) << refused.error().message;
  }
  sealed_better_.clear();
  confirmed_ = points::KeyProof{.bounds = 8, .photons = 8, .eps = 1e-11};
  const auto better = relay(2);
  ASSERT_FALSE(better);
  EXPECT_NE(better.error().message.find("worth more than its first hop"), std::string::npos) << better.error().message;
  confirmed_ = points::KeyProof{.bounds = 8 | 2, .photons = 8, .eps = 1.0};
  const auto worse = relay(2, {.bounds = points::bounds_finite, .eps_max = 1e-9});
  ASSERT_FALSE(worse);
  EXPECT_EQ(worse.error().code, ErrorCode::exhausted) << worse.error().message;
  confirmed_.reset();
  EXPECT_TRUE(relay(2, {.bounds = points::bounds_finite, .eps_max = 1e-9}));
}

TEST_F(CentralRelayTest, WhatARelayKnowsOfItsIncomingKeysCounts) { expect_what_is_known_counts(1); }

TEST_F(CentralRelayTest, WhatTheFarEndKnowsOfItsKeysCounts) { expect_what_is_known_counts(nodes - 1); }

class LongCentralRelayTest : public CentralRelayTest {
 protected:
  static constexpr std::size_t long_path = 24;  // more than the sixteen that it once was
  LongCentralRelayTest() : CentralRelayTest(long_path) {}
};

TEST_F(LongCentralRelayTest, ARelayCrossesMoreThanSixteenNodes) {
  const auto batch = relay(5);
  ASSERT_TRUE(batch) << batch.error().message;
  const auto taken = network_.a().supply->take(network_.a().session("b"), 5, soon());
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->front().relays(), long_path - 2);
  const auto fetched = network_.b().supply->fetch(network_.b().session("a"), std::array{taken->front().id}, test::at_once());
  ASSERT_TRUE(fetched);
  EXPECT_TRUE(equal_secret(taken->front().key, fetched->front().key));
  expect_no_key_used_twice();
}

}  // namespace
}  // namespace qanat::qkm
