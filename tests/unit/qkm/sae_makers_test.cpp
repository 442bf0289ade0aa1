// ETSI GS QKD 020 (drafts 0.4.1 to 0.6.2) both ways, over real HTTPS: a master at one maker's key manager, its slave behind another's. Lost messages,
// refusals, voiding, and the death of either side.
#include "sae_makers.hpp"

namespace qanat::qkm {
namespace {

using test::Answered;
using test::ask;
using test::Maker;

class MakersTest : public testing::Test {
 protected:
  void start() {
    a.start(b);
    b.start(a);
  }
  Answered enc(const std::string& body = "{}", const std::string& slave = "sae-b") {
    return ask("sae-a", a, "POST", "/api/v1/keys/" + slave + "/enc_keys", body);
  }
  Answered dec(const std::string& id, const std::string& slave = "sae-b") {
    return ask(slave, slave == "sae-b" ? b : a, "GET", "/api/v1/keys/sae-a/dec_keys?key_ID=" + id);
  }
  std::future<Answered> enc_later(const std::string& slave = "sae-b") {
    return std::async(std::launch::async, [this, slave] { return enc("{}", slave); });
  }
  /// Until the void that is due at `maker` has been answered: its clock goes on between the attempts.
  static bool voids(Maker& maker) {
    for (int attempt = 0; attempt < 5; ++attempt) {
      (void)maker.front->sweep();
      maker.clock.advance(5000);
      std::unique_lock lock(maker.mutex);
      const auto is_there = [&] {
        return std::ranges::any_of(maker.records, [](const std::string& record) { return record.starts_with("sae.void_sent success"); });
      };
      if (maker.changed.wait_for(lock, std::chrono::seconds(2), is_there)) return true;
    }
    return false;
  }
  static std::string ext_keys(const std::string& id, const std::string& value = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=") {
    return R"({"keys":[{"key_id":")" + id + R"(","value":")" + value +
           R"("}],"initiator_sae_id":"sae-a","target_sae_ids":["sae-b"],"ack_callback_url":"https://192.0.2.7/kmapi/v1/ext_keys/ack"})";
  }
  static constexpr const char* some_id = "a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001";

  Maker a{"qkm-a", test::free_port()};
  Maker b{"qkm-b", test::free_port()};
};

TEST_F(MakersTest, AMastersKeyIsFetchedByItsSlaveBehindTheOtherMakersKmeOnce) {
  start();
  const Answered sold = enc(R"({"number":2,"size":512})");
  ASSERT_EQ(sold.status, 200U) << sold.body;
  const auto ids = sold.all("key_ID");
  ASSERT_EQ(ids.size(), 2U);
  const Answered got = dec(ids[0]);
  ASSERT_EQ(got.status, 200U) << got.body;
  EXPECT_EQ(got.all("key"), std::vector{sold.all("key")[0]});
  EXPECT_EQ(dec(ids[0]).status, 400U);
  EXPECT_EQ(dec(ids[1]).all("key"), std::vector{sold.all("key")[1]});
  EXPECT_EQ(a.handovers("sold"), 1);
  EXPECT_EQ(b.keys_waiting(), 0);
  EXPECT_TRUE(a.await_record("etsi020.ack success qkm-b"));
  EXPECT_TRUE(a.await_record("sae.enc_keys success  sae-a > sae-b, 2 x 512 bit"));
  EXPECT_TRUE(b.await_record("sae.ext_keys success qkm-a sae-a > sae-b"));
}

TEST_F(MakersTest, KeysThatLeaveAStockAreSaidToWhoeverFillsIt) {
  start();
  const Chunk chunk[] = {{.batch = test::rng().id<BatchId>(), .owner = Owner::self, .keys = test::rng().secret(4 * stock_key_size), .about = "", .expires_ms = 0}};
  ASSERT_TRUE(a.store->transact([&](store::Transaction& t) { return a.stock->add(t, StockName("domain/c/qkm-a>qkm-c"), {}, chunk, a.clock.now_ms()); }));
  ASSERT_EQ(enc("{}", "sae-b").status, 200U) << "made here: no stock is smaller";
  EXPECT_EQ(a.times_taken, 0);
  const Answered sold = enc("{}", "sae-c");
  ASSERT_EQ(sold.status, 200U) << sold.body;
  EXPECT_EQ(a.times_taken, 1);
}

TEST_F(MakersTest, TheOtherWayRoundItIsTheSame) {
  start();
  const Answered sold = ask("sae-b", b, "POST", "/api/v1/keys/sae-a/enc_keys", "{}");
  ASSERT_EQ(sold.status, 200U) << sold.body;
  const Answered got = ask("sae-a", a, "GET", "/api/v1/keys/sae-b/dec_keys?key_ID=" + sold.all("key_ID")[0]);
  EXPECT_EQ(got.all("key"), sold.all("key"));
}

TEST_F(MakersTest, AFurtherSlaveOfTheOwnSiteGetsTheSameKey) {
  start();
  const Answered sold = enc(R"({"additional_slave_SAE_IDs":["sae-a2"]})");
  ASSERT_EQ(sold.status, 200U) << sold.body;
  const std::string id = sold.all("key_ID")[0];
  EXPECT_EQ(dec(id, "sae-a2").all("key"), sold.all("key"));
  EXPECT_EQ(dec(id, "sae-a2").status, 400U);
  EXPECT_EQ(dec(id).all("key"), sold.all("key"));
}

TEST_F(MakersTest, DemandsOnAWayThatNobodyHereKnowsAreNotMet) {
  start();
  const Answered answer = enc(R"({"extension_mandatory":[{"qanat_assurance":"quantum"}]})");
  EXPECT_EQ(answer.status, 400U);
  EXPECT_EQ(answer.json().text("message").value_or(""), "not all extension_mandatory request options could be met");
}

TEST_F(MakersTest, KeysThatTheOtherRefusesAreNobodys) {
  start();
  const Answered answer = enc("{}", "sae-nowhere");
  EXPECT_EQ(answer.status, 503U);
  EXPECT_TRUE(answer.body.contains("no route to SAE sae-nowhere")) << answer.body;
  EXPECT_EQ(a.handovers("failed"), 1);  // refused at the first attempt: nothing is there to be voided
  EXPECT_EQ(b.keys_waiting(), 0);
  EXPECT_TRUE(a.await_record("sae.enc_keys failure"));
}

TEST_F(MakersTest, WithoutAnAcknowledgementTheMasterGetsNothingAndTheKeysAreVoided) {
  b.acks_allowed = false;
  start();
  auto order = enc_later();
  ASSERT_TRUE(b.await_record("sae.ext_keys success"));
  EXPECT_EQ(b.keys_waiting(), 1);
  a.clock.advance(8000);
  (void)a.front->sweep();
  const Answered answer = order.get();
  EXPECT_EQ(answer.status, 503U);
  EXPECT_TRUE(answer.body.contains("did not acknowledge")) << answer.body;
  EXPECT_TRUE(voids(a));
  EXPECT_EQ(b.keys_waiting(), 0);
  EXPECT_EQ(a.handovers("voided"), 1);
  EXPECT_TRUE(b.await_record("sae.void success sae-a"));
}

TEST_F(MakersTest, AKmeThatIsSilentAtFirstIsAskedAgainWithTheSameKeys) {
  a.start(b);
  auto order = enc_later();
  const Deadline soon = test::soon();
  while (a.handovers("offered") == 0 && !soon.passed()) std::this_thread::yield();
  b.start(a);
  for (int attempt = 0; attempt < 3 && order.wait_for(std::chrono::seconds(2)) != std::future_status::ready; ++attempt) {
    a.clock.advance(2000);
    (void)a.front->sweep();
  }
  const Answered sold = order.get();
  ASSERT_EQ(sold.status, 200U) << sold.body;
  EXPECT_EQ(dec(sold.all("key_ID")[0]).all("key"), sold.all("key"));
  EXPECT_EQ(b.count("SELECT count(*) FROM sae_received"), 1);
}

TEST_F(MakersTest, AfterTheDeathOfTheOneWhoOfferedTheKeysAreVoided) {
  b.acks_allowed = false;
  start();
  auto order = enc_later();
  ASSERT_TRUE(b.await_record("sae.ext_keys success"));
  a.die();
  EXPECT_NE(order.get().status, 200U);
  EXPECT_EQ(b.keys_waiting(), 1);
  a.start(b);
  EXPECT_TRUE(a.await_record("the process ended before they were sold"));
  EXPECT_TRUE(voids(a));
  EXPECT_EQ(b.keys_waiting(), 0);
}

TEST_F(MakersTest, WhatWasAcknowledgedSurvivesTheDeathOfTheOneWhoKeepsIt) {
  start();
  const Answered sold = enc();
  ASSERT_EQ(sold.status, 200U) << sold.body;
  b.die();
  b.start(a);
  EXPECT_EQ(dec(sold.all("key_ID")[0]).all("key"), sold.all("key"));
}

TEST_F(MakersTest, TheSameKeysTwiceAreStoredOnceAlsoAfterTheyWereFetched) {
  start();
  const std::string id = some_id;
  EXPECT_EQ(ask("qkm-a", b, "POST", "/kmapi/v1/ext_keys", ext_keys(id)).status, 202U);
  EXPECT_EQ(ask("qkm-a", b, "POST", "/kmapi/v1/ext_keys", ext_keys(id)).status, 202U);
  EXPECT_EQ(b.keys_waiting(), 1);
  EXPECT_EQ(dec(id).status, 200U);
  EXPECT_EQ(ask("qkm-a", b, "POST", "/kmapi/v1/ext_keys", ext_keys(id)).status, 202U);
  EXPECT_EQ(b.keys_waiting(), 0);
  EXPECT_EQ(dec(id).status, 400U);
}

TEST_F(MakersTest, AVoidThatOvertakesItsKeysKeepsThemOut) {
  start();
  const std::string id = some_id;
  const std::string wanted = R"({"initiator_sae_id":"sae-a","key_ids":[{"key_id":")" + id + R"("}]})";
  const Answered voided = ask("qkm-a", b, "POST", "/kmapi/v1/ext_keys/void", wanted);
  EXPECT_EQ(voided.status, 200U);
  EXPECT_TRUE(voided.body.contains("key not present"));
  b.die();
  b.start(a);
  EXPECT_EQ(ask("qkm-a", b, "POST", "/kmapi/v1/ext_keys", ext_keys(id)).status, 400U);
  EXPECT_EQ(b.keys_waiting(), 0);
}

TEST_F(MakersTest, OnlyTheTargetsOwnKmeAcknowledges) {
  start();
  const auto ack = [](const std::string& target) {
    return R"([{"key_ids":[{"key_id":")" + std::string(some_id) + R"("}],"ack_status":"relayed","initiator_sae_id":"sae-a","target_sae_id":")" + target +
           R"("}])";
  };
  EXPECT_EQ(ask("qkm-x", a, "POST", "/kmapi/v1/ext_keys/ack", ack("sae-b")).status, 401U);
  EXPECT_EQ(ask("sae-a", a, "POST", "/kmapi/v1/ext_keys/ack", ack("sae-b")).status, 401U);
  EXPECT_EQ(ask("qkm-b", a, "POST", "/kmapi/v1/ext_keys/ack", ack("sae-a2")).status, 401U);
  EXPECT_EQ(ask("qkm-b", a, "POST", "/kmapi/v1/ext_keys/ack", "{}").status, 400U);
  EXPECT_EQ(ask("qkm-b", a, "POST", "/kmapi/v1/ext_keys/ack", ack("sae-b")).status, 200U);  // of keys that nobody offered: nothing happens
  EXPECT_EQ(a.count("SELECT count(*) FROM sae_handover"), 0);
  EXPECT_TRUE(a.await_record("etsi020.ack refused qkm-x"));
}

}  // namespace
}  // namespace qanat::qkm
