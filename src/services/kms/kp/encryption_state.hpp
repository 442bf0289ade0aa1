// The life of a terminal's encryption key at its KMS, by the one table (store/lifecycle.hpp): made and handed over with the enrolment, active once the terminal
// has confirmed, held back and let go by order. It expires with its certificates: the time of those says it, no row that a clock which ran ahead could have
// changed for good, and a renewal prolongs it. It ends with its row: revoked, or another's place taken by a new enrolment (history says which,
// encryption_pairs.hpp).
#pragma once

#include "services/kms/kp/known_terminals.hpp"
#include "services/kms/kp/terminals.hpp"
#include "wire/json.hpp"

namespace qanat::kms {

/// What its terminal's row says of it.
struct EncryptionKey {
  Uid uid;
  Number number;
  Bytes enc_kid;
  store::KeyState state{};         // at the moment that was asked for
  std::optional<UnixMs> until_ms;  // when its certificates end; nothing: it is from before there were any
};
wire::Json to_json(const EncryptionKey& key);

/// `denied`, saying what it is instead, unless it is active: nothing is encapsulated to it otherwise.
Result<void> check_encryption_key(const Uid& uid, store::KeyState state);
Result<void> check_encryption_key(const KnownTerminal& known, UnixMs now);

/// not_found if no terminal of that name is enrolled.
Result<EncryptionKey> find_encryption_key(store::Transaction& transaction, const Uid& uid, UnixMs now);
/// suspend or recover; as it is then. `conflict`, naming key and state, if it is in none that the event leads out of.
Result<EncryptionKey> change_encryption_key(store::Transaction& transaction, const Uid& uid, store::KeyEvent event, UnixMs now);
/// How many are suspended.
Result<std::int64_t> suspended_encryption_keys(store::Transaction& transaction);

}  // namespace qanat::kms
