// Keys for other makers' key managers (ETSI GS QKD 020), the sending side alone: what each answer and each acknowledgement leads to, and what never happens
// twice. The other side is a function here; sae_makers_test.cpp has it over HTTPS.
#include "quantum/qkm/sae_neighbours.hpp"

#include <condition_variable>
#include <future>

#include "harness.hpp"
#include "kme/key_id_text.hpp"
#include "wire/json.hpp"

namespace qanat::qkm {
namespace {

using kme::Delivery;
using kme::SaeId;
using kme::etsi020::Ack;
using kme::etsi020::AckStatus;
using test::rng;

struct Sent {
  std::string kme;
  std::string path;
  std::string body;
  [[nodiscard]] std::vector<KeyId> ids() const {
    std::vector<KeyId> out;
    const auto json = wire::Json::parse(std::string_view(body)).value_or(wire::Json());
    const auto list = json.array(path == "ext_keys" ? "keys" : "key_ids");
    for (const wire::Json& key : *list) out.push_back(*kme::from_uuid(*key.text("key_id")));
    return out;
  }
};

class NeighboursTest : public testing::Test {
 protected:
  NeighboursTest() { open(); }
  void open() {
    store = *store::Store::open(folder / "qkm.db", migrations);
    neighbours = std::make_unique<Neighbours>(
        NeighbourPlace{.kmes = {"kme-b", "kme-c"}, .ack_callback_url = "https://a/ack"},
        Neighbours::Parts{.store = *store, .device = *device, .clock = clock, .registry = registry},
        NeighbourPorts{.call = [this](const std::string& kme, std::string_view path, ByteView body, Deadline) { return answered(kme, path, body); },
                       .keep = [this](kme::ExternalKeys keys, kme::Done<void> done) {
                         kept += keys.keys.size();
                         if (keep_is_silent) return;
                         done(keep_is_broken ? Result<void>(fail(ErrorCode::internal, "disk full")) : Result<void>());
                       },
                       .record = [this](const audit::Event& event) -> Result<void> {
                         const std::lock_guard lock(mutex);
                         if (audit_broken) return fail(ErrorCode::internal, "disk full");
                         records.push_back(std::string(event.action) + " " + std::string(audit::name(event.outcome)) + " " + std::string(event.reason));
                         changed.notify_all();
                         return {};
                       }});
    ASSERT_TRUE(neighbours->start());
  }
  void die() {
    neighbours.reset();
    store.reset();
  }
  Result<net::Response> answered(const std::string& kme, std::string_view path, ByteView body) {
    const std::lock_guard lock(mutex);
    sent.push_back({kme, std::string(path), std::string(as_text(body))});
    changed.notify_all();
    const unsigned status = path == "ext_keys" ? answer_to_keys : answer_to_void;
    if (status == 0) return fail(ErrorCode::deadline_exceeded, "silence");
    return net::Response{.status = status, .content_type = "application/json", .body = to_bytes(std::string_view(R"({"details":"no"})"))};
  }
  std::future<Result<Delivery>> order(std::vector<SaeId> slaves, std::uint32_t number = 1) {
    auto promise = std::make_shared<std::promise<Result<Delivery>>>();
    auto out = promise->get_future();
    neighbours->hand_over({.master = {.sae = SaeId("sae-a"), .address = "192.0.2.1:1", .group = "x25519", .quantum_safe = false, .request_id = "01"},
                           .slaves = std::move(slaves),
                           .number = number,
                           .size = 256,
                           .demands = {},
                           .standard = "etsi014",
                           .deadline = test::soon()},
                          [promise](Result<Delivery> delivery) { promise->set_value(std::move(delivery)); });
    return out;
  }
  /// The `count`th message on `path`, when it has been sent.
  Sent message(const std::string& path, std::size_t count = 1) {
    std::unique_lock lock(mutex);
    const auto find = [&]() -> const Sent* {
      std::size_t seen = 0;
      for (const Sent& one : sent) {
        if (one.path == path && ++seen == count) return &one;
      }
      return nullptr;
    };
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(10), [&] { return find() != nullptr; })) << path << ' ' << count;
    const Sent* const found = find();
    return found != nullptr ? *found : Sent{};
  }
  /// The clock goes on until the keys have been sent a second time; a first look may come before the first answer was taken in.
  Sent sent_again() {
    for (int look = 0; look < 3; ++look) {
      clock.advance(2000);
      neighbours->look_at_clock();
      std::unique_lock lock(mutex);
      if (changed.wait_for(lock, std::chrono::seconds(2), [this] { return std::ranges::count(sent, "ext_keys", &Sent::path) > 1; })) break;
    }
    return message("ext_keys", 2);
  }
  std::size_t sent_on(const std::string& path) {
    const std::lock_guard lock(mutex);
    return static_cast<std::size_t>(std::ranges::count(sent, path, &Sent::path));
  }
  bool recorded(std::string_view part) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(10),
                            [&] { return std::ranges::any_of(records, [&](const std::string& record) { return record.contains(part); }); });
  }
  void acknowledge(const std::vector<KeyId>& ids, AckStatus status, const char* target = "sae-b", const char* kme = "kme-b") {
    std::promise<void> done;
    neighbours->acknowledged(kme, {{.ids = ids, .status = status, .initiator = SaeId("sae-a"), .target = SaeId(target), .message = ""}},
                             [&](const Result<void>&) { done.set_value(); });
    done.get_future().wait();
  }
  std::int64_t in_state(const std::string& state) {
    std::int64_t out = -1;
    (void)store->transact([&](store::Transaction& transaction) {
      return transaction.query("SELECT count(*) FROM sae_handover WHERE state = '" + state + "'", {}, [&](const store::Row& row) { out = row.integer(0); });
    });
    return out;
  }
  static bool is_open(std::future<Result<Delivery>>& future) { return future.wait_for(std::chrono::seconds(0)) != std::future_status::ready; }

  qanat::test::TemporaryDirectory folder;
  test::SettableClock clock;
  kme::SaeRegistry registry = *kme::SaeRegistry::make({{.id = SaeId("sae-a"), .domain = "a", .kme = "kme-a", .here = true},
                                                       {.id = SaeId("sae-a2"), .domain = "a", .kme = "kme-a", .here = true},
                                                       {.id = SaeId("sae-b"), .domain = "b", .kme = "kme-b"},
                                                       {.id = SaeId("sae-b2"), .domain = "b", .kme = "kme-b"},
                                                       {.id = SaeId("sae-c"), .domain = "c", .kme = "kme-c"}});
  std::unique_ptr<crypto::CryptoDevice> device = *crypto::open_software_device(folder / "master", rng());
  std::unique_ptr<store::Store> store;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Sent> sent;
  std::vector<std::string> records;
  std::atomic<unsigned> answer_to_keys = 202;
  std::atomic<unsigned> answer_to_void = 200;
  std::atomic<std::size_t> kept = 0;
  std::atomic<bool> audit_broken = false;
  std::atomic<bool> keep_is_broken = false;
  std::atomic<bool> keep_is_silent = false;
  std::unique_ptr<Neighbours> neighbours;  // last: its threads use what stands above
};

TEST_F(NeighboursTest, TheMasterIsAnsweredWhenEveryTargetOfEveryKmeHasTheKeys) {
  auto answer = order({SaeId("sae-b"), SaeId("sae-b2"), SaeId("sae-c"), SaeId("sae-a2")}, 2);
  const std::vector<KeyId> ids = message("ext_keys").ids();
  acknowledge(ids, AckStatus::relayed, "sae-b");
  acknowledge({ids[0]}, AckStatus::relayed, "sae-b2");
  acknowledge(ids, AckStatus::relayed, "sae-c", "kme-c");
  EXPECT_TRUE(is_open(answer));
  acknowledge({ids[1]}, AckStatus::relayed, "sae-b2");
  const auto sold = answer.get();
  ASSERT_TRUE(sold) << sold.error().message;
  EXPECT_EQ(sold->keys.size(), 2U);
  EXPECT_EQ(sold->keys[1].id, ids[1]);
  EXPECT_EQ(kept, 2U);
  EXPECT_EQ(in_state("sold"), 2);
}

TEST_F(NeighboursTest, AnAcknowledgementAgainOrOfOthersKeysChangesNothing) {
  auto answer = order({SaeId("sae-b")});
  const std::vector<KeyId> ids = message("ext_keys").ids();
  acknowledge(ids, AckStatus::relayed, "sae-c", "kme-c");
  acknowledge(ids, AckStatus::relayed, "sae-b2");
  acknowledge({key_id(batch_of(ids[0]), 7)}, AckStatus::relayed);
  acknowledge({rng().id<KeyId>()}, AckStatus::failed);
  EXPECT_TRUE(is_open(answer));
  acknowledge(ids, AckStatus::relayed);
  EXPECT_TRUE(answer.get());
  acknowledge(ids, AckStatus::relayed);
  acknowledge(ids, AckStatus::failed);
  acknowledge(ids, AckStatus::voided);
  EXPECT_EQ(in_state("sold"), 1);
  EXPECT_EQ(sent_on("ext_keys/void"), 0U);
}

TEST_F(NeighboursTest, ALostAcknowledgementIsAskedForWithTheSameKeysAndARefusalOfTheRepetitionIsNone) {
  auto answer = order({SaeId("sae-b")});
  const Sent first = message("ext_keys");
  answer_to_keys = 400;  // a key manager that knows no repetition
  EXPECT_EQ(sent_again().body, first.body);
  acknowledge(first.ids(), AckStatus::relayed);
  EXPECT_TRUE(answer.get());
}

TEST_F(NeighboursTest, ARefusalAtTheFirstAttemptEndsTheOrderAndNothingIsVoided) {
  answer_to_keys = 400;
  const auto answer = order({SaeId("sae-b")}).get();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::unavailable);
  EXPECT_TRUE(answer.error().message.contains("kme-b: the key manager answers 400: no")) << answer.error().message;
  EXPECT_EQ(in_state("failed"), 1);
  EXPECT_EQ(sent_on("ext_keys/void"), 0U);
}

TEST_F(NeighboursTest, ARefusalAfterSilenceVoidsWhatMayBeThere) {
  answer_to_keys = 0;
  auto answer = order({SaeId("sae-b")});
  const Sent first = message("ext_keys");
  answer_to_keys = 400;
  EXPECT_EQ(sent_again().body, first.body);
  EXPECT_FALSE(answer.get());
  EXPECT_EQ(message("ext_keys/void").ids(), first.ids());
  EXPECT_TRUE(recorded("sae.void_sent success"));
}

TEST_F(NeighboursTest, OneTargetThatFailsFailsTheOrderAndTheOthersKeysAreVoided) {
  auto answer = order({SaeId("sae-b"), SaeId("sae-c")});
  const std::vector<KeyId> ids = message("ext_keys").ids();
  acknowledge(ids, AckStatus::relayed, "sae-c", "kme-c");
  acknowledge(ids, AckStatus::failed);
  EXPECT_FALSE(answer.get());
  const Sent voided = message("ext_keys/void");
  EXPECT_EQ(voided.kme, "kme-c");
  EXPECT_EQ(voided.ids(), ids);
  EXPECT_EQ(in_state("failed"), 1);
  acknowledge(ids, AckStatus::relayed);  // says that it kept them after all
  EXPECT_EQ(in_state("sold"), 0);
}

TEST_F(NeighboursTest, WhatIsToBeVoidedIsNeverSoldAndIsVoidedUntilThatIsAnswered) {
  answer_to_void = 0;
  auto answer = order({SaeId("sae-b")});
  const std::vector<KeyId> ids = message("ext_keys").ids();
  clock.advance(8000);
  neighbours->look_at_clock();
  EXPECT_FALSE(answer.get());
  EXPECT_EQ(message("ext_keys/void", 1).ids(), ids);
  acknowledge(ids, AckStatus::relayed);
  EXPECT_EQ(in_state("void_due"), 1);
  die();
  open();
  answer_to_void = 200;
  clock.advance(60000);
  neighbours->look_at_clock();
  EXPECT_EQ(message("ext_keys/void", 2).ids(), ids);
  EXPECT_TRUE(recorded("sae.void_sent success"));
  EXPECT_EQ(in_state("voided"), 1);
}

TEST_F(NeighboursTest, VoidingEndsWhenTheOtherSaysThatItHasNoneOrItsTimeIsOver) {
  answer_to_keys = 0;
  auto first = order({SaeId("sae-b")});
  const std::vector<KeyId> ids = message("ext_keys").ids();
  answer_to_void = 0;
  clock.advance(8000);
  neighbours->look_at_clock();
  EXPECT_FALSE(first.get());
  (void)message("ext_keys/void");
  acknowledge(ids, AckStatus::not_present);
  EXPECT_EQ(in_state("voided"), 1);
  auto second = order({SaeId("sae-c")});
  (void)message("ext_keys", 2);
  clock.advance(4'000'000);
  neighbours->look_at_clock();
  EXPECT_FALSE(second.get());
  EXPECT_TRUE(recorded("sae.void_sent failure"));
  EXPECT_EQ(in_state("failed"), 1);
}

TEST_F(NeighboursTest, WhatCannotBeRecordedIsNotDelivered) {
  auto answer = order({SaeId("sae-b")});
  const std::vector<KeyId> ids = message("ext_keys").ids();
  audit_broken = true;
  acknowledge(ids, AckStatus::relayed);
  EXPECT_FALSE(answer.get());
  EXPECT_EQ(message("ext_keys/void").ids(), ids);
  EXPECT_EQ(in_state("sold"), 0);
}

TEST_F(NeighboursTest, WhatASlaveOfThisSiteCannotHaveIsNotSoldAndIsVoided) {
  keep_is_broken = true;
  auto answer = order({SaeId("sae-b"), SaeId("sae-a2")});
  const std::vector<KeyId> ids = message("ext_keys").ids();
  acknowledge(ids, AckStatus::relayed);
  EXPECT_FALSE(answer.get());
  EXPECT_EQ(message("ext_keys/void").ids(), ids);
  EXPECT_EQ(in_state("sold"), 0);
}

TEST_F(NeighboursTest, WhatWasAcknowledgedButNotGivenToTheMasterBeforeADeathIsVoided) {
  keep_is_silent = true;
  auto answer = order({SaeId("sae-b"), SaeId("sae-a2")});
  const std::vector<KeyId> ids = message("ext_keys").ids();
  acknowledge(ids, AckStatus::relayed);
  EXPECT_EQ(in_state("relayed"), 1);
  die();
  EXPECT_FALSE(answer.get());
  open();
  EXPECT_TRUE(recorded("the process ended before they were sold"));
  acknowledge(ids, AckStatus::relayed);  // by one that got no answer the first time
  neighbours->look_at_clock();
  EXPECT_EQ(message("ext_keys/void").ids(), ids);
  EXPECT_TRUE(recorded("sae.void_sent success"));
  EXPECT_EQ(in_state("sold"), 0);
}

TEST_F(NeighboursTest, AnAcknowledgementThatIsTakenBackBeforeTheSaleEndsTheOrder) {
  keep_is_silent = true;
  auto answer = order({SaeId("sae-b"), SaeId("sae-c"), SaeId("sae-a2")});
  const std::vector<KeyId> ids = message("ext_keys").ids();
  acknowledge(ids, AckStatus::relayed);
  acknowledge(ids, AckStatus::relayed, "sae-c", "kme-c");
  EXPECT_TRUE(is_open(answer));
  acknowledge(ids, AckStatus::failed);
  EXPECT_FALSE(answer.get());
  EXPECT_TRUE(recorded("sae.void_sent success"));
  EXPECT_EQ(in_state("sold"), 0);
}

TEST_F(NeighboursTest, AStopRefusesThoseWhoWait) {
  auto answer = order({SaeId("sae-b")});
  (void)message("ext_keys");
  neighbours->stop();
  EXPECT_EQ(answer.get().error().code, ErrorCode::unavailable);
  EXPECT_EQ(order({SaeId("sae-b")}).get().error().code, ErrorCode::exhausted);
}

}  // namespace
}  // namespace qanat::qkm
