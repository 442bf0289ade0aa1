// What Cascade's questions and answers look like. One message carries what all unfinished frames ask next.
//
// Question: octet `Stage`, then
//   whole, tops   nothing: the key itself; the parities of all first-pass blocks.
//   halves        bits: for each parity of the last answer, whether Bob's differs. First whether the blocks differ, then whether the left half does.
//   searches      bits: whether the left half differs, for every search that goes on: first those in pieces, in the order of the last answer, then
//                 those in subsets, in the order of their starts; then starts to the end of the message: varint frame (`frames` is the whole key),
//                 octet `Start`, and for pass_1..3 a 16-bit little-endian count >= 1 and as many node numbers; for a confirmation its number in
//                 the batch.
// Answer: bits for what goes on, bits for what started. Each run of bits is filled with zero bits to a full octet; bit i is bit i%8 of octet i/8.
// What goes on are first the searches in pieces whose next half lies under a node over 2, 4, 8, ... 256 bits, then the wide ones (larger nodes, and all
// of a padded frame), then those in subsets; among equals first those that were there, then the wide ones that came down, then those that started
// with the last question, each in the order in which they stood. What started is in the order of the question.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/bytes.hpp"

namespace qanat::qkd::cascade {

enum class Stage : std::uint8_t { whole = 0, tops = 1, halves = 2, searches = 3 };
enum class Start : std::uint8_t { pass_1 = 0, pass_2 = 1, pass_3 = 2, open = 3, confirmation = 4 };

static_assert(std::endian::native == std::endian::little);

/// Takes room in advance: what it wrote ends with finish(), and nothing may be appended before.
class BitWriter {
 public:
  explicit BitWriter(Bytes& out) : out_(out), at_(out.size()) {}
  /// The `count` <= 64 low bits of `value`; those above are zero.
  void put(std::uint64_t value, unsigned count) {
    word_ |= value << used_;
    if (used_ + count >= 64) {
      flush_word(8);
      word_ = used_ == 0 ? 0 : value >> (64 - used_);
      used_ += count;
      used_ -= 64;
    } else {
      used_ += count;
    }
    bits_ += count;
  }
  /// Fills the last octet. Nothing may be put after it.
  void finish() {
    flush_word((used_ + 7) / 8);
    out_.resize(at_);
    word_ = 0;
    used_ = 0;
  }
  [[nodiscard]] std::uint64_t bits() const noexcept { return bits_; }

 private:
  void flush_word(std::size_t octets) {
    if (out_.size() - at_ < sizeof(word_)) out_.resize(at_ + room);
    std::memcpy(out_.data() + at_, &word_, sizeof(word_));
    at_ += octets;
  }
  static constexpr std::size_t room = 4096;
  Bytes& out_;
  std::size_t at_;
  std::uint64_t word_ = 0;
  unsigned used_ = 0;
  std::uint64_t bits_ = 0;
};

/// Yields zeros past the end and remembers it.
class BitReader {
 public:
  explicit BitReader(ByteView in) : in_(in) {}
  /// The next `count` <= 64 bits.
  std::uint64_t get(unsigned count) {
    std::uint64_t value = word_;
    if (count > left_) {
      const unsigned had = left_;
      load();
      if (had < 64) value |= word_ << had;
      const unsigned taken = count - had;
      overrun_ = overrun_ || taken > left_;
      word_ = taken >= 64 ? 0 : word_ >> taken;
      left_ -= taken > left_ ? left_ : taken;
    } else {
      word_ = count >= 64 ? 0 : word_ >> count;
      left_ -= count;
    }
    return count >= 64 ? value : value & ((std::uint64_t{1} << count) - 1);
  }
  /// Everything was there, and up to the end of the octet there are only zeros.
  [[nodiscard]] bool finished() const noexcept {
    const unsigned fill = left_ % 8;
    return !overrun_ && (word_ & ((1U << fill) - 1U)) == 0;
  }
  /// Octets that were begun.
  [[nodiscard]] std::size_t octets() const noexcept { return at_ - left_ / 8; }

 private:
  void load() {
    const std::size_t octets = in_.size() - at_ < 8 ? in_.size() - at_ : 8;
    word_ = 0;
    if (octets != 0) std::memcpy(&word_, in_.data() + at_, octets);
    at_ += octets;
    left_ = static_cast<unsigned>(8 * octets);
  }
  ByteView in_;
  std::size_t at_ = 0;
  std::uint64_t word_ = 0;
  unsigned left_ = 0;
  bool overrun_ = false;
};

}  // namespace qanat::qkd::cascade
