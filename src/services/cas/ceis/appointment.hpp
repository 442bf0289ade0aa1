// Certificates of CAS's own signers, whose keys it draws anew by itself and keeps in memory alone: of status answers, and of CMP's.
#pragma once

#include "services/cas/ceis/issuer.hpp"

namespace qanat::cas {

struct Appointment {
  Branch branch{};  // whose CA signs
  const Profile* profile = nullptr;
  crypto::CertificateUse use{};
  std::string title;  // with the key's algorithm behind it: the common name
  std::chrono::milliseconds lifetime{};
};

/// Who appoints, and where it is recorded.
struct Appointer {
  Records& records;
  const Authorities& authorities;
  crypto::Rng& rng;
  const Identity& self;
};

/// The certificate for this key, linted before and after its signature, its serial on record before.
Result<crypto::Certificate> appoint(const Appointer& appointer, const Appointment& wanted, const crypto::PrivateKey& key, UnixMs now);

}  // namespace qanat::cas
