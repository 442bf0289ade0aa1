#include "crypto/random_sample.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/kdf.hpp"
#include "crypto/self_test.hpp"
#include "temporary_directory.hpp"

namespace qanat::crypto {
namespace {

TEST(RandomSampleTest, SaysWhatIsInTheOctets) {
  const Bytes octets{7, 7, 7, 1, 7, 2};
  const RandomSample sample = describe_sample(octets);
  EXPECT_EQ(sample.octets, 6U);
  EXPECT_EQ(sample.sha256, digest(Hash::sha256, octets));
  EXPECT_EQ(sample.longest_run, 3U);
  EXPECT_EQ(sample.most_frequent, 4U);
  EXPECT_TRUE(sample.healthy);
}

TEST(RandomSampleTest, OctetsThatStandStillAreNotHealthyNorAreNone) {
  const RandomSample still = describe_sample(Bytes(64, 9));
  EXPECT_FALSE(still.healthy);
  EXPECT_EQ(still.longest_run, 64U);
  EXPECT_FALSE(describe_sample({}).healthy);
}

TEST(RandomSampleTest, ADeviceGivesAnotherOneEachTime) {
  const test::TemporaryDirectory folder;
  const auto rng = open_rng().value();
  const auto device = open_software_device(folder / "master", *rng).value();
  const RandomSample first = sample_random(*device).value();
  EXPECT_EQ(first.octets, random_sample_octets);
  EXPECT_TRUE(first.healthy);
  EXPECT_NE(sample_random(*device).value().sha256, first.sha256);
}

TEST(SelfTestNamesTest, NamesEachPrimitiveOnce) {
  auto names = self_tested_primitives();
  EXPECT_GE(names.size(), 10U);
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

}  // namespace
}  // namespace qanat::crypto
