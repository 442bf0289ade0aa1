#include "services/kms/kp/pool_keys.hpp"

#include "base/check.hpp"
#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "services/kms/kp/sealed_columns.hpp"

namespace qanat::kms {
namespace {

constexpr std::size_t pool_key_octets = 32;
constexpr std::string_view magic = "QKP1";
constexpr std::string_view seal_label = "qanat pool key";
// Other processes of this KMS that share the database may seal under the former key until they have looked again.
constexpr UnixMs former_kept_ms = 120'000;
// And they must have looked before somebody seals under the new one.
constexpr UnixMs in_force_after_ms = 5'000;

std::size_t at(Library library) { return static_cast<std::size_t>(library); }

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

Bytes pool_key_context(Library library, std::uint32_t generation) {
  return store::column_context("pool_key.sealed", concat({as_bytes(name(library)), as_bytes("/"), header(generation)}));
}

Secret column_key(const crypto::Suite& suite, const Secret& pool_key, ByteView context) {
  return crypto::hkdf_expand(suite.hash, pool_key, {as_bytes(seal_label), context}, suite.aead_key);
}

}  // namespace

class PoolKeys::Device final : public crypto::CryptoDevice {
 public:
  Device(PoolKeys& pool, Library library) : pool_(pool), library_(library) {}

  [[nodiscard]] std::string_view kind() const noexcept override { return pool_.parts_.device.kind(); }
  Result<Secret> random(std::size_t size) override { return pool_.parts_.device.random(size); }
  [[nodiscard]] crypto::Rng& rng() noexcept override { return pool_.parts_.device.rng(); }
  [[nodiscard]] crypto::DeviceHealth health() const override { return pool_.parts_.device.health(); }
  void on_change(OnChange) override {}  // the device below has its own listener, and tells it

  Result<Bytes> seal(ByteView context, const Secret& secret) override {
    const crypto::Suite& suite = pool_.parts_.suite;
    const Found pool_key = pool_.current(library_);
    Bytes out = header(pool_key.generation);
    const Bytes bound = concat({out, context});
    const Bytes nonce = rng().bytes(crypto::aead_iv);
    append(out, nonce);
    append(out, crypto::seal(suite.aead, column_key(suite, *pool_key.key, context), nonce, bound, secret.reveal()));
    return out;
  }

  Result<Secret> unseal(ByteView context, ByteView sealed) override {
    const crypto::Suite& suite = pool_.parts_.suite;
    const auto generation = generation_in(sealed);
    const auto key = generation ? pool_.find(library_, *generation) : nullptr;
    if (!key || sealed.size() < header_octets + crypto::aead_iv)
      return fail(ErrorCode::denied, "pool key: the octets are not sealed under one of library " + std::string(name(library_)));
    const Bytes bound = concat({sealed.first(header_octets), context});
    auto secret = crypto::open(suite.aead, column_key(suite, *key, context), sealed.subspan(header_octets, crypto::aead_iv), bound,
                               sealed.subspan(header_octets + crypto::aead_iv));
    if (!secret) return fail(ErrorCode::denied, "pool key: sealed octets were changed, moved, or sealed for another library");
    return secret;
  }

 private:
  PoolKeys& pool_;
  const Library library_;
};

PoolKeys::PoolKeys(Parts parts) : parts_(parts) {
  for (const Library library : all_libraries) devices_[at(library)] = std::make_unique<Device>(*this, library);
}
PoolKeys::~PoolKeys() = default;

crypto::CryptoDevice& PoolKeys::of(Library library) noexcept { return *devices_[at(library)]; }

PoolKeys::Found PoolKeys::current(Library library) const {
  const std::lock_guard lock(mutex_);
  const auto& keys = keys_[at(library)];
  CHECK(!keys.empty());  // open() made one
  const auto in_force = std::find_if(keys.rbegin(), keys.rend(), [](const auto& entry) { return entry.second.in_force; });
  const auto& [generation, pool_key] = in_force == keys.rend() ? *keys.begin() : *in_force;
  return {.generation = generation, .key = pool_key.key};
}

std::shared_ptr<const Secret> PoolKeys::find(Library library, std::uint32_t generation) const {
  const std::lock_guard lock(mutex_);
  const auto found = keys_[at(library)].find(generation);
  return found == keys_[at(library)].end() ? nullptr : found->second.key;
}

std::vector<std::uint32_t> PoolKeys::generations(Library library) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::uint32_t> out;
  for (const auto& [generation, key] : keys_[at(library)]) out.push_back(generation);
  return out;
}

Result<std::unique_ptr<PoolKeys>> PoolKeys::open(Parts parts, UnixMs now) {
  std::unique_ptr<PoolKeys> out(new PoolKeys(parts));
  TRY(out->load(now));
  for (const Library library : all_libraries) {
    if (!out->generations(library).empty()) continue;
    const auto made = out->rotate(library, now);
    if (made) {
      out->is_first_ = true;
      continue;
    }
    if (made.error().code != ErrorCode::conflict) return fail(made.error());
    TRY(out->load(now));  // another process that starts for the first time has just made it
    if (out->generations(library).empty()) return fail(made.error());
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
    Library library;
    std::uint32_t generation;
    Bytes sealed;
    UnixMs made_ms;
  };
  std::vector<Stored> stored;
  TRY(parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    stored.clear();
    for (const Library library : all_libraries) {
      TRY(transaction.query("SELECT generation, sealed, made_ms FROM pool_key WHERE library = ?", {name(library)}, [&](const store::Row& row) {
        stored.push_back({.library = library,
                          .generation = static_cast<std::uint32_t>(row.integer(0)),
                          .sealed = row.blob(1),
                          .made_ms = static_cast<UnixMs>(row.integer(2))});
      }));
    }
    return {};
  }));
  for (const Stored& one : stored) {
    if (find(one.library, one.generation)) {
      const std::lock_guard lock(mutex_);
      keys_[at(one.library)][one.generation].in_force = now >= one.made_ms + in_force_after_ms;
      continue;
    }
    auto key = parts_.device.unseal(pool_key_context(one.library, one.generation), one.sealed);
    if (!key) return fail_in("pool key of library " + std::string(name(one.library)), key.error());
    const std::lock_guard lock(mutex_);
    keys_[at(one.library)][one.generation] = {.key = std::make_shared<const Secret>(*std::move(key)), .made_ms = one.made_ms, .in_force = now >= one.made_ms + in_force_after_ms};
  }
  return {};
}

Result<void> PoolKeys::rotate(Library library, UnixMs now) {
  const std::vector<std::uint32_t> there = generations(library);
  const std::uint32_t generation = there.empty() ? 1 : there.back() + 1;
  ASSIGN_OR_RETURN(Secret key, parts_.device.random(pool_key_octets));
  ASSIGN_OR_RETURN(const Bytes sealed, parts_.device.seal(pool_key_context(library, generation), key));
  TRY(parts_.store.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO pool_key (library, generation, sealed, made_ms) VALUES (?, ?, ?, ?)",
                        {name(library), std::int64_t{generation}, ByteView(sealed), store::column(now)}));
    return {};
  }));
  const std::lock_guard lock(mutex_);
  keys_[at(library)][generation] = {.key = std::make_shared<const Secret>(std::move(key)), .made_ms = now, .in_force = there.empty()};
  return {};
}

Result<std::size_t> PoolKeys::reseal(std::size_t most) {
  return parts_.store.transact([&](store::Transaction& transaction) -> Result<std::size_t> {
    std::size_t out = 0;
    for (const SealedColumn& column : sealed_columns) {
      if (column.renewal == Renewal::waited_for) continue;
      const Bytes in_force = header(current(column.library).generation);
      ASSIGN_OR_RETURN(const std::vector<SealedCell> cells, cells_not_under(transaction, column, in_force, most - out));
      for (const SealedCell& cell : cells) {
        crypto::CryptoDevice& pool = of(column.library);
        const auto generation = generation_in(cell.sealed);
        const bool of_pool = generation && find(column.library, *generation);
        auto secret = of_pool ? pool.unseal(cell.context, cell.sealed) : parts_.device.unseal(cell.context, cell.sealed);
        // A device's nonce may begin like a header.
        if (!secret && of_pool) secret = parts_.device.unseal(cell.context, cell.sealed);
        if (!secret) return fail_in(std::string(column.table) + "." + std::string(column.column), secret.error());
        ASSIGN_OR_RETURN(const Bytes sealed, pool.seal(cell.context, *secret));
        TRY(put_cell(transaction, column, cell, sealed));
        ++out;
      }
      if (out >= most) break;
    }
    return out;
  });
}

Result<void> PoolKeys::drop_former(UnixMs now) {
  for (const Library library : all_libraries) {
    const std::vector<std::uint32_t> there = generations(library);
    for (std::size_t i = 0; i + 1 < there.size(); ++i) {
      {
        const std::lock_guard lock(mutex_);
        if (now < keys_[at(library)].rbegin()->second.made_ms + former_kept_ms) break;
      }
      ASSIGN_OR_RETURN(const bool gone, parts_.store.transact([&](store::Transaction& transaction) -> Result<bool> {
        for (const SealedColumn& column : sealed_columns) {
          if (column.library != library) continue;
          ASSIGN_OR_RETURN(const bool used, any_under(transaction, column, header(there[i])));
          if (used) return false;
        }
        TRY(transaction.run("DELETE FROM pool_key WHERE library = ? AND generation = ?", {name(library), std::int64_t{there[i]}}));
        return true;
      }));
      const std::lock_guard lock(mutex_);
      if (gone) keys_[at(library)].erase(there[i]);
    }
  }
  return {};
}

Result<void> PoolKeys::maintain(UnixMs now, std::size_t most) {
  TRY(load(now));
  bool former = false;
  for (const Library library : all_libraries) {
    UnixMs made = 0;
    {
      const std::lock_guard lock(mutex_);
      made = keys_[at(library)].rbegin()->second.made_ms;
    }
    if (now >= made + static_cast<UnixMs>(parts_.lifetime.count())) {
      const auto rotated = rotate(library, now);
      if (!rotated && rotated.error().code != ErrorCode::conflict) return fail(rotated.error());  // conflict: another process has just done it
    }
    former = former || generations(library).size() > 1;
  }
  if (!former) return {};
  TRY(reseal(most));
  return drop_former(now);
}

}  // namespace qanat::kms
