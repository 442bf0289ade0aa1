// The lives of a KMS's database. A backup, and a server that takes over, may bring back an earlier state, in which a key that was used is not used yet. So a
// new life begins with nothing that could be delivered, and takes nothing that was signed for an earlier one.
#pragma once

#include <string_view>

#include "base/clock.hpp"
#include "store/store.hpp"

namespace qanat::kms {

/// Why there is a new one.
enum class NewLife : std::uint8_t {
  other_history,  // perhaps nothing was lost: charged keys, whose indexes the terminals keep too, stay
  accepted,       // an operator took it as it is: the same, but it is known that it was put back
  restored,       // those go as well: a copy of them lay somewhere
};
/// Destroys every key that could be delivered: agreed, prepared, on its way, in stock for SAEs; forgets tokens and sessions; and begins a life in which messages
/// count that were signed at not_before_ms or later. Keys of the cryptographic service (csa) are suspended until an operator enables each, with their grants' totals
/// used up. How many working keys were destroyed.
Result<std::int64_t> begin_life(store::Transaction& transaction, UnixMs now, UnixMs not_before_ms, NewLife why);
/// `denied` for a message of an earlier life.
Result<void> check_of_this_life(store::Transaction& transaction, UnixMs ts_ms, std::string_view message);
/// The same for who knows what the life's not_before_ms is.
Result<void> check_is_of_life(UnixMs ts_ms, UnixMs not_before_ms, std::string_view message);

/// Whether the database was restored or accepted at since_ms or later. What was counted before (the SAEs' days) is then not known any more.
Result<bool> was_put_back(store::Transaction& transaction, UnixMs since_ms);

/// A database that is a backup does not serve: begin_life() ends that. `denied` while it is one.
Result<void> mark_as_backup(store::Transaction& transaction, UnixMs now);
Result<void> check_is_no_backup(store::Transaction& transaction);

}  // namespace qanat::kms
