// Ends of key streams and the chunks that wait at them, in the QKM's database. Every function is one step of the caller's transaction.
#pragma once

#include <optional>

#include "crypto/device.hpp"
#include "quantum/qkm/stock.hpp"
#include "store/store.hpp"

namespace qanat::qkm {

/// One application's end of a stream. Of a stream between two SAEs of this site both are here.
struct StreamEnd {
  StreamId id;
  kme::SaeId sae;
  kme::SaeId peer;
  kme::StreamQos qos;
  EndState state = EndState::expected;
  EndState peer_state = EndState::expected;
  bool told = true;        // the other QKM knows `state`
  std::uint32_t next = 0;  // chunks below were stored here, once each
  UnixMs used_ms = 0;
};

struct NewChunk {
  std::uint32_t index = 0;
  bool ready = true;
  std::vector<StockRun> runs{};  // until it is ready
  std::uint32_t hops = 0;        // trusted nodes that its keys went through
  UnixMs until_ms = 0;           // destroyed then, once it is ready
};
struct ChunkView {
  bool ready = false;
  std::uint32_t hops = 0;
  UnixMs since_ms = 0;
};
struct PendingChunk {
  std::uint32_t index = 0;
  std::vector<StockRun> runs;
};

class StreamTable {
 public:
  explicit StreamTable(crypto::CryptoDevice& device) : device_(device) {}

  /// conflict if it is there.
  Result<void> add(store::Transaction& transaction, const StreamEnd& end);
  Result<std::optional<StreamEnd>> find(store::Transaction& transaction, const StreamId& id, const kme::SaeId& sae);
  /// Whatever of it may change.
  Result<void> update(store::Transaction& transaction, const StreamEnd& end);
  Result<std::vector<StreamEnd>> all_of(store::Transaction& transaction, const StreamId& id);
  /// Open, or still expected.
  Result<std::vector<StreamEnd>> live_ends(store::Transaction& transaction);
  /// Those of which the other QKM must still hear: another state, or chunks that are not ready.
  Result<std::vector<StreamEnd>> unsettled(store::Transaction& transaction);
  /// Not closed and not used since.
  Result<std::vector<StreamEnd>> idle_since(store::Transaction& transaction, UnixMs before, std::size_t most);
  Result<std::int64_t> count(store::Transaction& transaction, const kme::SaeId& sae, EndState state);
  /// As if it had never been.
  Result<void> remove(store::Transaction& transaction, const StreamEnd& end);
  /// Forgets ends that are closed at both sides and older.
  Result<void> forget(store::Transaction& transaction, UnixMs before);

  Result<void> put(store::Transaction& transaction, const StreamEnd& end, const NewChunk& chunk, const Secret& key, UnixMs now);
  Result<std::optional<ChunkView>> look(store::Transaction& transaction, const StreamEnd& end, std::uint32_t index);
  /// Out of the database.
  Result<Secret> take(store::Transaction& transaction, const StreamEnd& end, std::uint32_t index);
  Result<std::int64_t> held(store::Transaction& transaction, const StreamEnd& end);
  Result<std::vector<PendingChunk>> pending(store::Transaction& transaction, const StreamEnd& end);
  /// Pending chunks below `below` are ready, and live until then.
  Result<void> confirm(store::Transaction& transaction, const StreamEnd& end, std::uint32_t below, UnixMs until_ms);
  enum class Which : std::uint8_t { pending, ready };
  Result<void> drop(store::Transaction& transaction, const StreamEnd& end, Which which);
  /// Destroys what is past its time: at most `most` chunks; "<stream> <index> of <sae>".
  Result<std::vector<std::string>> sweep(store::Transaction& transaction, std::size_t most, UnixMs now);

 private:
  crypto::CryptoDevice& device_;
};

}  // namespace qanat::qkm
