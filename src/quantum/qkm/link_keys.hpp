// The keys that this QKM shares with its neighbours: one stock (key_stock.hpp) per link, filled by the blocks that the link's QKD brings.
#pragma once

#include <optional>
#include <vector>

#include "quantum/qkm/stock.hpp"

namespace qanat::qkm {

struct LinkTag;
using LinkId = Name<LinkTag>;  // "a-r"
inline constexpr std::size_t link_key_size = stock_key_size;
inline constexpr std::uint32_t link_chunk_keys = 64;  // a chunk is sealed anew at each claim: two kilobytes, one page of the database
inline constexpr std::string_view link_stocks = "link/";

StockName stock_of(const LinkId& link);
/// The first 12 octets of SHA-256("qanat link chunk" ‖ u16 length ‖ link id ‖ u64 block id ‖ u32 chunk): the same at both ends.
BatchId link_batch_id(const LinkId& link, std::uint64_t block_id, std::uint32_t chunk);
/// Keys with even index fill the chunks 0, 2, 4 …, those with odd index the chunks 1, 3, 5 …
KeyId link_key_id(const LinkId& link, std::uint64_t block_id, std::uint32_t index);
/// Keys with even index, and so the even chunks, belong to the QKM whose name sorts first.
Owner owner_of(std::uint32_t index, const ElementName& self, const ElementName& peer);

/// What one hop of a relay uses up: a MAC key, the first key of the first run, and as many one-time pads as it carries secrets.
struct HopKeys {
  std::vector<KeyRun> runs;
  Secret mac;
  Secret pads;  // 32 octets each
};

struct LinkBlock {
  LinkId link;
  ElementName peer;  // the QKM at the other end
  std::uint64_t block_id = 0;
  Secret keys;  // 32 octets each
  points::KeyProof proof{};
};

using LinkStock = StockLevel;

class LinkKeys {
 public:
  LinkKeys(KeyStock& stock, ElementName self, std::int64_t keys_max) : stock_(stock), self_(std::move(self)), keys_max_(keys_max) {}

  /// Adds a block. The newest block of the link again: nothing happens, its QKD merely did not hear the answer. An earlier one: conflict.
  /// Of each link the newest blocks with at most keys_max keys together count; what remains of older ones is destroyed, at both ends alike.
  Result<void> ingest(store::Transaction& transaction, const LinkBlock& block, UnixMs now);
  /// The number that the link's next block has at least.
  Result<std::uint64_t> next_block(store::Transaction& transaction, const LinkId& link);

  /// The `count` oldest own keys that meet the demand, each and together, now reserved; exhausted, naming the link, if there are fewer.
  Result<std::vector<Taken>> reserve(store::Transaction& transaction, const LinkId& link, std::size_t count, const points::ProofDemand& demand, UnixMs now);
  /// The same, used up at once: for a use that is over before its answer comes.
  Result<std::vector<Taken>> spend(store::Transaction& transaction, const LinkId& link, std::size_t count, const points::ProofDemand& demand, UnixMs now);
  /// Keys that the neighbour named, used up here whatever comes of it; see KeyStock::redeem.
  Result<KeyStock::Receipt> receive(store::Transaction& transaction, const LinkId& link, std::span<const KeyRun> runs, UnixMs now);
  /// True if of each run the chunk is or was here.
  Result<bool> known(store::Transaction& transaction, std::span<const KeyRun> runs);

  /// What was reserved is used: conflict if it is destroyed already.
  Result<void> destroy(store::Transaction& transaction, std::span<const KeyRun> runs, UnixMs now);
  /// The neighbour never had these blocks: the own chunks that it named are of no use.
  Result<void> drop(store::Transaction& transaction, const LinkId& link, std::span<const BatchId> batches, UnixMs now);
  /// After a restart: keys that were on their way are destroyed. Returns them.
  Result<std::vector<KeyRun>> recover(store::Transaction& transaction, UnixMs now);

  Result<LinkStock> stock(store::Transaction& transaction, const LinkId& link, UnixMs now);
  Result<std::optional<store::KeyState>> state_of(store::Transaction& transaction, const KeyId& id) { return stock_.state_of(transaction, id); }

 private:
  Result<std::vector<Taken>> claim(store::Transaction& transaction, const LinkId& link, std::size_t count, const points::ProofDemand& demand,
                                   store::KeyState state, UnixMs now);
  KeyStock& stock_;
  const ElementName self_;
  const std::int64_t keys_max_;
};

/// Keys as they were taken, as one hop uses them; invalid_argument unless they are two or more.
Result<HopKeys> hop_keys(std::span<const Taken> taken);
/// All keys one after the other, and where they lay.
Secret joined(std::span<const Taken> taken);
std::vector<KeyRun> runs_of(std::span<const Taken> taken);
/// Of link keys that are used together: the eps of each block among them counts once.
points::KeyProof proof_of(std::span<const Taken> taken);

}  // namespace qanat::qkm
