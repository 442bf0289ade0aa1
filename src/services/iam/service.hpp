// IAM: identities (IDM), privileges (UPM) and behaviour (UBA) behind Id-1, Pm-1, Ua-1 and the extension rows.
#pragma once

#include <memory>

#include "node/audit_witness.hpp"
#include "node/node.hpp"
#include "node/recorded.hpp"
#include "services/iam/idm/subscribers.hpp"
#include "services/iam/settings.hpp"
#include "services/iam/uba/behaviour.hpp"

namespace qanat::iam {

class IamService {
 public:
  static Result<std::unique_ptr<IamService>> open(node::Node& node, IamSettings settings);
  std::vector<points::Handler> handlers();

 private:
  IamService(node::Node& node, IamSettings settings, std::unique_ptr<store::Store> store);

  Result<net::Response> enrolment(const net::Request& request, node::Deed& deed);
  Result<net::Response> administer(const net::Request& request, node::Deed& deed);
  Result<net::Response> create(const wire::Json& json, const Uid& uid);
  Result<net::Response> look_up(const net::Request& request, node::Deed& deed);
  Result<net::Response> token(const net::Request& request, node::Deed& deed);
  Result<net::Response> record(const net::Request& request, node::Deed& deed);

  node::Node& node_;
  const IamSettings settings_;
  const std::unique_ptr<store::Store> store_;
  Subscribers subscribers_;
  Behaviour behaviour_;
  node::AuditWitness witness_;
};

}  // namespace qanat::iam
