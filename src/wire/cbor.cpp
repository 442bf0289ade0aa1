#include "wire/cbor.hpp"

#include <algorithm>
#include <limits>

#include "base/utf8.hpp"

namespace qanat::wire {
namespace {

constexpr std::uint8_t one_octet = 24;  // additional information: the argument's octets follow (RFC 8949 §3)
constexpr std::uint8_t two_octets = 25;
constexpr std::uint8_t four_octets = 26;
constexpr std::uint8_t eight_octets = 27;
constexpr std::uint64_t simple_false = 20;
constexpr std::uint64_t simple_null = 22;

std::unexpected<Error> bad_cbor(std::string_view field, std::string_view why) {
  return fail(ErrorCode::invalid_argument, std::string(field) + ": " + std::string(why));
}

Bytes encoded_integer(std::int64_t value) {
  CborWriter writer;
  writer.integer(value);
  return std::move(writer).take();
}

}  // namespace

void CborWriter::head(std::uint8_t major, std::uint64_t argument) {
  const auto first = static_cast<std::uint8_t>(major << 5U);
  unsigned octets = 0;
  if (argument < one_octet) {
    out_.push_back(static_cast<std::uint8_t>(first | argument));
  } else if (argument <= 0xFF) {
    out_.push_back(static_cast<std::uint8_t>(first | one_octet));
    octets = 1;
  } else if (argument <= 0xFFFF) {
    out_.push_back(static_cast<std::uint8_t>(first | two_octets));
    octets = 2;
  } else if (argument <= 0xFFFFFFFFULL) {
    out_.push_back(static_cast<std::uint8_t>(first | four_octets));
    octets = 4;
  } else {
    out_.push_back(static_cast<std::uint8_t>(first | eight_octets));
    octets = 8;
  }
  while (octets > 0) out_.push_back(static_cast<std::uint8_t>(argument >> (8U * --octets)));
}

void CborWriter::integer(std::int64_t value) {
  // §3.1: a negative integer n is written as -1-n, which is ~n.
  if (value >= 0) {
    head(0, static_cast<std::uint64_t>(value));
  } else {
    head(1, ~static_cast<std::uint64_t>(value));
  }
}

void CborWriter::octets(ByteView value) {
  head(2, value.size());
  append(out_, value);
}

void CborWriter::text(std::string_view value) {
  head(3, value.size());
  append(out_, as_bytes(value));
}

void CborWriter::boolean(bool value) { head(7, value ? simple_false + 1 : simple_false); }

void CborMap::integer(std::int64_t key, std::int64_t value) { raw(key, encoded_integer(value)); }
void CborMap::octets(std::int64_t key, ByteView value) {
  CborWriter writer;
  writer.octets(value);
  raw(key, std::move(writer).take());
}
void CborMap::text(std::int64_t key, std::string_view value) {
  CborWriter writer;
  writer.text(value);
  raw(key, std::move(writer).take());
}
void CborMap::raw(std::int64_t key, Bytes encoded) { entries_.insert_or_assign(encoded_integer(key), std::move(encoded)); }

Bytes CborMap::encode() const {
  CborWriter writer;
  writer.map(entries_.size());
  for (const auto& [key, value] : entries_) {
    writer.raw(key);
    writer.raw(value);
  }
  return std::move(writer).take();
}

Result<CborReader::Head> CborReader::head(std::string_view field) {
  if (rest_.empty()) return bad_cbor(field, "ends too soon");
  const std::uint8_t first = rest_.front();
  const auto type = static_cast<CborType>(first >> 5U);
  const std::uint8_t information = first & 31U;
  rest_ = rest_.subspan(1);
  if (information < one_octet) return Head{.type = type, .argument = information};
  if (information > eight_octets) return bad_cbor(field, "of indefinite length, or reserved");
  const std::size_t size = std::size_t{1} << (information - one_octet);
  ASSIGN_OR_RETURN(const ByteView octets, take(size, field));
  std::uint64_t argument = 0;
  for (const std::uint8_t octet : octets) argument = argument << 8U | octet;
  // §4.2.1: as short as possible. A simple value or a float in more octets is not among what is read here.
  const std::uint64_t least = size == 1 ? one_octet : std::uint64_t{1} << (4U * size);
  if (type == CborType::simple || argument < least) return bad_cbor(field, "not in the shortest form");
  return Head{.type = type, .argument = argument};
}

Result<ByteView> CborReader::take(std::uint64_t size, std::string_view field) {
  if (size > rest_.size()) return bad_cbor(field, "ends too soon");
  const ByteView out = rest_.first(static_cast<std::size_t>(size));
  rest_ = rest_.subspan(static_cast<std::size_t>(size));
  return out;
}

Result<std::uint64_t> CborReader::head_of(CborType type, std::string_view field, std::string_view what) {
  ASSIGN_OR_RETURN(const Head found, head(field));
  if (found.type != type) return bad_cbor(field, "must be " + std::string(what));
  return found.argument;
}

Result<CborType> CborReader::peek(std::string_view field) const {
  if (rest_.empty()) return bad_cbor(field, "ends too soon");
  return static_cast<CborType>(rest_.front() >> 5U);
}

Result<std::int64_t> CborReader::integer(std::string_view field) {
  ASSIGN_OR_RETURN(const Head found, head(field));
  if (found.type != CborType::unsigned_integer && found.type != CborType::negative_integer) return bad_cbor(field, "must be an integer");
  if (found.argument > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return bad_cbor(field, "is out of range");
  const auto value = static_cast<std::int64_t>(found.argument);
  return found.type == CborType::unsigned_integer ? value : -1 - value;
}

Result<ByteView> CborReader::octets(std::string_view field) {
  ASSIGN_OR_RETURN(const std::uint64_t size, head_of(CborType::octets, field, "an octet string"));
  return take(size, field);
}

Result<std::string_view> CborReader::text(std::string_view field) {
  ASSIGN_OR_RETURN(const std::uint64_t size, head_of(CborType::text, field, "a text"));
  ASSIGN_OR_RETURN(const ByteView octets, take(size, field));
  const std::string_view out = as_text(octets);
  if (!is_utf8(out)) return bad_cbor(field, "is not UTF-8");
  return out;
}

Result<std::size_t> CborReader::array(std::string_view field) {
  ASSIGN_OR_RETURN(const std::uint64_t size, head_of(CborType::array, field, "an array"));
  if (size > rest_.size()) return bad_cbor(field, "ends too soon");  // an element has one octet at least
  return static_cast<std::size_t>(size);
}

Result<std::uint64_t> CborReader::tag(std::string_view field) { return head_of(CborType::tag, field, "tagged"); }

Result<std::map<std::int64_t, ByteView>> CborReader::map(std::string_view field) {
  ASSIGN_OR_RETURN(const std::uint64_t pairs, head_of(CborType::map, field, "a map"));
  std::map<std::int64_t, ByteView> out;
  ByteView before;
  for (std::uint64_t i = 0; i < pairs; ++i) {
    const ByteView start = rest_;
    ASSIGN_OR_RETURN(const std::int64_t key, integer(field));
    const ByteView encoded = start.first(start.size() - rest_.size());
    if (i > 0 && !std::ranges::lexicographical_compare(before, encoded)) return bad_cbor(field, "keys are not in order, or one is there twice");
    before = encoded;
    ASSIGN_OR_RETURN(const ByteView value, item(field));
    out.emplace(key, value);
  }
  return out;
}

Result<ByteView> CborReader::item(std::string_view field) {
  const ByteView start = rest_;
  TRY(skip(field, 0));
  return start.first(start.size() - rest_.size());
}

Result<void> CborReader::skip(std::string_view field, std::size_t depth) {
  if (depth >= cbor_depth_max) return bad_cbor(field, "is nested too deeply");
  ASSIGN_OR_RETURN(const CborType type, peek(field));
  switch (type) {
    case CborType::unsigned_integer:
    case CborType::negative_integer:
      TRY(head(field));
      return {};
    case CborType::octets:
      TRY(octets(field));
      return {};
    case CborType::text:
      TRY(text(field));
      return {};
    case CborType::simple: {
      ASSIGN_OR_RETURN(const Head found, head(field));
      if (found.argument < simple_false || found.argument > simple_null) return bad_cbor(field, "must be false, true or null");
      return {};
    }
    case CborType::tag:
      TRY(head(field));
      return skip(field, depth + 1);
    case CborType::array: {
      ASSIGN_OR_RETURN(const std::size_t size, array(field));
      for (std::size_t i = 0; i < size; ++i) TRY(skip(field, depth + 1));
      return {};
    }
    case CborType::map:
      break;
  }
  ASSIGN_OR_RETURN(const std::uint64_t pairs, head_of(CborType::map, field, "a map"));
  ByteView before;
  for (std::uint64_t i = 0; i < pairs; ++i) {
    const ByteView start = rest_;
    TRY(skip(field, depth + 1));
    const ByteView key = start.first(start.size() - rest_.size());
    if (i > 0 && !std::ranges::lexicographical_compare(before, key)) return bad_cbor(field, "keys are not in order, or one is there twice");
    before = key;
    TRY(skip(field, depth + 1));
  }
  return {};
}

Result<void> CborReader::finish(std::string_view field) const {
  if (!rest_.empty()) return bad_cbor(field, std::to_string(rest_.size()) + " octets follow");
  return {};
}

}  // namespace qanat::wire
