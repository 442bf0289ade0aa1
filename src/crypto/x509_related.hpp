// RFC 9763: the extension by which a certificate names another end-entity certificate of the same subject. Private to crypto.
#pragma once

#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {

/// RelatedCertificate over SHA-256, not critical. invalid_argument if `sha256` is no digest of that length.
Result<void> add_related(X509* cert, ByteView sha256);
/// The digest; empty if the certificate has no such extension. invalid_argument if it is there twice, critical, malformed or over another digest.
Result<Bytes> read_related(X509* cert);

}  // namespace qanat::crypto
