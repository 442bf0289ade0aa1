// What the suites of ACME at the real CAS share: subjects, registrations, and where the server is.
#pragma once

#include "services/cas/ceis/own_server.hpp"
#include "test_network.hpp"
#include "wire/json.hpp"

namespace qanat::test {

class AcmeNetwork : public SharedNetwork {
 protected:
  struct Registered {
    std::string reference;
    std::string secret;
  };

  static void SetUpTestSuite() {
    options_.optics = false;
    SharedNetwork::SetUpTestSuite();
  }
  static std::string base() { return "https://localhost:" + std::to_string((*net().network().element("cas"))->enrolment_port); }
  static std::string directory() { return base() + "/acme/directory"; }
  /// The CA of the certificate that the listener shows to clients of classical TLS.
  static std::filesystem::path device_ca() { return net().network().trust() / cas::device_ca_file; }
  /// It, and the root of the ML-DSA branch.
  static std::filesystem::path all_roots() { return net().network().trust() / cas::enrolment_roots_file; }

  /// Enters a subject at IAM and registers it for these names.
  static Registered registered(const std::string& uid, const std::vector<std::string>& dns, bool four_eyes = false) {
    using wire::Json;
    const Json box = Json::object({{"uid", uid}, {"class", "application"}, {"domain", "a"}});
    const auto entered = net().op().ask(points::Endpoint::x5_identity, "iam", Json::object({{"op", "create"}, {"identity", box}}));
    EXPECT_TRUE(entered) << (entered ? "" : entered.error().message);
    Json names = Json::array();
    for (const std::string& name : dns) names.push(name);
    Json create = Json::object({{"op", "create"}, {"subject", uid}, {"profile", "server"}, {"dns", names}});
    if (four_eyes) create.set("four_eyes", true);
    const auto made = net().op().ask(points::Endpoint::x5_registration, "cas", create);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    if (!made) return {};
    return {.reference = made->text("reference").value(), .secret = made->text("secret").value()};
  }
};

}  // namespace qanat::test
