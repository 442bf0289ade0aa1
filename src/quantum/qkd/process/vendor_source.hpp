// A maker's key management entity as an end of a link uses it: ETSI GS QKD 014 over mutually authenticated TLS.
#pragma once

#include <memory>

#include "kme/provider.hpp"
#include "net/foreign_client.hpp"
#include "quantum/qkd/process/vendor_end.hpp"

namespace qanat::qkd {

struct VendorAccess {
  net::ForeignUrl kme;  // its path stands before "/api/v1/keys"
  net::ForeignTls tls;  // this end's certificate as an SAE; the roots of the KME's
  kme::SaeId peer_sae;  // the SAE that the other end is
  std::uint32_t keys_per_block = 128;
};

/// Both functions of it. The client is kept by them.
Result<VendorSource> open_vendor_source(const VendorAccess& access);

}  // namespace qanat::qkd
