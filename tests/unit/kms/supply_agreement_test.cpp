// The agreement of two KMSs on keys for SAEs: both have the same, and nothing but the answer to the offer that was made is taken.
#include "services/kms/sae/supply_agreement.hpp"

#include "trusted_network.hpp"

namespace qanat::kms {
namespace {

using test::must;
using test::refusal;

class SupplyAgreementTest : public testing::Test {
 protected:
  SupplyAgreementTest()
      : a_(network_.credentials(test::identity("qanat://a/kms/kms-a")).messages), b_(network_.credentials(test::identity("qanat://b/kms/kms-b")).messages) {}

  QuantumShares shares(const std::vector<std::uint8_t>& paths) {
    QuantumShares out;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      out.refs.push_back({.path_id = PathId(Bytes(PathId::size, paths[i])), .key_id = KeyId(Bytes(KeyId::size, static_cast<std::uint8_t>(i + 1)))});
      out.keys.push_back(Secret::copy_of(Bytes(32, static_cast<std::uint8_t>(0x40 + i))));
    }
    return out;
  }
  SupplySigner signer(const node::MessageSigner& own) { return {network_.suite(), 7, own, network_.rng()}; }
  SupplyOffering offering(const QuantumShares& with, std::uint8_t batches = 2) {
    return must(SupplyOffering::make(signer(*a_), {.kms_a = ElementName("kms-a"), .kms_b = ElementName("kms-b"), .batches = batches, .now = 1000},
                                     network_.rng().id<wire::SupplyId>(), with));
  }
  SupplyAnswer answer(const SupplyOffering& to, const QuantumShares& with) {
    return must(answer_supply(signer(*b_), must(wire::parse<wire::SupplyOffer>(to.offer().octets)), with));
  }
  Result<AgreedSupply> finish(const SupplyOffering& offer, ByteView octets, const QuantumShares& with,
                              SupplyOffering::Quantum quantum = SupplyOffering::Quantum::wished) {
    ASSIGN_OR_RETURN(const auto accept, wire::parse<wire::SupplyAccept>(octets));
    return offer.finish(accept, b_->fps, with, quantum);
  }
  static void expect_same(const AgreedSupply& one, const AgreedSupply& other) {
    ASSERT_EQ(one.batches.size(), other.batches.size());
    for (std::size_t i = 0; i < one.batches.size(); ++i) {
      EXPECT_EQ(one.batches[i].id, other.batches[i].id);
      EXPECT_TRUE(equal_secret(one.batches[i].keys, other.batches[i].keys)) << i;
      EXPECT_EQ(one.batches[i].keys.size(), 256U * 32U);
    }
    EXPECT_EQ(one.paths, other.paths);
  }

  test::TrustedNetwork network_;
  std::shared_ptr<const node::MessageSigner> a_;
  std::shared_ptr<const node::MessageSigner> b_;
};

TEST_F(SupplyAgreementTest, BothHaveTheSameKeysWhicheverSharesThereAre) {
  for (const std::vector<std::uint8_t>& paths : {std::vector<std::uint8_t>{}, {1}, {1, 2}}) {
    const QuantumShares own = shares(paths);
    const SupplyOffering offer = offering(own);
    const SupplyAnswer made = answer(offer, own);
    const AgreedSupply agreed = must(finish(offer, made.octets, own));
    expect_same(agreed, made.agreed);
    EXPECT_EQ(agreed.paths, paths.size());
    EXPECT_NE(agreed.batches[0].id, agreed.batches[1].id);
    EXPECT_FALSE(equal_secret(agreed.batches[0].keys, agreed.batches[1].keys));
  }
}

TEST_F(SupplyAgreementTest, OnlySharesThatBothHoldCount) {
  const QuantumShares own = shares({1, 2});
  const SupplyOffering offer = offering(own);
  QuantumShares first = shares({1});
  const SupplyAnswer made = answer(offer, first);
  const AgreedSupply agreed = must(finish(offer, made.octets, own));
  expect_same(agreed, made.agreed);
  EXPECT_EQ(agreed.paths, 1);
}

TEST_F(SupplyAgreementTest, SharesOverOnePathAreOnePathAndThoseUnderPublicKeysAreNone) {
  const QuantumShares one_path = shares({3, 3});
  const SupplyOffering offer = offering(one_path);
  EXPECT_EQ(must(finish(offer, answer(offer, one_path).octets, one_path)).paths, 1);
  QuantumShares weak = shares({1, 2});
  weak.quantum_grade = false;
  const SupplyOffering weak_offer = offering(weak);
  EXPECT_EQ(must(finish(weak_offer, answer(weak_offer, shares({1, 2})).octets, weak)).paths, 0) << "as the offer says";
  const QuantumShares own = shares({1, 2});
  const SupplyOffering strong_offer = offering(own);
  EXPECT_EQ(must(finish(strong_offer, answer(strong_offer, weak).octets, own)).paths, 0) << "as the answer says";
}

TEST_F(SupplyAgreementTest, OtherSharesGiveNoAgreement) {
  const QuantumShares own = shares({1});
  QuantumShares others = shares({1});
  others.keys[0] = Secret::copy_of(Bytes(32, 0x99));
  const SupplyOffering offer = offering(own);
  const auto agreed = finish(offer, answer(offer, others).octets, own);
  ASSERT_FALSE(agreed);
  EXPECT_EQ(agreed.error().code, ErrorCode::denied);
  EXPECT_NE(agreed.error().message.find("confirmation"), std::string::npos) << agreed.error().message;
}

TEST_F(SupplyAgreementTest, AnAnswerToAnotherOfferIsRefused) {
  const QuantumShares none;
  const SupplyOffering offer = offering(none);
  EXPECT_EQ(refusal(finish(offer, answer(offering(none), none).octets, none)), ErrorCode::denied);
}

TEST_F(SupplyAgreementTest, AnAnswerOfAnotherSignerIsRefused) {
  const QuantumShares none;
  const SupplyOffering offer = offering(none);
  const auto accept = must(wire::parse<wire::SupplyAccept>(answer(offer, none).octets));
  EXPECT_EQ(refusal(offer.finish(accept, a_->fps, none, SupplyOffering::Quantum::wished)), ErrorCode::denied);
}

TEST_F(SupplyAgreementTest, AnAnswerThatClaimsMorePathsThanThereWereIsRefused) {
  const QuantumShares own = shares({1});
  const SupplyOffering offer = offering(own);
  auto accept = must(wire::parse<wire::SupplyAccept>(answer(offer, own).octets));
  accept.message.paths = 2;
  const auto agreed = offer.finish(accept, b_->fps, own, SupplyOffering::Quantum::wished);
  ASSERT_FALSE(agreed);
  EXPECT_NE(agreed.error().message.find("quantum paths"), std::string::npos) << agreed.error().message;
  accept.message.paths = 1;
  accept.message.ok_bitmap = 2;
  EXPECT_EQ(refusal(offer.finish(accept, b_->fps, own, SupplyOffering::Quantum::wished)), ErrorCode::denied) << "a share that was not offered";
}

TEST_F(SupplyAgreementTest, WherePolicyDemandsAQuantumKeyOneMustBeUsed) {
  const QuantumShares own = shares({1});
  const SupplyOffering offer = offering(own);
  const SupplyAnswer without = answer(offer, QuantumShares{});
  EXPECT_EQ(refusal(finish(offer, without.octets, own, SupplyOffering::Quantum::demanded)), ErrorCode::exhausted);
  EXPECT_EQ(must(finish(offer, without.octets, own)).paths, 0);
}

}  // namespace
}  // namespace qanat::kms
