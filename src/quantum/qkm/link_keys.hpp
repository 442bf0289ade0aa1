// The keys that this QKM shares with its neighbours, and their lives. Every change is a transition of store/lifecycle.hpp inside the
// caller's transaction.
//
// Both ends hold the same keys under the same ids. Each key has one owner, the end that may choose it for sending; the other end uses a
// key only when the owner names it. So the ends never choose the same key for two purposes, whatever messages are lost (checked by
// exhaustive search, formal/align.pml).
#pragma once

#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "crypto/device.hpp"
#include "quantum/qkm/key_stock.hpp"
#include "store/lifecycle.hpp"
#include "store/store.hpp"

namespace qanat::qkm {

struct LinkTag;
using LinkId = Name<LinkTag>;  // "a-r"
inline constexpr std::size_t link_key_size = 32;

/// The first 16 octets of SHA-256("qanat qkd key id" ‖ u16 length ‖ link id ‖ u64 block id ‖ u32 index): as at the link's QKD.
KeyId link_key_id(const LinkId& link, std::uint64_t block_id, std::uint32_t index);
/// Keys with even index belong to the QKM whose name sorts first.
Owner owner_of(std::uint32_t index, const ElementName& self, const ElementName& peer);

struct LinkKey {
  KeyId id;
  Secret key;
};
/// The two keys that one hop uses up.
struct HopKeys {
  LinkKey pad;
  LinkKey mac;
};

struct LinkBlock {
  LinkId link;
  ElementName peer;  // the QKM at the other end
  std::uint64_t block_id = 0;
  Secret keys;  // 32 octets each
};

struct LinkStock {
  std::int64_t own = 0;   // generated, for sending
  std::int64_t peer = 0;  // generated, for receiving
};

class LinkKeys {
 public:
  LinkKeys(crypto::CryptoDevice& device, ElementName self, std::int64_t keys_max) : device_(device), self_(std::move(self)), keys_max_(keys_max) {}

  /// Adds a block. The newest block of the link again: nothing happens, its QKD merely did not hear the answer. An earlier one: conflict.
  /// Of each link the newest blocks with at most keys_max keys together count; what remains of older ones is destroyed, at both ends alike.
  Result<void> ingest(store::Transaction& transaction, const LinkBlock& block, UnixMs now);
  /// The number that the link's next block has at least.
  Result<std::uint64_t> next_block(store::Transaction& transaction, const LinkId& link);

  /// The two oldest own keys, now reserved; exhausted, naming the link, if there are fewer.
  Result<HopKeys> reserve(store::Transaction& transaction, const LinkId& link, UnixMs now);

  /// What became of two keys that the neighbour named. Either way they are used up here, also if only one was in order: a Receipt is
  /// committed, and the refusal answered afterwards.
  struct Receipt {
    std::optional<HopKeys> keys;
    Error refusal;  // if there are no keys
  };
  Result<Receipt> receive(store::Transaction& transaction, const LinkId& link, const KeyId& pad_id, const KeyId& mac_id, UnixMs now);
  /// True if a key with this id was ever here.
  Result<bool> known(store::Transaction& transaction, const KeyId& id);

  /// Erases the octets. conflict if it is destroyed already.
  Result<void> destroy(store::Transaction& transaction, const KeyId& id, UnixMs now);
  /// After a restart: keys that were on their way are destroyed. Returns their ids.
  Result<std::vector<KeyId>> recover(store::Transaction& transaction, UnixMs now);
  /// Drops the rows of keys that were destroyed before `before`. Their ids stay refused: their block is not taken again.
  Result<void> forget(store::Transaction& transaction, UnixMs before);

  Result<LinkStock> stock(store::Transaction& transaction, const LinkId& link);
  /// The key's state; nothing if it was never here or is forgotten.
  Result<std::optional<store::KeyState>> state_of(store::Transaction& transaction, const KeyId& id);

 private:
  Result<void> drop_old_blocks(store::Transaction& transaction, const LinkId& link, UnixMs now);
  Result<void> advance(store::Transaction& transaction, const KeyId& id, store::KeyState to, UnixMs now);
  Result<Secret> use_up(store::Transaction& transaction, const LinkId& link, const KeyId& id, UnixMs now, std::optional<Error>& refusal);
  Result<void> burn_unknown(store::Transaction& transaction, const LinkId& link, const KeyId& id, UnixMs now);

  crypto::CryptoDevice& device_;
  const ElementName self_;
  const std::int64_t keys_max_;
};

}  // namespace qanat::qkm
