// What a KMS may say about the quantum keys under a working key.
#include <gtest/gtest.h>

#include "services/kms/kma/agreement.hpp"

namespace qanat::kms {
namespace {

using wire::Assurance;

/// Each over the path with this number, which has as many relays.
QuantumShares shares(const std::vector<std::uint8_t>& paths) {
  QuantumShares out;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    Bytes key_id(KeyId::size, 0);
    key_id.back() = static_cast<std::uint8_t>(i);
    out.refs.push_back({.path_id = PathId(Bytes(PathId::size, paths[i])), .key_id = KeyId(key_id)});
    out.keys.emplace_back(wire::wk_size);
    out.relays.push_back(paths[i]);
  }
  return out;
}

void expect(const RestsOn& on, Assurance assurance, int n_paths, int path_min) {
  EXPECT_EQ(on.assurance, assurance);
  EXPECT_EQ(int{on.n_paths}, n_paths);
  EXPECT_EQ(int{on.path_min}, path_min);
}

TEST(QuantumSharesTest, NoneUsedIsPqcAlone) {
  expect(rests_on(QuantumShares{}, {}), Assurance::pqc, 0, 0);
  expect(rests_on(shares({1, 2}), {}), Assurance::pqc, 0, 0);  // taken, but the other side had none of them
}

TEST(QuantumSharesTest, OneIsOnePath) { expect(rests_on(shares({5}), {0}), Assurance::one_qkd_path, 1, 5); }

TEST(QuantumSharesTest, SeveralOverOnePathAreOnePath) {
  expect(rests_on(shares({3, 3, 3, 3}), {0, 1, 2, 3}), Assurance::one_qkd_path, 1, 3);
  expect(rests_on(shares({1, 2, 1}), {0, 1, 2}), Assurance::one_qkd_path, 2, 1);
}

TEST(QuantumSharesTest, SeveralOverDifferentPathsAreDisjoint) {
  expect(rests_on(shares({2, 1}), {0, 1}), Assurance::disjoint_qkd_paths, 2, 1);
  expect(rests_on(shares({1, 2, 3, 4}), {0, 1, 2, 3}), Assurance::disjoint_qkd_paths, 4, 1);
}

TEST(QuantumSharesTest, WhatWasTakenAndNotUsedCountsForNothing) {
  expect(rests_on(shares({1, 2}), {1}), Assurance::one_qkd_path, 1, 2);
  expect(rests_on(shares({1, 2, 3}), {1, 2}), Assurance::disjoint_qkd_paths, 2, 2);
  expect(rests_on(shares({1, 1, 2}), {0, 1}), Assurance::one_qkd_path, 1, 1);
  expect(rests_on(shares({1, 1, 2}), {2, 0}), Assurance::disjoint_qkd_paths, 2, 1);
}

TEST(QuantumSharesTest, KeyThatTravelledWithoutASiteKeyMakesNoQuantumClaim) {
  QuantumShares mixed = shares({1, 2});
  mixed.quantum_grade = false;
  expect(rests_on(mixed, {0}), Assurance::pqc, 1, 1);
  expect(rests_on(mixed, {0, 1}), Assurance::pqc, 2, 1);
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
