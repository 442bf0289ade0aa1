// KMA, history library: keys whose life is over leave the database, some time after it, for an archive of files (history_segment.hpp). What the database keeps
// of them: that the session was used, and where it is written; and a guarded row for each segment, which says how far it is and what it digests to. Own design;
// why a session that was used is never used again, and why a message of that time is refused, stands in docs/adr/0025-guarded-store.md.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "services/kms/kma/history_segment.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kp/owed_records.hpp"

namespace qanat::kms {

inline constexpr std::int64_t history_at_once = 500;  // keys in one transaction
inline constexpr int history_batches = 8;             // one after the other, for one look
inline constexpr std::int64_t segments_per_page = 200;
inline constexpr UnixMs segment_lasts_ms = 86'400'000;          // then another is begun,
inline constexpr std::int64_t segment_octets_max = 1LL << 28U;  // or when it is so long
inline constexpr UnixMs segment_left_after_ms = 600'000;        // a front end that has not gone on with its segment for so long has left it to the others

struct HistorySettings {
  std::filesystem::path folder;  // of this front end's segments
  std::string kms;
  std::string front_end;    // empty where there is one alone
  UnixMs retention_ms = 0;  // after the end of its time a key leaves the database; at least twice the clock window
  std::int64_t octets_max = segment_octets_max;
};

/// What the guarded row of a segment says. The newest is the one that grows.
struct HistorySegment {
  SegmentHead head;
  std::string front_end;  // which has the file
  UnixMs began_ms = 0;
  UnixMs grown_ms = 0;
  SegmentExtent extent;
  std::int64_t keys = 0;  // of this segment and all before it
  UnixMs until_ms = 0;    // the latest expires_ms of these
  /// The archive has not gone on in between.
  bool operator==(const HistorySegment& other) const;
};
Result<std::optional<HistorySegment>> newest_segment(store::Transaction& transaction);
/// In the order of their numbers, at most a page.
Result<std::vector<HistorySegment>> list_segments(store::Transaction& transaction, std::int64_t after);

/// Where a key is written.
struct ArchivedKey {
  wire::Role leg{};
  HistorySegment segment;
  std::int64_t place = 0;  // octet of its line
};
Result<std::vector<ArchivedKey>> find_archived(store::Transaction& transaction, const SidWk& sid_wk);

class KeyHistory {
 public:
  KeyHistory(store::Store& store, Ledger& ledger, HistorySettings settings) : store_(store), ledger_(ledger), settings_(std::move(settings)) {}

  /// Before anything is served: up to which time keys are archived.
  Result<void> open();
  struct Moved {
    std::int64_t keys = 0;
    bool owes = false;  // a segment is closed: a record of it is owed under the id that archive() was given (owed_records.hpp)
  };
  /// Moves those whose time has been over for retention_ms, the oldest first, at most history_batches * history_at_once; none while another front end is at it.
  /// Also of calls that go on: between whom a call is, its later keys say as well (Ledger::add). Used by one thread; by another one folder() alone.
  Result<Moved> archive(UnixMs now, const OwedId& id);
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return settings_.folder; }

 private:
  struct Batch;
  Result<std::optional<HistorySegment>> newest();
  /// Another front end's segment is growing.
  [[nodiscard]] bool is_of_others(const std::optional<HistorySegment>& newest, UnixMs now) const;
  /// Whether it is worth while to ask for the turn.
  Result<bool> is_due(store::Transaction& transaction, UnixMs now) const;
  /// Nothing: no key is due, or the turn is another front end's.
  Result<std::optional<Batch>> plan(store::Transaction& transaction, UnixMs now) const;
  /// `conflict` if the archive is not as it was planned for.
  static Result<void> check_newest(store::Transaction& transaction, const Batch& batch);
  /// The sessions are used, whatever becomes of the rest.
  static Result<void> note_used(store::Transaction& transaction, const Batch& batch);
  /// What is in the file leaves the database. `conflict` if that is not what is there.
  Result<void> settle(store::Transaction& transaction, const Batch& batch, UnixMs now, const OwedId& id) const;
  /// Whether this segment is for this process to go on with.
  [[nodiscard]] bool continues(const HistorySegment& newest, std::int64_t life, UnixMs now) const;

  store::Store& store_;
  Ledger& ledger_;
  const HistorySettings settings_;
};

}  // namespace qanat::kms
