// What a KMS does by itself at reference points where a test could as well ask in its name: it tells IAM of its subscribers' behaviour (Ua-1), and holds its
// terminals against CAS's revocation lists (Cd-1).
#include <fstream>

#include "point_test.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using wire::Json;

/// CAS's notices do not reach kms-a: what it learns of a revocation, it has from the lists.
class KmsRounds : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    app::NetworkOptions options;
    options.optics = false;  // no quantum keys are needed: calls within a domain
    network_ = std::make_unique<TestNetwork>(options, QANAT_PROGRAM, [](const app::Network& network) {
      replace_in(network.config_of("kms-a"), "[kms]\n", "[kms]\nrevocation_lists_every_s = 1\n");
      const app::ElementPlan& kms = **network.element("kms-a");
      const std::string peer = "[peers.kms-a]\nidentity = \"" + kms.identity.uri() + "\"\nport = ";
      const std::uint16_t nobody = app::free_ports(1).value().front();
      replace_in(network.config_of("cas"), peer + std::to_string(kms.port), peer + std::to_string(nobody));
    });
    if (!network_->ok()) return;
    for (const char* uid : {"A", "C"}) network_->enrol(uid);
    auto auditor = app::Operator::open(network_->network(), "auditor");
    ASSERT_TRUE(auditor) << auditor.error().message;
    auditor_ = *std::move(auditor);
  }
  static void TearDownTestSuite() {
    auditor_.reset();
    network_.reset();
  }
  void SetUp() override { ASSERT_TRUE(network_ && network_->ok() && auditor_); }

  static void replace_in(const std::filesystem::path& file, const std::string& from, const std::string& to) {
    std::ifstream in(file, std::ios::binary);
    std::string text(std::istreambuf_iterator<char>(in), {});
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
  }
  /// Whether IAM has such a record about the subscriber, from kms-a.
  static bool told(const std::string& about, const std::string& action, const std::string& outcome) {
    const auto answer = auditor_->ask(points::Endpoint::x5_behaviour, "iam", Json::object({{"op", "query"}, {"uid", about}, {"action", action}}));
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    const auto records = answer ? answer->array("records") : Result<std::vector<Json>>(fail(answer.error()));
    return records && std::ranges::any_of(*records, [&](const Json& one) {
             return one.text("reporter").value_or("") == "kms-a" && one.text("outcome").value_or("") == outcome;
           });
  }

  static inline std::unique_ptr<TestNetwork> network_;
  static inline std::unique_ptr<app::Operator> auditor_;
};

POINT_TEST(KmsRounds, Ua_1, accepts, WhatAKmsTellsByItselfOfAnApplicationThatItServedAndOfOneThatItRefused) {
  EXPECT_FALSE(told("A", "application", "delivered"));
  EXPECT_TRUE(network_->apply("A", "C").agree());
  for (const char* uid : {"A", "C"}) {
    TestNetwork::await("kms-a's word of the key that " + std::string(uid) + " got", [&] { return told(uid, "application", "delivered"); });
  }
  ASSERT_TRUE(network_->op().set_subscriber("A", "suspend"));
  TestNetwork::await("the refusal of A", [] { return !network_->apply("A", "C", std::chrono::seconds(3)).caller; });
  TestNetwork::await("kms-a's word of the refusal", [] { return told("A", "application", "refused"); });
  ASSERT_TRUE(network_->op().set_subscriber("A", "resume"));
}

POINT_TEST(KmsRounds, Cd_1, accepts, ARevocationThatAKmsFindsInTheListsThatItFetches) {
  EXPECT_TRUE(network_->audit("kms-a", "kp.purged").empty());
  ASSERT_TRUE(network_->op().revoke(Identity{.domain = "a", .kind = Kind::app1, .name = "C"}));
  TestNetwork::await(
      "kms-a to find C in a list", [] { return !network_->audit("kms-a", "kp.purged", "a revocation list has its certificate").empty(); },
      std::chrono::seconds(30));
  for (const Json& record : network_->audit("kms-a", "kp.purged")) EXPECT_EQ(record.text("subject").value_or(""), "C");
  EXPECT_TRUE(network_->audit("kms-a", "kp.purged", "its certificates are revoked").empty()) << "no notice came";
}

}  // namespace
}  // namespace qanat::test
