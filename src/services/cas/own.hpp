// CAS's own TLS certificate: it asks nobody but itself.
#pragma once

#include "node/node.hpp"
#include "services/cas/ceis/issuer.hpp"

namespace qanat::cas {

enum class OwnRenewal : std::uint8_t {
  if_due,  // at the start: what is in force is kept if it is not time yet
  now,
};

/// The key is made on first use and kept sealed in credentials.db, and the certificate is issued then; a renewal is over a new key (node/renewal.hpp says
/// when). What is given back is in force in the store.
Result<node::Credentials> own_credentials(node::Node& node, Issuer& issuer, const Authority& authority, std::chrono::milliseconds lifetime, OwnRenewal renewal);

}  // namespace qanat::cas
