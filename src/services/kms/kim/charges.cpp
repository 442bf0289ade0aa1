#include "services/kms/kim/charges.hpp"

#include <algorithm>

namespace qanat::kms {
namespace {

constexpr std::int64_t charges_swept_max = 1000;
constexpr std::array all_states{ChargeState::waiting, ChargeState::rejected, ChargeState::given, ChargeState::received};
constexpr std::string_view charge_columns =
    "SELECT charge, medium, state, authentication_keys, call_keys, distribution_keys, made_by, made_ms, decided_by, h_req, h_deliver, answer FROM charge";

Result<std::vector<Charge>> read_charges(store::Transaction& transaction, std::string_view condition, std::initializer_list<store::Value> values) {
  std::vector<Charge> out;
  bool known = true;
  TRY(transaction.query(std::string(charge_columns) + " WHERE " + std::string(condition), values, [&](const store::Row& row) {
    const auto id = wire::ChargeId::parse(row.blob(0));
    const auto medium = wire::MediumId::parse(row.blob(1));
    const auto* const state = std::ranges::find(all_states, row.text(2), [](ChargeState one) { return name(one); });
    if (!id || !medium || state == all_states.end()) {
      known = false;
      return;
    }
    const auto count = [&row](int column) { return static_cast<std::uint16_t>(row.integer(column)); };
    const auto octets = [&row](int column) { return row.is_null(column) ? Bytes() : row.blob(column); };
    out.push_back({.id = *id,
                   .medium = *medium,
                   .state = *state,
                   .counts = {count(3), count(4), count(5)},
                   .made_by = row.text(6),
                   .made_ms = static_cast<UnixMs>(row.integer(7)),
                   .decided_by = row.text(8),
                   .h_req = octets(9),
                   .h_deliver = octets(10),
                   .answer = octets(11)});
  }));
  if (!known) return fail(ErrorCode::internal, "kms.db: a charge that this program did not write");
  return out;
}

Result<std::optional<Charge>> read_one(store::Transaction& transaction, std::string_view condition, store::Value value) {
  ASSIGN_OR_RETURN(std::vector<Charge> found, read_charges(transaction, condition, {value}));
  if (found.empty()) return std::optional<Charge>();
  return std::optional(std::move(found.front()));
}

store::Value or_null(const Bytes& octets) { return octets.empty() ? store::Value() : store::Value(ByteView(octets)); }

}  // namespace

std::string_view name(ChargeState state) noexcept {
  switch (state) {
    case ChargeState::waiting:
      return "waiting";
    case ChargeState::rejected:
      return "rejected";
    case ChargeState::given:
      return "given";
    case ChargeState::received:
      return "received";
  }
  return "?";
}

Result<void> add_charge(store::Transaction& transaction, const Charge& charge) {
  TRY(transaction.run(
      "INSERT INTO charge (charge, medium, state, authentication_keys, call_keys, distribution_keys, made_by, made_ms, decided_by, h_req, h_deliver, answer)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {charge.id.view(), charge.medium.view(), name(charge.state), std::int64_t{charge.counts[0]}, std::int64_t{charge.counts[1]},
       std::int64_t{charge.counts[2]}, std::string_view(charge.made_by), store::column(charge.made_ms), std::string_view(charge.decided_by),
       or_null(charge.h_req), or_null(charge.h_deliver), or_null(charge.answer)}));
  return {};
}

Result<std::optional<Charge>> find_charge(store::Transaction& transaction, const wire::ChargeId& id) { return read_one(transaction, "charge = ?", id.view()); }

Result<std::optional<Charge>> find_charge_of_request(store::Transaction& transaction, ByteView h_req) { return read_one(transaction, "h_req = ?", h_req); }

Result<std::vector<Charge>> list_charges(store::Transaction& transaction, ChargeState state, std::int64_t limit) {
  return read_charges(transaction, "state = ? ORDER BY made_ms DESC, charge LIMIT ?", {name(state), limit});
}

Result<std::int64_t> count_unreceived(store::Transaction& transaction, const wire::MediumId& medium, UnixMs made_after) {
  std::int64_t out = 0;
  TRY(transaction.query("SELECT count(*) FROM charge WHERE medium = ? AND state = 'given' AND h_req IS NOT NULL AND made_ms > ?",
                        {medium.view(), store::column(made_after)}, [&](const store::Row& row) { out = row.integer(0); }));
  return out;
}

Result<std::int64_t> count_over_wire(store::Transaction& transaction, const wire::MediumId& medium, UnixMs made_after) {
  std::int64_t out = 0;
  TRY(transaction.query("SELECT count(*) FROM charge WHERE medium = ? AND h_req IS NOT NULL AND made_ms > ?", {medium.view(), store::column(made_after)},
                        [&](const store::Row& row) { out = row.integer(0); }));
  return out;
}

Result<void> move_charge(store::Transaction& transaction, const wire::ChargeId& id, ChargeState from, ChargeState to, std::string_view by) {
  ASSIGN_OR_RETURN(const std::int64_t changed,
                   transaction.run(to == ChargeState::received ? "UPDATE charge SET state = ?, decided_by = ?, answer = NULL WHERE charge = ? AND state = ?"
                                                               : "UPDATE charge SET state = ?, decided_by = ? WHERE charge = ? AND state = ?",
                                   {name(to), by, id.view(), name(from)}));
  if (changed == 1) return {};
  return fail(ErrorCode::conflict, "charge " + id.hex() + " is not " + std::string(name(from)) + " any more");
}

Result<void> keep_answer(store::Transaction& transaction, const wire::ChargeId& id, ByteView h_deliver, ByteView answer, UnixMs now) {
  // From now on: an order may have waited for days, and its file is to be collected as long as any.
  TRY(transaction.run("UPDATE charge SET h_deliver = ?, answer = ?, made_ms = ? WHERE charge = ?",
                      {h_deliver.empty() ? store::Value() : store::Value(h_deliver), answer, store::column(now), id.view()}));
  return {};
}

Result<void> forget_answers(store::Transaction& transaction, UnixMs made_until) {
  TRY(transaction.run("UPDATE charge SET answer = NULL WHERE answer IS NOT NULL AND made_ms < ?", {store::column(made_until)}));
  return {};
}

Result<void> sweep_charges(store::Transaction& transaction, UnixMs now) {
  TRY(forget_answers(transaction, now - std::min(now, charge_answer_life_ms)));
  TRY(transaction.run("UPDATE charge SET state = 'rejected', decided_by = '' WHERE state = 'waiting' AND made_ms < ?",
                      {store::column(now - std::min(now, charge_order_life_ms))}));
  TRY(transaction.run("DELETE FROM charge WHERE charge IN (SELECT charge FROM charge WHERE made_ms < ? ORDER BY made_ms LIMIT ?)",
                      {store::column(now - std::min(now, charge_kept_ms)), charges_swept_max}));
  return {};
}

}  // namespace qanat::kms
