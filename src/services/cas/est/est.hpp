// Enrolment over Secure Transport (RFC 7030, with RFC 8951 and RFC 9908): /.well-known/est/[label/]{cacerts, simpleenroll, simplereenroll, serverkeygen,
// csrattrs}. Who asks is told by HTTP Basic (a registration's reference and its secret) or by a certificate that was issued here; what they get is the desk's
// to decide.
#pragma once

#include <string>

#include "services/cas/ceis/desk.hpp"
#include "services/cas/ceis/front.hpp"
#include "services/cas/ceis/made_keys.hpp"
#include "services/cas/est/messages.hpp"
#include "wire/est.hpp"

namespace qanat::cas::est {

/// Thread-safe as far as the desk and the keys are.
class Est {
 public:
  Est(Desk& desk, MadeKeys& keys, const Clock& clock) : desk_(desk), keys_(keys), clock_(clock) {}

  /// Must not outlive this object. A label is the name of a profile or the reference of a registration, "." and an algorithm behind it where
  /// the key is made here ("device-encryption.ML-KEM-768"); it must be the caller's own.
  [[nodiscard]] EnrolmentService service();

 private:
  enum class Ask : std::uint8_t { simpleenroll, simplereenroll, serverkeygen };

  struct Caller {
    Registration registration;
    Bytes certificate;  // DER, that it is known by; empty: it is known by its secret
  };
  struct Label {
    std::string who;  // empty: none
    std::optional<crypto::SubjectAlgorithm> algorithm;
  };
  struct Made {
    Outcome outcome;
    Secret pkcs8;  // of serverkeygen
  };

  static Result<Label> read_label(const net::ForeignRequest& request);
  Result<Caller> known_by_secret(const wire::BasicCredentials& basic);
  Result<Caller> authenticate(const net::ForeignRequest& request, Ask ask, std::string& claimed);
  Result<Caller> identify(const net::ForeignRequest& request, Ask ask, const Label& label, std::string& claimed);

  net::ForeignResponse answer(net::ForeignRequest& request, Ask ask);
  Result<Made> act(net::ForeignRequest& request, Ask ask, std::string& claimed, bool& recorded);
  Result<Made> enrol(const net::ForeignRequest& request, Ask ask, Caller caller, bool& recorded);
  Result<Made> make_key(const net::ForeignRequest& request, Caller caller, std::optional<crypto::SubjectAlgorithm> wanted, bool& recorded);

  net::ForeignResponse ca_certificates(const net::ForeignRequest& request);
  net::ForeignResponse csr_attributes(const net::ForeignRequest& request);

  Desk& desk_;
  MadeKeys& keys_;
  const Clock& clock_;
};

}  // namespace qanat::cas::est
