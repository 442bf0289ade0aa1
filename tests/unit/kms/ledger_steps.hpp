// What the KMS does with a leg in two calls of the ledger, in the caller's transaction.
#pragma once

#include "services/kms/kma/ledger.hpp"

namespace qanat::kms {

inline Result<void> deliver_leg(Ledger& ledger, store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, const Delivery& delivery,
                                const KeyUse& use) {
  ASSIGN_OR_RETURN(const auto stored, ledger.find(transaction, sid_wk, leg));
  if (!stored) return fail(ErrorCode::not_found, "no such session");
  return ledger.delivered(transaction, *stored, delivery, use);
}

/// The first page of what is due.
inline Result<std::vector<Destroyed>> sweep_due(Ledger& ledger, store::Transaction& transaction, Ledger::Sweep which, UnixMs now) {
  ASSIGN_OR_RETURN(const std::vector<Ledger::Due> legs, ledger.due(transaction, which, now, {}, 1'000));
  return ledger.sweep(transaction, which, now, legs);
}

}  // namespace qanat::kms
