// Km-1: how a terminal, which keeps to the certificates that its KMS had at its enrolment, learns of those that followed them.
#pragma once

#include "node/node.hpp"

namespace qanat::kms {

/// km1_certificates. `since=<fp>` in the query: the fingerprint of the ML-DSA certificate that the terminal keeps to, in hexadecimal. The links from there to
/// the certificates in force (wire/succession.hpp), none if those are the ones; not_found if no link leads there: the terminal must enrol anew.
Result<net::Response> successions(const node::Node& node, const net::Request& request);

/// An application's query `kms=<fp>` names the certificate that the terminal will check the delivery by. Empty: it did not say. `unavailable` if it is not this
/// signer's: the terminal asks for the successions and applies again, before a key has been spent on what it could not take.
Result<void> check_kept(const net::Request& request, const node::MessageSigner& own);

}  // namespace qanat::kms
