// Reading and writing the fixed binary forms of this layer: big-endian integers, LEB128 counts, bit maps.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::qkd {

class OctetWriter {
 public:
  /// `expected` octets are reserved at once; a writer of secrets reserves enough that nothing is moved.
  explicit OctetWriter(std::size_t expected = 0) { out_.reserve(expected); }

  void u8(std::uint8_t value) { out_.push_back(value); }
  void u16(std::uint16_t value) { big_endian(value, 2); }
  void u32(std::uint32_t value) { big_endian(value, 4); }
  void u64(std::uint64_t value) { big_endian(value, 8); }
  void f64(double value) { u64(std::bit_cast<std::uint64_t>(value)); }
  /// Unsigned LEB128.
  void varint(std::uint64_t value);
  void octets(ByteView value) { append(out_, value); }
  void text(std::string_view value);
  /// One bit per octet of `bits`, eight to an octet, least significant first; the count is not written.
  void bit_map(ByteView bits);

  [[nodiscard]] std::size_t size() const noexcept { return out_.size(); }
  [[nodiscard]] Bytes take() { return std::move(out_); }
  /// The octets as a secret; the writer's copy is wiped.
  [[nodiscard]] Secret take_secret();

 private:
  void big_endian(std::uint64_t value, unsigned width) {
    for (unsigned i = width; i-- > 0;) out_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  Bytes out_;
};

/// Remembers the first failure and then yields zeros, so that a parser checks once, at its end (finish()).
/// Counts must still be checked against a bound before anything is sized by them.
class OctetReader {
 public:
  explicit OctetReader(ByteView in) : in_(in) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(big_endian(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(big_endian(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(big_endian(4)); }
  std::uint64_t u64() { return big_endian(8); }
  double f64() { return std::bit_cast<double>(u64()); }
  std::uint64_t varint();
  ByteView octets(std::size_t count);
  std::string text(std::size_t longest);
  /// `count` bits, one per octet. Unused bits of the last octet must be zero.
  Bytes bit_map(std::size_t count);

  [[nodiscard]] bool failed() const noexcept { return failed_; }
  [[nodiscard]] std::size_t left() const noexcept { return in_.size() - at_; }
  void refuse() noexcept { failed_ = true; }
  /// Everything was there and nothing is left over.
  [[nodiscard]] Result<void> finish(std::string_view what) const;

 private:
  std::uint64_t big_endian(unsigned width);
  ByteView in_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

/// Bit i of the result is bit (i mod 8), from the least significant, of octet i/8. `bits` holds one bit per octet.
Secret pack_bits(const Secret& bits);

}  // namespace qanat::qkd
