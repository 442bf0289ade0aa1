// What an element says about its device: in the health answer, and on the audit record when it changes.
#include "node/device_record.hpp"

#include "sdf/sdf_folder.hpp"
#include "skf/skf_folder.hpp"
#include "trusted_network.hpp"

namespace qanat::node {
namespace {

class ElementWithDevicesTest : public testing::Test {
 protected:
  Result<std::unique_ptr<Node>> open(std::optional<crypto::DeviceSettings> device) {
    Settings settings;
    settings.identity = test::identity("qanat://b/kms/kms-b");
    settings.state = net_.state_of(settings.identity);
    settings.trust = net_.trust();
    settings.master_key = wrapped();
    settings.device = std::move(device);
    settings.suite = &net_.suite();
    return Node::open(std::move(settings));
  }
  [[nodiscard]] std::filesystem::path wrapped() const { return skf_.file("kms-b.master"); }
  [[nodiscard]] crypto::PairSettings pair() const {
    return {.members = {crypto::PairMember{.device = test::SdfFolder::settings(), .file = sdf_.file("kms-b.sdf")},
                        crypto::PairMember{.device = skf_.settings(), .file = skf_.file("kms-b.skf")}},
            .retry_after = std::chrono::milliseconds(0)};
  }
  /// The lines of the record about the device.
  [[nodiscard]] std::vector<std::string> recorded() const {
    std::ifstream in(net_.state_of(test::identity("qanat://b/kms/kms-b")) / "audit.jsonl");
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);) {
      if (line.contains("device.state")) out.push_back(line);
    }
    return out;
  }
  static Bytes seal(Node& node) { return test::must(node.device().seal(as_bytes("row 1"), node.rng().secret(32))); }

  test::SdfFolder sdf_;
  test::SkfFolder skf_;
  test::TrustedNetwork net_;
};

TEST_F(ElementWithDevicesTest, KeepsItsKeysUnderAnSkfDeviceAloneAndDoesNotStartWithoutIt) {
  std::vector<audit::LogKey> keys;
  {
    const auto node = test::must(open(skf_.settings()));
    EXPECT_EQ(node->device().kind(), "skf");
    keys = node->checkpoints().signer().keys();
  }
  EXPECT_EQ(test::must(open(skf_.settings()))->checkpoints().signer().keys(), keys) << "what it sealed, it opens again";
  skf_.go_away();
  EXPECT_FALSE(open(skf_.settings()));
  skf_.come_back();
  EXPECT_EQ(test::refusal(open(std::nullopt)), ErrorCode::invalid_argument) << "what the device wrapped is no software device's key";
  EXPECT_TRUE(open(skf_.settings()));
}

TEST_F(ElementWithDevicesTest, WhatWasSealedWhileOneDeviceWasAwayIsSealedForBothAtTheNextStartWithBoth) {
  const auto keys_at_a_start = [&] { return test::must(open(pair()))->checkpoints().signer().keys(); };
  skf_.go_away();
  const std::vector<audit::LogKey> keys = keys_at_a_start();
  skf_.come_back();
  EXPECT_EQ(keys_at_a_start(), keys);
  // The one that had sealed them breaks, and another is put in its place; later the other one breaks.
  std::filesystem::remove(sdf_.file("kms-b.sdf"));
  EXPECT_EQ(keys_at_a_start(), keys) << "the one that was away opens them";
  std::filesystem::remove(skf_.file("kms-b.skf"));
  EXPECT_EQ(keys_at_a_start(), keys) << "and so does the one that was put in";
}

TEST_F(ElementWithDevicesTest, RecordsWhenOneOfItsTwoDevicesGoesAndComes) {
  const auto node = test::must(open(pair()));
  EXPECT_TRUE(recorded().empty()) << "all is well";
  sdf_.go_away();
  (void)seal(*node);
  ASSERT_EQ(recorded().size(), 1U) << "on record before the call was answered";
  EXPECT_TRUE(recorded()[0].contains("pair (sdf failed, skf ok)")) << recorded()[0];
  EXPECT_TRUE(recorded()[0].contains("SDF_OpenDevice")) << recorded()[0];
  (void)seal(*node);
  EXPECT_EQ(recorded().size(), 1U) << "a change is recorded, not a state";
  sdf_.come_back();
  (void)seal(*node);
  ASSERT_EQ(recorded().size(), 2U);
  EXPECT_TRUE(recorded()[1].contains("pair (sdf ok, skf ok)")) << recorded()[1];
}

TEST_F(ElementWithDevicesTest, RecordsThatItStartsOnOneDeviceAlone) {
  test::must(open(pair()));
  skf_.go_away();
  const auto node = test::must(open(pair()));
  ASSERT_EQ(recorded().size(), 1U);
  EXPECT_TRUE(recorded()[0].contains("pair (sdf ok, skf failed)")) << recorded()[0];
  skf_.come_back();
}

TEST(DeviceJsonTest, SaysWhichOfTheTwoIsDownAndWhy) {
  using crypto::DeviceState;
  const crypto::DeviceHealth alone{.device = "sdf", .state = DeviceState::ok, .last_error = "", .members = {}, .sealed_by_one = 0};
  EXPECT_EQ(device_json(alone).dump(), R"({"kind":"sdf","state":"ok"})");
  const crypto::DeviceHealth gone{.device = "skf", .state = DeviceState::failed, .last_error = "SAR_DEVICE_REMOVED", .members = {}, .sealed_by_one = 0};
  const crypto::DeviceHealth both{
      .device = "pair", .state = DeviceState::degraded, .last_error = "skf: SAR_DEVICE_REMOVED", .members = {alone, gone}, .sealed_by_one = 7};
  EXPECT_EQ(device_json(both).dump(), R"({"kind":"pair","state":"degraded","last_error":"skf: SAR_DEVICE_REMOVED","sealed_by_one":7,)"
                                      R"("members":[{"kind":"sdf","state":"ok"},{"kind":"skf","state":"failed","last_error":"SAR_DEVICE_REMOVED"}]})");
}

}  // namespace
}  // namespace qanat::node
