#include "services/kms/csa/destruction.hpp"

#include "store/key_commitment.hpp"

namespace qanat::kms::csa {

Result<void> destroy_below(store::Transaction& transaction, const CsaKeyId& id, std::uint32_t version, const Destruction& ending) {
  ASSIGN_OR_RETURN(const std::vector<Erased> erased, erase_below(transaction, id, version));
  std::vector<OwedRecord> owed;
  owed.reserve(erased.size());
  for (const Erased& one : erased) {
    // None: the key was made by a version of this program that made no commitments.
    owed.push_back({.action = "csa.destroyed",
                    .subject = ending.by,
                    .object = id.hex() + "/" + std::to_string(one.version),
                    .reason = "(commitment " + (one.commitment.empty() ? std::string("none") : to_hex(one.commitment)) + ")"});
  }
  return owe_records(transaction, ending.owed, owed, ending.at_ms);
}

Bytes commitment_of(const CsaKeyId& id, std::uint32_t version, const Secret& material) {
  Bytes name = to_bytes(id.view());
  for (int shift = 24; shift >= 0; shift -= 8) name.push_back(static_cast<std::uint8_t>(version >> shift));
  return store::key_commitment(store::KeyKind::data, name, material);
}

}  // namespace qanat::kms::csa
