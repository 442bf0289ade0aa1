// Keys for SAEs over two and three key managers in one process: what is answered can be fetched at the far end, once, by those who were named, whatever
// was lost or killed in between.
#include "quantum/qkm/stock.hpp"

#include <future>

#include "sae_site.hpp"

namespace qanat::qkm {
namespace {

using kme::Delivery;
using kme::SaeId;
using test::answer_max;
using test::caller;
using test::Held;
using test::rng;
using test::share_keys;

struct Site : test::SaeSite {
  Site(std::string domain_, std::map<std::string, ElementName> others) : SaeSite(std::move(domain_), std::move(others)) { open(); }
  void open() {
    DeliveryPorts own = ports();
    own.activate = [this](const ElementName& qkm, const wire::Json& message, Deadline) -> Result<wire::Json> {
      if (cut || cut_off == qkm.text()) return fail(ErrorCode::unavailable, "the line is cut");
      const std::string text = message.dump();
      told[qkm.text()] = text;
      auto answer = peers.at(qkm.text())->delivery->activated(identity(), as_bytes(text));
      if (answer_lost) return fail(ErrorCode::unavailable, "the answer was lost");
      return answer_instead ? answer_instead(*answer) : std::move(answer);
    };
    own.meets = [this](const StockName& name, const kme::Demands& demands) { return !demands.quantum || name.text().contains(quantum_part); };
    delivery = std::make_unique<SaeDelivery>(place(std::chrono::seconds(60)), parts(), std::move(own));
  }
  void restart() {
    delivery.reset();
    close_stock();
    open_stock();
    open();
  }

  std::map<std::string, Site*> peers;
  std::string quantum_part = "nothing";  // of the names of stocks whose keys are of quantum grade
  std::string cut_off;                   // the line to this key manager alone is cut
  std::map<std::string, std::string> told;  // the last message to each key manager
  std::unique_ptr<SaeDelivery> delivery;  // last: its threads use what stands above
};

class SaeDeliveryTest : public testing::Test {
 protected:
  SaeDeliveryTest() {
    for (Site* site : {&a, &b, &c}) site->peers = {{"qkm-a", &a}, {"qkm-b", &b}, {"qkm-c", &c}};
    share_keys(a, b, 300);
    share_keys(a, c, 40);
  }
  static std::future<Result<Delivery>> order(Site& site, std::vector<SaeId> slaves, std::uint32_t number = 1, std::uint32_t size = 256, const char* master = "sae-a") {
    auto promise = std::make_shared<std::promise<Result<Delivery>>>();
    auto out = promise->get_future();
    site.delivery->take({.master = caller(master), .slaves = std::move(slaves), .number = number, .size = size, .demands = {}, .standard = "etsi014", .deadline = test::soon()},
                        [promise](Result<Delivery> delivery) { promise->set_value(std::move(delivery)); });
    return out;
  }
  static Result<Delivery> get(std::future<Result<Delivery>> future) {
    if (future.wait_for(answer_max) != std::future_status::ready) return fail(ErrorCode::deadline_exceeded, "no answer in this test");
    return future.get();
  }
  static Result<Delivery> fetch(Site& site, const char* slave, const Delivery& of, const char* master = "sae-a") {
    auto promise = std::make_shared<std::promise<Result<Delivery>>>();
    auto future = promise->get_future();
    kme::Fetch wanted{.slave = caller(slave), .master = SaeId(master), .ids = {}, .standard = "etsi014", .deadline = test::soon()};
    for (const kme::Key& key : of.keys) wanted.ids.push_back(key.id);
    site.delivery->fetch(std::move(wanted), [promise](Result<Delivery> delivery) { promise->set_value(std::move(delivery)); });
    return get(std::move(future));
  }
  static bool same(const Delivery& x, const Delivery& y) {
    return std::ranges::equal(x.keys, y.keys, [](const kme::Key& k, const kme::Key& l) { return k.id == l.id && equal_secret(k.octets, l.octets); });
  }

  Site a{"a", {{"b", ElementName("qkm-b")}, {"c", ElementName("qkm-c")}}};
  Site b{"b", {{"a", ElementName("qkm-a")}}};
  Site c{"c", {{"a", ElementName("qkm-a")}}};
};

TEST_F(SaeDeliveryTest, AKeyThatWasAnsweredIsFetchedAtTheFarEndOnce) {
  const auto sold = get(order(a, {SaeId("sae-b")}, 3));
  ASSERT_TRUE(sold) << sold.error().message;
  EXPECT_EQ(sold->keys.size(), 3U);
  const auto fetched = fetch(b, "sae-b", *sold);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_TRUE(same(*sold, *fetched));
  const auto again = fetch(b, "sae-b", *sold);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::not_found);
  EXPECT_EQ(b.rows("sae_key"), 0);
  EXPECT_TRUE(a.recorded("sae.enc_keys success  sae-a > sae-b, 3 x 256 bit, x25519 (not quantum-safe):"));
  EXPECT_TRUE(b.recorded("sae.activated success qanat://a/qkm/qkm-a"));
  EXPECT_TRUE(b.recorded("sae.dec_keys success sae-b"));
}

TEST_F(SaeDeliveryTest, OnlyTheNamedSaeGetsItAndOnlyUnderTheMastersName) {
  const auto sold = get(order(a, {SaeId("sae-b")}));
  ASSERT_TRUE(sold);
  EXPECT_EQ(fetch(b, "sae-b2", *sold).error().code, ErrorCode::denied);
  EXPECT_EQ(fetch(b, "sae-b", *sold, "sae-a2").error().code, ErrorCode::not_found);
  EXPECT_TRUE(b.recorded("sae.dec_keys refused sae-b2"));
  EXPECT_TRUE(fetch(b, "sae-b", *sold));
}

TEST_F(SaeDeliveryTest, AKeyThatEverybodyHasIsNotKeptBesideOthersOfItsOrder) {
  const auto sold = get(order(a, {SaeId("sae-b")}, 2));
  ASSERT_TRUE(sold);
  Delivery first;
  first.keys.push_back({.id = sold->keys[0].id, .octets = {}});
  ASSERT_TRUE(fetch(b, "sae-b", first));
  Bytes sealed;
  ASSERT_TRUE(b.store->transact(
      [&](store::Transaction& t) { return t.query("SELECT sealed FROM sae_key", {}, [&](const store::Row& row) { sealed = row.blob(0); }); }));
  const auto kept = b.device->unseal(store::column_context("sae_key.sealed", sold->keys[0].id.view()), sealed);
  ASSERT_TRUE(kept) << kept.error().message;
  const Secret erased(32);
  EXPECT_TRUE(equal_secret(*kept, Secret::concat({&erased, &sold->keys[1].octets})));
}

TEST_F(SaeDeliveryTest, AllOrNoneOfAListIsGiven) {
  auto first = get(order(a, {SaeId("sae-b")}));
  auto second = get(order(a, {SaeId("sae-b")}));
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(fetch(b, "sae-b", *first));
  Delivery both;
  both.keys.push_back({.id = second->keys[0].id, .octets = {}});
  both.keys.push_back({.id = first->keys[0].id, .octets = {}});
  EXPECT_EQ(fetch(b, "sae-b", both).error().code, ErrorCode::not_found);
  EXPECT_TRUE(fetch(b, "sae-b", *second));
}

TEST_F(SaeDeliveryTest, SizesBelowAndAboveAStockKeyAgreeAtBothEnds) {
  for (const std::uint32_t size : {64U, 128U, 248U, 264U, 512U, 4096U}) {
    const std::int64_t before = a.level("b").own;
    const auto sold = get(order(a, {SaeId("sae-b")}, 2, size));
    ASSERT_TRUE(sold) << size << ": " << sold.error().message;
    EXPECT_EQ(sold->keys[1].octets.size(), size / 8);
    EXPECT_EQ(before - a.level("b").own, 2 * ((size + 255) / 256));
    const auto fetched = fetch(b, "sae-b", *sold);
    ASSERT_TRUE(fetched) << size << ": " << fetched.error().message;
    EXPECT_TRUE(same(*sold, *fetched)) << size;
  }
}

TEST_F(SaeDeliveryTest, SeveralSlavesOfSeveralSitesGetTheSameKeyOnceEach) {
  const auto sold = get(order(a, {SaeId("sae-b"), SaeId("sae-b2"), SaeId("sae-c"), SaeId("sae-a2")}, 2, 320));
  ASSERT_TRUE(sold) << sold.error().message;
  for (const auto& [site, slave] : {std::pair{&b, "sae-b"}, {&b, "sae-b2"}, {&c, "sae-c"}, {&a, "sae-a2"}}) {
    const auto fetched = fetch(*site, slave, *sold);
    ASSERT_TRUE(fetched) << slave << ": " << fetched.error().message;
    EXPECT_TRUE(same(*sold, *fetched)) << slave;
    EXPECT_FALSE(fetch(*site, slave, *sold)) << slave;
  }
  EXPECT_EQ(b.rows("sae_key") + c.rows("sae_key") + a.rows("sae_key"), 0);
  EXPECT_EQ(a.level("c").own, 40 - 4);  // the pads
  const auto message = read_activation(as_bytes(a.told.at("qkm-c")));
  ASSERT_TRUE(message && message->groups.front().carried);
  const Secret carried = Secret::copy_of(message->groups.front().carried->padded);
  ASSERT_EQ(carried.size(), 2U * 40);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_FALSE(equal_secret(Secret::copy_of(carried.reveal().subspan(i * 40, 40)), sold->keys[i].octets)) << "what goes to the further site is padded";
  }
}

TEST_F(SaeDeliveryTest, ASlaveAtTheSameSiteNeedsNoStock) {
  const auto sold = get(order(a, {SaeId("sae-a2")}, 5, 512));
  ASSERT_TRUE(sold) << sold.error().message;
  EXPECT_EQ(a.level("b").own, 300);
  const auto fetched = fetch(a, "sae-a2", *sold);
  ASSERT_TRUE(fetched);
  EXPECT_TRUE(same(*sold, *fetched));
}

TEST_F(SaeDeliveryTest, ManyAtOnceShareTheirWayAndNoKeyIsGivenTwice) {
  std::vector<std::future<Result<Delivery>>> orders;
  for (int i = 0; i < 300; ++i) orders.push_back(order(a, {SaeId(i % 3 == 0 ? "sae-b2" : "sae-b")}));
  std::set<KeyId> ids;
  for (std::size_t i = 0; i < orders.size(); ++i) {
    auto sold = get(std::move(orders[i]));
    ASSERT_TRUE(sold) << sold.error().message;
    EXPECT_TRUE(ids.insert(sold->keys[0].id).second);
    auto fetched = fetch(b, i % 3 == 0 ? "sae-b2" : "sae-b", *sold);
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_TRUE(same(*sold, *fetched));
  }
  EXPECT_EQ(a.level("b").own, 0);
  EXPECT_EQ(get(order(a, {SaeId("sae-b")})).error().code, ErrorCode::exhausted);
  EXPECT_TRUE(a.recorded("sae.enc_keys failure"));
}

TEST_F(SaeDeliveryTest, TooFewKeysRefuseOnlyThoseForWhomThereAreNone) {
  const auto much = get(order(a, {SaeId("sae-c")}, 39));
  ASSERT_TRUE(much);
  EXPECT_EQ(get(order(a, {SaeId("sae-c")}, 2)).error().code, ErrorCode::exhausted);
  EXPECT_TRUE(get(order(a, {SaeId("sae-c")}, 1)));
}

TEST_F(SaeDeliveryTest, WhileTheFarEndIsSilentNothingIsAnsweredAndNoKeyComesBack) {
  a.cut = true;
  EXPECT_EQ(get(order(a, {SaeId("sae-b")})).error().code, ErrorCode::unavailable);
  a.cut = false;
  a.answer_lost = true;
  EXPECT_EQ(get(order(a, {SaeId("sae-b")})).error().code, ErrorCode::unavailable);
  a.answer_lost = false;
  EXPECT_EQ(a.level("b").own, 298);  // both are burnt
  const auto sold = get(order(a, {SaeId("sae-b")}));
  ASSERT_TRUE(sold);
  EXPECT_TRUE(fetch(b, "sae-b", *sold));
}

TEST_F(SaeDeliveryTest, AnActivationThatComesTwiceDoesNothingMore) {
  const std::string batch = rng().id<BatchId>().hex();
  const Secret keys = rng().secret(2 * stock_key_size);
  b.add(a, "t", *BatchId::parse_hex(batch), Owner::peer, keys);
  const std::string message = R"({"id":"00112233445566778899aabbccddeeff","groups":[{"master":"sae-a","slaves":["sae-b"],"octets":32,"runs":[{"stock":"t","batch":")" +
                              batch + R"(","first":0,"count":2}]}]})";
  ASSERT_TRUE(b.delivery->activated(a.identity(), as_bytes(message)));
  ASSERT_TRUE(b.delivery->activated(a.identity(), as_bytes(message)));
  EXPECT_EQ(b.rows("sae_key"), 1);
}

TEST_F(SaeDeliveryTest, OnlyTheSitesOwnQkmMayActivateAndOnlyForItsOwnSaes) {
  const auto message = [](const char* master, const char* slave) {
    return R"({"id":"00112233445566778899aabbccddeeff","groups":[{"master":")" + std::string(master) + R"(","slaves":[")" + slave +
           R"("],"octets":32,"runs":[{"stock":"t","batch":"000102030405060708090a0b","first":0,"count":1}]}]})";
  };
  const auto code = [&](const Identity& sender, const std::string& text) { return b.delivery->activated(sender, as_bytes(text)).error().code; };
  EXPECT_EQ(code({.domain = "c", .kind = Kind::qkm, .name = "qkm-c"}, message("sae-c", "sae-b")), ErrorCode::denied);
  EXPECT_EQ(code({.domain = "a", .kind = Kind::qkm, .name = "qkm-x"}, message("sae-a", "sae-b")), ErrorCode::denied);
  EXPECT_EQ(code(a.identity(), message("sae-c", "sae-b")), ErrorCode::denied);
  EXPECT_EQ(code(a.identity(), message("sae-a", "sae-a2")), ErrorCode::denied);
  EXPECT_EQ(code(a.identity(), "{}"), ErrorCode::invalid_argument);
}

TEST_F(SaeDeliveryTest, AChunkThatTheFarEndNeverHadIsGivenUpAndTheOrderMetFromAnother) {
  ASSERT_TRUE(get(order(a, {SaeId("sae-b")}, 100)) && get(order(a, {SaeId("sae-b")}, 100)) && get(order(a, {SaeId("sae-b")}, 100)));
  share_keys(a, b, 10, Held::at_near_alone);
  share_keys(a, b, 10);
  const auto sold = get(order(a, {SaeId("sae-b")}, 4));
  ASSERT_TRUE(sold) << sold.error().message;
  EXPECT_TRUE(fetch(b, "sae-b", *sold));
  EXPECT_EQ(a.level("b").own, 6);
}

TEST_F(SaeDeliveryTest, WhatWasAnsweredSurvivesTheDeathOfBothEnds) {
  const auto sold = get(order(a, {SaeId("sae-b"), SaeId("sae-a2")}, 2));
  ASSERT_TRUE(sold);
  a.restart();
  b.restart();
  const auto far = fetch(b, "sae-b", *sold);
  const auto near = fetch(a, "sae-a2", *sold);
  ASSERT_TRUE(far && near);
  EXPECT_TRUE(same(*sold, *far) && same(*sold, *near));
  b.restart();
  EXPECT_FALSE(fetch(b, "sae-b", *sold));
}

TEST_F(SaeDeliveryTest, WhatCannotBeRecordedIsNotDelivered) {
  a.audit_broken = true;
  EXPECT_EQ(get(order(a, {SaeId("sae-b")})).error().code, ErrorCode::internal);
  a.audit_broken = false;
  const auto sold = get(order(a, {SaeId("sae-b")}));
  ASSERT_TRUE(sold);
  b.audit_broken = true;
  EXPECT_FALSE(fetch(b, "sae-b", *sold));
}

TEST_F(SaeDeliveryTest, AKeyThatNobodyFetchesIsDestroyedAtItsTime) {
  const auto sold = get(order(a, {SaeId("sae-b")}));
  ASSERT_TRUE(sold);
  b.clock.advance(60'001);
  EXPECT_FALSE(fetch(b, "sae-b", *sold));
  ASSERT_TRUE(b.delivery->sweep());
  EXPECT_EQ(b.rows("sae_key"), 0);
  EXPECT_TRUE(b.recorded("sae.expired success"));
}

TEST_F(SaeDeliveryTest, QuotasUnknownSlavesAndImpossibleDemandsAreRefused) {
  EXPECT_TRUE(get(order(a, {SaeId("sae-b")}, 2, 256, "frugal")));
  EXPECT_EQ(get(order(a, {SaeId("sae-b")}, 1, 256, "frugal")).error().code, ErrorCode::exhausted);
  EXPECT_EQ(get(order(a, {SaeId("sae-x")})).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(get(order(a, {SaeId("sae-b")}, 1, 255)).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(get(order(a, {SaeId("sae-b")}, 1, 256, "sae-b")).error().code, ErrorCode::denied);
  EXPECT_EQ(a.level("b").own, 298);
}

TEST_F(SaeDeliveryTest, KeysOfAnotherMakersKmeAreKeptUntilTheyAreFetchedOrVoided) {
  kme::ExternalKeys keys{.initiator = SaeId("far-sae"), .targets = {SaeId("sae-b")}, .keys = {}, .from = caller("other-kme"), .deadline = test::soon()};
  const auto first = rng().id<KeyId>();
  const auto second = rng().id<KeyId>();
  keys.keys.push_back({.id = first, .octets = rng().secret(32)});
  keys.keys.push_back({.id = second, .octets = rng().secret(32)});
  std::promise<Result<void>> taken;
  b.delivery->accept(std::move(keys), [&](Result<void> outcome) { taken.set_value(std::move(outcome)); });
  ASSERT_TRUE(taken.get_future().get());
  std::promise<Result<std::vector<KeyId>>> of_others;
  b.delivery->discard(SaeId("sae-a"), {first}, [&](Result<std::vector<KeyId>> ids) { of_others.set_value(std::move(ids)); });
  EXPECT_TRUE(of_others.get_future().get()->empty()) << "nobody voids what another initiated";
  std::promise<Result<std::vector<KeyId>>> voided;
  b.delivery->discard(SaeId("far-sae"), {second, rng().id<KeyId>()}, [&](Result<std::vector<KeyId>> ids) { voided.set_value(std::move(ids)); });
  EXPECT_EQ(*voided.get_future().get(), std::vector{second});
  Delivery wanted;
  wanted.keys.push_back({.id = first, .octets = {}});
  EXPECT_TRUE(fetch(b, "sae-b", wanted, "far-sae"));
  wanted.keys[0].id = second;
  EXPECT_FALSE(fetch(b, "sae-b", wanted, "far-sae"));
}

TEST_F(SaeDeliveryTest, VoidingWithoutIdsTakesWhatTheSaeInitiatedAndNothingElse) {
  const auto mine = get(order(a, {SaeId("sae-b")}, 3));
  const auto others = get(order(a, {SaeId("sae-b")}, 1, 256, "sae-a2"));
  ASSERT_TRUE(mine && others);
  Delivery first;
  first.keys.push_back({.id = mine->keys[0].id, .octets = {}});
  ASSERT_TRUE(fetch(b, "sae-b", first));
  std::promise<Result<std::vector<KeyId>>> voided;
  b.delivery->discard(SaeId("sae-a"), {}, [&](Result<std::vector<KeyId>> ids) { voided.set_value(std::move(ids)); });
  EXPECT_EQ(voided.get_future().get()->size(), 2U) << "the third was fetched";
  EXPECT_FALSE(fetch(b, "sae-b", *mine));
  EXPECT_TRUE(fetch(b, "sae-b", *others, "sae-a2"));
}

TEST_F(SaeDeliveryTest, AVoidThatFailsHasVoidedNothing) {
  const auto good = get(order(a, {SaeId("sae-b")}));
  const auto broken = get(order(a, {SaeId("sae-b")}));
  ASSERT_TRUE(good && broken);
  const KeyId id = broken->keys[0].id;
  b.change("UPDATE sae_key SET sealed = x'00' WHERE batch_id = x'" + batch_of(id).hex() + "' AND first = " + std::to_string(index_of(id)));
  std::promise<Result<std::vector<KeyId>>> voided;
  b.delivery->discard(SaeId("sae-a"), {good->keys[0].id, id}, [&](Result<std::vector<KeyId>> ids) { voided.set_value(std::move(ids)); });
  EXPECT_FALSE(voided.get_future().get());
  EXPECT_EQ(b.rows("sae_key"), 2);
  EXPECT_TRUE(fetch(b, "sae-b", *good));
}

TEST_F(SaeDeliveryTest, AVoidThatNamesAnIdTwiceSaysItOnce) {
  const auto sold = get(order(a, {SaeId("sae-b")}));
  ASSERT_TRUE(sold);
  const KeyId id = sold->keys[0].id;
  std::promise<Result<std::vector<KeyId>>> voided;
  b.delivery->discard(SaeId("sae-a"), {id, id}, [&](Result<std::vector<KeyId>> ids) { voided.set_value(std::move(ids)); });
  EXPECT_EQ(*voided.get_future().get(), std::vector{id});
  EXPECT_EQ(b.rows("sae_key"), 0);
}

TEST_F(SaeDeliveryTest, WhenOneSiteIsSilentAndAnotherLacksTheChunkTheOrderIsRefused) {
  ASSERT_TRUE(get(order(a, {SaeId("sae-c")}, 40)));
  share_keys(a, c, 10, Held::at_near_alone);
  a.cut_off = "qkm-b";
  EXPECT_EQ(get(order(a, {SaeId("sae-b"), SaeId("sae-c")})).error().code, ErrorCode::unavailable);
  a.cut_off.clear();
  EXPECT_TRUE(get(order(a, {SaeId("sae-b")}))) << "and those who come later are served";
}

TEST_F(SaeDeliveryTest, AnActivationThatWasNotCarriedOutDoesNotPassForASuccessWhenItComesAgain) {
  const BatchId batch = rng().id<BatchId>();
  const std::string message = R"({"id":"00112233445566778899aabbccddeeff","groups":[{"master":"sae-a","slaves":["sae-b"],"octets":32,"runs":[{"stock":"t","batch":")" +
                              batch.hex() + R"(","first":0,"count":2}]}]})";
  for (int time = 0; time < 2; ++time) {
    const auto answer = b.delivery->activated(a.identity(), as_bytes(message));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->texts("missing").value(), std::vector{batch.hex()}) << time;
  }
  EXPECT_EQ(b.rows("sae_key"), 0);
}

TEST_F(SaeDeliveryTest, NamesOfStocksThatAreNotHereAreNotRemembered) {
  const std::int64_t before = b.rows("key_stock");
  for (int i = 0; i < 3; ++i) {
    const std::string message = R"({"id":")" + to_hex(rng().bytes(16)) + R"(","groups":[{"master":"sae-a","slaves":["sae-b"],"octets":32,"runs":[{"stock":"no path )" +
                                std::to_string(i) + R"(","batch":"000102030405060708090a0b","first":0,"count":1}]}]})";
    ASSERT_TRUE(b.delivery->activated(a.identity(), as_bytes(message)));
  }
  EXPECT_EQ(b.rows("key_stock"), before);
  EXPECT_EQ(b.rows("key_burnt"), 0);
}

TEST_F(SaeDeliveryTest, AnAnswerThatMissesWhatWasNotNamedIsNotBelieved) {
  const std::string other = rng().id<BatchId>().hex();
  for (const std::string& text : {R"({"missing":[")" + other + R"("]})", std::string(R"({"missing":["no id"]})"), std::string("{}")}) {
    const std::int64_t before = a.level("b").own;
    a.answer_instead = [&](const wire::Json&) { return wire::Json::parse(text); };
    EXPECT_EQ(get(order(a, {SaeId("sae-b")})).error().code, ErrorCode::unavailable) << text;
    EXPECT_EQ(a.level("b").own, before - 1) << "one attempt, and nothing is dropped: " << text;
  }
  a.answer_instead = nullptr;
  EXPECT_TRUE(get(order(a, {SaeId("sae-b")})));
}

TEST_F(SaeDeliveryTest, AnOrderThatTakesKeysOutOfAStockSaysSoAtOnceAndNoOtherDoes) {
  ASSERT_TRUE(get(order(a, {SaeId("sae-b")})));
  EXPECT_EQ(a.times_taken, 1) << "before the order is answered";
  ASSERT_TRUE(get(order(a, {SaeId("sae-b"), SaeId("sae-c")})));
  EXPECT_EQ(a.times_taken, 2);
  ASSERT_TRUE(get(order(a, {SaeId("sae-a2")}))) << "of the device: no stock is smaller";
  ASSERT_FALSE(get(order(a, {SaeId("sae-c")}, 41)));
  EXPECT_EQ(a.times_taken, 2);
  EXPECT_EQ(b.times_taken + c.times_taken, 0) << "the near end chooses, and refills";
}

/// Over three paths, of which the first two share a node.
class SaeDemandsTest : public SaeDeliveryTest {
 protected:
  SaeDemandsTest() {
    share_keys(a, b, 20, Held::at_both, over_r);
    share_keys(a, b, 30, Held::at_both, over_r_and_s);
    share_keys(a, b, 12, Held::at_both, over_u);
  }
  static Result<Delivery> get_of(Site& site, kme::Demands demands, kme::Demands wishes = {}, std::uint32_t number = 1, std::vector<SaeId> slaves = {SaeId("sae-b")},
                                 std::uint32_t size = 256) {
    auto promise = std::make_shared<std::promise<Result<Delivery>>>();
    auto future = promise->get_future();
    site.delivery->take({.master = caller("sae-a"), .slaves = std::move(slaves), .number = number, .size = size, .demands = demands, .wishes = wishes, .standard = "etsi014", .deadline = test::soon()},
                        [promise](Result<Delivery> delivery) { promise->set_value(std::move(delivery)); });
    return get(std::move(future));
  }
  std::int64_t left(const std::string& stock) {
    return a.level("b", stock).own;
  }
  static bool is_unmet(const Result<Delivery>& delivery) {
    return !delivery && delivery.error().code == ErrorCode::invalid_argument && delivery.error().message == kme::demands_unmet;
  }
  static constexpr const char* over_r = "qkm-a>qkm-r>qkm-b";
  static constexpr const char* over_r_and_s = "qkm-a>qkm-r>qkm-s>qkm-b";
  static constexpr const char* over_u = "qkm-a>qkm-u>qkm-b";
};

TEST_F(SaeDemandsTest, AKeyOverTwoPathsTakesOneOfEachAndIsTheSameAtBothEnds) {
  const auto sold = get_of(a, {.paths = 2}, {}, 3, {SaeId("sae-b")}, 512);
  ASSERT_TRUE(sold) << sold.error().message;
  EXPECT_EQ(left(over_u), 12 - 6);
  EXPECT_EQ(left(over_r) + left(over_r_and_s), 50 - 6);
  EXPECT_EQ(a.level("b").own, 300);  // what has no path on record is none of two
  const auto fetched = fetch(b, "sae-b", *sold);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_TRUE(same(*sold, *fetched));
  EXPECT_TRUE(a.recorded(", 2 paths:"));
}

TEST_F(SaeDemandsTest, NeitherSharesStockAloneHasTheKey) {
  // What either stock held, read before the order, is not what is delivered: a relay on one path knows one of the two.
  std::vector<Secret> before;
  for (const char* stock : {over_r, over_u}) {
    auto peek = a.store->transact([&](store::Transaction& t) -> Result<Secret> {
      ASSIGN_OR_RETURN(auto taken, a.stock->claim(t, StockName("domain/b/" + std::string(stock)), {.least = 1, .most = 1, .each = false},
                                                  {.state = store::KeyState::destroyed, .holder = "", .until_ms = 0}, a.clock.now_ms()));
      before.push_back(taken[0].keys.duplicate());
      return fail(ErrorCode::internal, "undone");
    });
    ASSERT_FALSE(peek);
  }
  const auto sold = get_of(a, {.paths = 2});
  ASSERT_TRUE(sold);
  EXPECT_FALSE(equal_secret(sold->keys[0].octets, before[0]) || equal_secret(sold->keys[0].octets, before[1]));
}

TEST_F(SaeDemandsTest, WhatCannotBeMetIsSaidInTheStandardsWordsAndUsesNothingUp) {
  EXPECT_TRUE(is_unmet(get_of(a, {.paths = 3})));
  EXPECT_TRUE(is_unmet(get_of(a, {.paths = 2}, {}, 13)));
  EXPECT_TRUE(is_unmet(get_of(a, {.paths = 64})));
  EXPECT_TRUE(is_unmet(get_of(a, {.paths = 1, .quantum = true})));
  EXPECT_TRUE(is_unmet(get_of(a, {.paths = 1, .quantum = true}, {}, 1, {SaeId("sae-a2")})));  // made at the site: no quantum key
  EXPECT_EQ(left(over_r) + left(over_r_and_s) + left(over_u) + a.level("b").own, 362);
  // Nothing at all in stock is another matter: it may come.
  EXPECT_EQ(get_of(a, {.paths = 2}, {}, 41, {SaeId("sae-c")}).error().code, ErrorCode::exhausted);
}

TEST_F(SaeDemandsTest, OnlyKeysOfTheQualityDemandedAreTaken) {
  a.quantum_part = over_u;
  const auto sold = get_of(a, {.paths = 1, .quantum = true}, {}, 12);
  ASSERT_TRUE(sold) << sold.error().message;
  EXPECT_EQ(left(over_u), 0);
  EXPECT_TRUE(fetch(b, "sae-b", *sold));
  EXPECT_TRUE(is_unmet(get_of(a, {.paths = 1, .quantum = true})));
  EXPECT_TRUE(get_of(a, {}));
}

TEST_F(SaeDemandsTest, AWishIsMetIfItCanBeAndPassedOverIfNot) {
  const auto met = get_of(a, {}, {.paths = 2}, 10);
  ASSERT_TRUE(met);
  EXPECT_EQ(left(over_u), 2);
  const auto passed_over = get_of(a, {}, {.paths = 2}, 10);
  ASSERT_TRUE(passed_over);
  EXPECT_EQ(left(over_u), 2);
  EXPECT_TRUE(same(*met, *fetch(b, "sae-b", *met)) && same(*passed_over, *fetch(b, "sae-b", *passed_over)));
  EXPECT_TRUE(get_of(a, {}, {.paths = 1000}));
  EXPECT_EQ(get_of(a, {}, {.paths = 8}, 128, {SaeId("sae-b")}, 4096).error().code, ErrorCode::exhausted);  // too much with the wish, as such too much for this stock alone
}

TEST_F(SaeDemandsTest, ASecondSiteGetsTheKeyUnderPadsOfTwoPathsToo) {
  EXPECT_TRUE(is_unmet(get_of(a, {.paths = 2}, {}, 1, {SaeId("sae-b"), SaeId("sae-c")})));
  share_keys(a, c, 5, Held::at_both, "qkm-a>qkm-v>qkm-c");
  share_keys(a, c, 5, Held::at_both, "qkm-a>qkm-c");
  const auto sold = get_of(a, {.paths = 2}, {}, 2, {SaeId("sae-b"), SaeId("sae-c")});
  ASSERT_TRUE(sold) << sold.error().message;
  EXPECT_TRUE(same(*sold, *fetch(b, "sae-b", *sold)) && same(*sold, *fetch(c, "sae-c", *sold)));
}

/// One path, its keys in three batches of 10 each: nothing proved, simulated by one decoy, measured by two; and a longer path by a controller.
class SaeProofTest : public SaeDemandsTest {
 protected:
  SaeProofTest() {
    share_keys(a, c, 10, Held::at_both, to_c, 100, {.proof = {}, .way = KeyWay::hop_by_hop});
    share_keys(a, c, 10, Held::at_both, to_c, 100, {.proof = simulated, .way = KeyWay::hop_by_hop});
    share_keys(a, c, 10, Held::at_both, to_c, 100, {.proof = measured, .way = KeyWay::hop_by_hop});
    share_keys(a, c, 10, Held::at_both, long_way, 100, {.proof = measured, .way = KeyWay::centralised});
    a.quantum_part = "qkm-a>";  // what has a path
  }
  static kme::Demands proved(const points::ProofDemand& proof) { return {.paths = 1, .quantum = true, .proof = proof}; }
  Result<Delivery> get_for_c(const kme::Demands& demands, std::uint32_t number = 1, std::uint32_t size = 256) {
    return get_of(a, demands, {}, number, {SaeId("sae-c")}, size);
  }
  std::int64_t left_for_c(const std::string& stock) {
    return a.store->transact([&](store::Transaction& t) { return a.stock->level(t, StockName("domain/c/" + stock), a.clock.now_ms()); })->own;
  }
  static constexpr points::KeyProof simulated{.bounds = 8, .photons = 2, .eps = 1e-9};
  static constexpr points::KeyProof measured{.bounds = 32, .photons = 8, .eps = 1e-10};
  static constexpr const char* to_c = "qkm-a>qkm-r>qkm-c";
  static constexpr const char* long_way = "qkm-a>qkm-s>qkm-t>qkm-c";
};

TEST_F(SaeProofTest, KeysWithTheProofDemandedAreTakenAndNoOthers) {
  const auto sold = get_for_c(proved({.photons = *points::photons_demanded("measured")}), 20);
  ASSERT_TRUE(sold) << sold.error().message;
  EXPECT_EQ(left_for_c(to_c), 20);
  EXPECT_EQ(left_for_c(long_way), 0);
  EXPECT_TRUE(same(*sold, *fetch(c, "sae-c", *sold)));
  EXPECT_TRUE(a.recorded("photons measured")) << "the record says what was demanded";
  EXPECT_TRUE(is_unmet(get_for_c(proved({.photons = *points::photons_demanded("measured")})))) << "the others are not measured";
  const auto finite = get_for_c(proved({.bounds = *points::bounds_demanded("finite")}), 10);
  EXPECT_TRUE(finite) << finite.error().message;
  EXPECT_EQ(left_for_c(to_c), 10);
}

TEST_F(SaeProofTest, ADemandThatTheStockDoesNotProveIsRefusedAndUsesNothingUp) {
  EXPECT_TRUE(is_unmet(get_for_c(proved({.eps_max = 9e-11}))));
  EXPECT_TRUE(is_unmet(get_for_c(proved({.photons = *points::photons_demanded("measured")}), 21))) << "20 are measured";
  EXPECT_TRUE(is_unmet(get_for_c(proved({.bounds = *points::bounds_demanded("gllp")}))));
  EXPECT_TRUE(is_unmet(get_of(a, proved({.eps_max = 1e-9}), {}, 1, {SaeId("sae-b")}))) << "of that site's keys nothing is proved";
  EXPECT_TRUE(is_unmet(get_of(a, proved({}), {}, 1, {SaeId("sae-a2")}))) << "made at the site";
  EXPECT_EQ(left_for_c(to_c) + left_for_c(long_way), 40);
  EXPECT_EQ(get_for_c(proved({.eps_max = 1e-9}), 100).error().code, ErrorCode::exhausted) << "so many there are not at all";
}

TEST_F(SaeProofTest, TheWayAndTheNumberOfRelaysAreMetToo) {
  EXPECT_TRUE(is_unmet(get_for_c({.quantum = true, .relays_max = 0})));
  ASSERT_TRUE(get_for_c({.quantum = true, .relays_max = 1}, 30));
  EXPECT_EQ(left_for_c(to_c), 0);
  EXPECT_TRUE(is_unmet(get_for_c({.quantum = true, .relays_max = 1})));
  EXPECT_TRUE(is_unmet(get_for_c({.quantum = true, .centralised = false})));
  ASSERT_TRUE(get_for_c({.quantum = true, .relays_max = 2, .hop_by_hop = false}, 10));
  EXPECT_EQ(left_for_c(long_way), 0);
}

TEST_F(SaeProofTest, TheEpsOfWhatAKeyIsMadeOfAddsUp) {
  // Two stock keys make one of 512 bits: what each may fail with is half of what the key may.
  EXPECT_TRUE(is_unmet(get_for_c(proved({.eps_max = 1.9e-10}), 1, 512)));
  EXPECT_TRUE(get_for_c(proved({.eps_max = 2e-10}), 1, 512));
  kme::Demands two_paths = proved({.eps_max = 1.9e-10});
  two_paths.paths = 2;
  EXPECT_TRUE(is_unmet(get_for_c(two_paths)));
  two_paths.proof.eps_max = 2e-10;
  const auto sold = get_for_c(two_paths);
  ASSERT_TRUE(sold) << sold.error().message;
  EXPECT_TRUE(same(*sold, *fetch(c, "sae-c", *sold)));
}

TEST_F(SaeProofTest, AFurtherSitesPadsCountForTheProof) {
  share_keys(a, b, 10, Held::at_both, over_u, 100, {.proof = measured, .way = KeyWay::hop_by_hop});
  const auto for_both = [&](double eps_max) { return get_of(a, proved({.eps_max = eps_max}), {}, 1, {SaeId("sae-b"), SaeId("sae-c")}); };
  EXPECT_TRUE(is_unmet(for_both(1.9e-10)));
  const auto sold = for_both(2e-10);
  ASSERT_TRUE(sold) << sold.error().message;
  EXPECT_TRUE(same(*sold, *fetch(b, "sae-b", *sold)) && same(*sold, *fetch(c, "sae-c", *sold)));
}

TEST_F(SaeProofTest, AWishForAProofIsMetIfItCanBeAndPassedOverIfNot) {
  const kme::Demands wish = proved({.photons = *points::photons_demanded("measured")});
  ASSERT_TRUE(get_of(a, {}, wish, 20, {SaeId("sae-c")}));
  EXPECT_EQ(left_for_c(long_way), 0);
  EXPECT_TRUE(get_of(a, {}, wish, 1, {SaeId("sae-c")})) << "no measured ones are left";
}

TEST_F(SaeDeliveryTest, OrdersThatTogetherAreTooManyForOneMessageAreSharedOut) {
  share_keys(a, b, 5000);
  a.cut = true;  // the first holds up the others, so that they gather
  std::vector<std::future<Result<Delivery>>> orders;
  for (int i = 0; i < 40; ++i) {
    orders.push_back(order(a, {SaeId("sae-b")}, 128));
    a.cut = false;
  }
  for (std::size_t i = 1; i < orders.size(); ++i) {
    const auto sold = get(std::move(orders[i]));
    ASSERT_TRUE(sold) << sold.error().message;
  }
}

TEST_F(SaeDeliveryTest, AMasterIsNamedByAPatternWhereTheStandardHasThem) {
  const auto sold = get(order(a, {SaeId("sae-b")}));
  ASSERT_TRUE(sold);
  const auto by = [&](const char* pattern) {
    std::promise<Result<Delivery>> promise;
    b.delivery->fetch({.slave = caller("sae-b"), .master = SaeId(pattern), .master_is = kme::MasterName::pattern, .ids = {sold->keys[0].id}, .standard = "skip", .deadline = test::soon()},
                      [&](Result<Delivery> delivery) { promise.set_value(std::move(delivery)); });
    return promise.get_future().get();
  };
  EXPECT_EQ(by("sae-?2").error().code, ErrorCode::not_found);
  EXPECT_TRUE(by("sae-*"));
}

TEST(IdRuns, FollowTheStockKeysOverTheEndsOfChunks) {
  const BatchId x{Bytes(12, 1)};
  const BatchId y{Bytes(12, 2)};
  const KeyRun runs[] = {{.batch = x, .first = 10, .count = 5}, {.batch = y, .first = 0, .count = 4}};
  EXPECT_EQ(id_runs(runs, 1), (std::vector<IdRun>{{x, 10, 1, 5}, {y, 0, 1, 4}}));
  EXPECT_EQ(id_runs(runs, 3), (std::vector<IdRun>{{x, 10, 3, 2}, {y, 1, 3, 1}}));
}

}  // namespace
}  // namespace qanat::qkm
