// What both ends of one-way error correction share: how the key is cut into frames, the check of a frame, and the codes that were made before.
#pragma once

#include <memory>
#include <span>

#include "base/result.hpp"
#include "quantum/qkd/reconciliation/ldpc.hpp"
#include "quantum/qkd/reconciliation/ldpc_decoder.hpp"

namespace qanat::qkd {

inline constexpr std::uint8_t ldpc_send = 1;
inline constexpr std::uint8_t ldpc_more = 2;
inline constexpr std::uint8_t ldpc_in_the_clear = 255;
inline constexpr std::size_t ldpc_check_octets = ldpc_check_bits / 8;

/// The frames of a key, all full but the last.
struct LdpcFrames {
  std::size_t key_bits = 0;

  [[nodiscard]] std::size_t count() const noexcept { return (key_bits + frame_bits - 1) / frame_bits; }
  [[nodiscard]] std::size_t bits(std::size_t frame) const noexcept { return frame + 1 < count() ? frame_bits : key_bits - frame * frame_bits; }
  [[nodiscard]] std::size_t octets(std::size_t frame) const noexcept { return (bits(frame) + 7) / 8; }
  /// Columns that hold key; what the last lacks are zeros that both ends know. 0: too short for a code.
  [[nodiscard]] std::size_t columns(std::size_t frame) const noexcept {
    const std::size_t columns = (bits(frame) + circulant_bits - 1) / circulant_bits;
    return columns < ldpc_columns_min ? 0 : columns;
  }
  /// Full frames have an own code, and so has a last one that is shorter.
  [[nodiscard]] bool is_short(std::size_t frame) const noexcept { return bits(frame) < frame_bits; }
};

/// The frame as the code sees it, wiped when it goes.
class LdpcFrameBits {
 public:
  /// Unused bits of the key's last octet count as zero.
  LdpcFrameBits(const Secret& key, const LdpcFrames& frames, std::size_t frame);
  ~LdpcFrameBits();
  LdpcFrameBits(const LdpcFrameBits&) = delete;
  LdpcFrameBits& operator=(const LdpcFrameBits&) = delete;
  [[nodiscard]] std::span<const Circulant> columns() const noexcept { return columns_; }
  [[nodiscard]] std::span<Circulant> columns() noexcept { return columns_; }
  /// Octet i of the frame.
  [[nodiscard]] std::uint8_t octet(std::size_t i) const noexcept { return static_cast<std::uint8_t>(columns_[i / circulant_octets][i / 8 % 2] >> (i % 8 * 8)); }
  /// Back into the key's octets.
  void write(std::span<std::uint8_t> key, const LdpcFrames& frames, std::size_t frame) const;

 private:
  std::vector<Circulant> columns_;
};

/// The check of a frame: a * P(k) mod 2^61 - 1, cut to 32 bits, with P of the frame's 56-bit words as coefficients; a, k from the public seed, which is drawn
/// when both keys are fixed. Two frames that differ have the same check with probability at most 2^-30.9 over the seed.
class LdpcCheck {
 public:
  explicit LdpcCheck(ByteView seed);
  [[nodiscard]] std::uint32_t of(std::span<const Circulant> frame) const noexcept;

 private:
  std::uint64_t point_ = 0;
  std::uint64_t factor_ = 0;
};

/// Only a code; the plan adds what decoding needs. Made once and kept, for a bounded number of the latest.
std::shared_ptr<const LdpcCode> ldpc_code(std::size_t columns, std::size_t rows);
std::shared_ptr<const LdpcPlan> ldpc_plan(std::size_t columns, std::size_t rows);

/// What both factories refuse.
Result<void> check_ldpc_setup(const ReconciliationSetup& setup, const Secret& key);

void write_row(std::span<std::uint8_t> out, const Circulant& row) noexcept;
Circulant read_row(ByteView in) noexcept;

}  // namespace qanat::qkd
