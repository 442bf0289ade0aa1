// Which names a certificate may bear, and what a request must ask for: the issuing policy. Pure.
#pragma once

#include "crypto/x509.hpp"

namespace qanat::cas {

/// An element: its URI.
crypto::SubjectNames element_names(const Identity& identity);
/// A terminal: its URI, `qanat://<domain>/<device>/<uid>`, and `tel:` with its number and the KMS that serves it.
crypto::SubjectNames terminal_names(const Identity& identity, const Number& number, const ElementName& home_kms);

/// A terminal or application that holds a key together with a CCS: its URI alone.
crypto::SubjectNames joint_names(const Identity& identity);

/// `denied` unless the request asks for exactly the alternative names of `wanted`; the common name is not looked at (below).
Result<void> check_names(const crypto::CertificateRequest& request, const crypto::SubjectNames& wanted);
/// The request if its self-signature holds, its key is of this algorithm, and it asks for exactly the alternative names of `wanted`. The common
/// name is not a name that anybody checks: the certificate gets that of `wanted`. `denied` or `invalid_argument`, saying what does not fit.
Result<crypto::CertificateRequest> check_request(ByteView der, const crypto::SubjectNames& wanted, crypto::KeyAlgorithm algorithm);

}  // namespace qanat::cas
