// One end of a key stock, as a QKM has it in its database: filled and looked at from outside, while no QKM has it open, or within a process of the bench.
#pragma once

#include <filesystem>
#include <memory>
#include <span>

#include "crypto/random.hpp"
#include "quantum/qkm/stock.hpp"

namespace qanat::bench {

class StockEnd {
 public:
  /// `master_key`: of the software device that seals the database's keys; both files are made if they are not there.
  static Result<std::unique_ptr<StockEnd>> open(const std::filesystem::path& master_key, const std::filesystem::path& database, crypto::Rng& rng);

  Result<qkm::StockLevel> level(const qkm::StockName& name);
  /// A chunk of qkm::chunk_keys_max keys under each of these ids, 512 chunks to a commit. What the keys are makes no difference to what they cost: every chunk
  /// has the octets `keys`.
  Result<void> add(const qkm::StockName& name, std::span<const BatchId> batches, qkm::Owner owner, const Secret& keys);
  template <class Work>
  auto transact(Work&& work) {
    return store_->transact([&](store::Transaction& transaction) { return work(transaction, stock_); });
  }

 private:
  StockEnd(std::unique_ptr<crypto::CryptoDevice> device, std::unique_ptr<store::Store> store)
      : device_(std::move(device)), store_(std::move(store)), stock_(*device_) {}
  std::unique_ptr<crypto::CryptoDevice> device_;
  std::unique_ptr<store::Store> store_;
  qkm::KeyStock stock_;
};

/// Adds chunks within a transaction of the caller's.
Result<void> add_chunks(store::Transaction& transaction, qkm::KeyStock& stock, const qkm::StockName& name, std::span<const BatchId> batches, qkm::Owner owner,
                        const Secret& keys);

}  // namespace qanat::bench
