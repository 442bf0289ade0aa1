// SCEP (RFC 8894) at /scep and /cgi-bin/pkiclient.exe: GetCACaps, GetCACert, GetNextCACert and PKIOperation by GET and POST. Messages protect themselves, so
// plain HTTP carries them (§4).
#pragma once

#include "services/cas/ceis/front.hpp"
#include "services/cas/scep/scep_operation.hpp"

namespace qanat::cas {

class ScepService {
 public:
  ScepService(ScepParts parts, ScepRaKeeper& authorities) : desk_(parts.desk), clock_(parts.clock), authorities_(authorities), operation_(std::move(parts)) {}

  /// Must not outlive this object.
  [[nodiscard]] std::vector<EnrolmentService> services();

  /// One request, whatever brought it here. `method`: GET or POST.
  net::ForeignResponse answer(std::string_view method, const net::ForeignRequest& request);

 private:
  net::ForeignResponse certificates(std::string_view ca);
  net::ForeignResponse next_certificates();
  net::ForeignResponse operation(ByteView message, const net::ForeignRequest& request);

  Desk& desk_;
  const Clock& clock_;
  ScepRaKeeper& authorities_;
  ScepOperation operation_;
};

}  // namespace qanat::cas
