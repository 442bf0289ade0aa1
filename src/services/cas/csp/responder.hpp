// Certificate status by OCSP (RFC 6960), answered from the record of certificates and signed by the issuing CA that the question names.
#pragma once

#include <chrono>

#include "services/cas/records.hpp"

namespace qanat::cas {

class Responder {
 public:
  Responder(Records& records, const Authorities& authorities, std::chrono::milliseconds lifetime)
      : records_(records), authorities_(authorities), lifetime_(lifetime) {}

  /// A DER OCSPResponse to whatever was asked: malformedRequest, unauthorized (another issuer) and internalError included.
  [[nodiscard]] Bytes answer(ByteView request_der, UnixMs now) const;

 private:
  [[nodiscard]] const Authority* issuer_named_by(ByteView request_der, Branch& branch) const;

  Records& records_;
  const Authorities& authorities_;
  const std::chrono::milliseconds lifetime_;
};

}  // namespace qanat::cas
