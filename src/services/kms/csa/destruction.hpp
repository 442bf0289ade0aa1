// The end of a version's octets, with proof: its row keeps the commitment that was made with the key (store/key_commitment.hpp), and a record says it.
#pragma once

#include <string>

#include "services/kms/csa/key_rows.hpp"
#include "services/kms/kp/owed_records.hpp"

namespace qanat::kms::csa {

struct Destruction {
  OwedId owed;     // what is to be recorded is owed under this; paid after the transaction
  std::string by;  // empty: its time has come
  UnixMs at_ms = 0;
};

/// Erases the octets of the versions below `version`, and owes the record of each that had some: `csa.destroyed`, "<key>/<version>", "(commitment <hex>)".
Result<void> destroy_below(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t version, const Destruction& ending);

/// The commitment to the octets of this version: of kind data, under the name key id ‖ version (4 octets, big-endian).
Bytes commitment_of(const CsaKeyId& id, std::uint32_t version, const Secret& material);

}  // namespace qanat::kms::csa
