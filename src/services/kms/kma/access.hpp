// Step 6: is this terminal allowed to apply? Its access token from earlier if it still holds, otherwise a new one from IAM.
#pragma once

#include "node/node.hpp"
#include "node/senders.hpp"
#include "services/kms/kp/terminals.hpp"
#include "store/store.hpp"

namespace qanat::kms {

class Access {
 public:
  Access(node::Node& node, store::Store& store, node::SenderDirectory& senders) : node_(node), store_(store), senders_(senders) {}

  struct Granted {
    Bytes token;  // a new one to deliver; empty if the one that `token_ref` names still holds
    wire::Assurance level_max = wire::Assurance::local_rng;
  };
  /// denied if IAM refuses, or has ended the subject's epoch since it issued the token; unavailable if it cannot be asked.
  Result<Granted> token_for(const Terminal& terminal, const wire::Fingerprints& fps, ByteView token_ref, Deadline deadline, const std::string& request_id);

  /// Pm-1, from IAM: the subject's tokens of earlier epochs are void, and none that is held here counts any more. The same again changes nothing.
  Result<net::Response> revoked(const net::Request& request);

 private:
  Result<std::optional<Granted>> still_holds(const Uid& uid, ByteView token_ref);

  node::Node& node_;
  store::Store& store_;
  node::SenderDirectory& senders_;
};

}  // namespace qanat::kms
