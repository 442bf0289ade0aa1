#include "terminal/gateway/key_records.hpp"

#include <array>

namespace qanat::terminal::gateway {
namespace {

constexpr std::array gateway_migrations{
    store::Migration{1, R"sql(
      CREATE TABLE tunnel_key (
        seq INTEGER PRIMARY KEY,
        tunnel TEXT NOT NULL,
        id BLOB NOT NULL,        -- key_ID of ETSI GS QKD 014
        state TEXT NOT NULL CHECK (state IN ('taken', 'ready', 'switching', 'active', 'retiring', 'gone')),
        since_ms INTEGER NOT NULL,
        UNIQUE (tunnel, id)
      ) STRICT;
      CREATE INDEX tunnel_key_live ON tunnel_key (tunnel, seq) WHERE state <> 'gone';
      CREATE TABLE tunnel_turn (
        tunnel TEXT PRIMARY KEY,
        turn INTEGER NOT NULL    -- of the last message to, or from, the other end
      ) STRICT;
    )sql"},
};

Result<std::optional<GatewayKeyState>> read_state(store::Transaction& transaction, const std::string& tunnel, const KeyId& id) {
  std::optional<std::string> text;
  TRY(transaction.query("SELECT state FROM tunnel_key WHERE tunnel = ? AND id = ?", {std::string_view(tunnel), id.view()},
                        [&](const store::Row& row) { text = row.text(0); }));
  if (!text) return std::optional<GatewayKeyState>();
  const auto state = gateway_key_state_from_name(*text);
  if (!state) return fail(ErrorCode::internal, "gateway.db: state '" + *text + "' is none of this program's");
  return state;
}

Result<std::int64_t> last_turn(store::Transaction& transaction, const std::string& tunnel) {
  std::int64_t out = 0;
  TRY(transaction.query("SELECT turn FROM tunnel_turn WHERE tunnel = ?", {std::string_view(tunnel)}, [&](const store::Row& row) { out = row.integer(0); }));
  return out;
}

Result<void> write_turn(store::Transaction& transaction, const std::string& tunnel, std::int64_t turn) {
  TRY(transaction.run("INSERT INTO tunnel_turn (tunnel, turn) VALUES (?, ?) ON CONFLICT (tunnel) DO UPDATE SET turn = excluded.turn",
                      {std::string_view(tunnel), turn}));
  return {};
}

}  // namespace

Result<std::unique_ptr<KeyRecords>> KeyRecords::open(const std::filesystem::path& file, std::int64_t kept) {
  ASSIGN_OR_RETURN(auto store, store::Store::open(file, gateway_migrations));
  return std::unique_ptr<KeyRecords>(new KeyRecords(std::move(store), kept));
}

Result<std::vector<GatewayKeyRow>> KeyRecords::live(const std::string& tunnel) {
  return store_->transact([&](store::Transaction& transaction) -> Result<std::vector<GatewayKeyRow>> {
    std::vector<GatewayKeyRow> out;
    bool known = true;
    TRY(transaction.query("SELECT id, state, since_ms FROM tunnel_key WHERE tunnel = ? AND state <> 'gone' ORDER BY seq", {std::string_view(tunnel)},
                          [&](const store::Row& row) {
                            const auto id = KeyId::parse(row.blob(0));
                            const auto state = gateway_key_state_from_name(row.text(1));
                            known = known && id && state;
                            if (id && state) out.push_back({.id = *id, .state = *state, .since_ms = static_cast<UnixMs>(row.integer(2))});
                          }));
    if (!known) return fail(ErrorCode::internal, "gateway.db: a row of another program");
    return out;
  });
}

Result<std::optional<GatewayKeyState>> KeyRecords::state_of(const std::string& tunnel, const KeyId& id) {
  return store_->transact([&](store::Transaction& transaction) { return read_state(transaction, tunnel, id); });
}

Result<void> KeyRecords::take(const std::string& tunnel, const KeyId& id, UnixMs now) {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const auto before, read_state(transaction, tunnel, id));
    if (before) return fail(ErrorCode::conflict, "key " + id.hex() + " was here before: it is " + std::string(name(*before)));
    TRY(transaction.run("INSERT INTO tunnel_key (tunnel, id, state, since_ms) VALUES (?, ?, 'taken', ?)",
                        {std::string_view(tunnel), id.view(), store::column(now)}));
    TRY(transaction.run(
        "DELETE FROM tunnel_key WHERE tunnel = ?1 AND state = 'gone' AND seq <= "
        "(SELECT seq FROM tunnel_key WHERE tunnel = ?1 AND state = 'gone' ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
        {std::string_view(tunnel), kept_}));
    return {};
  });
}

Result<void> KeyRecords::move(const std::string& tunnel, std::span<const Move> moves, UnixMs now) {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    for (const Move& move : moves) {
      ASSIGN_OR_RETURN(const auto from, read_state(transaction, tunnel, move.id));
      if (!from) return fail(ErrorCode::not_found, "key " + move.id.hex() + " is none of tunnel " + tunnel);
      if (!may(*from, move.to))
        return fail(ErrorCode::conflict, "key " + move.id.hex() + ": is " + std::string(name(*from)) + ", cannot become " + std::string(name(move.to)));
      TRY(transaction.run("UPDATE tunnel_key SET state = ?, since_ms = ? WHERE tunnel = ? AND id = ?",
                          {name(move.to), store::column(now), std::string_view(tunnel), move.id.view()}));
    }
    return {};
  });
}

Result<std::int64_t> KeyRecords::next_turn(const std::string& tunnel, UnixMs now) {
  return store_->transact([&](store::Transaction& transaction) -> Result<std::int64_t> {
    ASSIGN_OR_RETURN(const std::int64_t last, last_turn(transaction, tunnel));
    const std::int64_t turn = std::max(last + 1, store::column(now));
    TRY(write_turn(transaction, tunnel, turn));
    return turn;
  });
}

Result<void> KeyRecords::follow_turn(const std::string& tunnel, std::int64_t turn) {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::int64_t last, last_turn(transaction, tunnel));
    if (turn <= last) return fail(ErrorCode::conflict, "message " + std::to_string(turn) + " of tunnel " + tunnel + " comes after " + std::to_string(last));
    return write_turn(transaction, tunnel, turn);
  });
}

}  // namespace qanat::terminal::gateway
