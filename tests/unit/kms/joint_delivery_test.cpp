#include "services/kms/kma/joint_delivery.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <latch>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "file_size_limit.hpp"
#include "store_kinds.hpp"
#include "trusted_network.hpp"

namespace qanat::kms {
namespace {

using test::must;

constexpr std::array<store::Migration, 1> tables{{{1, "CREATE TABLE over (delivery INTEGER PRIMARY KEY, h_deliver BLOB NOT NULL) STRICT"}}};

class JointDeliveryTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  static constexpr std::chrono::minutes long_patience{1};
  using Message = wire::Framed<wire::KeyDeliver>;
  using Signers = std::vector<std::shared_ptr<const node::MessageSigner>>;
  /// What the i-th delivery's work says when its row is there.
  using Verdict = std::function<Result<Handed>(std::size_t)>;
  struct Ended {
    Message message;
    Result<Handed> outcome = fail(ErrorCode::internal, "did not end");
  };

  Message framed(const node::MessageSigner& own) {
    const crypto::Suite& suite = network_.suite();
    const wire::KeyDeliver message{.h_req = Bytes(suite.digest),
                                   .sid_wk = network_.rng().id<SidWk>(),
                                   .sid_call = {},
                                   .uid = Uid("A"),
                                   .kms_id = ElementName("kms-a"),
                                   .nonce = network_.rng().bytes(wire::nonce_size),
                                   .ts_ms = 1,
                                   .expiry_ms = 2,
                                   .flags = 0,
                                   .enc_kid = Bytes(suite.digest),
                                   .ct_classical = Bytes(suite.classical_ct),
                                   .ct_ml_kem = Bytes(suite.ml_kem_ct),
                                   .eph_ct_classical = {},
                                   .eph_ct_ml_kem = {},
                                   .sealed = Bytes(16),
                                   .fps = own.fps};
    return must(wire::frame(suite, 1, message));
  }
  std::shared_ptr<const node::MessageSigner> signer() { return network_.credentials(kms_).messages; }
  /// One per signer, all on their way before the first is ready.
  std::vector<Ended> together(JointDelivery& joint, const Signers& by, const Verdict& verdict = [](std::size_t) { return Handed::over; }) {
    std::vector<Ended> out;
    for (const auto& own : by) out.push_back({.message = framed(*own)});
    std::latch all_coming(static_cast<std::ptrdiff_t>(by.size()));
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < by.size(); ++i) {
      threads.emplace_back([&, i] {
        JointDelivery::Coming coming(joint);
        all_coming.arrive_and_wait();
        const std::string object = "delivery " + std::to_string(i) + ".";
        const auto work = [&, i](store::Transaction& transaction, const Delivery& delivery) -> Result<Handed> {
          const Result<Handed> said = verdict(i);
          if (said && *said != Handed::over) return said;
          TRY(transaction.run("INSERT INTO over (delivery, h_deliver) VALUES (?, ?)", {static_cast<std::int64_t>(i), delivery.h_deliver}));
          return said;
        };
        try {
          out[i].outcome = joint.hand_over(coming, {.message = out[i].message, .own = by[i], .h_req = {}, .work = work, .committed = [&, i] { note_committed(i); },
                                                  .event = {.action = "km-1.delivered", .outcome = audit::Outcome::success, .subject = "A", .object = object,
                                                            .reason = "", .request_id = ""}});
        } catch (const std::runtime_error&) {
        }
      });
    }
    threads.clear();
    return out;
  }
  /// As its terminal reads it: the path; none for an ordinary signature.
  Bytes good_path(const Message& made, const node::MessageSigner& by) {
    const Message read = must(wire::parse<wire::KeyDeliver>(made.octets));
    EXPECT_EQ(read.hash, made.hash);
    const auto held = wire::verify(read, must(crypto::Verifier::from_key(network_.suite(), by.signer.verifying_key())), by.fps);
    EXPECT_TRUE(held) << held.error().message;
    return to_bytes(read.joint_path());
  }
  std::vector<Bytes> good_paths(const std::vector<Ended>& ended, const Signers& by) {
    std::vector<Bytes> out;
    for (std::size_t i = 0; i < ended.size(); ++i) {
      EXPECT_TRUE(ended[i].outcome) << ended[i].outcome.error().message;
      out.push_back(good_path(ended[i].message, *by[i]));
      EXPECT_TRUE(is_there(i, ended[i].message));
    }
    return out;
  }
  bool in_database(std::size_t delivery, const Message& message) {
    return must(store_->look([&](store::Transaction& transaction) -> Result<bool> {
      bool out = false;
      TRY(transaction.query("SELECT h_deliver FROM over WHERE delivery = ?", {static_cast<std::int64_t>(delivery)},
                            [&](const store::Row& row) { out = row.blob(0) == message.hash; }));
      return out;
    }));
  }
  bool on_record(std::size_t delivery) { return test::audited(network_.state_of(kms_), "delivery " + std::to_string(delivery) + "."); }
  bool is_there(std::size_t delivery, const Message& message) { return in_database(delivery, message) && on_record(delivery); }
  void note_committed(std::size_t i) {
    const std::lock_guard lock(committed_mutex_);
    committed_.insert(i);
  }
  void clear() {
    committed_.clear();
    must(store_->transact([](store::Transaction& transaction) { return transaction.run("DELETE FROM over", {}); }));
  }

  test::TrustedNetwork network_;
  const Identity kms_ = test::identity("qanat://a/kms/kms-a");
  const std::unique_ptr<node::Node> node_ = network_.open_node(kms_, {});
  test::TestStores stores_{GetParam()};
  const std::unique_ptr<store::Store> store_ = must(stores_.open(network_.state_of(kms_) / "joint.db", tables));
  const std::shared_ptr<const node::MessageSigner> own_ = signer();
  std::mutex committed_mutex_;
  std::set<std::size_t> committed_;  // whose `committed` ran
};
INSTANTIATE_TEST_SUITE_P(Stores, JointDeliveryTest, test::every_store_kind, test::name_of);

TEST_P(JointDeliveryTest, WhoIsAloneGetsAnOrdinarySignature) {
  JointDelivery joint(*node_, *store_, wire::joint_messages_max);
  EXPECT_EQ(good_paths(together(joint, {own_}), {own_}), std::vector<Bytes>{Bytes{}});
}

TEST_P(JointDeliveryTest, WhoeverIsOnTheWayShares) {
  JointDelivery joint(*node_, *store_, wire::joint_messages_max, long_patience);
  for (const std::size_t deliveries : std::initializer_list<std::size_t>{2, 3, 8}) {
    const Signers by(deliveries, own_);
    std::set<int> places;
    for (const Bytes& path : good_paths(together(joint, by), by)) places.insert(path.empty() ? -1 : path[0]);
    EXPECT_EQ(places.size(), deliveries);
    EXPECT_FALSE(places.contains(-1));
    clear();
  }
}

TEST_P(JointDeliveryTest, NoMoreThanSoManyShare) {
  JointDelivery pairs(*node_, *store_, 2, long_patience);
  const Signers by(7, own_);
  std::size_t alone = 0;
  for (const Bytes& path : good_paths(together(pairs, by), by)) {
    if (path.empty()) {
      ++alone;
    } else {
      EXPECT_EQ(path[1], 1) << "two at depth 1";
    }
  }
  EXPECT_EQ(alone, 1U);
  clear();
  JointDelivery each(*node_, *store_, 1, long_patience);
  for (const Bytes& path : good_paths(together(each, by), by)) EXPECT_TRUE(path.empty());
}

TEST_P(JointDeliveryTest, DeliveriesOfTwoSignersShareNothing) {
  JointDelivery joint(*node_, *store_, wire::joint_messages_max, long_patience);
  const auto next = signer();  // after a renewal, while some still work with the former
  const Signers by{own_, next, own_, next};
  good_paths(together(joint, by), by);
}

TEST_P(JointDeliveryTest, OneThatDoesNotComeAfterAllKeepsNobodyWaiting) {
  JointDelivery patient(*node_, *store_, wire::joint_messages_max, long_patience);
  {
    const JointDelivery::Coming refused(patient);
  }
  EXPECT_EQ(good_paths(together(patient, {own_}), {own_}), std::vector<Bytes>{Bytes{}});
  clear();
  {
    std::optional<JointDelivery::Coming> given_up(std::in_place, patient);
    std::jthread ready([&] { EXPECT_EQ(good_paths(together(patient, {own_}), {own_}), std::vector<Bytes>{Bytes{}}); });
    given_up.reset();  // before the other one is ready, or while it waits
  }
  clear();
  JointDelivery usual(*node_, *store_, wire::joint_messages_max);
  const JointDelivery::Coming still_coming(usual);
  EXPECT_EQ(good_paths(together(usual, {own_}), {own_}), std::vector<Bytes>{Bytes{}});
}

TEST_P(JointDeliveryTest, WhomOneWaitedForInVainIsNotCountedTwice) {
  JointDelivery joint(*node_, *store_, wire::joint_messages_max);
  {
    const JointDelivery::Coming late(joint);
    EXPECT_EQ(good_paths(together(joint, {own_}), {own_}), std::vector<Bytes>{Bytes{}});
    clear();
    const Signers by(3, own_);
    good_paths(together(joint, by), by);
    clear();
  }  // comes to nothing when nobody counts on it any more
  EXPECT_EQ(good_paths(together(joint, {own_}), {own_}), std::vector<Bytes>{Bytes{}});
}

TEST_P(JointDeliveryTest, EachStandsOrFallsByItself) {
  JointDelivery joint(*node_, *store_, wire::joint_messages_max, long_patience);
  const auto ended = together(joint, Signers(5, own_), [](std::size_t i) -> Result<Handed> {
    if (i == 1) return fail(ErrorCode::conflict, "has enrolled anew");
    if (i == 2) return Handed::token_ended;
    if (i == 3) return Handed::made_before;
    return Handed::over;
  });
  for (const std::size_t i : std::initializer_list<std::size_t>{0, 4}) {
    ASSERT_TRUE(ended[i].outcome) << ended[i].outcome.error().message;
    EXPECT_EQ(*ended[i].outcome, Handed::over);
    EXPECT_TRUE(is_there(i, ended[i].message));
    EXPECT_TRUE(committed_.contains(i)) << i;
    good_path(ended[i].message, *own_);
  }
  ASSERT_FALSE(ended[1].outcome);
  EXPECT_EQ(ended[1].outcome.error().message, "has enrolled anew");
  EXPECT_EQ(must(ended[2].outcome), Handed::token_ended);
  EXPECT_EQ(must(ended[3].outcome), Handed::made_before);
  for (std::size_t i = 1; i <= 3; ++i) {
    EXPECT_FALSE(in_database(i, ended[i].message)) << i << ": its row was undone with it";
    EXPECT_FALSE(committed_.contains(i)) << i;
    EXPECT_FALSE(on_record(i)) << i;
  }
}

TEST_P(JointDeliveryTest, AnExceptionInOneThreadLeavesNoneOfThoseWhoShareItHandedOver) {
  JointDelivery joint(*node_, *store_, wire::joint_messages_max, long_patience);
  const auto ended = together(joint, Signers(3, own_), [](std::size_t i) -> Result<Handed> {
    if (i == 1) throw std::runtime_error("no memory");
    return Handed::over;
  });
  for (std::size_t i = 0; i < ended.size(); ++i) {
    EXPECT_EQ(ended[i].outcome.has_value(), is_there(i, ended[i].message)) << i << ": who is told so is";
    EXPECT_EQ(in_database(i, ended[i].message), on_record(i)) << i;
  }
  EXPECT_FALSE(ended[1].outcome);
  EXPECT_EQ(ended[0].outcome.has_value(), store_->side_by_side()) << "on its own there";
  clear();
  EXPECT_EQ(good_paths(together(joint, {own_}), {own_}), std::vector<Bytes>{Bytes{}}) << "the next one is not kept waiting";
}

/// Runs each work, and then says that it could not be committed.
class UncommittedStore final : public store::Store {
 public:
  explicit UncommittedStore(store::Store& store) : store_(store) {}
  [[nodiscard]] std::size_t queued() const noexcept override { return 0; }
  void announce(std::string_view /*channel*/) override {}
  std::unique_ptr<store::Watch> watch(std::string_view channel) override { return store_.watch(channel); }
  Result<std::unique_ptr<Lock>> lock(std::string_view name, Deadline deadline) override { return store_.lock(name, deadline); }
  Result<void> copy_to(const std::filesystem::path& file) override { return store_.copy_to(file); }

 protected:
  Result<void> transact_erased(const std::function<Result<void>(store::Transaction&)>& work) override {
    return store_.transact([&](store::Transaction& transaction) -> Result<void> {
      (void)work(transaction);
      return fail(ErrorCode::internal, "the disk is full");
    });
  }

 private:
  store::Store& store_;
};

TEST_P(JointDeliveryTest, WhereTheCommitFailsNoRefusalCountsEither) {
  UncommittedStore uncommitted(*store_);
  JointDelivery joint(*node_, uncommitted, wire::joint_messages_max, long_patience);
  for (const std::size_t deliveries : std::initializer_list<std::size_t>{1, 3}) {
    const auto ended = together(joint, Signers(deliveries, own_), [](std::size_t i) -> Result<Handed> {
      if (i == 0) return fail(ErrorCode::conflict, "this session was used before");
      return Handed::over;
    });
    for (const Ended& one : ended) {
      ASSERT_FALSE(one.outcome);
      EXPECT_EQ(one.outcome.error().message, "the disk is full");
    }
    EXPECT_TRUE(committed_.empty());
  }
}

TEST_P(JointDeliveryTest, WhatCannotBeRecordedIsNotHandedOver) {
  JointDelivery joint(*node_, *store_, wire::joint_messages_max, long_patience);
  {
    const test::FileSizeLimit full(std::filesystem::file_size(network_.state_of(kms_) / "audit.jsonl") + 10);
    EXPECT_FALSE(node_->record({.action = "full", .outcome = audit::Outcome::success, .subject = "", .object = "", .reason = "", .request_id = ""}));
  }  // from here on the log refuses everything
  for (const Ended& one : together(joint, Signers(3, own_))) EXPECT_FALSE(one.outcome);
}

}  // namespace
}  // namespace qanat::kms
