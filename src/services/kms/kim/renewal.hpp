// A terminal of this KMS has renewed its certificates at CAS and says so: the pool follows, if the former keys say that it is the same terminal.
#pragma once

#include "node/node.hpp"
#include "services/kms/kp/terminals.hpp"

namespace qanat::kms {

/// km1_renewed: {"successions": base64 (wire/succession.hpp), "encryption": {"classical", "ml_kem"}: base64 DER}, over a connection that shows the new ML-DSA
/// certificate. Said again, it changes nothing. `denied` unless each link from the certificates in the pool to those of the connection is signed by both keys
/// before it, the four new certificates are one bundle, good now, with the names of the former, and over the encryption keys that the pool has. CAS alone
/// cannot exchange a terminal's certificates here, nor can whoever has broken one of its two signatures.
Result<net::Response> take_renewal(node::Node& node, store::Store& store, const net::Request& request);

}  // namespace qanat::kms
