// Quantum keys for other things than a call: keys for SAEs and charges. The pool's are in service_test.cpp, the chains' in chains_test.cpp.
#include <atomic>

#include "kms_core.hpp"
#include "services/kms/kim/key_draw.hpp"
#include "services/kms/sae/supply.hpp"
#include "services/kms/schema.hpp"

namespace qanat::kms {
namespace {

using test::refusal;

class QuantumDrawTest : public testing::Test {
 protected:
  QuantumDrawTest() : senders_(*node_) { open(); }
  /// Begins anew under the settings.
  void open() {
    supply_.reset();
    agreement_ = std::make_unique<Agreement>(*node_, *store_, ledger_, senders_, trace_, errands_, settings_, must(crypto::SiteKey::read(site_key_)));
    supply_ = std::make_unique<Supply>(*node_, *store_, stock_, senders_, *agreement_, std::map<std::string, ElementName>{{"b", ElementName("kms-b")}},
                                       SupplySettings());
  }
  /// One key, as often as it is asked.
  Result<net::Response> take() {
    ++taken_;
    const auto id = network_.rng().id<KeyId>();
    const Bytes wrapped =
        must(crypto::SiteKey::read(site_key_)).wrap(concat({as_bytes("km-3"), id.view()}), Secret::copy_of(Bytes(wire::wk_size, 7)), network_.rng());
    const wire::Json key = wire::Json::object(
        {{"path_id", std::string(2 * PathId::size, '1')}, {"key_id", id.hex()}, {"key", wire::to_base64(wrapped)}, {"grade", "qkd"}, {"relays", 1}});
    return node::json_response(wire::Json::object({{"keys", wire::Json::array({key})}}));
  }
  Result<net::Response> status() const {
    const wire::Json peer = wire::Json::object({{"domain", "b"}, {"stock", at_qkm_.load()}});
    return node::json_response(wire::Json::object({{"peers", wire::Json::array({peer})}}));
  }
  bool charge_has_quantum() { return quantum_for_charges(*node_, *agreement_)(test::soon(), "0123456789abcdef").has_value(); }
  std::size_t recorded(std::string_view object) const {
    std::ifstream in(network_.state_of(kms_id) / "audit.jsonl", std::ios::binary);
    std::size_t out = 0;
    for (std::string line; std::getline(in, line);) out += line.contains(object) ? 1U : 0U;
    return out;
  }

  test::TrustedNetwork network_;
  test::TemporaryDirectory folder_;
  const std::filesystem::path site_key_ = write_site_key(folder_ / "");
  std::atomic<int> taken_ = 0;            // how often the QKM was asked for keys
  std::atomic<std::int64_t> at_qkm_ = 0;  // the stock, as it says
  Double qkm_{network_,
              identity("qanat://a/qkm/qkm-a"),
              {{Endpoint::km3_take, [this](const net::Request&) { return take(); }}, {Endpoint::km3_status, [this](const net::Request&) { return status(); }}}};
  // It takes no offer: what the KMS does before is what counts here.
  Double far_{network_,
              identity("qanat://b/kms/kms-b"),
              {{Endpoint::km2_supply, [](const net::Request&) -> Result<net::Response> { return fail(ErrorCode::unavailable, "not now"); }}}};
  std::unique_ptr<node::Node> node_ = open_kms_node(network_, {&qkm_, &far_}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; });
  node::SenderDirectory senders_;
  node::StepTrace trace_{network_.state_of(kms_id)};
  Errands errands_;  // not started
  KmsSettings settings_;
  std::unique_ptr<store::Store> store_ = must(store::Store::open(folder_ / "kms.db", migrations));
  Ledger ledger_{node_->device()};
  kme::KeyStock stock_{node_->device()};
  std::unique_ptr<Agreement> agreement_;
  std::unique_ptr<Supply> supply_;
};

TEST_F(QuantumDrawTest, KeysForSaesTakeNothingOfTheStockThatIsKept) {
  settings_.policy.quantum_reserve = 10;
  open();
  at_qkm_ = 10;
  EXPECT_EQ(refusal(supply_->fill("b")), ErrorCode::unavailable) << "on public keys alone, which the other KMS does not take";
  EXPECT_EQ(taken_, 0);
  EXPECT_TRUE(test::audited(network_.state_of(kms_id), "what is left of the stock is for those who demand it"));
  at_qkm_ = 11;
  EXPECT_EQ(refusal(supply_->fill("b")), ErrorCode::unavailable);
  EXPECT_EQ(taken_, 1);
}

TEST_F(QuantumDrawTest, ChargesTakeNothingOfTheStockThatIsKept) {
  settings_.policy.quantum_reserve = 10;
  open();
  must(node_->call(Endpoint::km3_status, "qkm-a", {}, test::soon(), node_->new_request_id()));  // so that the QKM is connected to
  at_qkm_ = 10;
  EXPECT_FALSE(charge_has_quantum());
  EXPECT_EQ(taken_, 0);
  at_qkm_ = 11;
  EXPECT_TRUE(charge_has_quantum());
  EXPECT_EQ(taken_, 1);
}

TEST_F(QuantumDrawTest, ForADomainThatNoQuantumKeyLeadsToTheQkmIsNotAsked) {
  settings_.policy.no_quantum_with = {"b"};
  open();
  EXPECT_FALSE(charge_has_quantum());
  EXPECT_EQ(refusal(supply_->fill("b")), ErrorCode::unavailable);
  EXPECT_EQ(taken_, 0);
  EXPECT_TRUE(test::audited(network_.state_of(kms_id), "the other domain has no quantum keys"));
}

TEST_F(QuantumDrawTest, WhyTheQkmIsNotAskedIsOnRecordOnceUntilItIsAnotherReason) {
  settings_.policy.quantum_reserve = 10;
  open();
  must(node_->call(Endpoint::km3_status, "qkm-a", {}, test::soon(), node_->new_request_id()));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(charge_has_quantum());
  EXPECT_EQ(recorded("charges, domain b"), 1U);
  at_qkm_ = 11;
  EXPECT_TRUE(charge_has_quantum());
  at_qkm_ = 10;
  EXPECT_FALSE(charge_has_quantum());
  EXPECT_EQ(recorded("charges, domain b"), 2U);
  settings_.policy.no_quantum_with = {"b"};
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(charge_has_quantum());
  EXPECT_EQ(recorded("charges, domain b"), 3U);
}

}  // namespace
}  // namespace qanat::kms
