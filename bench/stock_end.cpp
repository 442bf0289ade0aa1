#include "stock_end.hpp"

#include <algorithm>

#include "quantum/qkm/schema.hpp"

namespace qanat::bench {
namespace {

constexpr std::size_t chunks_together = 512;  // of one transaction

}  // namespace

Result<void> add_chunks(store::Transaction& transaction, qkm::KeyStock& stock, const qkm::StockName& name, std::span<const BatchId> batches, qkm::Owner owner,
                        const Secret& keys) {
  std::vector<qkm::Chunk> chunks;
  for (const BatchId& batch : batches) chunks.push_back({.batch = batch, .owner = owner, .keys = keys.duplicate(), .about = "", .expires_ms = 0});
  TRY(stock.add(transaction, name, {}, chunks, SystemClock().now_ms()));
  return {};
}

Result<std::unique_ptr<StockEnd>> StockEnd::open(const std::filesystem::path& master_key, const std::filesystem::path& database, crypto::Rng& rng) {
  ASSIGN_OR_RETURN(auto device, crypto::open_software_device(master_key, rng));
  ASSIGN_OR_RETURN(auto store, store::Store::open(database, qkm::migrations));
  return std::unique_ptr<StockEnd>(new StockEnd(std::move(device), std::move(store)));
}

Result<qkm::StockLevel> StockEnd::level(const qkm::StockName& name) {
  return transact([&](store::Transaction& transaction, qkm::KeyStock& stock) { return stock.level(transaction, name, SystemClock().now_ms()); });
}

Result<void> StockEnd::add(const qkm::StockName& name, std::span<const BatchId> batches, qkm::Owner owner, const Secret& keys) {
  for (; !batches.empty(); batches = batches.subspan(std::min(batches.size(), chunks_together))) {
    const auto some = batches.first(std::min(batches.size(), chunks_together));
    TRY(transact([&](store::Transaction& transaction, qkm::KeyStock& stock) { return add_chunks(transaction, stock, name, some, owner, keys); }));
  }
  return {};
}

}  // namespace qanat::bench
