// An element whose master key is in an SDF device: it runs with the device, and does not start without it. In both suites.
#include "sdf/sdf_folder.hpp"
#include "trusted_network.hpp"

namespace qanat::node {
namespace {

class ElementWithSdfTest : public testing::TestWithParam<crypto::SuiteId> {
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
  [[nodiscard]] std::filesystem::path wrapped() const { return sdf_.file("kms-b.master"); }

  test::SdfFolder sdf_;
  test::TrustedNetwork net_{GetParam()};
};

TEST_P(ElementWithSdfTest, KeepsItsKeysUnderTheDeviceAlone) {
  std::vector<audit::LogKey> keys;
  {
    const auto node = test::must(open(test::SdfFolder::settings()));
    EXPECT_EQ(node->device().kind(), "sdf");
    keys = node->checkpoints().signer().keys();
  }
  EXPECT_TRUE(std::filesystem::exists(wrapped()));
  EXPECT_EQ(test::must(open(test::SdfFolder::settings()))->checkpoints().signer().keys(), keys) << "what it sealed, it opens again";
}

TEST_P(ElementWithSdfTest, DoesNotStartWithoutItsDeviceNorUnderAnotherKek) {
  test::must(open(test::SdfFolder::settings()));
  sdf_.go_away();
  EXPECT_EQ(test::refusal(open(test::SdfFolder::settings())), ErrorCode::internal);
  sdf_.come_back();
  sdf_.make_kek(1, 'x');
  EXPECT_EQ(test::refusal(open(test::SdfFolder::settings())), ErrorCode::denied);
  sdf_.make_kek(1, 'a');
  EXPECT_EQ(test::refusal(open(std::nullopt)), ErrorCode::invalid_argument) << "what the device wrapped is no software device's key";
  EXPECT_TRUE(open(test::SdfFolder::settings()));
}

TEST_P(ElementWithSdfTest, WithTheWrappedKeysLostItDoesNotStartOverWhatTheySealed) {
  test::must(open(test::SdfFolder::settings()));
  std::filesystem::remove(wrapped());
  EXPECT_EQ(test::refusal(open(test::SdfFolder::settings())), ErrorCode::denied);
}

INSTANTIATE_TEST_SUITE_P(Suites, ElementWithSdfTest, testing::Values(crypto::SuiteId::gm_hybrid, crypto::SuiteId::intl_hybrid),
                         [](const auto& suite) { return suite.param == crypto::SuiteId::gm_hybrid ? "Gm" : "Intl"; });

}  // namespace
}  // namespace qanat::node
