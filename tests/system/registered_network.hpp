// A network in which software of others is registered, and two operators beside its own approve what it asks for.
#pragma once

#include "program.hpp"
#include "test_network.hpp"

namespace qanat::test {

class RegisteredNetwork : public SharedNetwork {
 protected:
  struct Registered {
    std::string reference;
    std::string secret;
  };

  static void SetUpTestSuite() {
    options_.optics = false;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* name : {"administrator", "auditor"}) {
      auto opened = app::Operator::open(net().network(), name);
      ASSERT_TRUE(opened) << opened.error().message;
      duties_[name] = *std::move(opened);
    }
  }
  static void TearDownTestSuite() {
    duties_.clear();
    SharedNetwork::TearDownTestSuite();
  }

  static wire::Json ask(app::Operator& op, points::Endpoint endpoint, const std::string& element, const wire::Json& body) {
    const auto answer = op.ask(endpoint, element, body);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message) << " " << body.dump();
    return answer.value_or(wire::Json::object());
  }
  static std::string text(const wire::Json& json, const char* key) {
    const auto found = json.text(key);
    EXPECT_TRUE(found) << json.dump();
    return found.value_or("");
  }
  /// A new identity of IAM's register with a registration of this profile, both named so. `more`: members of the registration.
  static Registered registered(const std::string& uid, const std::string& profile, wire::Json more = wire::Json::object()) {
    using wire::Json;
    const Json identity = Json::object({{"uid", uid}, {"class", "application"}, {"domain", "a"}});
    ask(net().op(), points::Endpoint::x5_identity, "iam", Json::object({{"op", "create"}, {"identity", identity}}));
    more.set("op", "create").set("subject", uid).set("profile", profile);
    const Json made = ask(net().op(), points::Endpoint::x5_registration, "cas", more);
    return {.reference = text(made, "reference"), .secret = text(made, "secret")};
  }

  /// OpenSSL 3.5; the distribution's has no ML-DSA.
  static std::string openssl(const std::string& arguments) { return "env OPENSSL_CONF=/dev/null " QANAT_SOURCE_DIR "/.deps/openssl/bin/openssl " + arguments; }

  inline static std::map<std::string, std::unique_ptr<app::Operator>> duties_;
};

}  // namespace qanat::test
