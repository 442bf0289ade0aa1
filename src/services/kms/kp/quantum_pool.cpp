#include "services/kms/kp/quantum_pool.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "services/kms/kp/sealed_columns.hpp"

namespace qanat::kms {
namespace {

constexpr std::size_t lot_id_octets = 16;
constexpr std::int64_t keys_per_request_max = 64;  // Km-3's
constexpr UnixMs history_kept_ms = 86'400'000;     // the QKM's record and ours have it for longer

constexpr UnixMs in_use_max_ms = 60'000;           // after it could last be handed out: no agreement takes so long

constexpr std::string_view left_over = "left over from before the restart";
constexpr std::string_view other_lots = "policy asks for other lots now";

Result<Library> library_of_row(const store::Row& row, int column) {
  const std::string text = row.text(column);
  const auto* const found = std::ranges::find_if(all_libraries, [&](Library library) { return name(library) == text; });
  if (found == all_libraries.end()) return fail(ErrorCode::internal, "kms.db: a quantum key in no library");
  return *found;
}

Bytes context(const KeyId& id) { return context_of("quantum_key", "sealed", id.view()); }

}  // namespace

QuantumPool::QuantumPool(Parts parts, Marks marks) : parts_(std::move(parts)), marks_(marks) {}

Result<std::int64_t> QuantumPool::count(const std::string& domain) {
  return parts_.store.transact([&](store::Transaction& transaction) -> Result<std::int64_t> {
    std::int64_t out = 0;
    TRY(transaction.query("SELECT count(*) FROM quantum_key WHERE library = 'standby' AND domain = ? AND usable_until_ms > ? AND owner = ? AND place = 0",
                          {std::string_view(domain), store::column(parts_.clock.now_ms()), std::string_view(parts_.owner)},
                          [&](const store::Row& row) { out = row.integer(0); }));
    return out;
  });
}

Result<std::vector<QuantumPool::Level>> QuantumPool::levels() {
  return parts_.store.transact([&](store::Transaction& transaction) -> Result<std::vector<Level>> {
    std::vector<Level> out;
    TRY(transaction.query("SELECT domain, count(*) FROM quantum_key WHERE library = 'standby' AND usable_until_ms > ? AND owner = ? AND place = 0 GROUP BY domain"
                          " ORDER BY domain",
                          {store::column(parts_.clock.now_ms()), std::string_view(parts_.owner)},
                          [&](const store::Row& row) { out.push_back({.domain = row.text(0), .lots = row.integer(1)}); }));
    return out;
  });
}

Result<QuantumShares> QuantumPool::take(const std::string& domain, const Lot& lot, const SidWk& sid_wk) {
  if (!is_on()) return fail(ErrorCode::exhausted, "there is no pool of quantum keys");
  return parts_.store.transact([&](store::Transaction& transaction) -> Result<QuantumShares> {
    Bytes id;
    TRY(transaction.query("SELECT lot FROM quantum_key WHERE library = 'standby' AND domain = ? AND usable_until_ms > ? AND owner = ? AND paths = ?"
                          " ORDER BY usable_until_ms LIMIT 1",
                          {std::string_view(domain), store::column(parts_.clock.now_ms()), std::string_view(parts_.owner), lot.paths},
                          [&](const store::Row& row) { id = row.blob(0); }));
    if (id.empty()) return fail(ErrorCode::exhausted, "the pool has no quantum key for domain " + domain);
    TRY(check_move(PooledKind::quantum_key, Library::standby, Library::in_use, to_hex(id)));
    QuantumShares out;
    std::vector<Bytes> sealed;
    TRY(transaction.query("SELECT key_id, path_id, relays, quantum_grade, sealed, usable_until_ms FROM quantum_key WHERE lot = ? ORDER BY place", {ByteView(id)},
                          [&](const store::Row& row) {
                            out.refs.push_back({.path_id = PathId(row.blob(1)), .key_id = KeyId(row.blob(0))});
                            out.relays.push_back(static_cast<std::uint8_t>(row.integer(2)));
                            out.quantum_grade = out.quantum_grade && row.integer(3) != 0;
                            out.fetch_until_ms = static_cast<UnixMs>(row.integer(5)) + quantum_fetch_margin_ms;
                            sealed.push_back(row.blob(4));
                          }));
    // Until the next refill().
    if (std::ssize(out.refs) != lot.keys) return fail(ErrorCode::exhausted, "the pool has lots of another size for domain " + domain);
    for (std::size_t i = 0; i < sealed.size(); ++i) {
      ASSIGN_OR_RETURN(Secret key, parts_.keys.of(Library::standby).unseal(context(out.refs[i].key_id), sealed[i]));
      out.keys.push_back(std::move(key));
    }
    ASSIGN_OR_RETURN(const std::int64_t moved,
                     transaction.run("UPDATE quantum_key SET library = 'in_use', sealed = NULL, sid_wk = ? WHERE lot = ? AND library = 'standby'",
                                     {sid_wk.view(), ByteView(id)}));
    if (moved != std::ssize(out.keys)) return fail(ErrorCode::conflict, "quantum keys " + to_hex(id) + ": were taken by another process");
    return Result<QuantumShares>(std::move(out));
  });
}

Result<void> QuantumPool::done(const std::vector<wire::ShareRef>& refs, std::string_view fate) {
  if (!is_on() || refs.empty()) return {};
  return parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    for (const wire::ShareRef& ref : refs) {
      TRY(check_move(PooledKind::quantum_key, Library::in_use, Library::history, ref.key_id.hex()));
      TRY(transaction.run("UPDATE quantum_key SET library = 'history', fate = ?, ended_ms = ? WHERE key_id = ? AND library = 'in_use'",
                          {fate, store::column(parts_.clock.now_ms()), ref.key_id.view()}));
    }
    return {};
  });
}

Result<std::int64_t> QuantumPool::put(const std::string& domain, const Lot& lot, const QuantumShares& drawn) {
  const UnixMs now = parts_.clock.now_ms();
  if (drawn.fetch_until_ms <= now + quantum_fetch_margin_ms) return std::int64_t{0};
  const UnixMs usable_until = drawn.fetch_until_ms - quantum_fetch_margin_ms;
  const auto per_lot = static_cast<std::size_t>(lot.keys);
  std::vector<Bytes> sealed;
  for (std::size_t i = 0; i < drawn.refs.size(); ++i) {
    ASSIGN_OR_RETURN(Bytes one, parts_.keys.of(Library::standby).seal(context(drawn.refs[i].key_id), drawn.keys[i]));
    sealed.push_back(std::move(one));
  }
  const std::size_t lots = drawn.refs.size() / per_lot;
  TRY(parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    Bytes id;
    for (std::size_t i = 0; i < lots * per_lot; ++i) {
      if (i % per_lot == 0) id = parts_.rng.bytes(lot_id_octets);
      TRY(transaction.run("INSERT INTO quantum_key (key_id, lot, place, library, owner, domain, path_id, paths, relays, quantum_grade, sealed, usable_until_ms)"
                          " VALUES (?, ?, ?, 'standby', ?, ?, ?, ?, ?, ?, ?, ?)",
                          {drawn.refs[i].key_id.view(), ByteView(id), store::column(i % per_lot), std::string_view(parts_.owner), std::string_view(domain),
                           drawn.refs[i].path_id.view(), lot.paths, std::int64_t{drawn.relays[i]}, std::int64_t{drawn.quantum_grade ? 1 : 0}, ByteView(sealed[i]),
                           store::column(usable_until)}));
    }
    return {};
  }));
  return static_cast<std::int64_t>(lots);
}

Result<void> QuantumPool::refill(const std::string& domain, const Lot& lot, Deadline deadline) {
  if (!is_on()) return {};
  if (const auto before = filled_.find(domain); before != filled_.end() && before->second != lot) {
    ASSIGN_OR_RETURN(const std::vector<KeyId> over, parts_.store.transact([&](store::Transaction& transaction) {
      const std::array values{store::Value(std::string_view(domain)), store::Value(std::string_view(parts_.owner))};
      return close(transaction, "library = 'standby' AND domain = ? AND owner = ?", values, other_lots);
    }));
    filled_.erase(before);
    TRY(give_back(over, other_lots, deadline));
  }
  ASSIGN_OR_RETURN(std::int64_t there, count(domain));
  if (there >= marks_.low) return {};
  filled_.insert_or_assign(domain, lot);
  while (there < marks_.high && !deadline.passed()) {
    // Keys over separate paths come one set at a time; others may be shared out.
    const std::int64_t lots = lot.paths > 1 ? 1 : std::min(marks_.high - there, std::max<std::int64_t>(1, keys_per_request_max / lot.keys));
    ASSIGN_OR_RETURN(const QuantumShares drawn, parts_.draw(domain, lots * lot.keys, lot.paths, deadline));
    ASSIGN_OR_RETURN(const std::int64_t put_in, put(domain, lot, drawn));
    // What is left over of a lot, or ends too soon, goes back.
    std::vector<KeyId> over;
    for (std::size_t i = static_cast<std::size_t>(put_in * lot.keys); i < drawn.refs.size(); ++i) over.push_back(drawn.refs[i].key_id);
    TRY(parts_.record("kp.quantum.drawn", "domain " + domain, std::to_string(drawn.refs.size() - over.size()) + " keys into standby"));
    if (!over.empty()) TRY(give_back(over, "not enough for a working key, or not for long enough", deadline));
    if (put_in == 0) return fail(ErrorCode::exhausted, "the QKM's keys for domain " + domain + " end too soon to be kept, or are too few");
    there += put_in;
  }
  return {};
}

Result<std::vector<KeyId>> QuantumPool::close(store::Transaction& transaction, std::string_view condition, std::span<const store::Value> values, std::string_view fate) {
  std::vector<KeyId> out;
  Result<void> moves;
  TRY(transaction.query("SELECT key_id, library FROM quantum_key WHERE " + std::string(condition), values, [&](const store::Row& row) {
    out.emplace_back(row.blob(0));
    const auto from = library_of_row(row, 1);
    const auto octets = from ? check_move(PooledKind::quantum_key, *from, Library::history, out.back().hex()) : Result<Octets>(fail(from.error()));
    if (moves && !octets) moves = fail(octets.error());
  }));
  TRY(moves);
  for (const KeyId& id : out) {
    TRY(transaction.run("UPDATE quantum_key SET library = 'history', sealed = NULL, fate = ?, ended_ms = ? WHERE key_id = ?",
                        {fate, store::column(parts_.clock.now_ms()), id.view()}));
  }
  return out;
}

Result<void> QuantumPool::give_back(const std::vector<KeyId>& ids, std::string_view why, Deadline deadline) {
  if (ids.empty()) return {};
  TRY(parts_.record("kp.quantum.given_back", std::to_string(ids.size()) + " keys", why));
  for (std::size_t first = 0; first < ids.size(); first += keys_per_request_max) {
    const std::size_t last = std::min(ids.size(), first + static_cast<std::size_t>(keys_per_request_max));
    // The QKM destroys what it is not told of when its time is over; telling it only makes that sooner.
    TRY(parts_.give_back({ids.begin() + static_cast<std::ptrdiff_t>(first), ids.begin() + static_cast<std::ptrdiff_t>(last)}, deadline));
  }
  return {};
}

Result<void> QuantumPool::expire(Deadline deadline) {
  TRY(give_back(std::exchange(untold_, {}), left_over, deadline));
  ASSIGN_OR_RETURN(const std::vector<KeyId> over, parts_.store.transact([&](store::Transaction& transaction) -> Result<std::vector<KeyId>> {
    const UnixMs now = parts_.clock.now_ms();
    TRY(transaction.run("DELETE FROM quantum_key WHERE library = 'history' AND ended_ms < ?", {store::column(now > history_kept_ms ? now - history_kept_ms : 0)}));
    const std::array late{store::Value(store::column(now - std::min(now, in_use_max_ms))), store::Value(std::string_view(parts_.owner))};
    TRY(close(transaction, "library = 'in_use' AND usable_until_ms <= ? AND owner = ?", late, "not told"));
    const std::array values{store::Value(store::column(now)), store::Value(std::string_view(parts_.owner))};
    return close(transaction, "library = 'standby' AND usable_until_ms <= ? AND owner = ?", values, "not used in time");
  }));
  return give_back(over, "not used in time", deadline);
}

Result<std::vector<KeyId>> QuantumPool::close_all(std::string_view why) {
  return parts_.store.transact([&](store::Transaction& transaction) {
    const std::array values{store::Value(std::string_view(parts_.owner))};
    return close(transaction, "library IN ('standby', 'in_use') AND owner = ?", values, why);
  });
}

Result<void> QuantumPool::void_left_over() {
  ASSIGN_OR_RETURN(untold_, close_all(left_over));
  return {};
}

Result<void> QuantumPool::void_all(std::string_view why, Deadline deadline) {
  ASSIGN_OR_RETURN(const std::vector<KeyId> over, close_all(why));
  return give_back(over, why, deadline);
}

}  // namespace qanat::kms
