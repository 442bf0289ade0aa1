// Steps 4–7, 10 and 11 at a KMS: a terminal applies for a working key and gets it.
#pragma once

#include "node/node.hpp"
#include "node/senders.hpp"
#include "node/steps.hpp"
#include "services/kms/kma/access.hpp"
#include "services/kms/kma/agreement.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kma/reporter.hpp"
#include "services/kms/kp/terminals.hpp"
#include "services/kms/settings.hpp"

namespace qanat::kms {

class Application {
 public:
  Application(node::Node& node, store::Store& store, Ledger& ledger, Agreement& agreement, Access& access, Reporter& reporter, node::StepTrace& trace,
              const KmsSettings& settings)
      : node_(node), store_(store), ledger_(ledger), agreement_(agreement), access_(access), reporter_(reporter), trace_(trace), settings_(settings) {}

  /// km1_application: KeyRequest → KeyDeliver. Every refusal is in the audit record before it is answered.
  Result<net::Response> apply(const net::Request& request);
  /// km1_ack: the terminal has the key (or could not open it); the KMS destroys its copy.
  Result<net::Response> acknowledge(const net::Request& request);

 private:
  using Request = wire::Framed<wire::KeyRequest>;

  Result<net::Response> granted(const net::Request& http, const Request& request);
  Result<Terminal> authenticate(const net::Request& http, const Request& request);
  Result<Terminal> terminal_of(const net::Request& http, const Uid& uid);
  Result<void> check_envelope(const Request& request, const Terminal& terminal) const;
  Result<void> remember(const Request& request);
  Result<StoredKey> leg_for(const net::Request& http, const Request& request, const Terminal& terminal);
  Result<void> draw_local(const Request& request, const Terminal& caller, const Terminal& callee, const std::string& request_id);
  Result<wire::Framed<wire::KeyDeliver>> deliver(const Request& request, const Terminal& terminal, const StoredKey& leg, Bytes token);

  node::Node& node_;
  store::Store& store_;
  Ledger& ledger_;
  Agreement& agreement_;
  Access& access_;
  Reporter& reporter_;
  node::StepTrace& trace_;
  const KmsSettings& settings_;
};

}  // namespace qanat::kms
