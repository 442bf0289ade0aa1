// Injection over a wire at the terminal, with a KMS made from the wire functions alone: what it takes, what it refuses, and what a lost receipt leaves.
#include "terminal/charging.hpp"

#include "kms_double.hpp"
#include "temporary_directory.hpp"

namespace qanat::terminal {
namespace {

using namespace test;
using points::Endpoint;
using wire::Charged;
using wire::KeySet;

class ChargingTest : public testing::Test {
 protected:
  ChargingTest()
      : device_(crypto::open_software_device(folder_ / "master.key", rng_).value()),
        store_(TerminalStore::open(folder_ / "terminal.db", *device_).value()),
        transport_(rng_.secret(32)),
        medium_(SecureMedium::make(folder_ / "medium", {.kind = MediumKind::sim, .suite = net_.suite().id, .id = id_, .transport_key = &transport_}, *device_)
                    .value()),
        alice_(net_.signer(Kind::app1, "alice", alice_number)),
        encryption_(crypto::Decapsulator::generate(net_.suite(), rng_).value()),
        kms_(net_.signer(Kind::kms, "kms-a")),
        kms_sender_(net_.sender(kms_)),
        applicant_{.suite = net_.suite(),
                   .policy_epoch = 1,
                   .uid = Uid("alice"),
                   .kms = ElementName("kms-a"),
                   .signer = alice_,
                   .encryption = encryption_,
                   .min_assurance = wire::Assurance::local_rng} {}

  /// What the KMS would answer, with what a test wants to be different.
  struct Different {
    std::function<void(wire::ChargeDeliver&)> change = [](wire::ChargeDeliver&) {};
    std::function<void(wire::ChargePayload&)> payload = [](wire::ChargePayload&) {};
    wire::MediumOrder order = wire::MediumOrder::charge;
    const node::MessageSigner* signer = nullptr;
  };
  Result<Bytes> answer(ByteView octets) {
    const crypto::Suite& suite = net_.suite();
    const auto request = wire::parse<wire::ChargeRequest>(octets).value();
    const wire::ChargeRequest& asked = request.message;
    wire::ChargeDeliver message{.h_req = request.hash,
                                .uid = asked.uid,
                                .medium = asked.medium,
                                .charge = rng_.id<wire::ChargeId>(),
                                .ts_ms = now_ms(),
                                .order = different_.order,
                                .flags = asked.flags,
                                .ct_classical = {},
                                .ct_ml_kem = {},
                                .sealed = {}};
    const node::MessageSigner& signer = different_.signer == nullptr ? kms_ : *different_.signer;
    if (different_.order != wire::MediumOrder::charge) {
      different_.change(message);
      return wire::sign_message(suite, 1, message, signer.signer, signer.fps, rng_).value().octets;
    }
    const auto fresh = crypto::encapsulate(suite, crypto::KemForm::to_ephemeral, asked.ephemeral, rng_).value();
    Secret ss = wire::hybrid_secret(suite, wire::transcript(fresh, asked.ephemeral), wire::charge_context(request.hash));
    wire::ChargePayload payload;
    payload.charged = Charged::wire;
    payload.origin = wire::ChargeOrigin::device;
    if (distribution_) {
      ss = wire::mix_distribution(suite, ss, distribution_->key, distribution_->index, request.hash);
      payload.charged = Charged::wire_under_offline;
    }
    for (const KeySet set : wire::all_key_sets) {
      wire::ChargedKeys& keys = payload.sets[wire::index_of(set)];
      keys.first = next_[wire::index_of(set)];
      for (int i = 0; i < asked.wanted[wire::index_of(set)]; ++i) keys.keys.push_back(rng_.secret(32));
      next_[wire::index_of(set)] += asked.wanted[wire::index_of(set)];
    }
    different_.payload(payload);
    message.ct_classical = fresh.ct_classical;
    message.ct_ml_kem = fresh.ct_ml_kem;
    different_.change(message);
    const auto sealed = wire::seal_charge(suite, 1, message, ss, payload).value();
    return wire::sign_message(suite, 1, sealed, signer.signer, signer.fps, rng_).value().octets;
  }
  Charging charging() {
    return Charging({.applicant = applicant_,
                     .store = *store_,
                     .medium = *medium_,
                     .clock = clock_,
                     .rng = rng_,
                     .send = [this](Endpoint endpoint, ByteView message, Deadline) -> Result<Bytes> {
                       if (endpoint == Endpoint::km1_charge) {
                         requests_.push_back(wire::parse<wire::ChargeRequest>(message).value().message);
                         return answer(message);
                       }
                       receipts_.push_back(wire::parse<wire::ChargeReceipt>(message).value().message);
                       if (receipt_error_) return fail(*receipt_error_, "no");
                       return Bytes{};
                     },
                     .check_kms = [this](Deadline) -> Result<std::shared_ptr<const node::Sender>> {
                       if (kms_unchecked_) return fail(ErrorCode::unavailable, "status of kms-a: CAS does not answer");
                       return kms_sender_;
                     }});
  }
  Result<Charging::Outcome> charge(WantedKeys wanted = {1, 2, 1}) { return charging().charge(wanted, Deadline::after(std::chrono::seconds(5))); }
  ErrorCode refused(Different different) {
    different_ = std::move(different);
    const auto outcome = charge();
    EXPECT_FALSE(outcome);
    different_ = {};
    return outcome ? ErrorCode::internal : outcome.error().code;
  }

  qanat::test::TemporaryDirectory folder_;
  SmallNetwork& net_ = network(crypto::SuiteId::gm_hybrid);
  FixedRng rng_{23};
  SystemClock clock_;
  const wire::MediumId id_{Bytes(16, 0x61)};
  std::unique_ptr<crypto::CryptoDevice> device_;
  std::unique_ptr<TerminalStore> store_;
  Secret transport_;
  std::unique_ptr<SecureMedium> medium_;
  node::MessageSigner alice_;
  crypto::Decapsulator encryption_;
  node::MessageSigner kms_;
  std::shared_ptr<const node::Sender> kms_sender_;
  Applicant applicant_;
  Different different_;
  bool kms_unchecked_ = false;
  std::optional<TakenKey> distribution_;
  std::array<std::uint32_t, 3> next_{};
  std::optional<ErrorCode> receipt_error_;
  std::vector<wire::ChargeRequest> requests_;
  std::vector<wire::ChargeReceipt> receipts_;
};

TEST_F(ChargingTest, WhatTheKmsSendsIsInTheMediumAndReceipted) {
  const auto outcome = charge();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->charged, Charged::wire);
  EXPECT_EQ(outcome->keys, (WantedKeys{1, 2, 1}));
  ASSERT_EQ(receipts_.size(), 1U);
  EXPECT_TRUE(receipts_.front().ok);
  EXPECT_FALSE(store_->charge_receipt().value());
  EXPECT_EQ(medium_->take(KeySet::call).value()->charged, Charged::wire);
}

TEST_F(ChargingTest, AKeyOfTheDistributionSetProtectsTheNextCharge) {
  wire::ChargePayload offline;
  offline.charged = Charged::offline;
  offline.origin = wire::ChargeOrigin::device;
  offline.sets[wire::index_of(KeySet::distribution)].keys.push_back(rng_.secret(32));
  distribution_ = TakenKey{.index = 0, .key = offline.sets[wire::index_of(KeySet::distribution)].keys.front().duplicate(), .charged = Charged::offline};
  next_[wire::index_of(KeySet::distribution)] = 1;
  const auto file =
      wire::seal_charge_file({.suite = &net_.suite(), .medium = id_, .charge = {}, .generation = 0, .made_ms = 1, .sealed = {}}, transport_, offline).value();
  ASSERT_TRUE(medium_->load(file));
  const auto outcome = charge();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(requests_.front().flags, wire::flag_inj);
  EXPECT_EQ(outcome->charged, Charged::wire_under_offline);
  EXPECT_TRUE(wire::counts(medium_->take(KeySet::call).value()->charged));
}

TEST_F(ChargingTest, NoKeyIsSpentForAKmsThatCannotBeChecked) {
  ASSERT_TRUE(charge());
  kms_unchecked_ = true;
  const auto refused = charge();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_FALSE(charging().obey(Deadline::after(std::chrono::seconds(5))));
  EXPECT_EQ(requests_.size(), 1U);
  EXPECT_EQ(medium_->take(KeySet::distribution).value()->index, 0U);
}

TEST_F(ChargingTest, WhatAnotherSignedOrIsForAnotherIsRefused) {
  const node::MessageSigner stranger = net_.signer(Kind::kms, "kms-a");
  EXPECT_EQ(refused({.signer = &stranger}), ErrorCode::denied);
  EXPECT_EQ(refused({.change = [](wire::ChargeDeliver& m) { m.h_req.front() ^= 1; }}), ErrorCode::denied);
  EXPECT_EQ(refused({.change = [](wire::ChargeDeliver& m) { m.uid = Uid("bob"); }}), ErrorCode::denied);
  EXPECT_EQ(refused({.change = [](wire::ChargeDeliver& m) { m.medium = {}; }}), ErrorCode::denied);
  EXPECT_EQ(refused({.change = [](wire::ChargeDeliver& m) { m.flags = wire::flag_inj; }}), ErrorCode::denied);
  EXPECT_EQ(refused({.change = [](wire::ChargeDeliver& m) { m.ts_ms -= 600'000; }}), ErrorCode::denied);
  EXPECT_EQ(refused({.change = [](wire::ChargeDeliver& m) { m.ct_ml_kem.front() ^= 1; }}), ErrorCode::denied);
  EXPECT_EQ(refused({.payload = [](wire::ChargePayload& p) { p.charged = Charged::offline; }}), ErrorCode::denied) << "a wire that calls itself offline";
  EXPECT_EQ(refused({.payload = [](wire::ChargePayload& p) { p.charged = Charged::wire_under_offline; }}), ErrorCode::denied);
  EXPECT_EQ(refused({.payload = [](wire::ChargePayload& p) { p.sets[1].keys.emplace_back(32); }}), ErrorCode::denied) << "more than was asked for";
  EXPECT_EQ(medium_->take(KeySet::call).value(), std::nullopt);
  EXPECT_TRUE(receipts_.empty());
}

TEST_F(ChargingTest, ALostReceiptIsSentAgainBeforeTheNextCharge) {
  constexpr WantedKeys wanted{1, 2, 0};  // nothing that the next charge would be protected by
  receipt_error_ = ErrorCode::unavailable;
  ASSERT_TRUE(charge(wanted)) << "the keys are there";
  ASSERT_TRUE(store_->charge_receipt().value());
  EXPECT_FALSE(charge(wanted)) << "first the KMS must have the receipt";
  receipt_error_ = ErrorCode::conflict;  // it had it
  ASSERT_TRUE(charge(wanted));
  EXPECT_EQ(receipts_.size(), 4U);
  EXPECT_EQ(receipts_[0], receipts_[2]);
  EXPECT_FALSE(store_->charge_receipt().value());
}

TEST_F(ChargingTest, NoMoreIsAskedForThanTheMediumHolds) {
  ASSERT_TRUE(charge({0, 256, 0}));
  EXPECT_EQ(requests_.back().wanted[1], 80) << "a SIM";
  ASSERT_TRUE(medium_->take(KeySet::call));
  ASSERT_TRUE(charge({0, 256, 0}));
  EXPECT_EQ(requests_.back().wanted[1], 1);
}

TEST_F(ChargingTest, TheKmsHasTheMediumLockedAndWiped) {
  ASSERT_TRUE(charge());
  different_.order = wire::MediumOrder::lock;
  const node::MessageSigner stranger = net_.signer(Kind::kms, "kms-a");
  different_.signer = &stranger;
  EXPECT_FALSE(charging().obey(Deadline::after(std::chrono::seconds(5))));
  EXPECT_EQ(medium_->state(), MediumState::active) << "not on anybody's word";
  different_.signer = nullptr;
  ASSERT_TRUE(charging().obey(Deadline::after(std::chrono::seconds(5))));
  EXPECT_EQ(medium_->state(), MediumState::locked);
  different_.order = wire::MediumOrder::wipe;
  EXPECT_EQ(charge()->order, wire::MediumOrder::wipe);
  EXPECT_EQ(medium_->state(), MediumState::wiped);
}

}  // namespace
}  // namespace qanat::terminal
