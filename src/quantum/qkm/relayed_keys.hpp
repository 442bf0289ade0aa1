// Keys that came out of a relay and wait for the KMS of this domain. The near end drew the secret, the far end received it; a key is
// handed out once at each end. Every change is a transition of store/lifecycle.hpp inside the caller's transaction.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "crypto/device.hpp"
#include "store/lifecycle.hpp"
#include "store/store.hpp"

namespace qanat::qkm {

enum class End : std::uint8_t { far = 0, near = 1 };

struct RelayedKey {
  KeyId id;
  End end{};
  std::string peer_domain;
  PathId path_id;
  std::uint8_t relays = 0;  // trusted nodes between the ends
  std::string way;          // for display: over which nodes, which link keys were used up
  Secret key;
  UnixMs expires_ms = 0;  // destroyed then, if nobody took it
};

class RelayedKeys {
 public:
  explicit RelayedKeys(crypto::CryptoDevice& device) : device_(device) {}

  /// In state `generated`; conflict if the id was ever here.
  Result<void> add(store::Transaction& transaction, const RelayedKey& key, UnixMs now);
  /// At most `count` near keys for the domain, soonest to expire first, now reserved for the session.
  Result<std::vector<KeyId>> reserve(store::Transaction& transaction, std::string_view peer_domain, const SidWk& sid_wk, std::size_t count, UnixMs now);
  /// Those of `ids` that are not here in any state.
  Result<std::vector<KeyId>> absent(store::Transaction& transaction, std::span<const KeyId> ids);
  /// A far key for the session: reserved. not_found, denied for a key of another domain or end, conflict if it was taken before.
  Result<void> reserve_far(store::Transaction& transaction, const KeyId& id, std::string_view peer_domain, const SidWk& sid_wk, UnixMs now);
  /// A reserved key, handed out: its octets leave the database now, and it may be handed out no more. `keep_until`: see sweep().
  Result<RelayedKey> deliver(store::Transaction& transaction, const KeyId& id, UnixMs keep_until, UnixMs now);
  /// The receiver has no more need of it. `confirmed`: both KMSs proved that they hold it. Destroyed already: nothing happens.
  enum class Use : std::uint8_t { confirmed, unused };
  Result<void> done(store::Transaction& transaction, const KeyId& id, Use use, UnixMs now);

  /// Destroys what is past its time. Returns the ids.
  Result<std::vector<KeyId>> sweep(store::Transaction& transaction, UnixMs now);
  /// After a restart: keys that were promised to a request which died with the process are destroyed; their ids. A key in stock stays: both ends
  /// confirmed it, and the other end still counts on it.
  Result<std::vector<KeyId>> recover(store::Transaction& transaction, UnixMs now);
  /// Drops the rows of keys that were destroyed before `before`.
  Result<void> forget(store::Transaction& transaction, UnixMs before);
  /// Near keys to be had now, by peer domain.
  Result<std::map<std::string, std::int64_t>> stock(store::Transaction& transaction, UnixMs now);
  Result<std::optional<store::KeyState>> state_of(store::Transaction& transaction, const KeyId& id);

 private:
  Result<void> advance(store::Transaction& transaction, const KeyId& id, store::KeyState to, UnixMs now);
  crypto::CryptoDevice& device_;
};

}  // namespace qanat::qkm
