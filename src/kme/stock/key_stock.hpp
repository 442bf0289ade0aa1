// Keys of 256 bits that this element shares with one peer, each used once. The cost per key does not depend on how many there are: keys lie in
// chunks, one row each, sealed as one blob; what of a chunk is gone stands in a bitmap beside it, what is on its way in a table of runs, and
// how many there are in a counter.
//
// Both ends hold the same chunks under the same ids. Each chunk has one owner, the end that may choose its keys; the other end uses one
// only when the owner names it. So the ends never choose the same key for two purposes, whatever messages are lost (checked by exhaustive
// search, formal/align.pml). A key goes through the states of store/lifecycle.hpp: `generated` in its chunk; `reserved`, `delivered`,
// `confirmed`, `destroyed` as (part of) a run. Its octets leave the database in the transaction that takes it out of its chunk.
//
// Every function is one step of the caller's transaction: undone with it. Not for use beside a transaction of the same store.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/key_run.hpp"
#include "crypto/device.hpp"
#include "points/key_proof.hpp"
#include "store/lifecycle.hpp"
#include "store/store.hpp"

namespace qanat::kme {

struct StockTag;
using StockName = Name<StockTag>;  // "link/a-r", "domain/b/qkm-a>qkm-r>qkm-b"

inline constexpr std::size_t stock_key_size = 32;
inline constexpr std::uint32_t chunk_keys_max = 256;
inline constexpr std::size_t about_max = 1024;

enum class Owner : std::uint8_t { peer = 0, self = 1 };

/// How keys came here.
enum class KeyWay : std::uint8_t { link = 0, hop_by_hop = 1, centralised = 2 };
inline constexpr std::uint8_t ways_all = 7;  // a bit for each

/// What a chunk's keys are worth.
struct KeyQuality {
  points::KeyProof proof{};
  KeyWay way = KeyWay::link;
  bool operator==(const KeyQuality&) const = default;
};
/// What they must be worth.
struct QualityDemand {
  points::ProofDemand proof{};
  std::uint8_t ways = ways_all;

  [[nodiscard]] bool is_any() const { return proof.is_any() && ways == ways_all; }
  [[nodiscard]] bool is_met_by(const KeyQuality& quality) const {
    return proof.is_met_by(quality.proof) && (ways & (1U << static_cast<unsigned>(quality.way))) != 0;
  }
};

struct Chunk {
  BatchId batch;
  Owner owner{};
  Secret keys;            // 1 to 256 keys, 32 octets each
  std::string about{};    // what whoever takes a key wants to know of it; the stock does not look inside
  UnixMs expires_ms = 0;  // 0: never
  KeyQuality quality{};
};

/// Keys that left the stock, and what was known of their chunk.
struct Taken {
  KeyRun run;
  Secret keys;  // run.count × 32 octets
  std::string about;
  UnixMs expires_ms = 0;
  KeyQuality quality{};
  std::uint64_t seq = 0;  // the delivery that it came with: what came together was proved together
  [[nodiscard]] Secret key(std::uint32_t at) const;
};

/// What a taken key becomes.
struct Onward {
  store::KeyState state = store::KeyState::reserved;  // reserved, delivered, or destroyed at once (used within the caller's own work)
  std::string holder{};                               // for whom; evidence
  UnixMs until_ms = 0;                                // sweep() destroys it then; 0: never
};

struct StockLevel {
  std::int64_t own = 0;   // ours to choose
  std::int64_t peer = 0;  // the peer's to choose
};

/// `size` keys of `keys` from `first` on.
Secret slice_keys(const Secret& keys, std::size_t first, std::size_t size);
/// `some` in the place of `keys` that begins at key `first`.
void put_keys(Secret& keys, std::size_t first, const Secret& some);

/// What a chunk's sealed column is bound to. The bitmap says which key each part of it is: one without the other does not open.
Bytes chunk_context(const BatchId& batch, ByteView gone);

class KeyStock {
 public:
  explicit KeyStock(crypto::CryptoDevice& device) : device_(device) {}

  /// Chunks that came together, number `seq` of the stock's deliveries (links: the block id); 0 for a stock without such numbers, where nothing
  /// is ever too old. A delivery with the newest number again: false, and nothing happens. An earlier one: conflict. Deliveries beyond
  /// `keys_max` keys, counted from the newest and as they were when they came, are destroyed: at both ends alike. The newest always stays.
  struct Delivery {
    std::uint64_t seq = 0;
    std::int64_t keys_max = 0;
  };
  Result<bool> add(store::Transaction& transaction, const StockName& stock, Delivery delivery, std::span<const Chunk> chunks, UnixMs now);
  /// The number that the stock's next delivery has at least.
  Result<std::uint64_t> next_delivery(store::Transaction& transaction, const StockName& stock);

  /// The oldest own keys that meet the demand, `least` to `most` of them; exhausted, naming the stock, if there are fewer. `each`: a run per key, so
  /// that each can be done with by itself.
  struct Wanted {
    std::size_t least = 1;
    std::size_t most = 1;
    bool each = false;
    QualityDemand demand{};
  };
  Result<std::vector<Taken>> claim(store::Transaction& transaction, const StockName& stock, Wanted wanted, const Onward& onward, UnixMs now);

  /// What became of keys that the peer named. Also those that were in order are used up if one was not: a Receipt is committed, and the
  /// refusal answered afterwards.
  struct Receipt {
    std::vector<Taken> keys;       // in the order named; empty if refused
    std::optional<Error> refusal;  // not_found, denied (another stock's, or ours to choose: left alone), conflict (used before)
    std::vector<BatchId> missing;  // never came here
  };
  enum class Unknown : std::uint8_t { burn, leave };  // burn: a key whose chunk comes later counts as used
  Result<Receipt> redeem(store::Transaction& transaction, const StockName& stock, std::span<const KeyRun> runs, const Onward& onward, Unknown unknown,
                         UnixMs now);

  /// A whole run, as it was taken, goes on. not_found, or conflict if the table of states has no such step.
  Result<void> advance(store::Transaction& transaction, const KeyRun& run, store::KeyState to, UnixMs now);
  /// The same, with a new time after which sweep() destroys it.
  Result<void> deliver(store::Transaction& transaction, const KeyRun& run, UnixMs until_ms, UnixMs now);
  /// What is left of an own chunk that the peer says it never had, and of all own chunks of its delivery, since a delivery is added whole or not at
  /// all. The number of keys: zero if the chunk is not here, or the peer's.
  Result<std::size_t> drop(store::Transaction& transaction, const StockName& stock, const BatchId& batch, UnixMs now);

  /// Where a key's chunk is or was; nothing if it was never here or is forgotten.
  Result<std::optional<StockName>> stock_with(store::Transaction& transaction, const KeyId& id);
  /// The key's state; nothing if it was never here or is forgotten.
  Result<std::optional<store::KeyState>> state_of(store::Transaction& transaction, const KeyId& id);
  /// For whom it was taken; "" if it was not, or is forgotten.
  Result<std::string> holder_of(store::Transaction& transaction, const KeyId& id);
  /// Does not count what is past its time.
  Result<StockLevel> level(store::Transaction& transaction, const StockName& stock, UnixMs now);
  /// What the oldest own keys that meet the demand are worth; nothing if there are none.
  Result<std::optional<KeyQuality>> quality(store::Transaction& transaction, const StockName& stock, const QualityDemand& demand, UnixMs now);
  /// How many own keys of the oldest 4096 chunks meet the demand. Unlike level() it looks at chunk after chunk.
  Result<std::int64_t> count_meeting(store::Transaction& transaction, const StockName& stock, const QualityDemand& demand, UnixMs now);
  /// The names of all stocks that begin with `prefix`.
  Result<std::vector<StockName>> stocks(store::Transaction& transaction, std::string_view prefix);

  /// Destroys what is past its time: at most `most` chunks and as many runs. Returns what it was.
  Result<std::vector<KeyRun>> sweep(store::Transaction& transaction, std::size_t most, UnixMs now);
  /// After a restart: what was promised to a process that died, in stocks that begin with `prefix`, is destroyed. `delivered` too where the
  /// octets were meant for this process itself. Returns the runs.
  Result<std::vector<KeyRun>> recover(store::Transaction& transaction, std::string_view prefix, bool also_delivered, UnixMs now);
  /// Drops the evidence of what was destroyed before `before`, and the oldest beyond `most` runs; at most 20,000 rows at a time. Its keys stay
  /// refused: no chunk comes twice. Stocks without numbered deliveries of which nothing is left go too.
  Result<void> forget(store::Transaction& transaction, UnixMs before, std::int64_t most);

 private:
  struct Row;  // a chunk's row
  struct Open {
    Bytes gone;   // as of the octets below
    Secret keys;  // all places of the chunk; what is gone is zero
  };
  Result<std::optional<Row>> find(store::Transaction& transaction, const BatchId& batch);
  Result<std::optional<Row>> head(store::Transaction& transaction, const StockName& stock, const QualityDemand& demand, UnixMs now);
  Result<std::vector<Row>> rows_of(store::Transaction& transaction, const StockName& stock, Owner owner, std::int64_t seq);
  Error none_left(store::Transaction& transaction, const StockName& stock, const QualityDemand& demand, UnixMs now);
  /// Out of open_, or unsealed; keep() puts it back.
  Result<Open> open(store::Transaction& transaction, const Row& row);
  void keep(const BatchId& batch, Open open_chunk);
  void forget_open(const BatchId& batch);
  Result<Secret> take_from(store::Transaction& transaction, Row& row, std::uint32_t first, std::uint32_t count);
  Result<void> remove(store::Transaction& transaction, const Row& row);
  Result<std::vector<KeyRun>> end(store::Transaction& transaction, const Row& row, std::string_view why, UnixMs now);
  Result<std::vector<KeyRun>> expire(store::Transaction& transaction, const BatchId& batch, UnixMs now);
  Result<void> insert(store::Transaction& transaction, const StockName& stock, std::uint64_t seq, const Chunk& chunk);
  Result<void> drop_old(store::Transaction& transaction, const StockName& stock, std::int64_t keys_max);
  Result<void> note(store::Transaction& transaction, std::string_view stock, const KeyRun& run, const Onward& onward, UnixMs now);
  Result<void> burn(store::Transaction& transaction, const StockName& stock, const KeyRun& run, UnixMs now);
  Result<void> redeem_run(store::Transaction& transaction, const StockName& stock, const KeyRun& run, const Onward& onward, Unknown unknown, UnixMs now,
                          Receipt& out);
  Result<void> destroy_runs(store::Transaction& transaction, std::span<const KeyRun> runs, UnixMs now);

  crypto::CryptoDevice& device_;
  std::mutex mutex_;              // guards open_: on PostgreSQL works run side by side, and each takes what it works on out of there
  std::map<BatchId, Open> open_;  // chunks in use, unsealed; believed only where its bitmap is the row's, so that a rollback cannot mislead it
};

}  // namespace qanat::kme
