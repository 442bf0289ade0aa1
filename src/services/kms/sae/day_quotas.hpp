// How much each SAE ordered on the present day (UTC), durable: counted in the transaction in which its keys leave the stock.
#pragma once

#include "kme/sae_registry.hpp"
#include "store/store.hpp"

namespace qanat::kms {

/// exhausted if `keys` more would be over the SAE's limit, or the database was put back on this day (kma/incarnation.hpp); counts them otherwise.
Result<void> charge_day(store::Transaction& transaction, const kme::Sae& sae, std::uint32_t keys, UnixMs now);
/// Drops the accounts of earlier days, some at a time.
Result<void> forget_days(store::Transaction& transaction, UnixMs now);

}  // namespace qanat::kms
