// What a KMS may say about the quantum keys under a working key.
#include <gtest/gtest.h>

#include "services/kms/kma/agreement.hpp"

namespace qanat::kms {
namespace {

using wire::Assurance;

QuantumShares shares(const std::vector<std::uint8_t>& paths) {
  QuantumShares out;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    Bytes key_id(KeyId::size, 0);
    key_id.back() = static_cast<std::uint8_t>(i);
    out.refs.push_back({.path_id = PathId(Bytes(PathId::size, paths[i])), .key_id = KeyId(key_id)});
    out.keys.emplace_back(wire::wk_size);
  }
  return out;
}

TEST(QuantumSharesTest, NoneUsedIsPqcAlone) {
  EXPECT_EQ(QuantumShares{}.assurance(0), Assurance::pqc);
  EXPECT_EQ(shares({1, 2}).assurance(0), Assurance::pqc) << "taken, but the other side had none of them";
}

TEST(QuantumSharesTest, OneIsOnePath) { EXPECT_EQ(shares({1}).assurance(1), Assurance::one_qkd_path); }

TEST(QuantumSharesTest, SeveralOverOnePathAreOnePath) {
  EXPECT_EQ(shares({1, 1}).assurance(2), Assurance::one_qkd_path);
  EXPECT_EQ(shares({1, 2, 1}).assurance(3), Assurance::one_qkd_path);
}

TEST(QuantumSharesTest, SeveralOverDifferentPathsAreDisjoint) {
  EXPECT_EQ(shares({1, 2}).assurance(2), Assurance::disjoint_qkd_paths);
  EXPECT_EQ(shares({1, 2, 3, 4}).assurance(4), Assurance::disjoint_qkd_paths);
}

TEST(QuantumSharesTest, FewerUsedThanTakenIsNotDisjoint) {
  EXPECT_EQ(shares({1, 2}).assurance(1), Assurance::one_qkd_path);
  EXPECT_EQ(shares({1, 2, 3}).assurance(2), Assurance::one_qkd_path);
  EXPECT_EQ(shares({1, 1, 2}).assurance(2), Assurance::one_qkd_path) << "the two that were used may be those of path 1";
}

TEST(QuantumSharesTest, KeyThatTravelledWithoutASiteKeyMakesNoQuantumClaim) {
  QuantumShares mixed = shares({1, 2});
  mixed.quantum_grade = false;
  EXPECT_EQ(mixed.assurance(1), Assurance::pqc);
  EXPECT_EQ(mixed.assurance(2), Assurance::pqc);
}

TEST(QuantumSharesTest, ThePoolIsFilledWithWhatACallTakesUnderTheTermsInForce) {
  for (const std::int64_t paths : {1, 2, 3}) {
    for (const std::int64_t of_one_path : {1, 2}) {
      Terms terms;
      terms.quantum_paths = paths;
      terms.quantum_shares = of_one_path;
      Situation at;
      at.granted = Assurance::disjoint_qkd_paths;
      at.policy.paths = paths;
      at.policy.shares = of_one_path;
      at.live.qkm = true;
      const Choice choice = choose(at);
      ASSERT_EQ(choice.source, Source::quantum_and_pqc);
      EXPECT_EQ(lot_under(terms), (QuantumPool::Lot{.keys = choice.shares, .paths = choice.paths})) << paths << ", " << of_one_path;
    }
  }
}

}  // namespace
}  // namespace qanat::kms
