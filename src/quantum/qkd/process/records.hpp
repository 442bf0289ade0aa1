// What a QKD keeps on disk: its end's state and the blocks that its QKM has not accepted yet, both sealed.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "crypto/device.hpp"
#include "quantum/qkd/session/session.hpp"
#include "store/store.hpp"

namespace qanat::qkd {

/// What the display and the QKM are told of a block.
struct BlockSummary {
  std::uint64_t key_bits = 0;  // handed on, after authentication took its share
  BlockReport report;

  /// Over the optics' own time.
  [[nodiscard]] double rate_bps() const { return report.simulated_time_s > 0.0 ? static_cast<double>(key_bits) / report.simulated_time_s : 0.0; }
};
BlockSummary summary_of(const KeyBlock& block);

/// A block, or one of the pieces of a large one.
struct UndeliveredBlock {
  std::uint64_t block_id = 0;  // the piece's
  Secret keys;                 // 32 octets each
  BlockSummary summary;
};

class Records {
 public:
  /// `device` outlives the records.
  static Result<std::unique_ptr<Records>> open(const std::filesystem::path& file, crypto::CryptoDevice& device);

  /// Nothing if this end has never had a state.
  Result<std::optional<DurableState>> load_state();
  /// The same as it was given to commit(): for a driver whose state is another.
  Result<std::optional<Secret>> load_state_octets();
  /// A step's state and blocks, in one transaction. Of a block with less than one key nothing is kept.
  Result<void> commit(const std::optional<Secret>& state, const std::vector<KeyBlock>& blocks);

  Result<std::optional<UndeliveredBlock>> next_undelivered();
  Result<void> delivered(std::uint64_t block_id);
  Result<std::int64_t> backlog();

 private:
  Records(std::unique_ptr<store::Store> store, crypto::CryptoDevice& device) : store_(std::move(store)), device_(device) {}
  std::unique_ptr<store::Store> store_;
  crypto::CryptoDevice& device_;
};

}  // namespace qanat::qkd
