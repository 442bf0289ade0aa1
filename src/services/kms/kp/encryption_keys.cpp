#include "services/kms/kp/encryption_keys.hpp"

namespace qanat::kms {

Result<crypto::EncapsulationKey> certified_encryption_key(node::Node& node, const Terminal& terminal, Deadline deadline) {
  ASSIGN_OR_RETURN(const crypto::CertificateBundle bundle, bundle_of(node.suite(), terminal));
  for (const crypto::Certificate* certificate : {&bundle.classical_encryption, &bundle.ml_kem_encryption}) {
    TRY(node.check_certificate(*certificate, deadline, crypto::LeafUse::encryption));
  }
  return terminal.encryption;
}

}  // namespace qanat::kms
