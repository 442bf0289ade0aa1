#include "services/kms/kim/stock.hpp"

#include <algorithm>

#include "wire/injection.hpp"

namespace qanat::kms {
namespace {

constexpr std::string_view medium_columns = "SELECT medium, uid, kind, state, sealed_transport IS NOT NULL, generation FROM medium";

std::optional<MediumState> state_from_name(std::string_view text) {
  for (const MediumState state : {MediumState::active, MediumState::locked, MediumState::wiped}) {
    if (name(state) == text) return state;
  }
  return std::nullopt;
}

std::int64_t column_of(wire::KeySet set) { return static_cast<std::int64_t>(set); }

Bytes transport_context(const wire::MediumId& medium) { return store::column_context("medium.sealed_transport", medium.view()); }

std::string which(const Medium& medium, wire::KeySet set, std::uint32_t index) {
  return "charged key " + std::to_string(index) + " of the " + std::string(wire::name(set)) + " set of medium " + medium.id.hex();
}

Result<std::optional<Medium>> find_medium(store::Transaction& transaction, std::string_view condition, store::Value value) {
  std::optional<Medium> out;
  bool known = true;
  TRY(transaction.query(std::string(medium_columns) + " WHERE " + std::string(condition), {value}, [&](const store::Row& row) {
    const auto id = wire::MediumId::parse(row.blob(0));
    const auto state = state_from_name(row.text(3));
    known = id && state;
    if (known)
      out = Medium{.id = *id,
                   .uid = Uid(row.text(1)),
                   .kind = row.text(2),
                   .state = *state,
                   .by_file = row.integer(4) != 0,
                   .generation = static_cast<std::uint32_t>(row.integer(5))};
  }));
  if (!known) return fail(ErrorCode::internal, "kms.db: a medium that this program did not write");
  return out;
}

Result<void> end_medium(store::Transaction& transaction, const wire::MediumId& id) {
  TRY(transaction.run("UPDATE medium SET state = ?, sealed_transport = NULL WHERE medium = ?", {name(MediumState::wiped), id.view()}));
  TRY(transaction.run("DELETE FROM injected_key WHERE medium = ?", {id.view()}));
  TRY(transaction.run("UPDATE medium_set SET next_index = free_index WHERE medium = ?", {id.view()}));
  // Nor is what was charged given again, or anything approved for it.
  TRY(transaction.run("UPDATE charge SET answer = NULL WHERE medium = ? AND answer IS NOT NULL", {id.view()}));
  TRY(transaction.run("UPDATE charge SET state = 'rejected', decided_by = '' WHERE medium = ? AND state = 'waiting'", {id.view()}));
  return {};
}

}  // namespace

Bytes charged_key_context(const wire::MediumId& medium, wire::KeySet set, std::uint32_t index) {
  return store::column_context("injected_key.sealed_key", concat({medium.view(), Bytes{static_cast<std::uint8_t>(set)}, wire::index_octets(index)}));
}

Result<std::optional<wire::MediumId>> wipe_medium_of(store::Transaction& transaction, const Uid& uid) {
  ASSIGN_OR_RETURN(const std::optional<Medium> known, find_medium(transaction, "state <> 'wiped' AND uid = ?", std::string_view(uid.text())));
  if (!known) return std::optional<wire::MediumId>();
  TRY(end_medium(transaction, known->id));
  return std::optional(known->id);
}

Result<bool> was_charged_by_file(store::Transaction& transaction, const Uid& uid) {
  bool out = false;
  TRY(transaction.query("SELECT 1 FROM medium WHERE uid = ? AND generation > 0 LIMIT 1", {std::string_view(uid.text())}, [&](const store::Row&) { out = true; }));
  return out;
}

std::string_view name(MediumState state) noexcept {
  switch (state) {
    case MediumState::active:
      return "active";
    case MediumState::locked:
      return "locked";
    case MediumState::wiped:
      return "wiped";
  }
  return "?";
}

Result<void> Stock::add(store::Transaction& transaction, const Medium& medium, const Secret* transport_key, std::string_view by, UnixMs now) {
  ASSIGN_OR_RETURN(const std::optional<Medium> same, find(transaction, medium.id));
  if (same) return fail(ErrorCode::conflict, "medium " + medium.id.hex() + " is registered already: it is " + std::string(name(same->state)));
  ASSIGN_OR_RETURN(const std::optional<Medium> other, of_terminal(transaction, medium.uid));
  if (other) return fail(ErrorCode::conflict, "terminal " + medium.uid.text() + " has medium " + other->id.hex() + ": wipe that one first");
  Bytes sealed;
  if (transport_key != nullptr) {
    ASSIGN_OR_RETURN(sealed, device_.seal(transport_context(medium.id), *transport_key));
  }
  TRY(transaction.run(
      "INSERT INTO medium (medium, uid, kind, state, sealed_transport, generation, registered_by, registered_ms) VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
      {medium.id.view(), std::string_view(medium.uid.text()), std::string_view(medium.kind), name(MediumState::active),
       sealed.empty() ? store::Value() : store::Value(ByteView(sealed)), by, store::column(now)}));
  for (const wire::KeySet set : wire::all_key_sets) {
    TRY(transaction.run("INSERT INTO medium_set (medium, key_set, next_index, free_index) VALUES (?, ?, 0, 0)", {medium.id.view(), column_of(set)}));
  }
  return {};
}

Result<std::optional<Medium>> Stock::find(store::Transaction& transaction, const wire::MediumId& id) {
  return find_medium(transaction, "medium = ?", id.view());
}

Result<std::optional<Medium>> Stock::of_terminal(store::Transaction& transaction, const Uid& uid) {
  return find_medium(transaction, "state <> 'wiped' AND uid = ?", std::string_view(uid.text()));
}

Result<std::vector<MediumStock>> Stock::list(store::Transaction& transaction, std::int64_t limit) {
  std::vector<Bytes> ids;
  TRY(transaction.query("SELECT medium FROM medium ORDER BY registered_ms DESC, medium LIMIT ?", {limit},
                        [&](const store::Row& row) { ids.push_back(row.blob(0)); }));
  std::vector<MediumStock> out;
  for (const Bytes& id : ids) {
    MediumStock one;
    ASSIGN_OR_RETURN(const std::optional<Medium> medium, find_medium(transaction, "medium = ?", ByteView(id)));
    if (!medium) continue;
    one.medium = *medium;
    TRY(transaction.query("SELECT key_set, charged, count(*) FROM injected_key WHERE medium = ? GROUP BY key_set, charged", {ByteView(id)},
                          [&](const store::Row& row) {
                            const std::int64_t set = row.integer(0);
                            if (set < 1 || set > std::ssize(one.keys)) return;
                            one.keys[static_cast<std::size_t>(set) - 1] += row.integer(2);
                            if (set == column_of(wire::KeySet::call) && wire::counts(static_cast<wire::Charged>(row.integer(1))))
                              one.counting += row.integer(2);
                          }));
    out.push_back(std::move(one));
  }
  return out;
}

Result<void> Stock::set_state(store::Transaction& transaction, const Medium& medium, MediumState to) {
  ASSIGN_OR_RETURN(const std::optional<Medium> present, find(transaction, medium.id));
  if (!present) return fail(ErrorCode::not_found, "no medium " + medium.id.hex() + " is registered");
  if (present->state == to) return {};
  if (present->state == MediumState::wiped) return fail(ErrorCode::conflict, "medium " + medium.id.hex() + " is wiped");
  if (to == MediumState::wiped) return end_medium(transaction, medium.id);
  TRY(transaction.run("UPDATE medium SET state = ? WHERE medium = ?", {name(to), medium.id.view()}));
  return {};
}

Result<void> Stock::check_active(store::Transaction& transaction, const wire::MediumId& medium) {
  ASSIGN_OR_RETURN(const std::optional<Medium> present, find(transaction, medium));
  if (!present) return fail(ErrorCode::not_found, "no medium " + medium.hex() + " is registered");
  if (present->state != MediumState::active) return fail(ErrorCode::denied, "medium " + medium.hex() + " is " + std::string(name(present->state)));
  return {};
}

Result<void> Stock::check_room(store::Transaction& transaction, const wire::MediumId& medium, const SetCounts& counts) {
  for (const wire::KeySet set : wire::all_key_sets) {
    const std::uint16_t count = counts[wire::index_of(set)];
    ASSIGN_OR_RETURN(const Cursor at, cursor(transaction, medium, set));
    if (count > 0 && (at.free - at.next + count > stock_of_set_max || at.free + count > INT32_MAX))
      return fail(ErrorCode::exhausted, "medium " + medium.hex() + ": the " + std::string(wire::name(set)) + " set has as many keys as it may");
  }
  return {};
}

Result<Stock::Cursor> Stock::cursor(store::Transaction& transaction, const wire::MediumId& medium, wire::KeySet set) {
  std::optional<Cursor> out;
  TRY(transaction.query("SELECT next_index, free_index FROM medium_set WHERE medium = ? AND key_set = ?", {medium.view(), column_of(set)},
                        [&](const store::Row& row) { out = Cursor{.next = row.integer(0), .free = row.integer(1)}; }));
  if (!out) return fail(ErrorCode::not_found, "no medium " + medium.hex() + " is registered");
  return *out;
}

Result<wire::ChargePayload> Stock::charge(store::Transaction& transaction, const Medium& medium, const wire::ChargeId& charge, const SetCounts& counts,
                                          wire::Charged charged, wire::ChargeOrigin origin, std::vector<Secret> keys) {
  TRY(check_active(transaction, medium.id));
  TRY(check_room(transaction, medium.id, counts));
  wire::ChargePayload out;
  out.charged = charged;
  out.origin = origin;
  auto key = keys.begin();
  for (const wire::KeySet set : wire::all_key_sets) {
    const std::uint16_t count = counts[wire::index_of(set)];
    ASSIGN_OR_RETURN(const Cursor at, cursor(transaction, medium.id, set));
    wire::ChargedKeys& put = out.sets[wire::index_of(set)];
    put.first = static_cast<std::uint32_t>(at.free);
    if (count == 0) continue;
    for (std::uint16_t i = 0; i < count; ++i) {
      CHECK(key != keys.end() && key->size() == wire::charged_key_size);
      const std::uint32_t index = put.first + i;
      ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(charged_key_context(medium.id, set, index), *key));
      TRY(transaction.run("INSERT INTO injected_key (medium, key_set, key_index, sealed_key, charged, origin, charge) VALUES (?, ?, ?, ?, ?, ?, ?)",
                          {medium.id.view(), column_of(set), std::int64_t{index}, ByteView(sealed), static_cast<std::int64_t>(charged),
                           static_cast<std::int64_t>(origin), charge.view()}));
      put.keys.push_back(std::move(*key++));
    }
    TRY(transaction.run("UPDATE medium_set SET free_index = ? WHERE medium = ? AND key_set = ?", {at.free + count, medium.id.view(), column_of(set)}));
  }
  return Result<wire::ChargePayload>(std::move(out));
}

Result<Secret> Stock::spend_transport_key(store::Transaction& transaction, const crypto::Suite& suite, const Medium& medium) {
  Bytes sealed;
  TRY(transaction.query("SELECT sealed_transport FROM medium WHERE medium = ? AND sealed_transport IS NOT NULL", {medium.id.view()},
                        [&](const store::Row& row) { sealed = row.blob(0); }));
  if (sealed.empty()) return fail(ErrorCode::denied, "medium " + medium.id.hex() + " was registered without a transport key: it is charged over a wire alone");
  ASSIGN_OR_RETURN(Secret present, device_.unseal(transport_context(medium.id), sealed));
  ASSIGN_OR_RETURN(const Bytes next, device_.seal(transport_context(medium.id), wire::transport_key_after(suite, present, 1)));
  ASSIGN_OR_RETURN(const std::int64_t changed,
                   transaction.run("UPDATE medium SET sealed_transport = ?, generation = generation + 1 WHERE medium = ? AND generation = ?",
                                   {ByteView(next), medium.id.view(), std::int64_t{medium.generation}}));
  if (changed != 1) return fail(ErrorCode::conflict, "medium " + medium.id.hex() + " was charged meanwhile");
  return Result<Secret>(std::move(present));
}

Result<ChargedKey> Stock::look(store::Transaction& transaction, const Medium& medium, wire::KeySet set, std::uint32_t index) {
  ASSIGN_OR_RETURN(const Cursor at, cursor(transaction, medium.id, set));
  if (index < at.next) return fail(ErrorCode::conflict, which(medium, set, index) + " is used or burnt: the next is " + std::to_string(at.next));
  std::optional<Bytes> sealed;
  wire::Charged charged{};
  TRY(transaction.query("SELECT sealed_key, charged FROM injected_key WHERE medium = ? AND key_set = ? AND key_index = ?",
                        {medium.id.view(), column_of(set), std::int64_t{index}}, [&](const store::Row& row) {
                          sealed = row.blob(0);
                          charged = static_cast<wire::Charged>(row.integer(1));
                        }));
  if (!sealed) return fail(ErrorCode::not_found, which(medium, set, index) + " was never charged");
  ASSIGN_OR_RETURN(Secret key, device_.unseal(charged_key_context(medium.id, set, index), *sealed));
  return Result<ChargedKey>(ChargedKey{.key = std::move(key), .charged = charged});
}

Result<void> Stock::burn(store::Transaction& transaction, const Medium& medium, wire::KeySet set, std::uint32_t index) {
  TRY(check_active(transaction, medium.id));
  ASSIGN_OR_RETURN(const std::int64_t changed,
                   transaction.run("UPDATE medium_set SET next_index = ? WHERE medium = ? AND key_set = ? AND next_index <= ? AND free_index > ?",
                                   {std::int64_t{index} + 1, medium.id.view(), column_of(set), std::int64_t{index}, std::int64_t{index}}));
  if (changed != 1) return fail(ErrorCode::conflict, which(medium, set, index) + " is used or burnt");
  TRY(transaction.run("DELETE FROM injected_key WHERE medium = ? AND key_set = ? AND key_index <= ?", {medium.id.view(), column_of(set), std::int64_t{index}}));
  return {};
}

}  // namespace qanat::kms
