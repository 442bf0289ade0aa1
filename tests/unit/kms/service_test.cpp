// The KMS as a whole, as far as it goes without other elements.
#include "services/kms/service.hpp"

#include "trusted_network.hpp"

namespace qanat::kms {
namespace {

using points::Endpoint;
using test::identity;
using test::must;

const Identity kms_a = identity("qanat://a/kms/kms-a");
const Identity terminal_a = identity("qanat://a/app1/A");

class KmsServiceTest : public testing::Test {
 protected:
  KmsSettings settings() {
    const std::filesystem::path site_key = folder_ / "site.key";
    std::ofstream(site_key) << std::string(64, 'a');
    std::filesystem::permissions(site_key, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    KmsSettings out;
    out.site_key = site_key;
    return out;
  }
  test::TemporaryDirectory folder_;
};

TEST_F(KmsServiceTest, ProfileV1IsRefusedUnlessItIsSwitchedOn) {
  test::TrustedNetwork network;
  const auto node = network.open_node(kms_a, {});
  const auto service = must(KmsService::open(*node, settings()));
  const auto answer = test::handler_of(service->handlers(), Endpoint::km1_application_v1)(test::request_from(terminal_a, to_bytes("anything")));
  EXPECT_EQ(test::refusal(answer), ErrorCode::denied);
  EXPECT_EQ(answer.error().message, "profile v1 is off");
  EXPECT_TRUE(test::audited(network.state_of(kms_a), "profile v1 is off"));
  EXPECT_TRUE(test::audited(network.state_of(kms_a), terminal_a.uri()));
}

TEST_F(KmsServiceTest, ProfileV1SwitchedOnReadsTheMessage) {
  test::TrustedNetwork network;
  const auto node = network.open_node(kms_a, {});
  KmsSettings with_v1 = settings();
  with_v1.profile_v1 = true;
  const auto service = must(KmsService::open(*node, std::move(with_v1)));
  const auto answer = test::handler_of(service->handlers(), Endpoint::km1_application_v1)(test::request_from(terminal_a, to_bytes("anything")));
  EXPECT_EQ(test::refusal(answer), ErrorCode::invalid_argument);
}

TEST_F(KmsServiceTest, ThereIsNoProfileV1InTheInternationalSuite) {
  test::TrustedNetwork network(crypto::SuiteId::intl_hybrid);
  const auto node = network.open_node(kms_a, {});
  EXPECT_TRUE(KmsService::open(*node, settings()));
  KmsSettings with_v1 = settings();
  with_v1.profile_v1 = true;
  const auto service = KmsService::open(*node, std::move(with_v1));
  EXPECT_EQ(test::refusal(service), ErrorCode::invalid_argument);
  EXPECT_NE(service.error().message.find("kms.profile_v1"), std::string::npos) << service.error().message;
}

TEST_F(KmsServiceTest, DoesNotOpenWithoutItsSiteKey) {
  test::TrustedNetwork network;
  const auto node = network.open_node(kms_a, {});
  KmsSettings without = settings();
  without.site_key = folder_ / "none.key";
  EXPECT_FALSE(KmsService::open(*node, std::move(without)));
}

}  // namespace
}  // namespace qanat::kms
