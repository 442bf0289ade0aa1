// Keys that left their chunk, and the end of what is past its time.
#include <algorithm>

#include "kme/stock/key_stock.hpp"

namespace qanat::kme {
namespace {

using store::KeyState;

constexpr std::int64_t forgotten_at_once_max = 20000;

struct RunRow {
  KeyRun run;
  std::string stock;
  KeyState state{};
};

RunRow read_run(const store::Row& row) {
  return {.run = {.batch = BatchId(row.blob(0)), .first = static_cast<std::uint32_t>(row.integer(1)), .count = static_cast<std::uint32_t>(row.integer(2))},
          .stock = row.text(3),
          .state = store::key_state_from_name(row.text(4)).value_or(KeyState::destroyed)};
}

Result<void> count_evidence(store::Transaction& transaction, std::string_view stock, std::int64_t difference) {
  TRY(transaction.run("UPDATE key_stock SET evidence = evidence + ? WHERE name = ?", {difference, stock}));
  return {};
}

/// The run that the key is part of.
Result<std::optional<RunRow>> run_with(store::Transaction& transaction, const BatchId& batch, std::uint32_t index) {
  std::optional<RunRow> out;
  TRY(transaction.query("SELECT batch_id, first, count, stock, state FROM key_run WHERE batch_id = ? AND first <= ? ORDER BY first DESC LIMIT 1",
                        {batch.view(), std::int64_t{index}}, [&](const store::Row& row) { out = read_run(row); }));
  if (out && index - out->run.first >= out->run.count) out.reset();
  return out;
}

Result<void> set_state(store::Transaction& transaction, const RunRow& row, KeyState to, UnixMs now) {
  TRY(store::check_transition(store::KeyKind::link, row.state, to, "key " + row.run.text()));
  TRY(transaction.run("UPDATE key_run SET state = ?, changed_ms = ? WHERE batch_id = ? AND first = ?",
                      {store::name(to), store::column(now), row.run.batch.view(), std::int64_t{row.run.first}}));
  if (to == KeyState::destroyed) return count_evidence(transaction, row.stock, 1);
  return {};
}

Result<RunRow> exact_run(store::Transaction& transaction, const KeyRun& run) {
  ASSIGN_OR_RETURN(const auto row, run_with(transaction, run.batch, run.first));
  if (!row) return fail(ErrorCode::not_found, "key " + run.text() + ": is not here");
  if (row->run != run) return fail(ErrorCode::invalid_argument, "key " + run.text() + ": was taken together with others, as " + row->run.text());
  return *row;
}

}  // namespace

Result<void> KeyStock::note(store::Transaction& transaction, std::string_view stock, const KeyRun& run, const Onward& onward, UnixMs now) {
  const std::string what = "key " + run.text();
  // What is taken goes through `reserved` even where nobody sees it there.
  if (onward.state == KeyState::destroyed) {
    TRY(store::check_transition(store::KeyKind::link, KeyState::generated, KeyState::destroyed, what));
  } else {
    TRY(store::check_transition(store::KeyKind::link, KeyState::generated, KeyState::reserved, what));
    if (onward.state != KeyState::reserved) TRY(store::check_transition(store::KeyKind::link, KeyState::reserved, onward.state, what));
  }
  TRY(transaction.run("INSERT INTO key_run (batch_id, first, count, stock, state, holder, until_ms, changed_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                      {run.batch.view(), std::int64_t{run.first}, std::int64_t{run.count}, stock, store::name(onward.state), std::string_view(onward.holder),
                       store::column(onward.until_ms), store::column(now)}));
  if (onward.state == KeyState::destroyed) return count_evidence(transaction, stock, 1);
  return {};
}

Result<void> KeyStock::advance(store::Transaction& transaction, const KeyRun& run, KeyState to, UnixMs now) {
  ASSIGN_OR_RETURN(const RunRow row, exact_run(transaction, run));
  return set_state(transaction, row, to, now);
}

Result<void> KeyStock::deliver(store::Transaction& transaction, const KeyRun& run, UnixMs until_ms, UnixMs now) {
  TRY(advance(transaction, run, KeyState::delivered, now));
  TRY(transaction.run("UPDATE key_run SET until_ms = ? WHERE batch_id = ? AND first = ?", {store::column(until_ms), run.batch.view(), std::int64_t{run.first}}));
  return {};
}

Result<std::optional<StockName>> KeyStock::stock_with(store::Transaction& transaction, const KeyId& id) {
  std::optional<StockName> out;
  TRY(transaction.query("SELECT stock FROM key_chunk WHERE batch_id = ?", {batch_of(id).view()}, [&](const store::Row& row) { out = StockName(row.text(0)); }));
  if (out) return out;
  ASSIGN_OR_RETURN(const auto run, run_with(transaction, batch_of(id), index_of(id)));
  if (run) out = StockName(run->stock);
  return out;
}

Result<std::optional<KeyState>> KeyStock::state_of(store::Transaction& transaction, const KeyId& id) {
  const BatchId batch = batch_of(id);
  const std::uint32_t index = index_of(id);
  std::optional<KeyState> state;
  const auto bit_of = [index](const Bytes& gone) { return index / 8 < gone.size() && ((gone[index / 8] >> (index % 8)) & 1U) != 0; };
  TRY(transaction.query("SELECT size, gone FROM key_chunk WHERE batch_id = ?", {batch.view()}, [&](const store::Row& row) {
    if (std::int64_t{index} < row.integer(0)) state = bit_of(row.blob(1)) ? KeyState::destroyed : KeyState::generated;
  }));
  if (state == KeyState::generated) return state;
  ASSIGN_OR_RETURN(const auto run, run_with(transaction, batch, index));
  if (run) return std::optional(run->state);
  TRY(transaction.query("SELECT gone FROM key_burnt WHERE batch_id = ?", {batch.view()}, [&](const store::Row& row) {
    if (bit_of(row.blob(0))) state = KeyState::destroyed;
  }));
  return state;
}

Result<std::string> KeyStock::holder_of(store::Transaction& transaction, const KeyId& id) {
  std::string out;
  TRY(transaction.query("SELECT first, count, holder FROM key_run WHERE batch_id = ? AND first <= ? ORDER BY first DESC LIMIT 1",
                        {batch_of(id).view(), std::int64_t{index_of(id)}}, [&](const store::Row& row) {
                          if (std::int64_t{index_of(id)} - row.integer(0) < row.integer(1)) out = row.text(2);
                        }));
  return out;
}

Result<std::vector<StockName>> KeyStock::stocks(store::Transaction& transaction, std::string_view prefix) {
  std::vector<StockName> out;
  TRY(transaction.query("SELECT name FROM key_stock WHERE name >= ? ORDER BY name", {prefix}, [&](const store::Row& row) {
    if (std::string name = row.text(0); name.starts_with(prefix)) out.emplace_back(std::move(name));
  }));
  return out;
}

Result<void> KeyStock::destroy_runs(store::Transaction& transaction, std::span<const KeyRun> runs, UnixMs now) {
  for (const KeyRun& run : runs) TRY(advance(transaction, run, KeyState::destroyed, now));
  return {};
}

Result<std::vector<KeyRun>> KeyStock::sweep(store::Transaction& transaction, std::size_t most, UnixMs now) {
  std::vector<BatchId> chunks;
  TRY(transaction.query("SELECT batch_id FROM key_chunk WHERE expires_ms > 0 AND expires_ms <= ? ORDER BY expires_ms LIMIT ?",
                        {store::column(now), static_cast<std::int64_t>(most)}, [&](const store::Row& row) { chunks.emplace_back(row.blob(0)); }));
  std::vector<KeyRun> out;
  for (const BatchId& batch : chunks) {
    ASSIGN_OR_RETURN(const std::vector<KeyRun> rest, expire(transaction, batch, now));
    out.insert(out.end(), rest.begin(), rest.end());
  }
  std::vector<KeyRun> due;
  TRY(transaction.query("SELECT batch_id, first, count, stock, state FROM key_run WHERE state <> 'destroyed' AND until_ms > 0 AND until_ms <= ? LIMIT ?",
                        {store::column(now), static_cast<std::int64_t>(most)}, [&](const store::Row& row) { due.push_back(read_run(row).run); }));
  TRY(destroy_runs(transaction, due, now));
  out.insert(out.end(), due.begin(), due.end());
  return out;
}

Result<std::vector<KeyRun>> KeyStock::recover(store::Transaction& transaction, std::string_view prefix, bool also_delivered, UnixMs now) {
  std::vector<KeyRun> out;
  TRY(transaction.query("SELECT batch_id, first, count, stock, state FROM key_run WHERE state <> 'destroyed' AND stock >= ? ORDER BY stock", {prefix},
                        [&](const store::Row& row) {
                          RunRow found = read_run(row);
                          const bool lost = found.state == KeyState::reserved || (also_delivered && found.state == KeyState::delivered);
                          if (lost && found.stock.starts_with(prefix)) out.push_back(found.run);
                        }));
  TRY(destroy_runs(transaction, out, now));
  return out;
}

Result<void> KeyStock::forget(store::Transaction& transaction, UnixMs before, std::int64_t most) {
  std::int64_t excess = -most;
  TRY(transaction.query("SELECT evidence FROM key_stock", {}, [&](const store::Row& row) { excess += row.integer(0); }));
  std::vector<RunRow> old;
  const auto collect = [&](const store::Row& row) { old.push_back(read_run(row)); };
  if (excess > 0) {
    TRY(transaction.query("SELECT batch_id, first, count, stock, state FROM key_run WHERE state = 'destroyed' ORDER BY changed_ms LIMIT ?",
                          {std::min(excess, forgotten_at_once_max)}, collect));
  } else {
    TRY(transaction.query("SELECT batch_id, first, count, stock, state FROM key_run WHERE state = 'destroyed' AND changed_ms < ? ORDER BY changed_ms LIMIT ?",
                          {store::column(before), forgotten_at_once_max}, collect));
  }
  std::map<std::string, std::int64_t> gone;
  for (const RunRow& row : old) {
    TRY(transaction.run("DELETE FROM key_run WHERE batch_id = ? AND first = ?", {row.run.batch.view(), std::int64_t{row.run.first}}));
    ++gone[row.stock];
  }
  for (const auto& [stock, runs] : gone) TRY(count_evidence(transaction, stock, -runs));
  std::map<std::string, std::int64_t> burnt;
  TRY(transaction.query("SELECT stock FROM key_burnt WHERE changed_ms < ?", {store::column(before)}, [&](const store::Row& row) { ++burnt[row.text(0)]; }));
  TRY(transaction.run("DELETE FROM key_burnt WHERE changed_ms < ?", {store::column(before)}));
  for (const auto& [stock, chunks] : burnt) TRY(transaction.run("UPDATE key_stock SET burnt = burnt - ? WHERE name = ?", {chunks, std::string_view(stock)}));
  // A stock of which nothing is left and nothing is remembered: paths come and go, and whoever looks for keys looks at each.
  TRY(transaction.run("DELETE FROM key_stock WHERE own = 0 AND peer = 0 AND burnt = 0 AND evidence = 0 "
                      "AND NOT EXISTS (SELECT 1 FROM key_delivery WHERE stock = key_stock.name) "
                      "AND NOT EXISTS (SELECT 1 FROM key_chunk WHERE stock = key_stock.name) "
                      "AND NOT EXISTS (SELECT 1 FROM key_run WHERE stock = key_stock.name AND state <> 'destroyed')",
                      {}));
  return {};
}

}  // namespace qanat::kme
