// An element whose master key is in a PKCS#11 token: it runs with the token, and does not start without it.
#include "softhsm.hpp"
#include "trusted_network.hpp"

namespace qanat::node {
namespace {

const Identity kms_b = test::identity("qanat://b/kms/kms-b");

class ElementWithTokenTest : public testing::Test {
 protected:
  ElementWithTokenTest() { hsm_.make_token("kms-b"); }
  ~ElementWithTokenTest() override { hsm_.delete_token("kms-b"); }
  Result<std::unique_ptr<Node>> open(std::optional<crypto::Pkcs11Settings> token) {
    Settings settings;
    settings.identity = kms_b;
    settings.state = net_.state_of(kms_b);
    settings.trust = net_.trust();
    settings.master_key = settings.state.string() + ".master";
    settings.device = std::move(token);
    settings.suite = &net_.suite();
    return Node::open(std::move(settings));
  }

  test::SoftHsm& hsm_ = test::SoftHsm::instance();
  test::TrustedNetwork net_;
};

TEST_F(ElementWithTokenTest, KeepsItsKeysUnderTheTokenAndMakesNoMasterKeyFile) {
  std::vector<audit::LogKey> keys;
  {
    const auto node = test::must(open(hsm_.settings("kms-b")));
    EXPECT_EQ(node->device().kind(), "pkcs11");
    keys = node->checkpoints().signer().keys();
  }
  EXPECT_FALSE(std::filesystem::exists(net_.state_of(kms_b).string() + ".master"));
  EXPECT_EQ(test::must(open(hsm_.settings("kms-b")))->checkpoints().signer().keys(), keys) << "what it sealed, it opens again";
}

TEST_F(ElementWithTokenTest, DoesNotStartWithoutItsTokenNorUnderAnotherDevice) {
  test::must(open(hsm_.settings("kms-b")));
  EXPECT_EQ(test::refusal(open(hsm_.settings("gone"))), ErrorCode::not_found);
  EXPECT_EQ(test::refusal(open(std::nullopt)), ErrorCode::denied) << "the software device does not open what the token sealed";
  crypto::Pkcs11Settings wrong = hsm_.settings("kms-b");
  wrong.pin_file = hsm_.file("wrong");
  hsm_.write_pin(wrong.pin_file, "000000");
  EXPECT_EQ(test::refusal(open(wrong)), ErrorCode::denied);
  EXPECT_TRUE(open(hsm_.settings("kms-b")));
}

}  // namespace
}  // namespace qanat::node
