// KP at a revocation, however it becomes known (X-10, a revocation list, a status at an application): whatever the KMS has of a terminal whose certificates are
// revoked goes at once, and in one transaction.
#pragma once

#include <set>

#include "node/node.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kp/encryption_pairs.hpp"

namespace qanat::kms {

/// Terminals that have one of these certificates (SHA-256) now leave the pool: public keys, certificates, what is sealed of them, tokens and grants, working keys
/// that are owed to them, and the stock of charged keys, whose medium counts as wiped. History has that the pair ended. On record, or owed to it and made up for at
/// the next start (owed_records.hpp), and not to be undone by an older copy of the database, when it returns. Others' certificates change nothing; nor does the same
/// notice again. `found`: how it became known, for the record.
Result<void> purge_revoked(node::Node& node, store::Store& store, Ledger& ledger, const std::set<Bytes>& fingerprints,
                           std::string_view found = "its certificates are revoked");

}  // namespace qanat::kms
