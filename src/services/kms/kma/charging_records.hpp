// What is charged for: one record per working key and leg, written in the transaction that delivers the key. A key that left has its record, and a record has
// its key.
#pragma once

#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "services/kms/kma/traffic.hpp"
#include "store/store.hpp"
#include "wire/json.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

struct ChargingRecord {
  SidWk sid_wk;
  wire::Role leg{};
  SidCall sid_call;
  Uid uid;
  Number number;
  Uid peer_uid;
  Number peer_number;
  ElementName peer_kms;
  Traffic traffic{};
  wire::Assurance assurance{};
  std::uint8_t n_paths = 0;
  UnixMs delivered_ms = 0;
  UnixMs expires_ms = 0;               // of the key at the KMS
  std::optional<UnixMs> confirmed_ms;  // when the terminal said that it has it
  std::optional<std::int64_t> directory_epoch = {};  // nothing: CMSP granted it, or both ends are served here

  bool operator==(const ChargingRecord&) const = default;
};

inline constexpr std::int64_t charges_per_page = 200;
/// The columns that charging_record_of() reads.
inline constexpr std::string_view charging_columns =
    "sid_wk, leg, sid_call, uid, number, peer_uid, peer_number, peer_kms, traffic, assurance, n_paths, delivered_ms, expires_ms, confirmed_ms,"
    " directory_epoch";
/// Of a row of charging_record: that it is not set apart (charging_archive.hpp).
inline constexpr std::string_view counts_as_charge =
    "NOT EXISTS (SELECT 1 FROM charging_altered apart WHERE apart.sid_wk = charging_record.sid_wk AND apart.leg = charging_record.leg)";
/// The first of them is the row's column `first`. internal if this program wrote no such record.
Result<ChargingRecord> charging_record_of(const store::Row& row, int first);
/// What a query of charging_columns gives.
Result<std::vector<ChargingRecord>> read_charging_records(store::Transaction& transaction, std::string_view sql, std::initializer_list<store::Value> values);

/// `conflict` if this leg was charged before.
Result<void> add_charging_record(store::Transaction& transaction, const ChargingRecord& charge);
Result<void> confirm_charging_record(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, UnixMs now);
/// A place in the order of delivery: before every record of its time if it names no session.
struct ChargingPlace {
  UnixMs delivered_ms = 0;
  SidWk sid_wk;
  std::int64_t leg = 0;
};
inline ChargingPlace place_of(const ChargingRecord& charge) {
  return {.delivered_ms = charge.delivered_ms, .sid_wk = charge.sid_wk, .leg = static_cast<std::int64_t>(charge.leg)};
}
/// At most one page of what was delivered after this place and before `until`, in the order of delivery; with what is in the archive (charging_archive.hpp).
Result<std::vector<ChargingRecord>> list_charging_records(store::Transaction& transaction, const ChargingPlace& after, UnixMs until);
/// The oldest of them, at most charges_forgotten_at_once: to be called again and again. Of the archive whole days.
inline constexpr std::int64_t charges_forgotten_at_once = 20'000;
Result<void> forget_charging_records(store::Transaction& transaction, UnixMs delivered_before);

/// "caller" or "callee".
std::string_view leg_name(wire::Role leg) noexcept;
wire::Json to_json(const ChargingRecord& charge);

}  // namespace qanat::kms
