#include "quantum/qkm/sae_stream_table.hpp"

#include "wire/writer.hpp"

namespace qanat::qkm {
namespace {

using store::Row;
using store::Transaction;

std::int64_t number(UnixMs time) { return static_cast<std::int64_t>(time); }
std::int64_t number(EndState state) { return static_cast<std::int64_t>(state); }
std::uint32_t u32(const Row& row, int column) { return static_cast<std::uint32_t>(row.integer(column)); }

StreamEnd read_end(const Row& row) {
  return {.id = StreamId(row.blob(0)),
          .sae = kme::SaeId(row.text(1)),
          .peer = kme::SaeId(row.text(2)),
          .qos = {.chunk_octets = u32(row, 3),
                  .max_bps = u32(row, 4),
                  .min_bps = u32(row, 5),
                  .jitter_bps = u32(row, 6),
                  .priority = u32(row, 7),
                  .timeout_ms = u32(row, 8),
                  .ttl_s = u32(row, 9),
                  .mimetype = row.text(10)},
          .state = static_cast<EndState>(row.integer(11)),
          .peer_state = static_cast<EndState>(row.integer(12)),
          .told = row.integer(13) != 0,
          .next = u32(row, 14),
          .used_ms = static_cast<UnixMs>(row.integer(15))};
}

Bytes context(const StreamEnd& end, std::uint32_t index) {
  Bytes key = to_bytes(end.id.view());
  for (int shift = 24; shift >= 0; shift -= 8) key.push_back(static_cast<std::uint8_t>(index >> shift));
  append(key, end.sae.view());
  return store::column_context("sae_stream_chunk.sealed", key);
}

std::string text_of(std::span<const StockRun> runs) {
  std::vector<wire::Json> out;
  for (const StockRun& run : runs) out.push_back(write_stock_run(run));
  return wire::Json::array(std::move(out)).dump();
}

Result<std::vector<StockRun>> runs_of(const std::string& text) {
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(std::string_view(text)));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> entries, json.as_array());
  std::vector<StockRun> out;
  for (const wire::Json& entry : entries) {
    ASSIGN_OR_RETURN(StockRun run, read_stock_run(entry));
    out.push_back(std::move(run));
  }
  return Result<std::vector<StockRun>>(std::move(out));
}

#define QANAT_END_COLUMNS                                                                                                                                  \
  "ksid, sae, peer, chunk_octets, max_bps, min_bps, jitter_bps, priority, timeout_ms, ttl_s, mimetype, state, peer_state, told, next, used_ms"

}  // namespace

Result<void> StreamTable::add(Transaction& transaction, const StreamEnd& end) {
  const kme::StreamQos& qos = end.qos;
  TRY(transaction.run("INSERT INTO sae_stream (" QANAT_END_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      {end.id.view(), std::string_view(end.sae.text()), std::string_view(end.peer.text()), std::int64_t{qos.chunk_octets}, std::int64_t{qos.max_bps},
                       std::int64_t{qos.min_bps}, std::int64_t{qos.jitter_bps}, std::int64_t{qos.priority}, std::int64_t{qos.timeout_ms}, std::int64_t{qos.ttl_s},
                       std::string_view(qos.mimetype), number(end.state), number(end.peer_state), std::int64_t{end.told ? 1 : 0}, std::int64_t{end.next},
                       number(end.used_ms)}));
  return {};
}

Result<std::optional<StreamEnd>> StreamTable::find(Transaction& transaction, const StreamId& id, const kme::SaeId& sae) {
  std::optional<StreamEnd> out;
  TRY(transaction.query("SELECT " QANAT_END_COLUMNS " FROM sae_stream WHERE ksid = ? AND sae = ?", {id.view(), std::string_view(sae.text())},
                        [&](const Row& row) { out = read_end(row); }));
  return out;
}

Result<void> StreamTable::update(Transaction& transaction, const StreamEnd& end) {
  TRY(transaction.run("UPDATE sae_stream SET jitter_bps = ?, priority = ?, timeout_ms = ?, mimetype = ?, state = ?, peer_state = ?, told = ?, next = ?, used_ms = ? "
                      "WHERE ksid = ? AND sae = ?",
                      {std::int64_t{end.qos.jitter_bps}, std::int64_t{end.qos.priority}, std::int64_t{end.qos.timeout_ms}, std::string_view(end.qos.mimetype),
                       number(end.state), number(end.peer_state), std::int64_t{end.told ? 1 : 0}, std::int64_t{end.next}, number(end.used_ms), end.id.view(),
                       std::string_view(end.sae.text())}));
  return {};
}

Result<std::vector<StreamEnd>> StreamTable::all_of(Transaction& transaction, const StreamId& id) {
  std::vector<StreamEnd> out;
  TRY(transaction.query("SELECT " QANAT_END_COLUMNS " FROM sae_stream WHERE ksid = ?", {id.view()}, [&](const Row& row) { out.push_back(read_end(row)); }));
  return out;
}

Result<std::vector<StreamEnd>> StreamTable::live_ends(Transaction& transaction) {
  std::vector<StreamEnd> out;
  TRY(transaction.query("SELECT " QANAT_END_COLUMNS " FROM sae_stream WHERE state <> ?", {number(EndState::closed)}, [&](const Row& row) { out.push_back(read_end(row)); }));
  return out;
}

Result<std::vector<StreamEnd>> StreamTable::unsettled(Transaction& transaction) {
  std::vector<StreamEnd> out;
  TRY(transaction.query("SELECT " QANAT_END_COLUMNS
                        " FROM sae_stream WHERE told = 0 OR EXISTS (SELECT 1 FROM sae_stream_chunk AS chunk WHERE chunk.ksid = sae_stream.ksid AND "
                        "chunk.sae = sae_stream.sae AND chunk.ready = 0)",
                        {}, [&](const Row& row) { out.push_back(read_end(row)); }));
  return out;
}

Result<std::vector<StreamEnd>> StreamTable::idle_since(Transaction& transaction, UnixMs before, std::size_t most) {
  std::vector<StreamEnd> out;
  TRY(transaction.query("SELECT " QANAT_END_COLUMNS " FROM sae_stream WHERE state <> ? AND used_ms < ? ORDER BY used_ms LIMIT ?",
                        {number(EndState::closed), number(before), static_cast<std::int64_t>(most)}, [&](const Row& row) { out.push_back(read_end(row)); }));
  return out;
}

Result<std::int64_t> StreamTable::count(Transaction& transaction, const kme::SaeId& sae, EndState state) {
  std::int64_t out = 0;
  TRY(transaction.query("SELECT count(*) FROM sae_stream WHERE sae = ? AND state = ?", {std::string_view(sae.text()), number(state)},
                        [&](const Row& row) { out = row.integer(0); }));
  return out;
}

Result<void> StreamTable::remove(Transaction& transaction, const StreamEnd& end) {
  TRY(transaction.run("DELETE FROM sae_stream WHERE ksid = ? AND sae = ?", {end.id.view(), std::string_view(end.sae.text())}));
  return {};
}

Result<void> StreamTable::forget(Transaction& transaction, UnixMs before) {
  TRY(transaction.run("DELETE FROM sae_stream WHERE state = ? AND peer_state = ? AND told = 1 AND used_ms < ? AND NOT EXISTS (SELECT 1 FROM sae_stream_chunk AS "
                      "chunk WHERE chunk.ksid = sae_stream.ksid AND chunk.sae = sae_stream.sae)",
                      {number(EndState::closed), number(EndState::closed), number(before)}));
  return {};
}

Result<void> StreamTable::put(Transaction& transaction, const StreamEnd& end, const NewChunk& chunk, const Secret& key, UnixMs now) {
  ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(context(end, chunk.index), key));
  TRY(transaction.run("INSERT INTO sae_stream_chunk (ksid, sae, idx, ready, runs, hops, sealed, since_ms, until_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      {end.id.view(), std::string_view(end.sae.text()), std::int64_t{chunk.index}, std::int64_t{chunk.ready ? 1 : 0},
                       std::string_view(text_of(chunk.runs)), std::int64_t{chunk.hops}, ByteView(sealed), number(now), number(chunk.until_ms)}));
  return {};
}

Result<std::optional<ChunkView>> StreamTable::look(Transaction& transaction, const StreamEnd& end, std::uint32_t index) {
  std::optional<ChunkView> out;
  TRY(transaction.query("SELECT ready, hops, since_ms FROM sae_stream_chunk WHERE ksid = ? AND sae = ? AND idx = ?",
                        {end.id.view(), std::string_view(end.sae.text()), std::int64_t{index}}, [&](const Row& row) {
                          out = ChunkView{.ready = row.integer(0) != 0, .hops = u32(row, 1), .since_ms = static_cast<UnixMs>(row.integer(2))};
                        }));
  return out;
}

Result<Secret> StreamTable::take(Transaction& transaction, const StreamEnd& end, std::uint32_t index) {
  Bytes sealed;
  TRY(transaction.query("SELECT sealed FROM sae_stream_chunk WHERE ksid = ? AND sae = ? AND idx = ?",
                        {end.id.view(), std::string_view(end.sae.text()), std::int64_t{index}}, [&](const Row& row) { sealed = row.blob(0); }));
  if (sealed.empty()) return fail(ErrorCode::not_found, "chunk " + std::to_string(index) + ": not here");
  ASSIGN_OR_RETURN(Secret key, device_.unseal(context(end, index), sealed));
  TRY(transaction.run("DELETE FROM sae_stream_chunk WHERE ksid = ? AND sae = ? AND idx = ?",
                      {end.id.view(), std::string_view(end.sae.text()), std::int64_t{index}}));
  return Result<Secret>(std::move(key));
}

Result<std::int64_t> StreamTable::held(Transaction& transaction, const StreamEnd& end) {
  std::int64_t out = 0;
  TRY(transaction.query("SELECT count(*) FROM sae_stream_chunk WHERE ksid = ? AND sae = ?", {end.id.view(), std::string_view(end.sae.text())},
                        [&](const Row& row) { out = row.integer(0); }));
  return out;
}

Result<std::vector<PendingChunk>> StreamTable::pending(Transaction& transaction, const StreamEnd& end) {
  std::vector<std::pair<std::uint32_t, std::string>> rows;
  TRY(transaction.query("SELECT idx, runs FROM sae_stream_chunk WHERE ksid = ? AND sae = ? AND ready = 0 ORDER BY idx",
                        {end.id.view(), std::string_view(end.sae.text())}, [&](const Row& row) { rows.emplace_back(u32(row, 0), row.text(1)); }));
  std::vector<PendingChunk> out;
  for (const auto& [index, text] : rows) {
    ASSIGN_OR_RETURN(std::vector<StockRun> runs, runs_of(text));
    out.push_back({.index = index, .runs = std::move(runs)});
  }
  return Result<std::vector<PendingChunk>>(std::move(out));
}

Result<void> StreamTable::confirm(Transaction& transaction, const StreamEnd& end, std::uint32_t below, UnixMs until_ms) {
  TRY(transaction.run("UPDATE sae_stream_chunk SET ready = 1, runs = '[]', until_ms = ? WHERE ksid = ? AND sae = ? AND ready = 0 AND idx < ?",
                      {number(until_ms), end.id.view(), std::string_view(end.sae.text()), std::int64_t{below}}));
  return {};
}

Result<void> StreamTable::drop(Transaction& transaction, const StreamEnd& end, Which which) {
  TRY(transaction.run("DELETE FROM sae_stream_chunk WHERE ksid = ? AND sae = ? AND ready = ?",
                      {end.id.view(), std::string_view(end.sae.text()), std::int64_t{which == Which::ready ? 1 : 0}}));
  return {};
}

Result<std::vector<std::string>> StreamTable::sweep(Transaction& transaction, std::size_t most, UnixMs now) {
  struct Due {
    StreamId id;
    std::string sae;
    std::int64_t index;
  };
  std::vector<Due> due;
  TRY(transaction.query("SELECT ksid, sae, idx FROM sae_stream_chunk WHERE ready = 1 AND until_ms <= ? ORDER BY until_ms LIMIT ?",
                        {number(now), static_cast<std::int64_t>(most)},
                        [&](const Row& row) { due.push_back({.id = StreamId(row.blob(0)), .sae = row.text(1), .index = row.integer(2)}); }));
  std::vector<std::string> out;
  for (const Due& one : due) {
    TRY(transaction.run("DELETE FROM sae_stream_chunk WHERE ksid = ? AND sae = ? AND idx = ?", {one.id.view(), std::string_view(one.sae), one.index}));
    out.push_back(one.id.hex() + " " + std::to_string(one.index) + " of " + one.sae);
  }
  return out;
}

}  // namespace qanat::qkm
