// Step 6: is this terminal allowed to apply? Its access token from earlier if it still holds, otherwise a new one from IAM; and, once the other end is known,
// whether its grants reach to that domain.
#pragma once

#include "node/node.hpp"
#include "node/senders.hpp"
#include "services/kms/kp/terminals.hpp"
#include "store/store.hpp"

namespace qanat::kms {

/// Asks IAM.
using AskIam = std::function<Result<wire::Json>(points::Endpoint endpoint, const wire::Json& body, Deadline deadline, const std::string& request_id)>;

class Access {
 public:
  Access(node::Node& node, store::Store& store, node::SenderDirectory& senders);
  /// The same with another way to IAM than the network.
  Access(node::Node& node, store::Store& store, node::SenderDirectory& senders, AskIam ask);

  struct Granted {
    Bytes token;  // a new one to deliver; empty if the one that `token_ref` names still holds
    wire::Assurance level_max = wire::Assurance::local_rng;
    Bytes digest;  // of the token that it stands under
  };
  /// denied if IAM refuses, or has ended the subject's epoch since it issued the token; unavailable if it cannot be asked. A token that is held but does not
  /// reach up to `wanted` is not the last word: IAM is asked for another.
  Result<Granted> token_for(const Terminal& terminal, const wire::Fingerprints& fps, ByteView token_ref, wire::Assurance wanted, Deadline deadline,
                            const std::string& request_id);

  /// Up to which level the terminal may have keys with this domain, at least `wanted`: as IAM said in the life of the token, or says now. denied with IAM's
  /// reason; unavailable if IAM does not answer.
  Result<wire::Assurance> level_towards(const Terminal& terminal, const std::string& domain, wire::Assurance wanted, Deadline deadline,
                                        const std::string& request_id);

  /// Pm-1, from IAM: the subject's tokens of earlier epochs are void, and nothing that is held of it here counts any more. The same again changes nothing.
  /// The subject may be "class:terminal".
  Result<net::Response> revoked(const net::Request& request);

  // The parts of the above that ask nobody, for a transaction that has more to do.
  /// Nothing if token_for() would ask IAM.
  Result<std::optional<Granted>> still_holds(store::Transaction& transaction, const Uid& uid, ByteView token_ref, wire::Assurance wanted);
  /// Nothing if level_towards() would ask IAM.
  Result<std::optional<wire::Assurance>> known_level(store::Transaction& transaction, const Uid& uid, const std::string& domain, wire::Assurance wanted);
  /// False if the terminal does not hold this very token any more: what it was granted under was ended meanwhile, or another one has taken its place.
  static Result<bool> is_held(store::Transaction& transaction, const Uid& uid, ByteView digest, UnixMs now);
  /// By whichever token the terminal holds now, which another application may have brought; nothing if it holds none, or it does not reach up to `wanted`.
  static Result<std::optional<Granted>> held_now(store::Transaction& transaction, const Uid& uid, wire::Assurance wanted, UnixMs now);

 private:
  node::Node& node_;
  store::Store& store_;
  node::SenderDirectory& senders_;
  const AskIam ask_;
};

}  // namespace qanat::kms
