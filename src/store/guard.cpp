#include "store/guard.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "store/guard_anchor.hpp"
#include "store/guard_lane.hpp"
#include "store/guard_rows.hpp"
#include "store/long_lived.hpp"

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

/// Takes the rows as they are, so many at a time: a table may have more than fit into memory.
Result<void> adopt(Transaction& transaction, const GuardKeys& keys, const GuardedTable& table, GuardState& into) {
  constexpr std::size_t at_once = 4096;
  struct Adopted {
    GuardedRow row;  // its key
    Bytes mac;
  };
  std::string names;
  std::string places;
  for (const std::string_view key : table.key) {
    if (key.empty()) continue;
    names += (names.empty() ? "" : ", ") + std::string(key);
    places += places.empty() ? "?" : ", ?";
  }
  const std::string end = " ORDER BY " + names + " LIMIT " + std::to_string(at_once);
  std::vector<Adopted> rows;  // written after they were all read
  do {
    std::string sql = "SELECT * FROM " + std::string(table.name);
    std::vector<Value> after;
    const GuardedRow last = rows.empty() ? GuardedRow{} : std::move(rows.back().row);
    if (!rows.empty()) {
      sql += " WHERE (" + names + ") > (" + places + ")";
      after = key_values(last);
    }
    rows.clear();
    Result<void> read;
    TRY(transaction.query(sql + end, after, [&](const Row& row) {
      const auto one = read ? read_row(table, row) : Result<GuardedRow>(fail(read.error()));
      if (one) {
        rows.push_back({.row = {.columns = {}, .row_mac = {}, .key = one->key}, .mac = mac_of(keys, table, *one)});
      } else {
        read = fail(one.error());
      }
    }));
    TRY(read);
    for (const auto& [row, mac] : rows) {
      TRY(put_mac(transaction, table, row, mac));
      add_row(keys, into, table.name, mac);
    }
  } while (rows.size() == at_once);
  return {};
}

/// What it was sealed to.
Result<Bytes> put_state(Transaction& transaction, const GuardKeys& keys, std::string_view shard, std::int64_t epoch, const GuardState& state, crypto::Rng& rng) {
  Bytes sealed = seal_state(keys, shard, epoch, state, rng);
  ASSIGN_OR_RETURN(const std::int64_t there,
                   transaction.run("UPDATE guard_state SET epoch = ?, sealed = ? WHERE shard = ?", {epoch, ByteView(sealed), shard}));
  if (there == 0) TRY(transaction.run("INSERT INTO guard_state (shard, epoch, sealed) VALUES (?, ?, ?)", {shard, epoch, ByteView(sealed)}));
  return sealed;
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

struct Place {
  std::string shard;
  std::filesystem::path anchor;
};
/// Shard and anchor of each lane.
std::vector<Place> lanes_of(const GuardSettings& settings) {
  std::vector<Place> out{{settings.shard, settings.anchor}};
  for (std::size_t i = 1; i < settings.lanes; ++i) {
    const std::string suffix = "." + std::to_string(i);
    out.push_back({settings.shard + suffix, settings.anchor.string() + suffix});
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
      keys_(std::move(keys)),
      rng_(settings.device->rng()) {
  for (const Place& place : lanes_of(settings)) lanes_.push_back(std::make_unique<GuardLane>(place.shard, place.anchor, keys_->suite.hash, keys_->anchor));
  for (const auto& lane : lanes_) free_.push_back(lane.get());
}

GuardedStore::~GuardedStore() = default;

class GuardedStore::Turn {
 public:
  explicit Turn(GuardedStore& store) : store_(store) {
    std::unique_lock lock(store_.mutex_);
    store_.given_back_.wait(lock, [&] { return !store_.free_.empty(); });
    lane_ = store_.free_.front();  // that which has rested longest
    store_.free_.erase(store_.free_.begin());
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    {
      const std::lock_guard lock(store_.mutex_);
      store_.free_.push_back(lane_);
    }
    store_.given_back_.notify_one();
  }
  [[nodiscard]] GuardLane& lane() const noexcept { return *lane_; }

 private:
  GuardedStore& store_;
  GuardLane* lane_ = nullptr;
};

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
  const auto key = unseal_long_lived(*store, *settings.device, "guard_key", "sealed", key_context(), *sealed);
  if (!key) return refused(key.error());
  std::unique_ptr<GuardedStore> out(new GuardedStore(std::move(store), settings, std::make_unique<GuardKeys>(*settings.suite, *key)));
  if (const auto sound = out->check(settings); !sound) return refused(sound.error());
  out->shapes_ = shapes_of(*out->store_, out->tables_);
  return Result<std::unique_ptr<GuardedStore>>(std::move(out));
}

Result<void> GuardedStore::check(const GuardSettings& settings) {
  for (const auto& lane : lanes_) TRY(lane->read());
  ASSIGN_OR_RETURN(const std::vector<std::int64_t> epochs, store_->transact([&](Transaction& transaction) -> Result<std::vector<std::int64_t>> {
    ASSIGN_OR_RETURN(const std::vector<Shard> all, shards(transaction));
    std::vector<std::int64_t> out;
    for (const auto& lane : lanes_) {
      const auto own = std::ranges::find(all, lane->shard(), &Shard::name);
      TRY(lane->check(own == all.end() ? std::nullopt : std::optional(own->epoch)));
      if (own != all.end()) TRY(open_state(*keys_, own->name, own->epoch, own->sealed));  // the epoch is the one that was written
      out.push_back(own == all.end() ? 0 : own->epoch);
    }
    return out;
  }));
  for (std::size_t i = 0; i < lanes_.size(); ++i) TRY(lanes_[i]->begin(epochs[i]));
  ASSIGN_OR_RETURN(const std::int64_t epoch, store_->transact([&](Transaction& transaction) { return check_rows(transaction, settings); }));
  lanes_.front()->became_durable(epoch);
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
  return adopted.tables.empty() ? Result<std::int64_t>(lanes_.front()->durable()) : step(transaction, *lanes_.front(), adopted);
}

Result<std::int64_t> GuardedStore::step(Transaction& transaction, GuardLane& lane, const GuardState& change) {
  std::int64_t epoch = 0;
  Bytes sealed;
  TRY(transaction.query("SELECT epoch, sealed FROM guard_state WHERE shard = ?", {std::string_view(lane.shard())}, [&](const Row& row) {
    epoch = row.integer(0);
    sealed = row.blob(1);
  }));
  GuardState state;
  if (const GuardState* const known = sealed.empty() ? nullptr : lane.sealed_as(epoch, sealed)) {
    state = *known;
  } else if (!sealed.empty()) {
    ASSIGN_OR_RETURN(state, open_state(*keys_, lane.shard(), epoch, sealed));
  }
  if (epoch < lane.durable())
    return fail(ErrorCode::denied, "the database went back to epoch " + std::to_string(epoch) + " while it was open, and was at " + std::to_string(lane.durable()));
  ++epoch;
  TRY(lane.reach(epoch));
  state.add(change);
  ASSIGN_OR_RETURN(Bytes now, put_state(transaction, *keys_, lane.shard(), epoch, state, rng_));
  lane.has_sealed(epoch, std::move(now), std::move(state));
  return epoch;
}

Result<void> GuardedStore::transact_erased(const std::function<Result<void>(Transaction&)>& work) {
  // With one lane works queue below, where those that stand in the queue are committed together; a lane beyond the first is one transaction's alone.
  std::optional<Turn> turn;
  if (lanes_.size() > 1) turn.emplace(*this);
  GuardLane& lane = turn ? turn->lane() : *lanes_.front();
  ASSIGN_OR_RETURN(const std::int64_t epoch, store_->transact([&](Transaction& transaction) -> Result<std::int64_t> {
    GuardedTransaction guarded(transaction, tables_, *keys_, shapes_);
    TRY(work(guarded));
    return guarded.changed() ? step(transaction, lane, guarded.change()) : Result<std::int64_t>(0);
  }));
  lane.became_durable(epoch);
  return {};
}

std::int64_t GuardedStore::epoch() const noexcept {
  std::int64_t out = 0;
  for (const auto& lane : lanes_) out += lane->durable();
  return out;
}

bool GuardedStore::after_crash() const noexcept {
  return std::ranges::any_of(lanes_, [](const auto& lane) { return lane->after_crash(); });
}

Result<void> GuardedStore::settle() {
  for (const auto& lane : lanes_) TRY(lane->settle());
  return {};
}

Result<void> GuardedStore::close() {
  for (const auto& lane : lanes_) TRY(lane->close());
  return {};
}

Result<std::vector<std::string>> GuardedStore::accept(Store& store, const GuardSettings& settings,
                                                           const std::function<Result<void>(Transaction&)>& before) {
  ASSIGN_OR_RETURN(const Secret key, settings.device->random(guard_key_octets));
  ASSIGN_OR_RETURN(const Bytes sealed, settings.device->seal(key_context(), key));
  const GuardKeys keys(*settings.suite, key);
  std::vector<std::string> findings;
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
  struct Taken {
    std::int64_t epoch = 0;
    std::vector<std::string> findings;
  };
  ASSIGN_OR_RETURN(const Taken taken, store.transact([&](Transaction& transaction) -> Result<Taken> {
    Taken out;
    ASSIGN_OR_RETURN(const std::vector<Shard> all, shards(transaction));
    for (const Shard& shard : all) out.epoch = std::max(out.epoch, shard.epoch);
    if (anchor && out.epoch < anchor->floor)
      out.findings.push_back("the database is at epoch " + std::to_string(out.epoch) + ", and was at " + std::to_string(anchor->floor));
    if (anchor) out.epoch = std::max(out.epoch, anchor->ceiling);
    ++out.epoch;
    if (old) {
      GuardState found;
      bool rows_sound = true;
      for (const GuardedTable& table : settings.tables) {
        if (const auto sound = sum_up(transaction, *old, table, found); !sound) {
          out.findings.push_back(sound.error().message);
          rows_sound = false;
        }
      }
      const auto known = recorded(*old, all);
      if (!known) out.findings.push_back(known.error().message);
      if (known && rows_sound) {
        if (const auto same = compare(*known, found); !same) out.findings.push_back(same.error().message);
      }
    }
    if (before) TRY(before(transaction));
    GuardState state;
    for (const GuardedTable& table : settings.tables) {
      TRY(adopt(transaction, keys, table, state));
      state.tables[std::string(table.name)].hash.resize(settings.suite->digest);
    }
    TRY(transaction.run("DELETE FROM guard_key", {}));
    TRY(transaction.run("INSERT INTO guard_key (id, sealed) VALUES (1, ?)", {ByteView(sealed)}));
    TRY(transaction.run("DELETE FROM guard_state", {}));
    TRY(put_state(transaction, keys, settings.shard, out.epoch, state, settings.device->rng()));
    return out;
  }));
  findings.insert(findings.end(), taken.findings.begin(), taken.findings.end());
  // Killed before this, the anchor is of another key, and open() still refuses: the step is made again.
  for (const Place& place : lanes_of(settings)) {
    const bool first = place.anchor == settings.anchor;
    const Anchor next{.floor = first ? taken.epoch : 0, .ceiling = first ? taken.epoch + guard_epochs_ahead : guard_epochs_ahead};
    TRY(place_anchor(place.anchor, write_anchor(next, place.shard, settings.suite->hash, keys.anchor)));
  }
  return findings;
}

}  // namespace qanat::store
