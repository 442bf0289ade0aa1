// Keys for SAEs of two domains, out of what their KMSs agreed on: the same at both ends, bound to the names, within quotas and grants.
#include "kms_saes.hpp"
#include "services/kms/kma/incarnation.hpp"

namespace qanat::kms {
namespace {

using kme::Delivery;
using kme::SaeId;
using sites::KmsSite;
using sites::must;
using sites::rng;
using sites::share_keys;

constexpr std::chrono::seconds answer_max{20};

kme::Caller caller(const char* name) { return {.sae = SaeId(name), .address = "192.0.2.1:1", .group = "x25519", .quantum_safe = false, .request_id = "01"}; }

class KmsSaeDeliveryTest : public testing::TestWithParam<qanat::test::StoreKind> {
 protected:
  KmsSaeDeliveryTest() {
    a.peer = &b;
    b.peer = &a;
  }
  struct Wanted {
    std::uint32_t number = 1;
    std::uint32_t size = 256;
    kme::Demands demands{};
  };
  static Result<Delivery> get(std::future<Result<Delivery>> future) {
    if (future.wait_for(answer_max) != std::future_status::ready) return fail(ErrorCode::deadline_exceeded, "no answer in this test");
    return future.get();
  }
  static Result<Delivery> order(KmsSite& site, const char* master, const std::vector<const char*>& slaves, Wanted wanted) {
    auto promise = std::make_shared<std::promise<Result<Delivery>>>();
    auto future = promise->get_future();
    kme::Order asked{.master = caller(master), .slaves = {}, .number = wanted.number, .size = wanted.size, .demands = wanted.demands, .standard = "etsi014",
                     .deadline = qanat::test::soon()};
    for (const char* slave : slaves) asked.slaves.emplace_back(slave);
    site.delivery->take(std::move(asked), [promise](Result<Delivery> delivery) { promise->set_value(std::move(delivery)); });
    return get(std::move(future));
  }
  static Result<Delivery> order(KmsSite& site, const char* master, const std::vector<const char*>& slaves) { return order(site, master, slaves, Wanted{}); }
  static Result<Delivery> fetch(KmsSite& site, const char* slave, const Delivery& of, const char* master = "sae-a") {
    auto promise = std::make_shared<std::promise<Result<Delivery>>>();
    auto future = promise->get_future();
    kme::Fetch wanted{.slave = caller(slave), .master = SaeId(master), .ids = {}, .standard = "etsi014", .deadline = qanat::test::soon()};
    for (const kme::Key& key : of.keys) wanted.ids.push_back(key.id);
    site.delivery->fetch(std::move(wanted), [promise](Result<Delivery> delivery) { promise->set_value(std::move(delivery)); });
    return get(std::move(future));
  }
  static void expect_same(const Delivery& x, const Delivery& y) {
    ASSERT_EQ(x.keys.size(), y.keys.size());
    for (std::size_t i = 0; i < x.keys.size(); ++i) EXPECT_TRUE(x.keys[i].id == y.keys[i].id && equal_secret(x.keys[i].octets, y.keys[i].octets)) << i;
  }
  static ErrorCode code_of(const Result<Delivery>& result) { return result ? ErrorCode{} : result.error().code; }

  KmsSite a{"a", "b", GetParam()};
  KmsSite b{"b", "a", GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Stores, KmsSaeDeliveryTest, qanat::test::every_store_kind, qanat::test::name_of);

TEST_P(KmsSaeDeliveryTest, BothDomainsGetTheSameKeysOfAnySizeAndEachOnce) {
  share_keys(a, b, 100, 1, rng().id<BatchId>());
  for (const std::uint32_t size : {64U, 256U, 520U, 4096U}) {
    const Delivery made = must(order(a, "sae-a", {"sae-b"}, {.number = 2, .size = size}));
    ASSERT_EQ(made.keys.front().octets.size(), size / 8);
    expect_same(made, must(fetch(b, "sae-b", made)));
    EXPECT_EQ(code_of(fetch(b, "sae-b", made)), ErrorCode::not_found);
  }
}

TEST_P(KmsSaeDeliveryTest, AKeyIsExpandedFromTheStocksAndBoundToTheNames) {
  const auto batch = rng().id<BatchId>();
  const Secret octets = share_keys(a, b, 2, 0, batch);
  const Delivery made = must(order(a, "sae-a", {"sae-b"}));
  const Secret first = Secret::copy_of(octets.reveal().first(32));
  EXPECT_FALSE(equal_secret(made.keys.front().octets, first)) << "the stock's own octets go to nobody";
  const SaeId master("sae-a");
  const std::vector<SaeId> slaves{SaeId("sae-b")};
  EXPECT_TRUE(equal_secret(made.keys.front().octets, make_sae_key(crypto::suite(crypto::SuiteId::gm_hybrid),
                                                                  {.id = key_id(batch, 0), .master = master, .slaves = slaves, .octets = first.duplicate()})));
}

TEST_P(KmsSaeDeliveryTest, OneKeyForSaesHereAndThere) {
  share_keys(a, b, 4, 0, rng().id<BatchId>());
  const Delivery made = must(order(a, "sae-a", {"sae-b", "sae-a2"}));
  expect_same(made, must(fetch(b, "sae-b", made)));
  expect_same(made, must(fetch(a, "sae-a2", made)));
}

TEST_P(KmsSaeDeliveryTest, WhatIsDemandedIsMetByTheStocksThatAreOfThatKind) {
  share_keys(a, b, 10, 0, rng().id<BatchId>());
  EXPECT_EQ(order(a, "sae-a", {"sae-b"}, {.demands = {.quantum = true}}).error().message, kme::demands_unmet);
  share_keys(a, b, 10, 2, rng().id<BatchId>());
  const Delivery made = must(order(a, "sae-a", {"sae-b"}, {.demands = {.paths = 2, .quantum = true}}));
  expect_same(made, must(fetch(b, "sae-b", made)));
  EXPECT_EQ(order(a, "sae-a", {"sae-b"}, {.demands = {.paths = 3}}).error().message, kme::demands_unmet);
  EXPECT_EQ(order(a, "sae-a", {"sae-b"}, {.demands = {.relays_max = 4}}).error().message, kme::demands_unmet) << "not known here";
}

TEST_P(KmsSaeDeliveryTest, WhoMayShareNoKeysGetsNone) {
  share_keys(a, b, 4, 0, rng().id<BatchId>());
  EXPECT_EQ(code_of(order(a, "sae-a2", {"sae-b"})), ErrorCode::denied) << "its own grant";
  share_keys(b, a, 4, 0, rng().id<BatchId>());
  EXPECT_EQ(code_of(order(b, "sae-b", {"sae-a2"})), ErrorCode::denied) << "the other's";
  EXPECT_EQ(code_of(order(b, "sae-b", {"sae-a"})), ErrorCode{});
  // The far end looks for itself.
  a.registry = must(kme::SaeRegistry::make({sites::sae("sae-a", "a", "a"), sites::sae("sae-b", "b", "a")}));
  b.registry = must(kme::SaeRegistry::make({sites::sae("sae-a", "a", "b"), sites::sae("sae-b", "b", "b", std::set<std::string>{})}));
  const auto refused = order(a, "sae-a", {"sae-b"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_NE(refused.error().message.find("may share no keys"), std::string::npos) << refused.error().message;
}

TEST_P(KmsSaeDeliveryTest, WhoMayShareNoKeysIsToldNothingOfTheStock) {
  share_keys(a, b, 4, 0, rng().id<BatchId>());
  const auto status = [this](const char* master, const char* slave) {
    auto promise = std::make_shared<std::promise<Result<kme::StockStatus>>>();
    auto future = promise->get_future();
    a.delivery->status(caller(master), SaeId(slave), [promise](Result<kme::StockStatus> told) { promise->set_value(std::move(told)); });
    if (future.wait_for(answer_max) != std::future_status::ready) return Result<kme::StockStatus>(fail(ErrorCode::deadline_exceeded, "no answer in this test"));
    return future.get();
  };
  EXPECT_EQ(must(status("sae-a", "sae-b")).stored_key_count, 4);
  EXPECT_TRUE(status("sae-a2", "sae-a")) << "of its own domain";
  for (const auto& [master, slave, code] : {std::tuple{"sae-a2", "sae-b", ErrorCode::denied}, {"sae-b", "sae-a", ErrorCode::denied}, {"sae-a", "nobody", ErrorCode::not_found}}) {
    const auto refused = status(master, slave);
    ASSERT_FALSE(refused) << master << " " << slave;
    EXPECT_EQ(refused.error().code, code) << refused.error().message;
  }
}

TEST_P(KmsSaeDeliveryTest, AQuotaHoldsForADayAndAcrossARestart) {
  share_keys(a, b, 10, 0, rng().id<BatchId>());
  EXPECT_TRUE(order(a, "frugal", {"sae-b"}, {.number = 2}));
  a.restart();
  const auto over = order(a, "frugal", {"sae-b"}, {.number = 2});
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::exhausted);
  EXPECT_EQ(over.error().message, "SAE frugal may order 3 keys a day");
  EXPECT_TRUE(order(a, "frugal", {"sae-b"})) << "the third";
  EXPECT_FALSE(order(a, "frugal", {"sae-b"}));
  a.clock.advance(86'400'000);
  EXPECT_TRUE(order(a, "frugal", {"sae-b"}, {.number = 3}));
}

TEST_P(KmsSaeDeliveryTest, OnTheDayOnWhichTheDatabaseWasPutBackNoQuotaHasAnythingLeft) {
  const auto begin = [&](NewLife why) {
    must(a.store->transact([&](store::Transaction& transaction) { return begin_life(transaction, a.clock.now_ms(), a.clock.now_ms(), why); }));
    a.restart();
    share_keys(a, b, 10, 0, rng().id<BatchId>());  // what was in stock is gone
  };
  begin(NewLife::other_history);
  EXPECT_TRUE(order(a, "frugal", {"sae-b"})) << "after a failover the day counts on";
  begin(NewLife::restored);
  const auto refused = order(a, "frugal", {"sae-b"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::exhausted);
  EXPECT_TRUE(refused.error().message.contains("the database was put back today")) << refused.error().message;
  EXPECT_TRUE(order(a, "sae-a", {"sae-b"})) << "who has no limit";
  a.clock.advance(86'400'000);
  EXPECT_TRUE(order(a, "frugal", {"sae-b"}, {.number = 3}));
}

TEST_P(KmsSaeDeliveryTest, KeysThatAreLostOnTheWayAreNotUsedAgain) {
  const auto batch = rng().id<BatchId>();
  share_keys(a, b, 3, 0, batch);
  a.cut = true;
  EXPECT_EQ(code_of(order(a, "sae-a", {"sae-b"})), ErrorCode::unavailable);
  a.cut = false;
  a.restart();
  b.restart();
  const Delivery made = must(order(a, "sae-a", {"sae-b"}));
  EXPECT_EQ(made.keys.front().id, key_id(batch, 1));
  expect_same(made, must(fetch(b, "sae-b", made)));
}

TEST_P(KmsSaeDeliveryTest, AnSaeThatIsGoneMeanwhileCostsItsOrderAlone) {
  share_keys(a, b, 3, 0, rng().id<BatchId>());
  a.registry = must(kme::SaeRegistry::make({sites::sae("sae-a", "a", "a"), sites::sae("sae-a2", "a", "a")}));
  EXPECT_EQ(code_of(order(a, "sae-a", {"sae-b"})), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of(order(a, "sae-a", {"sae-a2"})), ErrorCode{});
}

}  // namespace
}  // namespace qanat::kms
