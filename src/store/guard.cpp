#include "store/guard.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "store/guard_anchor.hpp"
#include "store/guard_rows.hpp"

namespace qanat::store {
namespace {

constexpr std::size_t guard_key_octets = 32;
constexpr std::string_view recovery = "; nothing of it is served. docs/operations/database-guard.md says what to do";

Bytes key_context() { return column_context("guard_key.sealed", as_bytes("1")); }

Result<Bytes> sealed_key(Transaction& transaction) {
  Bytes out;
  TRY(transaction.query("SELECT sealed FROM guard_key WHERE id = 1", {}, [&](const Row& row) { out = row.blob(0); }));
  return out;
}

struct Shard {
  std::string name;
  std::int64_t epoch = 0;
  Bytes sealed;
};
Result<std::vector<Shard>> shards(Transaction& transaction) {
  std::vector<Shard> out;
  TRY(transaction.query("SELECT shard, epoch, sealed FROM guard_state ORDER BY shard", {},
                        [&](const Row& row) { out.push_back({.name = row.text(0), .epoch = row.integer(1), .sealed = row.blob(2)}); }));
  return out;
}

/// Every row of a table, one after the other; stops at the first failure of `each`.
Result<void> each_row(Transaction& transaction, const GuardedTable& table, const std::function<Result<void>(const GuardedRow&)>& each) {
  Result<void> out;
  TRY(transaction.query("SELECT * FROM " + std::string(table.name), {}, [&](const Row& row) {
    if (!out) return;
    const auto one = read_row(table, row);
    out = one ? each(*one) : fail(one.error());
  }));
  return out;
}

/// What the rows of the table are now; the first row that is not as it was left is the failure.
Result<void> sum_up(Transaction& transaction, const GuardKeys& keys, const GuardedTable& table, GuardState& into) {
  return each_row(transaction, table, [&](const GuardedRow& row) -> Result<void> {
    TRY(check_row(keys, table, row));
    add_row(keys, into, table.name, row.row_mac);
    return {};
  });
}

/// Takes the rows as they are.
Result<void> adopt(Transaction& transaction, const GuardKeys& keys, const GuardedTable& table, GuardState& into) {
  struct Adopted {
    GuardedRow row;  // its key
    Bytes mac;
  };
  std::vector<Adopted> rows;  // written after they were all read
  TRY(each_row(transaction, table, [&](const GuardedRow& row) -> Result<void> {
    rows.push_back({.row = {.octets = {}, .row_mac = {}, .key = row.key}, .mac = mac_of(keys, row)});
    return {};
  }));
  for (const auto& [row, mac] : rows) {
    TRY(put_mac(transaction, table, row, mac));
    add_row(keys, into, table.name, mac);
  }
  return {};
}

Result<void> put_state(Transaction& transaction, const GuardKeys& keys, std::string_view shard, std::int64_t epoch, const GuardState& state,
                       crypto::Rng& rng) {
  const Bytes sealed = seal_state(keys, shard, epoch, state, rng);
  ASSIGN_OR_RETURN(const std::int64_t there,
                   transaction.run("UPDATE guard_state SET epoch = ?, sealed = ? WHERE shard = ?", {epoch, ByteView(sealed), shard}));
  if (there == 0) TRY(transaction.run("INSERT INTO guard_state (shard, epoch, sealed) VALUES (?, ?, ?)", {shard, epoch, ByteView(sealed)}));
  return {};
}

/// What the guard's own records say of the rows.
Result<GuardState> recorded(const GuardKeys& keys, std::span<const Shard> all) {
  GuardState out;
  for (const Shard& shard : all) {
    ASSIGN_OR_RETURN(const GuardState own, open_state(keys, shard.name, shard.epoch, shard.sealed));
    out.add(own);
  }
  return out;
}

Result<void> compare(const GuardState& recorded, const GuardState& found) {
  for (const auto& [name, sum] : recorded.tables) {
    const auto there = found.tables.find(name);
    const std::int64_t rows = there == found.tables.end() ? 0 : there->second.rows;
    if (rows == sum.rows) continue;
    return fail(ErrorCode::denied, "table " + name + ": has " + std::to_string(rows) + " rows, this program left " + std::to_string(sum.rows) +
                                       ": rows were taken out or put back by another program");
  }
  for (const auto& [name, sum] : recorded.tables) {
    GuardState one;
    GuardState other;
    one.tables[name] = sum;
    if (const auto there = found.tables.find(name); there != found.tables.end()) other.tables[name] = there->second;
    if (!(one == other)) return fail(ErrorCode::denied, "table " + name + ": rows were put back to what they were before, by another program");
  }
  if (recorded == found) return {};
  return fail(ErrorCode::denied, "rows stand in a table where this program left none");
}

}  // namespace

GuardedStore::GuardedStore(std::unique_ptr<Store> store, const GuardSettings& settings, std::unique_ptr<GuardKeys> keys)
    : store_(std::move(store)),
      tables_(settings.tables.begin(), settings.tables.end()),
      anchor_(settings.anchor),
      shard_(settings.shard),
      keys_(std::move(keys)),
      rng_(settings.device->rng()) {}

GuardedStore::~GuardedStore() = default;

Result<std::unique_ptr<GuardedStore>> GuardedStore::open(std::unique_ptr<Store> store, const GuardSettings& settings) {
  const auto refused = [&](const Error& error) { return fail(error.code, "guard of " + settings.anchor.stem().string() + ": " + error.message + std::string(recovery)); };
  auto sealed = store->transact([&](Transaction& transaction) { return sealed_key(transaction); });
  if (!sealed) return fail(sealed.error());
  if (sealed->empty()) {
    // No guard yet. Its key first; the rows are taken in when the anchor stands.
    if (settings.may_adopt) {
      if (const auto may = settings.may_adopt(); !may) return refused(may.error());
    }
    ASSIGN_OR_RETURN(const auto left, read_anchor(settings.anchor));
    if (left) return refused({ErrorCode::denied, "an anchor stands beside a database without a guard: it was taken off, or the database is another one"});
    ASSIGN_OR_RETURN(const Secret key, settings.device->random(guard_key_octets));
    ASSIGN_OR_RETURN(*sealed, settings.device->seal(key_context(), key));
    TRY(store->transact([&](Transaction& transaction) -> Result<void> {
      TRY(transaction.run("INSERT INTO guard_key (id, sealed) VALUES (1, ?)", {ByteView(*sealed)}));
      return {};
    }));
  }
  const auto key = settings.device->unseal(key_context(), *sealed);
  if (!key) return refused(key.error());
  std::unique_ptr<GuardedStore> out(new GuardedStore(std::move(store), settings, std::make_unique<GuardKeys>(*settings.suite, *key)));
  if (const auto sound = out->check(settings); !sound) return refused(sound.error());
  return Result<std::unique_ptr<GuardedStore>>(std::move(out));
}

Result<void> GuardedStore::check(const GuardSettings& settings) {
  ASSIGN_OR_RETURN(const auto text, read_anchor(anchor_));
  std::optional<Anchor> anchor;
  if (text) {
    ASSIGN_OR_RETURN(anchor, parse_anchor(*text, shard_, keys_->suite.hash, keys_->anchor));
  }
  ASSIGN_OR_RETURN(const std::int64_t epoch, store_->transact([&](Transaction& transaction) -> Result<std::int64_t> {
    ASSIGN_OR_RETURN(const std::vector<Shard> all, shards(transaction));
    const auto own = std::ranges::find(all, shard_, &Shard::name);
    if (own == all.end()) {
      // An anchor of floor 0 is left by a process that ended before it had taken the rows in.
      if (anchor && anchor->floor > 0)
        return fail(ErrorCode::denied, "the database is an older copy: it has not got to epoch " + std::to_string(anchor->floor) + ", at which it was");
      return std::int64_t{0};
    }
    if (!anchor) return fail(ErrorCode::denied, "the anchor " + anchor_.string() + " is gone");
    if (own->epoch < anchor->floor)
      return fail(ErrorCode::denied, "the database is an older copy: it is at epoch " + std::to_string(own->epoch) + ", and was at " + std::to_string(anchor->floor));
    if (own->epoch > anchor->ceiling)
      return fail(ErrorCode::denied, "the anchor is older than the database: it reaches to epoch " + std::to_string(anchor->ceiling) + ", the database is at " +
                                         std::to_string(own->epoch));
    TRY(open_state(*keys_, own->name, own->epoch, own->sealed));  // the epoch is the one that was written
    return own->epoch;
  }));
  after_crash_ = anchor && !(anchor->floor == epoch && anchor->ceiling == epoch);
  durable_ = epoch;
  if (!anchor) TRY(this->anchor(0, guard_epochs_ahead));
  if (anchor) {
    floor_ = anchor->floor;
    ceiling_ = anchor->ceiling;
  }
  TRY(reach(epoch + 1));
  ASSIGN_OR_RETURN(const std::int64_t now_at, store_->transact([&](Transaction& transaction) { return check_rows(transaction, settings); }));
  became_durable(now_at);
  return settle();
}

Result<std::int64_t> GuardedStore::check_rows(Transaction& transaction, const GuardSettings& settings) {
  ASSIGN_OR_RETURN(const std::vector<Shard> all, shards(transaction));
  ASSIGN_OR_RETURN(const GuardState known, recorded(*keys_, all));
  if (all.empty() && settings.may_adopt) TRY(settings.may_adopt());
  GuardState found;
  GuardState adopted;
  for (const GuardedTable& table : tables_) {
    // A table that a later version of this program guards for the first time.
    const bool is_new = !known.tables.contains(table.name);
    TRY(is_new ? adopt(transaction, *keys_, table, adopted) : sum_up(transaction, *keys_, table, found));
    if (is_new) adopted.tables[std::string(table.name)].hash.resize(keys_->suite.digest);
  }
  TRY(compare(known, found));
  return adopted.tables.empty() ? Result<std::int64_t>(durable_.load()) : step(transaction, adopted);
}

Result<std::int64_t> GuardedStore::step(Transaction& transaction, const GuardState& change) {
  std::int64_t epoch = 0;
  Bytes sealed;
  TRY(transaction.query("SELECT epoch, sealed FROM guard_state WHERE shard = ?", {std::string_view(shard_)}, [&](const Row& row) {
    epoch = row.integer(0);
    sealed = row.blob(1);
  }));
  GuardState state;
  if (!sealed.empty()) {
    ASSIGN_OR_RETURN(state, open_state(*keys_, shard_, epoch, sealed));
  }
  if (epoch < durable_)
    return fail(ErrorCode::denied, "the database went back to epoch " + std::to_string(epoch) + " while it was open, and was at " + std::to_string(durable_));
  ++epoch;
  TRY(reach(epoch));
  state.add(change);
  TRY(put_state(transaction, *keys_, shard_, epoch, state, rng_));
  return epoch;
}

Result<void> GuardedStore::transact_erased(const std::function<Result<void>(Transaction&)>& work) {
  std::int64_t epoch = 0;
  TRY(store_->transact([&](Transaction& transaction) -> Result<void> {
    GuardedTransaction guarded(transaction, tables_, *keys_);
    TRY(work(guarded));
    if (!guarded.changed()) return {};
    ASSIGN_OR_RETURN(epoch, step(transaction, guarded.change()));
    return {};
  }));
  became_durable(epoch);
  return {};
}

void GuardedStore::became_durable(std::int64_t epoch) {
  std::int64_t known = durable_;
  while (known < epoch && !durable_.compare_exchange_weak(known, epoch)) {
  }
}

Result<void> GuardedStore::reach(std::int64_t epoch) {
  if (epoch <= ceiling_) return {};
  const std::lock_guard lock(anchor_mutex_);
  if (epoch <= ceiling_) return {};
  return anchor(std::max(floor_, durable_.load()), epoch + guard_epochs_ahead);
}

Result<void> GuardedStore::anchor(std::int64_t floor, std::int64_t ceiling) {
  TRY(place_anchor(anchor_, write_anchor({.floor = floor, .ceiling = ceiling}, shard_, keys_->suite.hash, keys_->anchor)));
  floor_ = floor;
  ceiling_ = ceiling;
  return {};
}

Result<void> GuardedStore::settle() {
  const std::lock_guard lock(anchor_mutex_);
  const std::int64_t durable = durable_;
  if (durable == floor_ && ceiling_ > durable) return {};
  return anchor(durable, durable + guard_epochs_ahead);
}

Result<void> GuardedStore::close() {
  const std::lock_guard lock(anchor_mutex_);
  const std::int64_t durable = durable_;
  return anchor(durable, durable);
}

Result<std::vector<std::string>> GuardedStore::accept(Store& store, const GuardSettings& settings) {
  ASSIGN_OR_RETURN(const Secret key, settings.device->random(guard_key_octets));
  ASSIGN_OR_RETURN(const Bytes sealed, settings.device->seal(key_context(), key));
  const GuardKeys keys(*settings.suite, key);
  std::vector<std::string> findings;
  std::int64_t epoch = 0;
  // The former key, if it opens, tells what is being accepted.
  ASSIGN_OR_RETURN(const Bytes former, store.transact([&](Transaction& transaction) { return sealed_key(transaction); }));
  std::optional<GuardKeys> old;
  if (former.empty()) {
    findings.emplace_back("the database has no guard");
  } else if (const auto opened = settings.device->unseal(key_context(), former); opened) {
    old.emplace(*settings.suite, *opened);
  } else {
    findings.push_back(opened.error().message);
  }
  ASSIGN_OR_RETURN(const auto text, read_anchor(settings.anchor));
  const auto anchor = text && old ? parse_anchor(*text, settings.shard, settings.suite->hash, old->anchor) : Result<Anchor>(Anchor{});
  if (!text) findings.emplace_back("there is no anchor");
  if (!anchor) findings.push_back(anchor.error().message);
  TRY(store.transact([&](Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::vector<Shard> all, shards(transaction));
    for (const Shard& shard : all) epoch = std::max(epoch, shard.epoch);
    if (anchor && epoch < anchor->floor) findings.push_back("the database is at epoch " + std::to_string(epoch) + ", and was at " + std::to_string(anchor->floor));
    if (anchor) epoch = std::max(epoch, anchor->ceiling);
    ++epoch;
    if (old) {
      GuardState found;
      bool rows_sound = true;
      for (const GuardedTable& table : settings.tables) {
        if (const auto sound = sum_up(transaction, *old, table, found); !sound) {
          findings.push_back(sound.error().message);
          rows_sound = false;
        }
      }
      const auto known = recorded(*old, all);
      if (!known) findings.push_back(known.error().message);
      if (known && rows_sound) {
        if (const auto same = compare(*known, found); !same) findings.push_back(same.error().message);
      }
    }
    GuardState state;
    for (const GuardedTable& table : settings.tables) {
      TRY(adopt(transaction, keys, table, state));
      state.tables[std::string(table.name)].hash.resize(settings.suite->digest);
    }
    TRY(transaction.run("DELETE FROM guard_key", {}));
    TRY(transaction.run("INSERT INTO guard_key (id, sealed) VALUES (1, ?)", {ByteView(sealed)}));
    TRY(transaction.run("DELETE FROM guard_state", {}));
    return put_state(transaction, keys, settings.shard, epoch, state, settings.device->rng());
  }));
  // Killed before this, the anchor is of another key, and open() still refuses: the step is made again.
  TRY(place_anchor(settings.anchor, write_anchor({.floor = epoch, .ceiling = epoch + guard_epochs_ahead}, settings.shard, settings.suite->hash, keys.anchor)));
  return findings;
}

}  // namespace qanat::store
