// Big-endian, length-prefixed encoding: the reading half. Views into the input: nothing is copied, nothing is allocated.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "wire/writer.hpp"

namespace qanat::wire {

class Reader {
 public:
  explicit Reader(ByteView octets) : all_(octets), rest_(octets) {}

  /// Each: invalid_argument that names the field if the octets end too soon or a length is out of bounds.
  Result<std::uint8_t> u8(std::string_view field);
  Result<std::uint16_t> u16(std::string_view field);
  Result<std::uint32_t> u32(std::string_view field);
  Result<std::uint64_t> u64(std::string_view field);
  Result<ByteView> fixed(std::string_view field, std::size_t size);
  Result<ByteView> opaque(std::string_view field, Bounds bounds);
  /// A length-prefixed text (any octets; the caller checks its alphabet).
  Result<std::string> text(std::string_view field, Bounds bounds);
  /// Fails if octets are left over.
  Result<void> finish() const;

  [[nodiscard]] std::size_t position() const noexcept { return all_.size() - rest_.size(); }
  [[nodiscard]] std::size_t remaining() const noexcept { return rest_.size(); }

 private:
  Result<std::uint64_t> big_endian(std::string_view field, std::size_t octets);

  ByteView all_;
  ByteView rest_;
};

}  // namespace qanat::wire
