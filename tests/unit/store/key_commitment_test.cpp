// What stays of a destroyed key. Known answers: tests/vectors/keys/commitment.py.
#include "store/key_commitment.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace qanat::store {
namespace {

Bytes counting(std::size_t size) {
  Bytes out(size);
  std::iota(out.begin(), out.end(), std::uint8_t{0});
  return out;
}

TEST(KeyCommitmentTest, HasTheKnownAnswers) {
  Bytes id = counting(16);
  id.push_back(1);
  EXPECT_EQ(to_hex(key_commitment(KeyKind::working, id, Secret::copy_of(counting(32)))), "58f2ce8c09fc293414e79312e1b487f1b343817cf10128867ff55ebb7bcc1b6e");
  EXPECT_EQ(to_hex(key_commitment(KeyKind::link, Bytes(16, 0xaa), Secret::copy_of(Bytes(16, 0x55)))),
            "e4de486cc5fa55b74bf1db6ea55351287ffd396225a981faa7e7e3e9723085db");
}

TEST(KeyCommitmentTest, IsOfThisKeyThisNameAndThisKindAlone) {
  const Bytes id(16, 1);
  const Bytes one = key_commitment(KeyKind::working, id, Secret::copy_of(counting(32)));
  EXPECT_EQ(one.size(), key_commitment_size);
  Bytes other_octets = counting(32);
  other_octets.back() ^= 1U;
  EXPECT_NE(key_commitment(KeyKind::working, id, Secret::copy_of(other_octets)), one);
  EXPECT_NE(key_commitment(KeyKind::working, Bytes(16, 2), Secret::copy_of(counting(32))), one);
  EXPECT_NE(key_commitment(KeyKind::data, id, Secret::copy_of(counting(32))), one);
}

}  // namespace
}  // namespace qanat::store
