// Big-endian, length-prefixed encoding (docs/protocol): the writing half. reader.hpp is the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::wire {

/// Bounds of a variable-length field, `<min..max>`: its one length prefix has 1 octet if max ≤ 255, else 2.
struct Bounds {
  std::size_t min = 0;
  std::size_t max = 0;
  [[nodiscard]] constexpr std::size_t prefix() const { return max <= 255 ? 1 : 2; }
};
inline constexpr std::size_t opaque_size_max = 65535;

/// Collects a message. A field outside its bounds is remembered, and finish() reports the first one.
class Writer {
 public:
  void u8(std::uint8_t value) { out_.push_back(value); }
  void u16(std::uint16_t value) { big_endian(value, 2); }
  void u32(std::uint32_t value) { big_endian(value, 4); }
  void u64(std::uint64_t value) { big_endian(value, 8); }
  /// Exactly `size` octets, no prefix.
  void fixed(std::string_view field, ByteView octets, std::size_t size);
  void raw(ByteView octets) { append(out_, octets); }
  void opaque(std::string_view field, ByteView octets, Bounds bounds);
  void opaque(std::string_view field, std::string_view text, Bounds bounds) { opaque(field, as_bytes(text), bounds); }

  /// Remembers the failure "`field`: `why`".
  void refuse(std::string_view field, std::string_view why);
  [[nodiscard]] std::size_t size() const noexcept { return out_.size(); }
  Result<Bytes> finish() &&;

 private:
  void big_endian(std::uint64_t value, int octets);

  Bytes out_;
  std::optional<Error> failure_;
};

}  // namespace qanat::wire
