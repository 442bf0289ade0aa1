// CAS's own TLS certificate: it asks nobody but itself.
#pragma once

#include "node/node.hpp"
#include "services/cas/ceis/issuer.hpp"

namespace qanat::cas {

/// The key is made on first use and kept sealed in credentials.db; the certificate is issued then, and anew when two thirds of its life are over.
Result<node::Credentials> own_credentials(node::Node& node, Issuer& issuer, const Authority& authority, std::chrono::milliseconds lifetime);

}  // namespace qanat::cas
