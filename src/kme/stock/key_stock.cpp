#include "kme/stock/key_stock.hpp"

#include <algorithm>
#include <bit>

namespace qanat::kme {
namespace {

using store::KeyState;

constexpr std::int64_t burnt_max = 4096;     // chunks per stock that the peer named before they came
constexpr std::int64_t chunks_looked_at_max = 4096;
constexpr std::size_t open_chunks_max = 64;  // unsealed at a time: half a megabyte

bool is_gone(ByteView gone, std::uint32_t index) { return ((gone[index / 8] >> (index % 8)) & 1U) != 0; }
void set_gone(Bytes& gone, std::uint32_t index) { gone[index / 8] = static_cast<std::uint8_t>(gone[index / 8] | (1U << (index % 8))); }

std::uint32_t left_in(ByteView gone, std::uint32_t size) {
  std::uint32_t out = size;
  for (const std::uint8_t octet : gone) out -= static_cast<std::uint32_t>(std::popcount(octet));
  return out;
}

std::span<std::uint8_t> place(Secret& keys, std::size_t at) { return keys.writable().subspan(at * stock_key_size, stock_key_size); }

/// The keys that are not gone, without gaps.
Secret packed(const Secret& keys, ByteView gone, std::uint32_t size) {
  Secret out(left_in(gone, size) * stock_key_size);
  const ByteView all = keys.reveal();
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < size; ++i) {
    if (!is_gone(gone, i)) std::ranges::copy(all.subspan(i * stock_key_size, stock_key_size), place(out, at++).begin());
  }
  return out;
}

Secret unpacked(const Secret& rest, ByteView gone, std::uint32_t size) {
  Secret out(size * stock_key_size);
  const ByteView all = rest.reveal();
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < size; ++i) {
    if (!is_gone(gone, i)) std::ranges::copy(all.subspan(stock_key_size * at++, stock_key_size), place(out, i).begin());
  }
  return out;
}

Result<void> check_chunk(const Chunk& chunk) {
  const std::size_t octets = chunk.keys.size();
  if (octets == 0 || octets % stock_key_size != 0 || octets > chunk_keys_max * stock_key_size)
    return fail(ErrorCode::invalid_argument, "chunk " + chunk.batch.hex() + ": " + std::to_string(octets) + " octets are not 1 to 256 keys");
  if (chunk.about.size() > about_max) return fail(ErrorCode::invalid_argument, "chunk " + chunk.batch.hex() + ": says too much of itself");
  return {};
}

Result<void> count(store::Transaction& transaction, std::string_view stock, Owner owner, std::int64_t difference) {
  const std::string_view sql =
      owner == Owner::self ? "UPDATE key_stock SET own = own + ? WHERE name = ?" : "UPDATE key_stock SET peer = peer + ? WHERE name = ?";
  TRY(transaction.run(sql, {difference, stock}));
  return {};
}

}  // namespace

Bytes chunk_context(const BatchId& batch, ByteView gone) { return concat({store::column_context("key_chunk.sealed", batch.view()), Bytes{'/'}, gone}); }

struct KeyStock::Row {
  std::int64_t id = 0;
  BatchId batch;
  std::string stock;
  Owner owner{};
  std::uint32_t size = 0;
  UnixMs expires_ms = 0;
  std::string about;
  Bytes gone;
  std::uint64_t seq = 0;
  KeyQuality quality;

  [[nodiscard]] std::uint32_t left() const { return left_in(gone, size); }
  static Row of(const store::Row& row) {
    return {.id = row.integer(0),
            .batch = BatchId(row.blob(1)),
            .stock = row.text(2),
            .owner = row.integer(3) == 1 ? Owner::self : Owner::peer,
            .size = static_cast<std::uint32_t>(row.integer(4)),
            .expires_ms = static_cast<UnixMs>(row.integer(5)),
            .about = row.text(6),
            .gone = row.blob(7),
            .seq = static_cast<std::uint64_t>(row.integer(8)),
            .quality = {.proof = {.bounds = static_cast<std::uint8_t>(row.integer(9)),
                                  .photons = static_cast<std::uint8_t>(row.integer(10)),
                                  .eps = std::bit_cast<double>(row.integer(11))},
                        .way = static_cast<KeyWay>(row.integer(12))}};
  }
};

Secret slice_keys(const Secret& keys, std::size_t first, std::size_t size) {
  return Secret::copy_of(keys.reveal().subspan(first * stock_key_size, size * stock_key_size));
}
void put_keys(Secret& keys, std::size_t first, const Secret& some) {
  std::ranges::copy(some.reveal(), keys.writable().subspan(first * stock_key_size, some.size()).begin());
}
Secret Taken::key(std::uint32_t at) const { return slice_keys(keys, at, 1); }

Result<std::uint64_t> KeyStock::next_delivery(store::Transaction& transaction, const StockName& stock) {
  std::int64_t newest = 0;
  TRY(transaction.query("SELECT seq FROM key_delivery WHERE stock = ? ORDER BY seq DESC LIMIT 1", {std::string_view(stock.text())},
                        [&](const store::Row& row) { newest = row.integer(0); }));
  return static_cast<std::uint64_t>(newest) + 1;
}

Result<bool> KeyStock::add(store::Transaction& transaction, const StockName& stock, Delivery delivery, std::span<const Chunk> chunks, UnixMs now) {
  TRY(transaction.run("INSERT INTO key_stock (name) VALUES (?) ON CONFLICT (name) DO NOTHING", {std::string_view(stock.text())}));
  std::int64_t keys = 0;
  for (const Chunk& chunk : chunks) {
    TRY(check_chunk(chunk));
    keys += static_cast<std::int64_t>(chunk.keys.size() / stock_key_size);
  }
  if (delivery.seq != 0) {
    ASSIGN_OR_RETURN(const std::uint64_t next, next_delivery(transaction, stock));
    if (delivery.seq + 1 == next) return false;
    if (delivery.seq < next) {
      return fail(ErrorCode::conflict,
                  stock.text() + ": delivery " + std::to_string(delivery.seq) + " is older than the newest one, " + std::to_string(next - 1));
    }
    const auto seq = static_cast<std::int64_t>(delivery.seq);
    TRY(transaction.run("INSERT INTO key_delivery (stock, seq, keys) VALUES (?, ?, ?)", {std::string_view(stock.text()), seq, keys}));
    TRY(transaction.run("UPDATE key_stock SET delivered = delivered + ? WHERE name = ?", {keys, std::string_view(stock.text())}));
  }
  for (const Chunk& chunk : chunks) {
    if (chunk.expires_ms == 0 || chunk.expires_ms > now) TRY(insert(transaction, stock, delivery.seq, chunk));
  }
  if (delivery.seq != 0) TRY(drop_old(transaction, stock, delivery.keys_max));
  return true;
}

Result<void> KeyStock::insert(store::Transaction& transaction, const StockName& stock, std::uint64_t seq, const Chunk& chunk) {
  bool was_here = false;
  TRY(transaction.query("SELECT 1 FROM key_run WHERE batch_id = ? LIMIT 1", {chunk.batch.view()}, [&](const store::Row&) { was_here = true; }));
  if (was_here) return fail(ErrorCode::conflict, "chunk " + chunk.batch.hex() + ": came before");
  forget_open(chunk.batch);  // of an insertion that was undone
  const auto size = static_cast<std::uint32_t>(chunk.keys.size() / stock_key_size);
  Bytes gone((size + 7) / 8, 0);
  bool burnt = false;
  TRY(transaction.query("SELECT gone FROM key_burnt WHERE batch_id = ?", {chunk.batch.view()}, [&](const store::Row& row) {
    burnt = true;
    const Bytes named = row.blob(0);
    for (std::uint32_t i = 0; i < size; ++i) {
      if (is_gone(named, i)) set_gone(gone, i);
    }
  }));
  if (burnt) {
    TRY(transaction.run("DELETE FROM key_burnt WHERE batch_id = ?", {chunk.batch.view()}));
    TRY(transaction.run("UPDATE key_stock SET burnt = burnt - 1 WHERE name = ?", {std::string_view(stock.text())}));
  }
  const std::int64_t left = left_in(gone, size);
  if (left == 0) return {};
  Bytes sealed;
  if (burnt) {
    ASSIGN_OR_RETURN(sealed, device_.seal(chunk_context(chunk.batch, gone), packed(chunk.keys, gone, size)));
  } else {
    ASSIGN_OR_RETURN(sealed, device_.seal(chunk_context(chunk.batch, gone), chunk.keys));
  }
  TRY(transaction.run("INSERT INTO key_chunk (batch_id, stock, own, seq, size, expires_ms, about, gone, sealed, bounds, photons, eps, way) "
                      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      {chunk.batch.view(), std::string_view(stock.text()), static_cast<std::int64_t>(chunk.owner), static_cast<std::int64_t>(seq),
                       std::int64_t{size}, store::column(chunk.expires_ms), std::string_view(chunk.about), ByteView(gone), ByteView(sealed),
                       std::int64_t{chunk.quality.proof.bounds}, std::int64_t{chunk.quality.proof.photons}, std::bit_cast<std::int64_t>(chunk.quality.proof.eps),
                       static_cast<std::int64_t>(chunk.quality.way)}));
  return count(transaction, stock.text(), chunk.owner, left);
}

Result<void> KeyStock::drop_old(store::Transaction& transaction, const StockName& stock, std::int64_t keys_max) {
  const std::string_view name = stock.text();
  while (true) {
    std::int64_t total = 0;
    std::vector<std::pair<std::int64_t, std::int64_t>> oldest;  // seq, keys
    TRY(transaction.query("SELECT delivered FROM key_stock WHERE name = ?", {name}, [&](const store::Row& row) { total = row.integer(0); }));
    if (total <= keys_max) return {};
    TRY(transaction.query("SELECT seq, keys FROM key_delivery WHERE stock = ? ORDER BY seq LIMIT 2", {name},
                          [&](const store::Row& row) { oldest.emplace_back(row.integer(0), row.integer(1)); }));
    if (oldest.size() < 2) return {};
    const auto [seq, keys] = oldest.front();
    for (const Owner owner : {Owner::peer, Owner::self}) {
      ASSIGN_OR_RETURN(const std::vector<Row> chunks, rows_of(transaction, stock, owner, seq));
      for (const Row& chunk : chunks) TRY(remove(transaction, chunk));
    }
    TRY(transaction.run("DELETE FROM key_delivery WHERE stock = ? AND seq = ?", {name, seq}));
    TRY(transaction.run("UPDATE key_stock SET delivered = delivered - ? WHERE name = ?", {keys, name}));
  }
}

Result<std::optional<KeyStock::Row>> KeyStock::find(store::Transaction& transaction, const BatchId& batch) {
  std::optional<Row> out;
  TRY(transaction.query(
      "SELECT id, batch_id, stock, own, size, expires_ms, about, gone, seq, bounds, photons, eps, way FROM key_chunk WHERE batch_id = ?",
      {batch.view()}, [&](const store::Row& row) { out = Row::of(row); }));
  return out;
}

Result<std::vector<KeyStock::Row>> KeyStock::rows_of(store::Transaction& transaction, const StockName& stock, Owner owner, std::int64_t seq) {
  std::vector<Row> out;
  TRY(transaction.query("SELECT id, batch_id, stock, own, size, expires_ms, about, gone, seq, bounds, photons, eps, way FROM key_chunk "
                        "WHERE stock = ? AND own = ? AND seq = ?",
                        {std::string_view(stock.text()), static_cast<std::int64_t>(owner), seq}, [&](const store::Row& row) { out.push_back(Row::of(row)); }));
  return out;
}

// A demand walks past what does not meet it: chunks of a link are proved alike as long as its QKD's settings stay, and pools are small.
Result<std::optional<KeyStock::Row>> KeyStock::head(store::Transaction& transaction, const StockName& stock, const QualityDemand& demand, UnixMs now) {
  while (true) {
    std::optional<Row> out;
    TRY(transaction.query("SELECT id, batch_id, stock, own, size, expires_ms, about, gone, seq, bounds, photons, eps, way FROM key_chunk "
                          "WHERE stock = ? AND own = 1 AND (bounds & ~?) = 0 AND (photons & ~?) = 0 AND eps <= ? AND ((CAST(1 AS INTEGER) << CAST(way AS SMALLINT)) & ?) <> 0 "
                          "ORDER BY seq, id LIMIT 1",
                          {std::string_view(stock.text()), std::int64_t{demand.proof.bounds}, std::int64_t{demand.proof.photons},
                           std::bit_cast<std::int64_t>(demand.proof.eps_max), std::int64_t{demand.ways}},
                          [&](const store::Row& row) { out = Row::of(row); }));
    if (!out || out->expires_ms == 0 || out->expires_ms > now) return out;
    TRY(end(transaction, *out, "expired", now));
  }
}

Result<std::optional<KeyQuality>> KeyStock::quality(store::Transaction& transaction, const StockName& stock, const QualityDemand& demand, UnixMs now) {
  ASSIGN_OR_RETURN(const std::optional<Row> row, head(transaction, stock, demand, now));
  if (!row) return std::optional<KeyQuality>();
  return std::optional(row->quality);
}

// Whoever demands what no key meets may cost no more than this.
Result<std::int64_t> KeyStock::count_meeting(store::Transaction& transaction, const StockName& stock, const QualityDemand& demand, UnixMs now) {
  std::int64_t out = 0;
  TRY(transaction.query("SELECT size, gone FROM (SELECT size, gone, bounds, photons, eps, way FROM key_chunk "
                        "WHERE stock = ? AND own = 1 AND (expires_ms = 0 OR expires_ms > ?) ORDER BY seq, id LIMIT ?) AS head "
                        "WHERE (bounds & ~?) = 0 AND (photons & ~?) = 0 AND eps <= ? AND ((CAST(1 AS INTEGER) << CAST(way AS SMALLINT)) & ?) <> 0",
                        {std::string_view(stock.text()), store::column(now), chunks_looked_at_max, std::int64_t{demand.proof.bounds},
                         std::int64_t{demand.proof.photons}, std::bit_cast<std::int64_t>(demand.proof.eps_max), std::int64_t{demand.ways}},
                        [&](const store::Row& row) { out += left_in(row.blob(1), static_cast<std::uint32_t>(row.integer(0))); }));
  return out;
}

Error KeyStock::none_left(store::Transaction& transaction, const StockName& stock, const QualityDemand& demand, UnixMs now) {
  Error out{ErrorCode::exhausted, stock.text() + " has no key left"};
  if (demand.is_any()) return out;
  const auto oldest = head(transaction, stock, {}, now);
  if (oldest && *oldest) out.message += " with " + points::describe(demand.proof) + "; its oldest: " + points::describe((*oldest)->quality.proof);
  return out;
}

Result<StockLevel> KeyStock::level(store::Transaction& transaction, const StockName& stock, UnixMs now) {
  ASSIGN_OR_RETURN([[maybe_unused]] const auto first, head(transaction, stock, {}, now));
  StockLevel out;
  TRY(transaction.query("SELECT own, peer FROM key_stock WHERE name = ?", {std::string_view(stock.text())},
                        [&](const store::Row& row) { out = {.own = row.integer(0), .peer = row.integer(1)}; }));
  return out;
}

Result<void> KeyStock::remove(store::Transaction& transaction, const Row& row) {
  forget_open(row.batch);
  TRY(transaction.run("DELETE FROM key_chunk WHERE id = ?", {row.id}));
  return count(transaction, row.stock, row.owner, -std::int64_t{row.left()});
}

// With evidence: what is left of the chunk stays known as destroyed.
Result<std::vector<KeyRun>> KeyStock::end(store::Transaction& transaction, const Row& row, std::string_view why, UnixMs now) {
  std::vector<KeyRun> out;
  for (std::uint32_t first = 0; first < row.size;) {
    std::uint32_t size = 0;
    while (first + size < row.size && !is_gone(row.gone, first + size)) ++size;
    if (size > 0) {
      out.push_back({.batch = row.batch, .first = first, .count = size});
      TRY(note(transaction, row.stock, out.back(), {.state = KeyState::destroyed, .holder = std::string(why)}, now));
    }
    first += size + 1;
  }
  TRY(remove(transaction, row));
  return out;
}

Result<std::vector<KeyRun>> KeyStock::expire(store::Transaction& transaction, const BatchId& batch, UnixMs now) {
  ASSIGN_OR_RETURN(const std::optional<Row> row, find(transaction, batch));
  if (!row) return std::vector<KeyRun>();
  return end(transaction, *row, "expired", now);
}

Result<KeyStock::Open> KeyStock::open(store::Transaction& transaction, const Row& row) {
  {
    const std::lock_guard lock(mutex_);
    auto found = open_.extract(row.batch);
    if (!found.empty() && found.mapped().gone == row.gone) return Result<Open>(std::move(found.mapped()));
  }
  Bytes sealed;
  TRY(transaction.query("SELECT sealed FROM key_chunk WHERE id = ?", {row.id}, [&](const store::Row& found) { sealed = found.blob(0); }));
  ASSIGN_OR_RETURN(const Secret rest, device_.unseal(chunk_context(row.batch, row.gone), sealed));
  if (rest.size() != row.left() * stock_key_size) return fail(ErrorCode::internal, "chunk " + row.batch.hex() + ": has not the keys that its bitmap says");
  return Result<Open>(Open{.gone = row.gone, .keys = unpacked(rest, row.gone, row.size)});
}

void KeyStock::keep(const BatchId& batch, Open open_chunk) {
  const std::lock_guard lock(mutex_);
  if (open_.size() >= open_chunks_max) open_.clear();
  open_.insert_or_assign(batch, std::move(open_chunk));
}

void KeyStock::forget_open(const BatchId& batch) {
  const std::lock_guard lock(mutex_);
  open_.erase(batch);
}

Result<Secret> KeyStock::take_from(store::Transaction& transaction, Row& row, std::uint32_t first, std::uint32_t size) {
  ASSIGN_OR_RETURN(Open open_chunk, open(transaction, row));
  Secret out = slice_keys(open_chunk.keys, first, size);
  for (std::uint32_t i = first; i < first + size; ++i) {
    CHECK(!is_gone(row.gone, i));
    set_gone(row.gone, i);
    wipe(place(open_chunk.keys, i));
  }
  open_chunk.gone = row.gone;
  if (row.left() == 0) {
    TRY(transaction.run("DELETE FROM key_chunk WHERE id = ?", {row.id}));
  } else {
    ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(chunk_context(row.batch, row.gone), packed(open_chunk.keys, row.gone, row.size)));
    TRY(transaction.run("UPDATE key_chunk SET gone = ?, sealed = ? WHERE id = ?", {ByteView(row.gone), ByteView(sealed), row.id}));
    keep(row.batch, std::move(open_chunk));
  }
  TRY(count(transaction, row.stock, row.owner, -std::int64_t{size}));
  return Result<Secret>(std::move(out));
}

Result<std::vector<Taken>> KeyStock::claim(store::Transaction& transaction, const StockName& stock, Wanted wanted, const Onward& onward, UnixMs now) {
  std::vector<Taken> out;
  std::size_t missing = wanted.most;
  while (missing > 0) {
    ASSIGN_OR_RETURN(std::optional<Row> row, head(transaction, stock, wanted.demand, now));
    if (!row) break;
    // The first run of keys that are not gone.
    std::uint32_t first = 0;
    while (is_gone(row->gone, first)) ++first;
    const std::size_t longest = std::min<std::size_t>(missing, row->size - first);
    std::uint32_t size = 1;
    while (size < longest && !is_gone(row->gone, first + size)) ++size;
    ASSIGN_OR_RETURN(const Secret keys, take_from(transaction, *row, first, size));
    const std::uint32_t step = wanted.each ? 1 : size;
    for (std::uint32_t at = 0; at < size; at += step) {
      const KeyRun run{.batch = row->batch, .first = first + at, .count = step};
      TRY(note(transaction, stock.text(), run, onward, now));
      out.push_back({.run = run, .keys = slice_keys(keys, at, step), .about = row->about, .expires_ms = row->expires_ms,
                     .quality = row->quality, .seq = row->seq});
    }
    missing -= size;
  }
  if (wanted.most - missing < wanted.least) return fail(none_left(transaction, stock, wanted.demand, now));
  return Result<std::vector<Taken>>(std::move(out));
}

Result<KeyStock::Receipt> KeyStock::redeem(store::Transaction& transaction, const StockName& stock, std::span<const KeyRun> runs, const Onward& onward,
                                           Unknown unknown, UnixMs now) {
  Receipt out;
  for (const KeyRun& run : runs) TRY(redeem_run(transaction, stock, run, onward, unknown, now, out));
  if (out.refusal) out.keys.clear();
  return Result<Receipt>(std::move(out));
}

Result<void> KeyStock::redeem_run(store::Transaction& transaction, const StockName& stock, const KeyRun& run, const Onward& onward, Unknown unknown, UnixMs now,
                                  Receipt& out) {
  const auto refuse = [&](ErrorCode code, std::string_view why) {
    if (!out.refusal) out.refusal = Error{code, "key " + run.text() + ": " + std::string(why)};
  };
  if (run.count == 0 || run.count > chunk_keys_max || run.first > chunk_keys_max - run.count) {
    refuse(ErrorCode::invalid_argument, "is no run of a chunk's keys");
    return {};
  }
  ASSIGN_OR_RETURN(std::optional<Row> row, find(transaction, run.batch));
  if (!row) {
    ASSIGN_OR_RETURN(const auto state, state_of(transaction, run.id(0)));
    if (state) {
      refuse(ErrorCode::conflict, "was used before");
    } else {
      if (unknown == Unknown::burn) TRY(burn(transaction, stock, run, now));
      refuse(ErrorCode::not_found, "is not here");
      out.missing.push_back(run.batch);
    }
    return {};
  }
  // These leave the keys alone: the peer has no say in them.
  if (row->stock != stock.text()) {
    refuse(ErrorCode::denied, "belongs to " + row->stock);
  } else if (row->owner == Owner::self) {
    refuse(ErrorCode::denied, "is not the sender's to choose");
  } else if (row->expires_ms != 0 && row->expires_ms <= now) {
    refuse(ErrorCode::not_found, "is past its time");
  } else if (run.first + run.count > row->size) {
    refuse(ErrorCode::invalid_argument, "its chunk ends before it");
  } else {
    // Of a run that is gone in part the rest is used up too.
    bool whole = true;
    for (std::uint32_t i = run.first; i < run.first + run.count; ++i) whole = whole && !is_gone(row->gone, i);
    if (!whole) refuse(ErrorCode::conflict, "was used before");
    for (std::uint32_t i = run.first; i < run.first + run.count;) {
      const std::uint32_t size = whole ? run.count : 1;
      if (whole || !is_gone(row->gone, i)) {
        const KeyRun part{.batch = run.batch, .first = i, .count = size};
        ASSIGN_OR_RETURN(Secret keys, take_from(transaction, *row, i, size));
        TRY(note(transaction, stock.text(), part, whole ? onward : Onward{.state = KeyState::destroyed, .holder = onward.holder}, now));
        out.keys.push_back({.run = part, .keys = std::move(keys), .about = row->about, .expires_ms = row->expires_ms,
                            .quality = row->quality, .seq = row->seq});
      }
      i += size;
    }
  }
  return {};
}

Result<void> KeyStock::burn(store::Transaction& transaction, const StockName& stock, const KeyRun& run, UnixMs now) {
  TRY(transaction.run("INSERT INTO key_stock (name) VALUES (?) ON CONFLICT (name) DO NOTHING", {std::string_view(stock.text())}));
  std::optional<Bytes> gone;
  std::int64_t burnt = 0;
  TRY(transaction.query("SELECT gone FROM key_burnt WHERE batch_id = ?", {run.batch.view()}, [&](const store::Row& row) { gone = row.blob(0); }));
  TRY(transaction.query("SELECT burnt FROM key_stock WHERE name = ?", {std::string_view(stock.text())},
                        [&](const store::Row& row) { burnt = row.integer(0); }));
  // Past the limit the keys stay what their owner has made them: used up at its end, and never named again.
  if (!gone && burnt >= burnt_max) return {};
  const bool is_new = !gone;
  Bytes bits = gone.value_or(Bytes(chunk_keys_max / 8, 0));
  for (std::uint32_t i = run.first; i < run.first + run.count; ++i) set_gone(bits, i);
  if (!is_new) {
    TRY(transaction.run("UPDATE key_burnt SET gone = ? WHERE batch_id = ?", {ByteView(bits), run.batch.view()}));
    return {};
  }
  TRY(transaction.run("INSERT INTO key_burnt (batch_id, stock, gone, changed_ms) VALUES (?, ?, ?, ?)",
                      {run.batch.view(), std::string_view(stock.text()), ByteView(bits), store::column(now)}));
  TRY(transaction.run("UPDATE key_stock SET burnt = burnt + 1 WHERE name = ?", {std::string_view(stock.text())}));
  return {};
}

Result<std::size_t> KeyStock::drop(store::Transaction& transaction, const StockName& stock, const BatchId& batch, UnixMs now) {
  ASSIGN_OR_RETURN(const std::optional<Row> row, find(transaction, batch));
  if (!row || row->owner != Owner::self || row->stock != stock.text()) return std::size_t{0};
  std::vector<Row> chunks;
  if (row->seq == 0) {
    chunks.push_back(*row);
  } else {
    ASSIGN_OR_RETURN(chunks, rows_of(transaction, stock, Owner::self, static_cast<std::int64_t>(row->seq)));
  }
  std::size_t out = 0;
  for (const Row& chunk : chunks) {
    ASSIGN_OR_RETURN(const std::vector<KeyRun> rest, end(transaction, chunk, "the peer has not got it", now));
    out += keys_in(rest);
  }
  return out;
}

}  // namespace qanat::kme
