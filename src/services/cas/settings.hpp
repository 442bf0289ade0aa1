// Settings of CAS: how long what it signs holds, where it serves status and enrolment to everybody, and the directory that it publishes in.
#pragma once

#include <chrono>

#include "node/config.hpp"
#include "services/cas/acme/acme_settings.hpp"
#include "services/cas/ceis/front.hpp"
#include "services/cas/ceis/profiles.hpp"
#include "services/cas/cmp/settings.hpp"
#include "services/cas/csp/status_front.hpp"
#include "services/cas/ldap/directory.hpp"

namespace qanat::cas {

/// Tables [cas], [cas.listener], [cas.enrolment], [cas.acme], [cas.cmp] and [cas.directory].
struct CasSettings {
  std::chrono::seconds element_lifetime = profile("element").lifetime;
  std::chrono::seconds terminal_lifetime = profile("terminal-signing").lifetime;
  std::chrono::seconds status_lifetime{60};                       // nextUpdate − thisUpdate of a status answer that was asked for with a nonce
  std::chrono::seconds presigned_lifetime{3600};                  // the same of one that is made ahead
  std::size_t presigned_max = 10'000;                             // answers made ahead
  std::chrono::seconds responder_lifetime = profile("ocsp-signer").lifetime;  // of the certificates of those who sign answers
  std::chrono::seconds crl_lifetime = std::chrono::days(1);        // nextUpdate − thisUpdate of a revocation list
  std::chrono::seconds approval_retry{60};                         // after which one whose order waits for operators asks again
  std::chrono::seconds approval_expires = std::chrono::days(30);   // after which an order that still waits is given up
  FrontSettings front{};
  EnrolmentSettings enrolment{};
  AcmeSettings acme{};
  CmpSettings cmp{};
  DirectorySettings directory{};

  static CasSettings read(node::Config& config);
};

}  // namespace qanat::cas
