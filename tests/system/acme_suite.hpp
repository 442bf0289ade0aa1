// What the suites of ACME at the real CAS share: subjects, registrations, and where the server is.
#pragma once

#include "registered_network.hpp"
#include "services/cas/ceis/own_server.hpp"
#include "wire/json.hpp"

namespace qanat::test {

class AcmeNetwork : public RegisteredNetwork {
 protected:
  static std::string base() { return "https://localhost:" + std::to_string((*net().network().element("cas"))->enrolment_port); }
  static std::string directory() { return base() + "/acme/directory"; }
  /// The CA of the certificate that the listener shows to clients of classical TLS.
  static std::filesystem::path device_ca() { return net().network().trust() / cas::device_ca_file; }
  /// It, and the root of the ML-DSA branch.
  static std::filesystem::path all_roots() { return net().network().trust() / cas::enrolment_roots_file; }

  /// Enters a subject at IAM and registers it for these names.
  static Registered registered(const std::string& uid, const std::vector<std::string>& dns, bool four_eyes = false) {
    wire::Json names = wire::Json::array();
    for (const std::string& name : dns) names.push(name);
    wire::Json more = wire::Json::object({{"dns", names}});
    if (four_eyes) more.set("four_eyes", true);
    return RegisteredNetwork::registered(uid, "server", more);
  }
};

}  // namespace qanat::test
