// SAEs for a network on one machine: a root of their own, certificates for three of them and for the two QKMs that serve them, and the [sae] tables.
#pragma once

#include <map>

#include "crypto/foreign_issue.hpp"
#include "network.hpp"

namespace qanat::app {

struct SaeDemo {
  crypto::PemFiles root;                          // of the SAEs and of the QKMs' certificates towards them
  std::map<std::string, crypto::PemFiles> saes;   // "sae-a" and "sae-c" in domain a, "sae-b" in domain b
  std::map<std::string, std::uint16_t> ports;     // of ETSI GS QKD 014 and its like, by QKM
};

/// After Network::create(), before the QKMs start: writes <folder>/sae and appends to the configurations of qkm-a and qkm-b. `extra`: further lines of the
/// table [sae].
Result<SaeDemo> prepare_saes(const Network& network, const std::string& extra = "");

}  // namespace qanat::app
