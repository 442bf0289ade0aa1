// How private encryption keys in the history library end: kms.history_keys_days after their pair (or after its certificates, where its terminal came no more),
// at the next start where kms.history keeps none, or as two operators have ordered (recovery.hpp). The row stays, with who ended the key, when and why, and the
// commitment that was made when it came into history (store/key_commitment.hpp).
#pragma once

#include "node/node.hpp"
#include "services/kms/kp/encryption_pairs.hpp"
#include "services/kms/kp/owed_records.hpp"

namespace qanat::kms {

inline constexpr std::int64_t history_keys_at_once = 256;  // erased in one transaction

/// What stays of a private key that is gone.
struct ErasedKey {
  Bytes enc_kid;
  Uid uid;
  Bytes commitment;  // empty: it came into history before there were any
};
/// kp.history.erased.
OwedRecord end_of(const ErasedKey& gone, std::string_view why);

/// To both private halves of a pair, one after the other.
Bytes pair_commitment(ByteView enc_kid, const Secret& pair);

/// Until when the terminal's certificates have its pair used: to be said with the pair, and again when others take their place. Nothing where they are no
/// certificates, or history does not know the pair.
Result<void> certify_in_history(store::Transaction& transaction, const Terminal& terminal);

/// Its private octets leave the database with this transaction. `not_found` if history has none of this pair of this subscriber.
Result<ErasedKey> erase_history_key(store::Transaction& transaction, const Uid& uid, ByteView enc_kid, const Ending& ending);

struct HistoryTerms {
  HistoryPolicy policy = HistoryPolicy::none;
  std::chrono::days kept{};  // after the end of the pair
};
/// Erases, `most` at the most, those of pairs that ended, or were certified, so long ago; where the policy keeps none, whatever there
/// is. How many; they are on record when it returns.
Result<std::int64_t> erase_history_keys(node::Node& node, store::Store& store, const HistoryTerms& terms, std::int64_t most = history_keys_at_once);
/// To be called at the start, and every second or so: some of those whose time is over, or, where the policy keeps none, all that there are.
Result<void> end_history_keys(node::Node& node, store::Store& store, const HistoryTerms& terms);

}  // namespace qanat::kms
