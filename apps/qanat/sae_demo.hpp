// SAEs for a network that was planned without (tests and the bench): what `qanat up` and `qanat sae add` do, for three of them.
#pragma once

#include <map>

#include "crypto/foreign_issue.hpp"
#include "network.hpp"

namespace qanat::app {

struct SaeDemo {
  crypto::PemFiles root;                         // both roots of the SAEs and of the QKMs' certificates towards them; the key is the ECDSA root's
  std::map<std::string, crypto::PemFiles> saes;  // "sae-a" and "sae-c" in domain a, "sae-b" in domain b
  std::map<std::string, std::uint16_t> ports;    // of ETSI GS QKD 014 and its like, by QKM
};

/// After Network::create(), before the QKMs start: writes <folder>/sae and appends to the configurations of qkm-a and qkm-b. `extra`: further lines of the
/// table [sae].
Result<SaeDemo> prepare_saes(const Network& network, const std::string& extra = "");

}  // namespace qanat::app
