#include "wire/reader.hpp"

namespace qanat::wire {

Result<ByteView> Reader::fixed(std::string_view field, std::size_t size) {
  if (rest_.size() < size) {
    return fail(ErrorCode::invalid_argument, std::string(field) + ": " + std::to_string(size) + " octets needed, " + std::to_string(rest_.size()) + " left");
  }
  const ByteView out = rest_.first(size);
  rest_ = rest_.subspan(size);
  return out;
}

Result<std::uint64_t> Reader::big_endian(std::string_view field, std::size_t octets) {
  ASSIGN_OR_RETURN(const ByteView view, fixed(field, octets));
  std::uint64_t value = 0;
  for (const std::uint8_t octet : view) value = value << 8U | octet;
  return value;
}

Result<std::uint8_t> Reader::u8(std::string_view field) {
  ASSIGN_OR_RETURN(const std::uint64_t value, big_endian(field, 1));
  return static_cast<std::uint8_t>(value);
}
Result<std::uint16_t> Reader::u16(std::string_view field) {
  ASSIGN_OR_RETURN(const std::uint64_t value, big_endian(field, 2));
  return static_cast<std::uint16_t>(value);
}
Result<std::uint32_t> Reader::u32(std::string_view field) {
  ASSIGN_OR_RETURN(const std::uint64_t value, big_endian(field, 4));
  return static_cast<std::uint32_t>(value);
}
Result<std::uint64_t> Reader::u64(std::string_view field) { return big_endian(field, 8); }

Result<ByteView> Reader::opaque(std::string_view field, Bounds bounds) {
  ASSIGN_OR_RETURN(const std::uint64_t size, big_endian(field, bounds.prefix()));
  if (size < bounds.min || size > bounds.max) {
    return fail(ErrorCode::invalid_argument,
                std::string(field) + ": " + std::to_string(size) + " octets, must be " + std::to_string(bounds.min) + " to " + std::to_string(bounds.max));
  }
  return fixed(field, size);
}

Result<std::string> Reader::text(std::string_view field, Bounds bounds) {
  ASSIGN_OR_RETURN(const ByteView octets, opaque(field, bounds));
  return std::string(as_text(octets));
}

Result<void> Reader::finish() const {
  if (!rest_.empty()) return fail(ErrorCode::invalid_argument, std::to_string(rest_.size()) + " octets after the end");
  return {};
}

}  // namespace qanat::wire
