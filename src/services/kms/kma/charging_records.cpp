#include "services/kms/kma/charging_records.hpp"

#include <algorithm>
#include <tuple>

#include "services/kms/kma/charging_archive.hpp"

namespace qanat::kms {

std::string_view leg_name(wire::Role leg) noexcept { return leg == wire::Role::caller ? "caller" : "callee"; }

Result<void> add_charging_record(store::Transaction& transaction, const ChargingRecord& charge) {
  return transaction.change(
      "INSERT INTO charging_record (sid_wk, leg, sid_call, uid, number, peer_uid, peer_number, peer_kms, traffic, assurance, n_paths, delivered_ms, expires_ms,"
      " directory_epoch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {charge.sid_wk.view(), static_cast<std::int64_t>(charge.leg), charge.sid_call.view(), std::string_view(charge.uid.text()),
       std::string_view(charge.number.text()), std::string_view(charge.peer_uid.text()), std::string_view(charge.peer_number.text()),
       std::string_view(charge.peer_kms.text()), name(charge.traffic), static_cast<std::int64_t>(charge.assurance), std::int64_t{charge.n_paths},
       store::column(charge.delivered_ms), store::column(charge.expires_ms),
       charge.directory_epoch ? store::Value(*charge.directory_epoch) : store::Value()});
}

Result<void> confirm_charging_record(store::Transaction& transaction, const SidWk& sid_wk, wire::Role leg, UnixMs now) {
  return transaction.change("UPDATE charging_record SET confirmed_ms = ? WHERE sid_wk = ? AND leg = ?",
                            {store::column(now), sid_wk.view(), static_cast<std::int64_t>(leg)});
}

Result<ChargingRecord> charging_record_of(const store::Row& row, int first) {
  ChargingRecord one;
  const auto sid_wk = SidWk::parse(row.blob(first));
  const auto sid_call = SidCall::parse(row.blob(first + 2));
  if (!sid_wk || !sid_call) return fail(ErrorCode::internal, "kms.db: a charging record that this program did not write");
  one.sid_wk = *sid_wk;
  one.leg = static_cast<wire::Role>(row.integer(first + 1));
  one.sid_call = *sid_call;
  one.uid = Uid(row.text(first + 3));
  one.number = Number(row.text(first + 4));
  one.peer_uid = Uid(row.text(first + 5));
  one.peer_number = Number(row.text(first + 6));
  one.peer_kms = ElementName(row.text(first + 7));
  one.traffic = traffic_from_name(row.text(first + 8)).value_or(Traffic::voice);
  one.assurance = static_cast<wire::Assurance>(row.integer(first + 9));
  one.n_paths = static_cast<std::uint8_t>(row.integer(first + 10));
  one.delivered_ms = static_cast<UnixMs>(row.integer(first + 11));
  one.expires_ms = static_cast<UnixMs>(row.integer(first + 12));
  if (!row.is_null(first + 13)) one.confirmed_ms = static_cast<UnixMs>(row.integer(first + 13));
  if (!row.is_null(first + 14)) one.directory_epoch = row.integer(first + 14);
  return one;
}

Result<std::vector<ChargingRecord>> read_charging_records(store::Transaction& transaction, std::string_view sql, std::initializer_list<store::Value> values) {
  std::vector<ChargingRecord> out;
  Result<void> read;
  TRY(transaction.query(sql, values, [&](const store::Row& row) {
    auto one = charging_record_of(row, 0);
    if (one) {
      out.push_back(*std::move(one));
    } else {
      read = fail(one.error());
    }
  }));
  TRY(read);
  return out;
}

Result<std::vector<ChargingRecord>> list_charging_records(store::Transaction& transaction, const ChargingPlace& after, UnixMs until) {
  ASSIGN_OR_RETURN(std::vector<ChargingRecord> out, list_archived_charges(transaction, after, until));
  ASSIGN_OR_RETURN(const std::vector<ChargingRecord> young,
                   read_charging_records(transaction,
                                         "SELECT " + std::string(charging_columns) +
                                             " FROM charging_record WHERE (delivered_ms, sid_wk, leg) > (?, ?, ?) AND delivered_ms < ? AND " +
                                             std::string(counts_as_charge) + " ORDER BY delivered_ms, sid_wk, leg LIMIT ?",
                                         {store::column(after.delivered_ms), after.sid_wk.view(), after.leg, store::column(until), charges_per_page}));
  out.insert(out.end(), young.begin(), young.end());
  std::ranges::sort(out, {}, [](const ChargingRecord& one) { return std::tuple(one.delivered_ms, one.sid_wk, one.leg); });
  if (std::ssize(out) > charges_per_page) out.resize(static_cast<std::size_t>(charges_per_page));
  return out;
}

Result<void> forget_charging_records(store::Transaction& transaction, UnixMs delivered_before) {
  TRY(transaction.run("DELETE FROM charging_record WHERE (sid_wk, leg) IN (SELECT sid_wk, leg FROM charging_record WHERE delivered_ms < ? AND " +
                          std::string(counts_as_charge) + " ORDER BY delivered_ms LIMIT ?)",
                      {store::column(delivered_before), charges_forgotten_at_once}));
  return forget_archived_charges(transaction, delivered_before);
}

wire::Json to_json(const ChargingRecord& charge) {
  wire::Json out = wire::Json::object({{"sid_wk", charge.sid_wk.hex()},
                                       {"leg", leg_name(charge.leg)},
                                       {"sid_call", charge.sid_call.hex()},
                                       {"uid", charge.uid.text()},
                                       {"number", charge.number.text()},
                                       {"peer_uid", charge.peer_uid.text()},
                                       {"peer_number", charge.peer_number.text()},
                                       {"peer_kms", charge.peer_kms.text()},
                                       {"traffic", name(charge.traffic)},
                                       {"assurance", static_cast<int>(charge.assurance)},
                                       {"n_paths", static_cast<int>(charge.n_paths)},
                                       {"delivered_ms", charge.delivered_ms},
                                       {"expires_ms", charge.expires_ms}});
  if (charge.confirmed_ms) out.set("confirmed_ms", *charge.confirmed_ms);
  if (charge.directory_epoch) out.set("directory_epoch", *charge.directory_epoch);
  return out;
}

}  // namespace qanat::kms
