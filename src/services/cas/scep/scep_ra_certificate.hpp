// The certificate of SCEP's registration authority, which CAS issues to itself under the device CA: profile scep-ra, linted, recorded before it is signed.
#pragma once

#include "node/node.hpp"
#include "services/cas/records.hpp"
#include "services/cas/scep/scep_ra.hpp"

namespace qanat::cas {

/// What the certificate needs of the rest of CAS.
struct ScepRaParts {
  Records& records;
  const Authorities& authorities;  // with a device CA
  crypto::Rng& rng;
  Identity self;
  std::string status_url;                                    // as of Issuer
  std::function<void()> issued;                              // Csp::issued
  std::function<Result<void>(const audit::Event&)> record;
};
/// Neither the records nor the authorities may go before it.
CertifyRa scep_ra_certifier(ScepRaParts parts);

}  // namespace qanat::cas
