#include "quantum/qkd/process/records.hpp"

namespace qanat::qkd {
namespace {

constexpr std::array migrations{
    store::Migration{1, R"sql(
      CREATE TABLE end_state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        sealed BLOB NOT NULL
      ) STRICT;
      CREATE TABLE undelivered_block (
        block_id INTEGER PRIMARY KEY,
        sealed BLOB NOT NULL,
        summary BLOB NOT NULL
      ) STRICT)sql"},
};

Bytes row_key(std::uint64_t id) {
  OctetWriter out;
  out.u64(id);
  return out.take();
}
Bytes state_context() { return store::column_context("end_state.sealed", row_key(1)); }
Bytes block_context(std::uint64_t block_id) { return store::column_context("undelivered_block.sealed", row_key(block_id)); }

Bytes write_summary(const BlockSummary& summary) {
  OctetWriter out;
  out.u64(summary.key_bits);
  summary.report.write(out);
  return out.take();
}

Result<BlockSummary> read_summary(ByteView octets) {
  OctetReader in(octets);
  BlockSummary out;
  out.key_bits = in.u64();
  ASSIGN_OR_RETURN(out.report, BlockReport::read(in));
  TRY(in.finish("undelivered block"));
  return out;
}

}  // namespace

BlockSummary summary_of(const KeyBlock& block) { return {.key_bits = block.bit_count, .report = block.report}; }

Result<std::unique_ptr<Records>> Records::open(const std::filesystem::path& file, crypto::CryptoDevice& device) {
  ASSIGN_OR_RETURN(auto store, store::Store::open(file, migrations));
  return std::unique_ptr<Records>(new Records(std::move(store), device));
}

Result<std::optional<Secret>> Records::load_state_octets() {
  Bytes sealed;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT sealed FROM end_state WHERE id = 1", {}, [&](const store::Row& row) { sealed = row.blob(0); });
  }));
  if (sealed.empty()) return Result<std::optional<Secret>>(std::nullopt);
  ASSIGN_OR_RETURN(Secret octets, device_.unseal(state_context(), sealed));
  return Result<std::optional<Secret>>(std::move(octets));
}

Result<std::optional<DurableState>> Records::load_state() {
  ASSIGN_OR_RETURN(const std::optional<Secret> octets, load_state_octets());
  if (!octets) return Result<std::optional<DurableState>>(std::nullopt);
  ASSIGN_OR_RETURN(DurableState state, DurableState::decode(octets->reveal()));
  return Result<std::optional<DurableState>>(std::move(state));
}

Result<void> Records::commit(const std::optional<Secret>& state, const std::vector<KeyBlock>& blocks) {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    if (state) {
      ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(state_context(), *state));
      TRY(transaction.run("INSERT INTO end_state (id, sealed) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed", {ByteView(sealed)}));
    }
    for (const KeyBlock& block : blocks) {
      const Bytes summary = write_summary(summary_of(block));
      for (const KeyBlock& piece : in_pieces(block)) {
        ASSIGN_OR_RETURN(const Bytes sealed, device_.seal(block_context(piece.block_id), piece.bits));
        TRY(transaction.run("INSERT INTO undelivered_block (block_id, sealed, summary) VALUES (?, ?, ?)",
                            {static_cast<std::int64_t>(piece.block_id), ByteView(sealed), ByteView(summary)}));
      }
    }
    return {};
  });
}

Result<std::optional<UndeliveredBlock>> Records::next_undelivered() {
  std::optional<UndeliveredBlock> out;
  Bytes sealed;
  Bytes summary;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT block_id, sealed, summary FROM undelivered_block ORDER BY block_id LIMIT 1", {}, [&](const store::Row& row) {
      out.emplace();
      out->block_id = static_cast<std::uint64_t>(row.integer(0));
      sealed = row.blob(1);
      summary = row.blob(2);
    });
  }));
  if (!out) return Result<std::optional<UndeliveredBlock>>(std::nullopt);
  ASSIGN_OR_RETURN(out->keys, device_.unseal(block_context(out->block_id), sealed));
  ASSIGN_OR_RETURN(out->summary, read_summary(summary));
  return Result<std::optional<UndeliveredBlock>>(std::move(out));
}

Result<void> Records::delivered(std::uint64_t block_id) {
  return store_->transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("DELETE FROM undelivered_block WHERE block_id = ?", {static_cast<std::int64_t>(block_id)}));
    return {};
  });
}

Result<std::int64_t> Records::backlog() {
  std::int64_t out = 0;
  TRY(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT count(*) FROM undelivered_block", {}, [&](const store::Row& row) { out = row.integer(0); });
  }));
  return out;
}

}  // namespace qanat::qkd
