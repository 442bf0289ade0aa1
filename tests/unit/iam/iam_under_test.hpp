// An IAM without its connections, and the officers who administer it.
#pragma once

#include <map>

#include "services/iam/service.hpp"
#include "trusted_network.hpp"

namespace qanat::iam {

using points::Endpoint;
using test::identity;
using test::json_of;
using test::must;
using test::refusal;
using wire::Json;

inline const Identity core_iam = identity("qanat://core/iam/iam");
inline const Identity core_operator = identity("qanat://core/operator/operator");
inline const Identity core_administrator = identity("qanat://core/operator/administrator");
inline const Identity core_auditor = identity("qanat://core/operator/auditor");

class IamUnderTest : public testing::Test {
 protected:
  explicit IamUnderTest(const std::vector<Identity>& peers = {}) : node_(network_.open_node(core_iam, peers)) {}
  ~IamUnderTest() override {
    if (service_) service_->stop();
  }
  /// Again: as after a restart. Letters go to `send`.
  void open_service(IamSettings settings, SendLetter send = [](Endpoint, const std::string&, const Json&) -> Result<void> { return {}; }) {
    service_.reset();
    service_ = must(IamService::open(*node_, std::move(settings), std::move(send)));
  }

  /// The same one for each caller.
  const crypto::Certificate& certificate_of(const Identity& caller) {
    const auto found = certificates_.find(caller.uri());
    return found != certificates_.end() ? found->second : certificates_.emplace(caller.uri(), network_.credentials(caller).tls->chain.front()).first->second;
  }
  Result<net::Response> call(Endpoint endpoint, const Identity& caller, const Json& body) {
    return test::handler_of(service_->handlers(), endpoint)(test::request_from(caller, to_bytes(body.dump()), certificate_of(caller)));
  }
  static Json object(std::string_view text) { return must(Json::parse(text)); }
  Result<net::Response> identities(const Identity& caller, std::string_view body) { return call(Endpoint::x5_identity, caller, object(body)); }
  Result<net::Response> privileges(const Identity& caller, std::string_view body) { return call(Endpoint::x5_privilege, caller, object(body)); }
  /// Entered by the operator, with this thumbprint or none.
  void add(const std::string& uid, const std::string& of, const Bytes& thumbprint = {}, const std::string& domain = "core") {
    const std::string list = thumbprint.empty() ? "" : R"(,"certificates":[")" + to_hex(thumbprint) + R"("])";
    json_of(identities(core_operator,
                       R"({"op":"create","identity":{"uid":")" + uid + R"(","class":")" + of + R"(","domain":")" + domain + "\"" + list + "}}"));
  }
  /// Whoever shows this certificate at the listener for software of others.
  static WebCaller web_caller(const Bytes& thumbprint) {
    return {.thumbprint = thumbprint, .quantum_safe = true, .address = "192.0.2.1:5", .request_id = "r"};
  }
  bool audited(std::string_view text) { return test::audited(network_.state_of(core_iam), text); }

  test::TrustedNetwork network_;
  std::map<std::string, crypto::Certificate> certificates_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<IamService> service_;
};

}  // namespace qanat::iam
