// Which keys other makers' key managers brought (ETSI GS QKD 020), beyond the time at which the last of them was fetched: a message that comes twice stores
// nothing twice, and a key that was voided does not come back by a message that was under way. No octets are here.
//
// Every function is one step of the caller's transaction.
#pragma once

#include "kme/provider.hpp"
#include "store/store.hpp"

namespace qanat::kme {

inline constexpr std::int64_t received_keys_max = 1000000;  // remembered; a further one is refused

class ReceivedKeys {
 public:
  enum class Arrival : std::uint8_t { fresh, again };
  /// fresh: all are new, and remembered from now on. again: all came before, from the same initiator for the same targets. conflict for anything else, and
  /// for keys that were voided; exhausted if too many are remembered.
  static Result<Arrival> note(store::Transaction& transaction, const ExternalKeys& keys, UnixMs now);
  /// These keys of the initiator (all that came, if `ids` is empty) are voided, also those that did not come yet.
  static Result<void> note_voided(store::Transaction& transaction, const SaeId& initiator, std::span<const KeyId> ids, UnixMs now);
  static Result<void> forget(store::Transaction& transaction, UnixMs before);
};

}  // namespace qanat::kme
