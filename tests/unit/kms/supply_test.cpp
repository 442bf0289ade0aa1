// A stock of keys for SAEs at the KMS that is offered them: whose offer is taken, which, how many, and once.
#include "services/kms/sae/supply.hpp"

#include "kms_core.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"

namespace qanat::kms {
namespace {

using test::refusal;

const Identity supply_far = identity("qanat://b/kms/kms-b");
const Identity supply_third = identity("qanat://b/kms/kms-x");
constexpr std::int64_t supply_offered = wire::supply_batch_keys;  // keys in one offer of these tests

class SupplyTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  SupplyTest() : far_(network_.credentials(supply_far)), third_(network_.credentials(supply_third)) { open(); }
  /// Begins anew under the settings.
  void open() {
    supply_.reset();
    supply_ =
        std::make_unique<Supply>(*node_, *store_, stock_, senders_, agreement_, std::map<std::string, ElementName>{{"b", ElementName("kms-b")}}, settings_);
  }
  /// An offer of kms-b, which names no quantum key.
  wire::SupplyOffer offer() {
    const auto ephemeral = must(crypto::Decapsulator::generate(network_.suite(), network_.rng()));
    return {.supply_id = network_.rng().id<wire::SupplyId>(),
            .kms_a = ElementName("kms-b"),
            .kms_b = ElementName("kms-a"),
            .batches = 1,
            .nonce = network_.rng().bytes(wire::nonce_size),
            .ts_ms = SystemClock().now_ms(),
            .quantum_grade = false,
            .shares = {},
            .ephemeral = ephemeral.encapsulation_key(),
            .fps = far_.messages->fps};
  }
  /// `by` signs; the envelope has the certificates of `shown`.
  Bytes enclosed(const wire::SupplyOffer& offer, const node::MessageSigner& by, const node::MessageSigner& shown) {
    return node::enclose(shown, must(wire::sign_message(network_.suite(), 1, offer, by.signer, by.fps, network_.rng())).octets);
  }
  Result<net::Response> offered(const Bytes& body, const Identity& from = supply_far) { return supply_->offered(test::request_from(from, body)); }
  Result<net::Response> offered(const wire::SupplyOffer& offer) { return offered(enclosed(offer, *far_.messages, *far_.messages)); }
  std::int64_t of_the_other() { return must(supply_->level("b")).peer; }

  test::TrustedNetwork network_;
  test::TemporaryDirectory folder_;
  node::Credentials far_;
  node::Credentials third_;
  std::unique_ptr<node::Node> node_ = open_kms_node(network_, {}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; });
  node::SenderDirectory senders_{*node_};
  node::StepTrace trace_{network_.state_of(kms_id)};
  Errands errands_;  // not started
  KmsSettings kms_settings_;
  SupplySettings settings_;
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_ = must(stores_.open(folder_ / "kms.db", migrations));
  Ledger ledger_{node_->device()};
  kme::KeyStock stock_{node_->device()};
  Agreement agreement_{*node_, *store_, ledger_, senders_, trace_, errands_, kms_settings_, must(crypto::SiteKey::read(write_site_key(folder_ / "")))};
  std::unique_ptr<Supply> supply_;
};
INSTANTIATE_TEST_SUITE_P(Stores, SupplyTest, test::every_store_kind, test::name_of);

TEST_P(SupplyTest, AnOfferIsTakenFromTheKmsThatSharesKeysForSaesAlone) {
  wire::SupplyOffer third = offer();
  third.kms_a = ElementName("kms-x");
  third.fps = third_.messages->fps;
  EXPECT_EQ(refusal(offered(enclosed(third, *third_.messages, *third_.messages), supply_third)), ErrorCode::denied) << "another KMS of the domain";
  EXPECT_EQ(refusal(offered(enclosed(offer(), *third_.messages, *far_.messages))), ErrorCode::denied) << "another's signature under its certificates";
  const auto refused = [this](const std::function<void(wire::SupplyOffer&)>& change) {
    wire::SupplyOffer changed = offer();
    change(changed);
    return refusal(offered(changed));
  };
  EXPECT_EQ(refused([this](wire::SupplyOffer& m) { m.fps = third_.messages->fps; }), ErrorCode::denied);
  EXPECT_EQ(refused([](wire::SupplyOffer& m) { m.kms_a = ElementName("kms-x"); }), ErrorCode::denied);
  EXPECT_EQ(refused([](wire::SupplyOffer& m) { m.kms_b = ElementName("kms-x"); }), ErrorCode::denied) << "for another KMS";
  EXPECT_EQ(of_the_other(), 0);
  EXPECT_EQ(must(offered(offer())).status, 200);
  EXPECT_EQ(of_the_other(), supply_offered);
}

TEST_P(SupplyTest, AnOfferIsTakenOnceInItsTimeAndInThisLife) {
  wire::SupplyOffer old = offer();
  old.ts_ms -= 600'000;
  EXPECT_EQ(refusal(offered(old)), ErrorCode::denied) << "out of the clock window";
  const Bytes body = enclosed(offer(), *far_.messages, *far_.messages);
  EXPECT_EQ(must(offered(body)).status, 200);
  EXPECT_EQ(refusal(offered(body)), ErrorCode::conflict);
  EXPECT_EQ(of_the_other(), supply_offered);
  wire::SupplyOffer earlier = offer();
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(begin_life(transaction, earlier.ts_ms, earlier.ts_ms + 1, NewLife::other_history));
    return {};
  }));
  EXPECT_EQ(refusal(offered(earlier)), ErrorCode::denied) << "of the life before";
  EXPECT_EQ(of_the_other(), 0);
  earlier.ts_ms += 1;
  EXPECT_EQ(must(offered(earlier)).status, 200);
}

TEST_P(SupplyTest, AnOfferIsTakenUpToWhatTheOtherMayLeaveUnused) {
  settings_.peer_max = 2 * supply_offered;
  open();
  EXPECT_EQ(must(offered(offer())).status, 200);
  wire::SupplyOffer two = offer();
  two.batches = 2;
  EXPECT_EQ(refusal(offered(two)), ErrorCode::exhausted) << "one too many";
  EXPECT_EQ(must(offered(offer())).status, 200);
  EXPECT_EQ(refusal(offered(offer())), ErrorCode::exhausted);
  EXPECT_EQ(of_the_other(), 2 * supply_offered);
}

TEST_P(SupplyTest, AnOfferIsTakenWithoutQuantumKeysWherePolicyAllowsIt) {
  settings_.pqc_fallback = false;
  open();
  const auto refused = offered(offer());
  EXPECT_EQ(refusal(refused), ErrorCode::exhausted);
  EXPECT_TRUE(refused.error().message.contains("policy allows no fallback")) << refused.error().message;
  EXPECT_EQ(of_the_other(), 0);
}

}  // namespace
}  // namespace qanat::kms
