#include "node/senders.hpp"

#include "crypto/kdf.hpp"

namespace qanat::node {
namespace {

constexpr std::size_t senders_max = 4096;  // elements of a network; one is forgotten beyond this and parsed again when met

Result<void> must_name(const crypto::Certificate& cert, const Identity& expected) {
  if (cert.names().element == expected) return {};
  return fail(ErrorCode::denied, "certificate of " + cert.subject() + " is not " + expected.uri() + "'s");
}

}  // namespace

Result<std::shared_ptr<const Sender>> SenderDirectory::check(ByteView classical_der, ByteView ml_dsa_der, const Identity& expected, Deadline deadline) {
  const crypto::Hash hash = node_.suite().hash;
  const Bytes key = concat({crypto::digest(hash, classical_der), crypto::digest(hash, ml_dsa_der)});
  std::shared_ptr<const Sender> sender;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(key); found != known_.end()) sender = found->second;
  }
  if (!sender) {
    ASSIGN_OR_RETURN(const crypto::Certificate classical, crypto::Certificate::parse(classical_der));
    ASSIGN_OR_RETURN(const crypto::Certificate ml_dsa, crypto::Certificate::parse(ml_dsa_der));
    if (classical.key_algorithm() != crypto::classical_key(node_.suite()) || ml_dsa.key_algorithm() != crypto::ml_dsa_key(node_.suite())) {
      return fail(ErrorCode::denied, "certificates of " + ml_dsa.subject() + " are not of suite " + std::string(node_.suite().name));
    }
    ASSIGN_OR_RETURN(crypto::Verifier verifier,
                     crypto::Verifier::from_key(node_.suite(), {.point = classical.public_key(), .ml_dsa = ml_dsa.public_key()}));
    sender = std::make_shared<const Sender>(Sender{.classical = classical,
                                                   .ml_dsa = ml_dsa,
                                                   .fps = wire::fingerprints(node_.suite(), classical_der, ml_dsa_der),
                                                   .verifier = std::move(verifier)});
  }
  for (const crypto::Certificate* cert : {&sender->classical, &sender->ml_dsa}) {
    TRY(must_name(*cert, expected));
    TRY(node_.check_certificate(*cert, deadline));
  }
  const std::lock_guard lock(mutex_);
  if (known_.size() >= senders_max) known_.erase(known_.begin());
  known_.insert_or_assign(key, sender);
  return sender;
}

Bytes enclose(const MessageSigner& signer, Bytes message) {
  return wire::encode(wire::Envelope{.message = std::move(message), .classical = signer.classical.der(), .ml_dsa = signer.ml_dsa.der()});
}

}  // namespace qanat::node
