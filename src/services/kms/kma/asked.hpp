// What an application asks for, whichever message profile it came in. Everything after the message itself (token, session, agreement, ledger)
// works on this.
#pragma once

#include "services/kms/kma/policy_settings.hpp"
#include "services/kms/kma/traffic.hpp"
#include "services/kms/kp/terminals.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

struct Asked {
  SidWk sid_wk;
  SidCall sid_call;
  wire::Role role{};
  Number num_call;
  Number num_called;
  wire::Assurance min_assurance = wire::Assurance::local_rng;
  Bytes token_ref;         // digest of the access token that the terminal holds; zero for none
  wire::Fingerprints fps;  // of the certificates that the application is signed with
  Bytes hash;              // of the whole application; SessionOpen names it
  Traffic traffic{};       // what the applicant's certificate says that it is
  bool ephemeral = false;  // brings fresh keys (F_EPH)
  bool says_directory = true;  // its answer can say that CMSP's directory stood in for the grant; profile v1's cannot
};

/// What an application in profile v2 asks for. `traffic`: as the certificate of its connection says.
Asked asked_of(const wire::Framed<wire::KeyRequest>& request, Traffic traffic);

/// In which its delivery comes. `denied` where policy demands ephemeral keys of its traffic and it brings none: to be asked before a session is opened or
/// anything is used up for it.
Result<Encapsulation> form_for(const Asked& asked, const PolicySettings& policy);

/// Of a terminal of this domain, from its certificate; `internal` if that is no terminal's.
Result<Traffic> traffic_of(const Terminal& terminal);
Result<Traffic> traffic_of(const Uid& uid, const crypto::Certificate& certificate);

}  // namespace qanat::kms
