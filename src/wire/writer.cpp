#include "wire/writer.hpp"

namespace qanat::wire {

void Writer::big_endian(std::uint64_t value, int octets) {
  for (int shift = (octets - 1) * 8; shift >= 0; shift -= 8) out_.push_back(static_cast<std::uint8_t>(value >> static_cast<unsigned>(shift)));
}

void Writer::fixed(std::string_view field, ByteView octets, std::size_t size) {
  if (octets.size() != size) refuse(field, std::to_string(octets.size()) + " octets where " + std::to_string(size) + " belong");
  append(out_, octets);
}

void Writer::opaque(std::string_view field, ByteView octets, Bounds bounds) {
  if (octets.size() < bounds.min || octets.size() > bounds.max || octets.size() > opaque_size_max) {
    refuse(field, std::to_string(octets.size()) + " octets, must be " + std::to_string(bounds.min) + " to " + std::to_string(bounds.max));
    return;
  }
  big_endian(octets.size(), static_cast<int>(bounds.prefix()));
  append(out_, octets);
}

void Writer::refuse(std::string_view field, std::string_view why) {
  if (!failure_) failure_ = Error{ErrorCode::invalid_argument, std::string(field) + ": " + std::string(why)};
}

Result<Bytes> Writer::finish() && {
  if (failure_) return fail(*std::move(failure_));
  return std::move(out_);
}

}  // namespace qanat::wire
