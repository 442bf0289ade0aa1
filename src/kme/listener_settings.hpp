// What an element's configuration says of the listener for software that others wrote: the table [sae] and [sae.chains.<name>].
#pragma once

#include "net/foreign.hpp"
#include "node/config.hpp"

namespace qanat::kme {

/// address, port, roots, crls, connections_max, io_threads and the chains; at least one chain must be there.
net::ForeignSettings read_listener(node::Config& table);

}  // namespace qanat::kme
