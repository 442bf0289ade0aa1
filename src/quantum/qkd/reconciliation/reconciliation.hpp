// Error correction as a conversation: Bob asks, Alice answers, until Bob's key is hers. Which questions there are is the method's business;
// the session carries them as opaque octets. Every parity that went over the line is counted, by whose key it tells about.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::qkd {

/// cascade: interactive, the fast one. ldpc: one-way syndromes, rate-adaptive with blind retry, for strict leak accounting and long round trips.
enum class ReconciliationMethod : std::uint8_t { cascade = 1, ldpc = 2 };
std::string_view name(ReconciliationMethod method) noexcept;

/// Both methods work on frames of this many bits; what the last one lacks is filled with zeros that both ends know.
inline constexpr std::size_t frame_bits = std::size_t{1} << 16;
inline constexpr std::size_t reconciliation_seed_size = 32;
inline constexpr std::size_t reconciliation_bits_max = std::size_t{1} << 27;

struct ReconciliationSetup {
  ReconciliationMethod method{};
  std::size_t key_bits = 0;  // of the sifted key
  double error_rate = 0.0;   // what both ends expect, from the check basis
  Bytes seed;                // public, 32 octets, drawn by Alice once Bob's key is fixed
};

/// Parity bits that went over the line.
struct Disclosed {
  std::uint64_t by_alice = 0;  // about Alice's key: what one-way leak counts
  std::uint64_t by_bob = 0;    // about Bob's, by what he asked: what the model "both directions" adds
  bool operator==(const Disclosed&) const = default;
};

/// Alice's side.
class ReconciliationReference {
 public:
  virtual ~ReconciliationReference() = default;
  /// invalid_argument for a malformed question, exhausted when more parities would be given out than the key has bits.
  [[nodiscard]] virtual Result<Bytes> answer(ByteView question) = 0;
  [[nodiscard]] virtual Disclosed disclosed() const noexcept = 0;
};

/// Bob's side: next() until it has nothing to ask, with learn() after each question.
class ReconciliationCorrector {
 public:
  virtual ~ReconciliationCorrector() = default;
  /// Nothing when the correction is complete; conflict when it does not converge.
  [[nodiscard]] virtual Result<std::optional<Bytes>> next() = 0;
  [[nodiscard]] virtual Result<void> learn(ByteView answer) = 0;
  [[nodiscard]] virtual Disclosed disclosed() const noexcept = 0;
  [[nodiscard]] virtual std::uint64_t corrected() const noexcept = 0;
  /// The corrected key, packed; once, at the end.
  [[nodiscard]] virtual Secret take_bits() = 0;
};

/// `key` holds setup.key_bits bits, bit i being bit (i mod 8), from the least significant, of octet i/8 (pack_bits). It outlives the reference.
Result<std::unique_ptr<ReconciliationReference>> make_reference(const ReconciliationSetup& setup, const Secret& key);
Result<std::unique_ptr<ReconciliationCorrector>> make_corrector(const ReconciliationSetup& setup, Secret key);

}  // namespace qanat::qkd
