// Keys that are promised to SAEs of this site until they fetch them: each slave gets each key once, and a key's octets leave the database in the
// transaction in which the last of its slaves gets it. One row holds the keys of many requests (ids that follow each other), sealed as one blob.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "crypto/device.hpp"
#include "kme/provider.hpp"
#include "kme/stock/key_stock.hpp"
#include "store/store.hpp"

namespace qanat::kme {

inline constexpr std::uint32_t assignment_keys_max = 256;
inline constexpr std::size_t assignment_slaves_max = 64;

/// Ids first, first + stride, … of one batch, `count` of them: a key of more than 256 bits takes several stock keys and has the id of the first.
struct IdRun {
  BatchId batch;
  std::uint32_t first = 0;
  std::uint32_t stride = 1;
  std::uint32_t count = 0;

  [[nodiscard]] KeyId id(std::uint32_t at) const { return key_id(batch, first + at * stride); }
  auto operator<=>(const IdRun&) const = default;
};

/// The ids of keys that each take `stride` stock keys of `runs`, in order; at most assignment_keys_max in one piece.
std::vector<IdRun> id_runs(std::span<const KeyRun> runs, std::uint32_t stride);

struct Assignment {
  IdRun ids;
  std::uint32_t octets = 0;  // of one key
  SaeId master;
  std::vector<SaeId> slaves;  // of this site, at least one, at most 64
  Secret keys;                     // ids.count × octets
  UnixMs until_ms = 0;             // destroyed then
};

/// What a row's sealed column is bound to: the id of its first key.
Bytes assignment_context(const IdRun& ids);

class Assignments {
 public:
  explicit Assignments(crypto::CryptoDevice& device) : device_(device) {}

  /// conflict if the first id is there already.
  Result<void> add(store::Transaction& transaction, const Assignment& assignment);
  /// Removes what is past its time, at most `most` rows; the ids.
  Result<std::vector<IdRun>> sweep(store::Transaction& transaction, std::size_t most, UnixMs now);

  /// Several fetches in one transaction. What it hands out is out of the database once finish() has succeeded and the transaction is committed.
  class Fetching {
   public:
    Fetching(Assignments& assignments, store::Transaction& transaction, UnixMs now);
    ~Fetching();
    Fetching(const Fetching&) = delete;
    Fetching& operator=(const Fetching&) = delete;

    /// All or none. not_found if one is not here (or the slave had it before, or another master ordered it); denied if `slave` was not named for one.
    Result<std::vector<Key>> fetch(const SaeId& slave, const SaeId& master, std::span<const KeyId> ids,
                                        MasterName master_is = MasterName::exact);
    /// For all slaves at once; those of `ids` that the master had ordered and that were here. No ids: whatever is here of the master's.
    Result<std::vector<KeyId>> discard(const SaeId& master, std::span<const KeyId> ids);
    Result<void> finish();

   private:
    struct Open;
    Result<std::vector<KeyId>> discard_all(const SaeId& master);
    Result<Open*> find(const KeyId& id, std::uint32_t& at);

    Assignments& assignments_;
    store::Transaction& transaction_;
    UnixMs now_;
    std::map<IdRun, std::unique_ptr<Open>> open_;
  };

 private:
  crypto::CryptoDevice& device_;
};

}  // namespace qanat::kme
