#include "quantum/qkd/octets.hpp"

#include "base/check.hpp"

namespace qanat::qkd {

void OctetWriter::varint(std::uint64_t value) {
  while (value >= 0x80) {
    out_.push_back(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  out_.push_back(static_cast<std::uint8_t>(value));
}

void OctetWriter::text(std::string_view value) {
  CHECK(value.size() <= 0xffff);
  u16(static_cast<std::uint16_t>(value.size()));
  octets(as_bytes(value));
}

void OctetWriter::bit_map(ByteView bits) {
  for (std::size_t i = 0; i < bits.size(); i += 8) {
    std::uint8_t octet = 0;
    for (std::size_t j = 0; j < 8 && i + j < bits.size(); ++j) octet |= static_cast<std::uint8_t>((bits[i + j] & 1U) << j);
    out_.push_back(octet);
  }
}

Secret OctetWriter::take_secret() {
  Secret out = Secret::copy_of(out_);
  wipe(out_);
  out_.clear();
  return out;
}

std::uint64_t OctetReader::big_endian(unsigned width) {
  if (failed_ || left() < width) {
    failed_ = true;
    return 0;
  }
  std::uint64_t value = 0;
  for (unsigned i = 0; i < width; ++i) value = value << 8 | in_[at_++];
  return value;
}

std::uint64_t OctetReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 63; shift += 7) {
    const std::uint8_t octet = u8();
    value |= std::uint64_t{octet & 0x7fU} << shift;
    if ((octet & 0x80) == 0) return failed_ ? 0 : value;
  }
  failed_ = true;
  return 0;
}

ByteView OctetReader::octets(std::size_t count) {
  if (failed_ || left() < count) {
    failed_ = true;
    return {};
  }
  const ByteView view = in_.subspan(at_, count);
  at_ += count;
  return view;
}

std::string OctetReader::text(std::size_t longest) {
  const std::size_t size = u16();
  if (size > longest) failed_ = true;
  return std::string(as_text(octets(failed_ ? 0 : size)));
}

Bytes OctetReader::bit_map(std::size_t count) {
  const ByteView packed = octets((count + 7) / 8);
  if (failed_) return {};
  Bytes bits(count);
  for (std::size_t i = 0; i < count; ++i) bits[i] = packed[i / 8] >> (i % 8) & 1U;
  if (count % 8 != 0 && packed.back() >> (count % 8) != 0) failed_ = true;
  return bits;
}

Result<void> OctetReader::finish(std::string_view what) const {
  if (failed_) return fail(ErrorCode::invalid_argument, std::string(what) + ": truncated or out of range");
  if (left() != 0) return fail(ErrorCode::invalid_argument, std::string(what) + ": " + std::to_string(left()) + " octets too many");
  return {};
}

Secret pack_bits(const Secret& bits) {
  Secret packed((bits.size() + 7) / 8);
  const ByteView in = bits.reveal();
  const auto out = packed.writable();
  for (std::size_t i = 0; i < in.size(); ++i) out[i / 8] |= static_cast<std::uint8_t>((in[i] & 1U) << (i % 8));
  return packed;
}

}  // namespace qanat::qkd
