// Error correction by Cascade (Brassard, Salvail 1993), original parameters: block size ceil(0.73/q), doubling, four passes; then
// parities of random halves until a batch of them shows no difference. Alice's key is the reference; Bob asks and corrects.
// All questions that can be asked at once go in one message; parities that are known are never asked again.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::qkd {

inline constexpr std::uint32_t cascade_passes = 4;
inline constexpr std::uint32_t confirmations_per_batch = 8;
inline constexpr std::uint32_t cascade_passes_max = cascade_passes + 8 * confirmations_per_batch;
inline constexpr std::uint32_t block_bits_max = 1U << 24;
inline constexpr double error_rate_low = 0.001;  // what the first block size is computed from stays within these
inline constexpr double error_rate_high = 0.25;

/// The parity of the key at positions permutation[pass][start .. start + length).
struct ParityQuery {
  std::uint32_t pass = 0;
  std::uint32_t start = 0;
  std::uint32_t length = 0;
  bool operator==(const ParityQuery&) const = default;
};

/// ceil(0.73/q) for the first pass, doubled from pass to pass, at most half the key.
std::uint32_t cascade_block_size(double error_rate, std::uint32_t pass, std::uint32_t key_bits);

/// Alice's side.
class ParityReference {
 public:
  /// `bits`: one per octet. `shuffle_seed`: public, 32 octets.
  ParityReference(const Secret& bits, ByteView shuffle_seed);
  /// One parity per query. Fails for a query outside the key, and when the parities given out would outnumber the key's bits.
  [[nodiscard]] Result<Bytes> answer(std::span<const ParityQuery> queries);
  [[nodiscard]] std::uint64_t disclosed() const noexcept { return disclosed_; }

 private:
  const Secret& prefix_parities(std::uint32_t pass);
  const Secret& bits_;
  Bytes seed_;
  std::vector<Secret> prefix_;  // by pass; [i] = parity of the first i permuted bits
  std::uint64_t disclosed_ = 0;
};

/// Bob's side: ask next() until it returns no more questions, with learn() after each.
class ParityCorrector {
 public:
  ParityCorrector(Secret bits, ByteView shuffle_seed, double error_rate);
  /// Empty when the correction is complete. Fails when it does not converge.
  [[nodiscard]] Result<std::vector<ParityQuery>> next();
  /// The answers to the last questions, one octet each, 0 or 1.
  [[nodiscard]] Result<void> learn(ByteView parities);

  [[nodiscard]] std::uint64_t asked() const noexcept { return asked_; }
  [[nodiscard]] std::uint64_t corrected() const noexcept { return corrected_; }
  [[nodiscard]] Secret take_bits() { return std::move(bits_); }

 private:
  struct Pass {
    std::vector<std::uint32_t> permutation;
    std::vector<std::uint32_t> position;  // inverse
    std::uint32_t block_size = 0;
    std::vector<std::uint8_t> odd;                          // per block: Bob's parity differs from Alice's
    std::unordered_map<std::uint64_t, std::uint8_t> known;  // Alice's parities by (start, length)
  };
  struct Search {
    std::uint32_t pass;
    std::uint32_t start;
    std::uint32_t length;
    std::uint8_t parity;  // Alice's, of this range
  };

  void begin_pass();
  void ask_top_blocks(std::uint32_t pass);
  void settle_top_blocks();
  void begin_searches();
  /// Walks down as far as known parities reach; true when it ended in a corrected bit.
  bool descend(Search& search);
  void flip(std::uint32_t bit);
  [[nodiscard]] std::uint8_t own_parity(const Pass& pass, std::uint32_t start, std::uint32_t length) const;
  static std::uint64_t range_key(std::uint32_t start, std::uint32_t length) { return std::uint64_t{start} << 32 | length; }

  Secret bits_;
  Bytes seed_;
  double error_rate_;
  std::uint32_t size_;
  std::vector<Pass> passes_;
  std::vector<Search> searches_;
  std::vector<ParityQuery> questions_;
  std::uint32_t unsettled_ = 0;  // passes at the end of passes_ whose top blocks were asked but not compared
  std::uint8_t total_parity_ = 0;
  bool batch_was_clean_ = true;
  std::uint64_t asked_ = 0;
  std::uint64_t corrected_ = 0;
};

}  // namespace qanat::qkd
