// Keys that came out of a relay and wait for the KMS of this domain: one stock (key_stock.hpp) per peer domain and path. The near end drew
// the secrets and chooses, the far end received them; a key is handed out once at each end.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "quantum/qkm/stock.hpp"
#include "quantum/qkm/relay_message.hpp"

namespace qanat::qkm {

enum class End : std::uint8_t { far = 0, near = 1 };

struct RelayedBatch {
  BatchId id;
  End end{};
  std::string peer_domain;
  std::vector<ElementName> path;  // from the QKM that drew it to the one that received it
  std::string way;                // for display: over which nodes, which link keys were used up
  Secret keys;                    // 32 octets each
  UnixMs expires_ms = 0;          // destroyed then, if nobody took it
  KeyQuality quality{};           // of the batch, and so of each of its keys
};

struct RelayedKey {
  KeyId id;
  std::vector<ElementName> path;
  std::string way;
  Secret key;
  KeyQuality quality{};
  UnixMs expires_ms = 0;  // as it was in stock

  [[nodiscard]] PathId path_id() const { return path_id_of(path); }
  /// Trusted nodes between the ends.
  [[nodiscard]] std::uint8_t relays() const { return static_cast<std::uint8_t>(path.size() - 2); }
};

/// How many of the keys there are over paths of their own: all of them, if no two paths share a node but their ends; 1 otherwise.
std::size_t separate_paths(std::span<const RelayedKey> keys);

class RelayedKeys {
 public:
  explicit RelayedKeys(KeyStock& stock) : stock_(stock) {}

  /// conflict if the batch came before.
  Result<void> add(store::Transaction& transaction, const RelayedBatch& batch, UnixMs now);
  /// Near keys of one pool, handed out: `least` to `most`, the oldest first; exhausted if there are fewer. `keep_until`: see KeyStock::sweep.
  struct Handout {
    std::size_t least = 1;
    std::size_t most = 1;
    std::string holder{};  // for whom
    UnixMs keep_until = 0;
    QualityDemand demand{};
  };
  Result<std::vector<RelayedKey>> take(store::Transaction& transaction, const Pool& pool, const Handout& handout, UnixMs now);
  /// Those of `ids` that are not here in any state.
  Result<std::vector<KeyId>> absent(store::Transaction& transaction, std::span<const KeyId> ids);
  /// A far key, handed out. not_found; denied for a key of another domain or end; conflict if it was taken before.
  Result<RelayedKey> fetch(store::Transaction& transaction, const KeyId& id, std::string_view peer_domain, const Handout& handout, UnixMs now);
  /// The receiver has no more need of it. `confirmed`: both KMSs proved that they hold it. Destroyed already: nothing happens.
  enum class Use : std::uint8_t { confirmed, unused };
  Result<void> done(store::Transaction& transaction, const KeyId& id, Use use, UnixMs now);
  /// For whom a key was handed out; "" for one that was not, or of which nothing is known any more.
  Result<std::string> holder_of(store::Transaction& transaction, const KeyId& id) { return stock_.holder_of(transaction, id); }

  /// After a restart: keys that were promised to a request which died with the process are destroyed. A key in stock stays: both ends
  /// confirmed it, and the other end still counts on it.
  Result<std::vector<KeyRun>> recover(store::Transaction& transaction, UnixMs now) { return stock_.recover(transaction, domain_stocks, false, now); }
  /// True if the pool has a key that meets the demand.
  Result<bool> has(store::Transaction& transaction, const Pool& pool, const QualityDemand& demand, UnixMs now);
  /// The pools for one domain; "" for all.
  Result<std::vector<Pool>> pools(store::Transaction& transaction, std::string_view peer_domain, UnixMs now);
  Result<std::optional<store::KeyState>> state_of(store::Transaction& transaction, const KeyId& id) { return stock_.state_of(transaction, id); }

 private:
  KeyStock& stock_;
};

}  // namespace qanat::qkm
