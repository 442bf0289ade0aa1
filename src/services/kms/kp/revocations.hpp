// KP at a revocation: whatever the pool has of a terminal whose certificates are revoked goes at once, not at the next time that somebody asks for its status.
#pragma once

#include <set>

#include "node/node.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kp/encryption_pairs.hpp"

namespace qanat::kms {

/// Terminals that have one of these certificates (SHA-256) now leave the pool: public keys, certificates, what is sealed of them, tokens and grants, and working keys
/// that are owed to them. History has that the pair ended. On record, and not to be undone by an older copy of the database, when it returns. Others' certificates
/// change nothing; nor does the same notice again.
Result<void> purge_revoked(node::Node& node, store::Store& store, Ledger& ledger, const std::set<Bytes>& fingerprints);

}  // namespace qanat::kms
