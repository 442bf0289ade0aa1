// CMSP: accounts and the location of callees (CAM) behind Ma-1 and Ma-2, the policy for the KMSs (CSO) behind Mo-2, what KMSs show of
// themselves (compliance) behind Mc-2, and the extension rows.
#pragma once

#include <functional>
#include <memory>

#include "node/audit_witness.hpp"
#include "node/node.hpp"
#include "node/recorded.hpp"
#include "node/senders.hpp"
#include "node/steps.hpp"
#include "services/cmsp/cam/accounts.hpp"
#include "services/cmsp/cam/directory.hpp"
#include "services/cmsp/cam/sessions.hpp"
#include "services/cmsp/compliance/evidence.hpp"
#include "services/cmsp/csm/notices.hpp"
#include "services/cmsp/cso/orchestrator.hpp"

namespace qanat::cmsp {

/// Hands a SessionNotify in its envelope to a KMS (Ma-2); a value when that one accepted it.
using NotifyKms = std::function<Result<void>(const ElementName& kms, ByteView envelope, const net::Request& request)>;

class CmspService {
 public:
  static Result<std::unique_ptr<CmspService>> open(node::Node& node);
  /// The same with another way to the KMSs than the network.
  static Result<std::unique_ptr<CmspService>> open(node::Node& node, NotifyKms notify);

  std::vector<points::Handler> handlers();

 private:
  CmspService(node::Node& node, NotifyKms notify, std::unique_ptr<store::Store> store);

  Result<net::Response> administer(const net::Request& request, node::Deed& deed);
  Result<net::Response> show_account(const net::Request& request, node::Deed& deed);
  Result<net::Response> enter_registration(const net::Request& request, node::Deed& deed);
  Result<net::Response> locate(const net::Request& request, node::Deed& deed);
  Result<net::Response> vouch(const net::Request& request, node::Deed& deed);
  Result<net::Response> take_notice(const net::Request& request, node::Deed& deed);
  Result<wire::Framed<wire::SessionOpen>> read_open(const net::Request& request);

  node::Node& node_;
  const NotifyKms notify_;
  const std::unique_ptr<store::Store> store_;
  Accounts accounts_;
  Directory directory_;
  Sessions sessions_;
  Notices notices_;
  Orchestrator orchestrator_;
  Evidence evidence_;
  node::SenderDirectory senders_;
  node::StepTrace steps_;
  node::AuditWitness witness_;
};

}  // namespace qanat::cmsp
