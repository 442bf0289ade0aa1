#include "services/kms/kp/encryption_keys.hpp"

namespace qanat::kms {

Result<void> check_encryption_certificates(node::Node& node, const KnownTerminal& known, Deadline deadline) {
  if (!known.bundle) return fail(known.bundle.error());
  for (const crypto::Certificate* certificate : {&known.bundle->classical_encryption, &known.bundle->ml_kem_encryption}) {
    TRY(node.check_certificate(*certificate, deadline, crypto::LeafUse::encryption));
  }
  return {};
}

}  // namespace qanat::kms
