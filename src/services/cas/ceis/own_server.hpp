// Certificates of CAS's own listener for software of others: profile "server", linted and recorded like every certificate, for names that the configuration
// gives.
#pragma once

#include "services/cas/ceis/front.hpp"
#include "services/cas/ceis/registrations.hpp"

namespace qanat::cas {

class OwnServer {
 public:
  OwnServer(node::Node& node, Records& records, const Authorities& authorities, std::string status_url);

  /// For a P-384 key under the device CA, for an ML-DSA key under the issuing CA of that branch. On audit record.
  Result<Given> issue(const crypto::PrivateKey& key, const crypto::AskedNames& names, std::chrono::seconds lifetime);

 private:
  node::Node& node_;
  const Authorities& authorities_;
  const std::string status_url_;
  SubjectRecords certificates_;
};

/// The CAs by which software of others verifies this listener, as PEM in the folder: device-ca.pem with the device CA and the one to come, and
/// enrolment-roots.pem with the roots of the ML-DSA branch too.
inline constexpr const char* device_ca_file = "device-ca.pem";
inline constexpr const char* enrolment_roots_file = "enrolment-roots.pem";
Result<void> write_listener_roots(const std::filesystem::path& folder, const Authorities& authorities, const crypto::TrustStore& trust);

/// Issuing CAs and roots by which a client's certificate is verified in the handshake, those of earlier generations too.
std::vector<Bytes> client_roots(const Authorities& authorities, const crypto::TrustStore& trust);

}  // namespace qanat::cas
