// Who signed a message: the sender's two certificates checked (chain, validity, status, one identity) and its verifying key kept parsed.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "crypto/hybrid_sign.hpp"
#include "node/node.hpp"
#include "wire/envelope.hpp"

namespace qanat::node {

struct Sender {
  crypto::Certificate classical;
  crypto::Certificate ml_dsa;
  wire::Fingerprints fps;
  crypto::Verifier verifier;
};

class SenderDirectory {
 public:
  explicit SenderDirectory(Node& node) : node_(node) {}

  /// The sender with these certificates if both are good now and both name `expected`; denied otherwise. Parsed keys are cached by
  /// fingerprint, the status is asked each time (and cached by the status checker while fresh).
  Result<std::shared_ptr<const Sender>> check(ByteView classical_der, ByteView ml_dsa_der, const Identity& expected, Deadline deadline);

 private:
  Node& node_;
  std::mutex mutex_;
  std::map<Bytes, std::shared_ptr<const Sender>> known_;  // by both fingerprints; shared with requests that run
};

/// A signed message of this element with its certificates around it.
Bytes enclose(const MessageSigner& signer, Bytes message);

}  // namespace qanat::node
