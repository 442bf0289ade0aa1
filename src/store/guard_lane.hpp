// One writer's part of a guard (guard.hpp): its row of guard_state and its anchor. A process has one or several; each is used by one transaction at a time, so that
// transactions that run side by side do not meet in one row. Private to store.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"
#include "store/guard_anchor.hpp"

namespace qanat::store {

struct GuardState;

class GuardLane {
 public:
  GuardLane(std::string shard, std::filesystem::path anchor, crypto::Hash hash, const Secret& anchor_key);
  ~GuardLane();
  GuardLane(const GuardLane&) = delete;
  GuardLane& operator=(const GuardLane&) = delete;

  [[nodiscard]] const std::string& shard() const noexcept { return shard_; }
  /// The highest epoch that is known to be on the disk.
  [[nodiscard]] std::int64_t durable() const noexcept { return durable_; }
  [[nodiscard]] bool after_crash() const noexcept { return after_crash_; }

  /// Reads the anchor. `denied` if it is not one that this program wrote.
  Result<void> read();
  /// `denied` unless the database may be at this epoch; nothing: it has no row of this lane yet.
  Result<void> check(std::optional<std::int64_t> epoch) const;
  /// After check(): from here on transactions may be made.
  Result<void> begin(std::int64_t epoch);

  /// `epoch` may come into the database: the anchor reaches as far before it does.
  Result<void> reach(std::int64_t epoch);
  void became_durable(std::int64_t epoch);

  /// The state that this lane sealed last, if it was for this epoch and to these octets: then they need not be opened. Of the transaction that has the lane.
  [[nodiscard]] const GuardState* sealed_as(std::int64_t epoch, ByteView octets) const noexcept;
  void has_sealed(std::int64_t epoch, Bytes octets, GuardState state);

  /// The floor is where the database is now; close(): the ceiling too.
  Result<void> settle();
  Result<void> close();

 private:
  /// With mutex_ held.
  Result<void> place(std::int64_t floor, std::int64_t ceiling);

  const std::string shard_;
  const std::filesystem::path file_;
  const crypto::Hash hash_;
  const Secret& key_;  // of the store that has the lane
  std::optional<Anchor> found_;
  std::atomic<std::int64_t> durable_ = 0;
  std::atomic<std::int64_t> ceiling_ = 0;
  std::mutex mutex_;  // guards the file and floor_
  std::int64_t floor_ = -1;
  bool after_crash_ = false;
  std::int64_t sealed_for_ = -1;
  Bytes sealed_;  // what state_ was sealed to
  std::unique_ptr<const GuardState> state_;
};

}  // namespace qanat::store
