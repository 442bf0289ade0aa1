// IAM: identities (IDM), privileges (UPM) and behaviour (UBA) behind Id-1 … Id-3, Pm-1 … Pm-3, Ua-1 … Ua-3 and the extension rows.
#pragma once

#include <memory>

#include "node/audit_witness.hpp"
#include "node/node.hpp"
#include "node/recorded.hpp"
#include "services/iam/idm/identity_front.hpp"
#include "services/iam/idm/subscribers.hpp"
#include "services/iam/settings.hpp"
#include "services/iam/uba/behaviour_front.hpp"
#include "services/iam/upm/privilege_front.hpp"

namespace qanat::iam {

class IamService {
 public:
  static Result<std::unique_ptr<IamService>> open(node::Node& node, IamSettings settings);
  /// The same with another way to other elements than the network.
  static Result<std::unique_ptr<IamService>> open(node::Node& node, IamSettings settings, SendLetter send);
  std::vector<points::Handler> handlers();
  /// Begins to send what waits for other elements.
  void start() { outbox_.start(); }
  void stop();
  /// Of the listener for software of others; 0 without one.
  [[nodiscard]] std::uint16_t web_port() const noexcept { return web_ ? web_->port() : std::uint16_t{0}; }
  [[nodiscard]] Outbox& outbox() noexcept { return outbox_; }

 private:
  IamService(node::Node& node, IamSettings settings, std::unique_ptr<store::Store> store, SendLetter send);
  Result<void> found();
  Result<void> tell_revoked(store::Transaction& transaction, const std::string& subject, std::int64_t epoch);

  Result<net::Response> enrolment(const net::Request& request, node::Deed& deed);
  Result<net::Response> identity(const net::Request& request, node::Deed& deed);
  Result<net::Response> administer(const net::Request& request, node::Deed& deed);
  Result<net::Response> create(const wire::Json& json, const Uid& uid);
  Result<net::Response> look_up(const net::Request& request, node::Deed& deed);
  Result<net::Response> token(const net::Request& request, node::Deed& deed);

  node::Node& node_;
  const IamSettings settings_;
  const std::unique_ptr<store::Store> store_;
  Outbox outbox_;
  IdentityRegister identities_;
  Subscribers subscribers_;
  Privileges privileges_;
  Desk desk_;
  IdentityFront identity_front_;
  std::optional<AccessTokens> tokens_;  // set by open()
  std::optional<PrivilegeFront> privilege_front_;
  Behaviour behaviour_;
  Anomalies anomalies_;
  BehaviourFront behaviour_front_;
  node::AuditWitness witness_;
  std::unique_ptr<WebFront> web_;  // last: its threads work on what is above
};

}  // namespace qanat::iam
