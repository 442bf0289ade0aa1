#include "services/kms/kp/pool_keys.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "services/kms/kp/owed_records.hpp"
#include "services/kms/kp/sealed_columns.hpp"
#include "store/key_commitment.hpp"
#include "store/long_lived.hpp"

namespace qanat::kms {

using store::KeyEvent;
using store::KeyKind;
using store::KeyState;

namespace {

constexpr std::size_t pool_key_octets = 32;
constexpr std::string_view magic = "QKP1";
constexpr std::string_view seal_label = "qanat pool key";
// Other processes of this KMS that share the database may seal under the former key until they have looked again.
constexpr UnixMs former_kept_ms = 120'000;
// And they must have looked before somebody seals under the new one: also those whose round takes long, behind a sweep or a server that does not answer.
constexpr UnixMs in_force_after_ms = 60'000;
static_assert(2 * in_force_after_ms <= former_kept_ms, "a former pool key stays as long again as others may take to seal under the new one");

std::size_t at(Pool pool) { return static_cast<std::size_t>(pool); }
std::string what(Pool pool, std::uint32_t generation) { return "pool key " + std::to_string(generation) + " of pool " + std::string(name(pool)); }

/// What every column that is sealed under this pool key begins with.
Bytes header(std::uint32_t generation) {
  Bytes out = to_bytes(magic);
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(generation >> shift));
  return out;
}
constexpr std::size_t header_octets = magic.size() + 4;

std::optional<std::uint32_t> generation_in(ByteView sealed) {
  if (sealed.size() < header_octets || as_text(sealed.first(magic.size())) != magic) return std::nullopt;
  std::uint32_t out = 0;
  for (const std::uint8_t octet : sealed.subspan(magic.size(), 4)) out = out << 8 | octet;
  return out;
}

Bytes pool_key_id(Pool pool, std::uint32_t generation) { return concat({as_bytes(name(pool)), as_bytes("/"), header(generation)}); }
Bytes pool_key_context(Pool pool, std::uint32_t generation) { return store::column_context("pool_key.sealed", pool_key_id(pool, generation)); }

Secret column_key(const crypto::Suite& suite, const Secret& pool_key, ByteView context) {
  return crypto::hkdf_expand(suite.hash, pool_key, {as_bytes(seal_label), context}, suite.aead_key);
}

/// It leaves the database; what stays of it is in pool_key_end, and owed to the record.
Result<void> end_pool_key(store::Transaction& transaction, Pool pool, std::uint32_t generation, const OwedId& owed_id, UnixMs now) {
  std::optional<std::int64_t> made_ms;
  Bytes commitment;
  TRY(transaction.query("SELECT made_ms, commitment FROM pool_key WHERE library = ? AND generation = ?", {name(pool), std::int64_t{generation}},
                        [&](const store::Row& row) {
                          made_ms = row.integer(0);
                          if (!row.is_null(1)) commitment = row.blob(1);
                        }));
  if (!made_ms) return {};  // another process has done it
  TRY(transaction.run("DELETE FROM pool_key WHERE library = ? AND generation = ?", {name(pool), std::int64_t{generation}}));
  TRY(transaction.run("INSERT INTO pool_key_end (library, generation, made_ms, ended_ms, commitment) VALUES (?, ?, ?, ?, ?)",
                      {name(pool), std::int64_t{generation}, *made_ms, store::column(now), commitment.empty() ? store::Value() : store::Value(ByteView(commitment))}));
  const std::array owed{OwedRecord{.action = "kp.pool_key.destroyed",
                                   .subject = "",
                                   .object = what(pool, generation),
                                   .reason = reason_with("nothing is sealed under it any more", commitment)}};
  // As if for long, so that whoever looks first makes it: the sweeper, or the next start.
  return owe_records(transaction, owed_id, owed, now - std::min(now, owed_left_over_after_ms));
}

}  // namespace

class PoolKeys::Device final : public crypto::CryptoDevice {
 public:
  Device(PoolKeys& pools, Pool pool) : pools_(pools), pool_(pool) {}

  [[nodiscard]] std::string_view kind() const noexcept override { return pools_.parts_.device.kind(); }
  Result<Secret> random(std::size_t size) override { return pools_.parts_.device.random(size); }
  [[nodiscard]] crypto::Rng& rng() noexcept override { return pools_.parts_.device.rng(); }
  [[nodiscard]] crypto::DeviceHealth health() const override { return pools_.parts_.device.health(); }
  void on_change(OnChange) override {}  // the device below has its own listener, and tells it

  Result<Bytes> seal(ByteView context, const Secret& secret) override {
    const crypto::Suite& suite = pools_.parts_.suite;
    const Found pool_key = pools_.current(pool_);
    Bytes out = header(pool_key.generation);
    const Bytes bound = concat({out, context});
    const Bytes nonce = rng().bytes(crypto::aead_iv);
    append(out, nonce);
    append(out, crypto::seal(suite.aead, column_key(suite, *pool_key.key, context), nonce, bound, secret.reveal()));
    return out;
  }

  Result<Secret> unseal(ByteView context, ByteView sealed) override {
    const crypto::Suite& suite = pools_.parts_.suite;
    const auto generation = generation_in(sealed);
    const auto key = generation ? pools_.find(pool_, *generation) : nullptr;
    if (!key || sealed.size() < header_octets + crypto::aead_iv)
      return not_under(generation);
    const Bytes bound = concat({sealed.first(header_octets), context});
    auto secret = crypto::open(suite.aead, column_key(suite, *key, context), sealed.subspan(header_octets, crypto::aead_iv), bound,
                               sealed.subspan(header_octets + crypto::aead_iv));
    if (!secret) return fail(ErrorCode::denied, "pool key: sealed octets were changed, moved, or sealed for another pool");
    return secret;
  }

 private:
  /// A generation beyond those that are known here is one that another process has made: worth another attempt, once this one has looked.
  [[nodiscard]] std::unexpected<Error> not_under(std::optional<std::uint32_t> generation) const {
    const std::vector<std::uint32_t> known = pools_.generations(pool_);
    if (generation && !known.empty() && *generation > known.back()) return fail(ErrorCode::unavailable, what(pool_, *generation) + ": is not known here yet");
    return fail(ErrorCode::denied, "pool key: the octets are not sealed under one of pool " + std::string(name(pool_)));
  }

  PoolKeys& pools_;
  const Pool pool_;
};

PoolKeys::PoolKeys(Parts parts) : parts_(parts), resealed_(sealed_columns.size()) {
  for (const Pool pool : all_pools) devices_[at(pool)] = std::make_unique<Device>(*this, pool);
}
PoolKeys::~PoolKeys() = default;

crypto::CryptoDevice& PoolKeys::of(Pool pool) noexcept { return *devices_[at(pool)]; }

PoolKeys::Found PoolKeys::current(Pool pool) const {
  const std::lock_guard lock(mutex_);
  const auto& keys = keys_[at(pool)];
  CHECK(!keys.empty());  // open() made one
  const auto active = std::ranges::find_if(keys, [](const auto& entry) { return entry.second.state == KeyState::active; });
  const auto& [generation, pool_key] = active == keys.end() ? *keys.begin() : *active;
  return {.generation = generation, .key = pool_key.key};
}

std::shared_ptr<const Secret> PoolKeys::find(Pool pool, std::uint32_t generation) const {
  const std::lock_guard lock(mutex_);
  const auto found = keys_[at(pool)].find(generation);
  return found == keys_[at(pool)].end() ? nullptr : found->second.key;
}

std::vector<std::uint32_t> PoolKeys::generations(Pool pool) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::uint32_t> out;
  for (const auto& [generation, key] : keys_[at(pool)]) out.push_back(generation);
  return out;
}

Result<std::unique_ptr<PoolKeys>> PoolKeys::open(Parts parts, UnixMs now) {
  std::unique_ptr<PoolKeys> out(new PoolKeys(parts));
  TRY(out->load(now));
  for (const Pool pool : all_pools) {
    if (!out->generations(pool).empty()) continue;
    const auto made = out->rotate(pool, now);
    if (made) {
      out->is_first_ = out->is_first_ || pool == Pool::in_use;
      continue;
    }
    if (made.error().code != ErrorCode::conflict) return fail(made.error());
    TRY(out->load(now));  // another process that starts for the first time has just made it
    if (out->generations(pool).empty()) return fail(made.error());
  }
  constexpr std::size_t at_once = 256;
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t sealed, out->reseal(at_once));
    if (sealed == 0) break;
  }
  TRY(out->drop_former(now));
  return Result<std::unique_ptr<PoolKeys>>(std::move(out));
}

Result<void> PoolKeys::load(UnixMs now) {
  struct Stored {
    Pool pool;
    std::uint32_t generation;
    Bytes sealed;
    UnixMs made_ms;
  };
  std::vector<Stored> stored;
  TRY(parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    stored.clear();
    for (const Pool pool : all_pools) {
      TRY(transaction.query("SELECT generation, sealed, made_ms FROM pool_key WHERE library = ?", {name(pool)}, [&](const store::Row& row) {
        stored.push_back({.pool = pool,
                          .generation = static_cast<std::uint32_t>(row.integer(0)),
                          .sealed = row.blob(1),
                          .made_ms = static_cast<UnixMs>(row.integer(2))});
      }));
    }
    return {};
  }));
  for (const Stored& one : stored) {
    if (find(one.pool, one.generation)) continue;
    auto key = store::unseal_long_lived(parts_.store, parts_.device, "pool_key", "sealed", pool_key_context(one.pool, one.generation), one.sealed);
    if (!key) return fail_in("pool key of pool " + std::string(name(one.pool)), key.error());
    const std::lock_guard lock(mutex_);
    keys_[at(one.pool)][one.generation] = {.key = std::make_shared<const Secret>(*std::move(key)), .made_ms = one.made_ms};
  }
  for (const Pool pool : all_pools) TRY(put_in_force(pool, now));
  return {};
}

Result<void> PoolKeys::put_in_force(Pool pool, UnixMs now) {
  const std::lock_guard lock(mutex_);
  PoolKey* newest = nullptr;
  for (auto& [generation, key] : keys_[at(pool)]) {
    if (key.state == KeyState::generated && now >= key.made_ms + in_force_after_ms) {
      ASSIGN_OR_RETURN(key.state, store::advance(KeyKind::master, key.state, KeyEvent::activate, what(pool, generation)));
    }
    if (key.state != KeyState::active) continue;
    if (newest != nullptr) {
      ASSIGN_OR_RETURN(newest->state, store::advance(KeyKind::master, newest->state, KeyEvent::update, what(pool, generation)));
    }
    newest = &key;
  }
  return {};
}

Result<void> PoolKeys::rotate(Pool pool, UnixMs now) {
  const std::vector<std::uint32_t> there = generations(pool);
  const std::uint32_t generation = there.empty() ? 1 : there.back() + 1;
  ASSIGN_OR_RETURN(Secret key, parts_.device.random(pool_key_octets));
  ASSIGN_OR_RETURN(const Bytes sealed, parts_.device.seal(pool_key_context(pool, generation), key));
  const Bytes commitment = store::key_commitment(KeyKind::master, pool_key_id(pool, generation), key);
  TRY(parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO pool_key (library, generation, sealed, made_ms, commitment) VALUES (?, ?, ?, ?, ?)",
                        {name(pool), std::int64_t{generation}, ByteView(sealed), store::column(now), ByteView(commitment)}));
    return {};
  }));
  PoolKey made{.key = std::make_shared<const Secret>(std::move(key)), .made_ms = now};
  if (there.empty()) {
    ASSIGN_OR_RETURN(made.state, store::advance(KeyKind::master, made.state, KeyEvent::activate, what(pool, generation)));
  }
  const std::lock_guard lock(mutex_);
  keys_[at(pool)][generation] = std::move(made);
  return {};
}

Result<std::size_t> PoolKeys::reseal(std::size_t most) {
  std::size_t out = 0;
  for (std::size_t i = 0; i < sealed_columns.size() && out < most; ++i) {
    const SealedColumn& column = sealed_columns[i];
    const std::uint32_t generation = current(column.pool).generation;
    if (column.renewal == Renewal::waited_for || resealed_[i] == generation) continue;
    ASSIGN_OR_RETURN(const std::size_t sealed, reseal_column(column, header(generation), most - out));
    // Not looked through again until there is another generation, or drop_former() finds what another process sealed meanwhile.
    if (sealed == 0) resealed_[i] = generation;
    out += sealed;
  }
  return out;
}

Result<std::size_t> PoolKeys::reseal_column(const SealedColumn& column, ByteView in_force, std::size_t most) {
  return parts_.store.transact([&](store::Transaction& transaction) -> Result<std::size_t> {
    crypto::CryptoDevice& pool = of(column.pool);
    ASSIGN_OR_RETURN(const std::vector<SealedCell> cells, cells_not_under(transaction, column, in_force, most));
    for (const SealedCell& cell : cells) {
      const auto generation = generation_in(cell.sealed);
      const bool of_pool = generation && find(column.pool, *generation);
      auto secret = of_pool ? pool.unseal(cell.context, cell.sealed) : parts_.device.unseal(cell.context, cell.sealed);
      // A device's nonce may begin like a header.
      if (!secret && of_pool) secret = parts_.device.unseal(cell.context, cell.sealed);
      if (!secret) return fail_in(std::string(column.table) + "." + std::string(column.column), secret.error());
      ASSIGN_OR_RETURN(const Bytes sealed, pool.seal(cell.context, *secret));
      TRY(put_cell(transaction, column, cell, sealed));
    }
    return cells.size();
  });
}

Result<void> PoolKeys::drop_former(UnixMs now) {
  for (const Pool pool : all_pools) {
    const std::vector<std::uint32_t> there = generations(pool);
    for (std::size_t i = 0; i + 1 < there.size(); ++i) {
      {
        const std::lock_guard lock(mutex_);
        const KeyState state = keys_[at(pool)].at(there[i]).state;
        if (state != KeyState::superseded || now < keys_[at(pool)].rbegin()->second.made_ms + former_kept_ms) break;
        TRY(store::advance(KeyKind::master, state, KeyEvent::destroy, what(pool, there[i])));
      }
      bool look_again = false;
      const auto owed_id = parts_.device.rng().id<OwedId>();
      ASSIGN_OR_RETURN(const bool gone, parts_.store.transact([&](store::Transaction& transaction) -> Result<bool> {
        look_again = false;
        for (const SealedColumn& column : sealed_columns) {
          if (column.pool != pool) continue;
          ASSIGN_OR_RETURN(const bool used, any_under(transaction, column, header(there[i])));
          look_again = used && column.renewal == Renewal::sealed_anew;
          if (used) return false;
        }
        TRY(end_pool_key(transaction, pool, there[i], owed_id, now));
        return true;
      }));
      if (look_again) std::ranges::fill(resealed_, 0U);
      const std::lock_guard lock(mutex_);
      if (gone) keys_[at(pool)].erase(there[i]);
    }
  }
  return {};
}

Result<void> PoolKeys::maintain(UnixMs now, std::size_t most) {
  TRY(load(now));
  bool former = false;
  for (const Pool pool : all_pools) {
    UnixMs made = 0;
    {
      const std::lock_guard lock(mutex_);
      made = keys_[at(pool)].rbegin()->second.made_ms;
    }
    if (now >= made + static_cast<UnixMs>(parts_.lifetime.count())) {
      const auto rotated = rotate(pool, now);
      if (!rotated && rotated.error().code != ErrorCode::conflict) return fail(rotated.error());  // conflict: another process has just done it
    }
    former = former || generations(pool).size() > 1;
  }
  if (!former) return {};
  TRY(reseal(most));
  return drop_former(now);
}

}  // namespace qanat::kms
