#include "crypto/cmp_der.hpp"

#include <array>
#include <ctime>

namespace qanat::crypto::cmp_der {
namespace {

constexpr std::size_t length_octets_max = 3;  // lengths below 16 MiB
constexpr std::size_t integer_octets_max = 4;

std::unexpected<Error> malformed(std::string_view what) { return fail(ErrorCode::invalid_argument, std::string(what) + ": not DER of one"); }

}  // namespace

Result<Element> Reader::next() {
  const auto cut_short = [] {
    return fail(ErrorCode::invalid_argument, "DER: an element is cut short, or its tag or length is in no form that is taken here");
  };
  if (rest_.size() < 2 || (rest_[0] & 0x1f) == 0x1f) return cut_short();
  std::size_t length = rest_[1];
  std::size_t head = 2;
  if (length > 0x80) {
    const std::size_t octets = length - 0x80;
    if (octets > length_octets_max || rest_.size() < head + octets) return cut_short();
    length = 0;
    for (std::size_t i = 0; i < octets; ++i) length = length << 8 | rest_[head + i];
    if (length < 0x80 || length < std::size_t{1} << (8 * (octets - 1))) return cut_short();  // not the shortest form
    head += octets;
  } else if (length == 0x80) {
    return cut_short();  // indefinite
  }
  if (rest_.size() - head < length) return cut_short();
  const Element out{.tag = rest_[0], .content = rest_.subspan(head, length), .whole = rest_.first(head + length)};
  rest_ = rest_.subspan(head + length);
  return out;
}

Result<Element> Reader::take(std::uint8_t tag, std::string_view what) {
  if (!sees(tag)) return fail(ErrorCode::invalid_argument, std::string(what) + (rest_.empty() ? ": is missing" : ": something else stands in its place"));
  auto out = next();
  if (!out) return malformed(what);
  return out;
}

Result<void> Reader::finish(std::string_view what) const {
  if (!rest_.empty()) return fail(ErrorCode::invalid_argument, std::string(what) + ": " + std::to_string(rest_.size()) + " octets behind its end");
  return {};
}

Result<Element> only(ByteView octets, std::uint8_t tag, std::string_view what) {
  Reader reader(octets);
  ASSIGN_OR_RETURN(const Element out, reader.take(tag, what));
  TRY(reader.finish(what));
  return out;
}

Result<Element> inside(const Element& outer, std::uint8_t tag, std::string_view what) { return only(outer.content, tag, what); }

Result<std::int64_t> small_integer(ByteView content, std::string_view what) {
  if (content.empty() || content.size() > integer_octets_max) return fail(ErrorCode::invalid_argument, std::string(what) + ": not a number of 32 bits");
  if (content.size() > 1 && ((content[0] == 0 && (content[1] & 0x80) == 0) || (content[0] == 0xff && (content[1] & 0x80) != 0))) return malformed(what);
  std::int64_t out = (content[0] & 0x80) != 0 ? -1 : 0;
  for (const std::uint8_t octet : content) out = out * 256 + octet;
  return out;
}

Result<ByteView> whole_bits(ByteView content, std::string_view what) {
  if (content.empty() || content.front() != 0) return fail(ErrorCode::invalid_argument, std::string(what) + ": not a BIT STRING of whole octets");
  return content.subspan(1);
}

Bytes element(std::uint8_t tag, std::initializer_list<ByteView> content) {
  std::size_t size = 0;
  for (const ByteView part : content) size += part.size();
  Bytes out{tag};
  if (size < 0x80) {
    out.push_back(static_cast<std::uint8_t>(size));
  } else {
    std::size_t octets = 1;
    while (size >> (8 * octets) != 0) ++octets;
    out.push_back(static_cast<std::uint8_t>(0x80 | octets));
    while (octets-- > 0) out.push_back(static_cast<std::uint8_t>(size >> (8 * octets)));
  }
  for (const ByteView part : content) append(out, part);
  return out;
}

Bytes integer(std::int64_t value) {
  Bytes content;
  for (int shift = 56; shift >= 0; shift -= 8) content.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> shift));
  std::size_t skip = 0;  // what only repeats the sign
  while (skip < 7 && ((content[skip] == 0 && (content[skip + 1] & 0x80) == 0) || (content[skip] == 0xff && (content[skip + 1] & 0x80) != 0))) ++skip;
  return element(tag_integer, ByteView(content).subspan(skip));
}

Bytes unsigned_integer(ByteView magnitude) {
  while (magnitude.size() > 1 && magnitude.front() == 0) magnitude = magnitude.subspan(1);
  if (magnitude.empty()) return integer(0);
  static constexpr std::array<std::uint8_t, 1> zero{0};
  return element(tag_integer, {(magnitude.front() & 0x80) != 0 ? ByteView(zero) : ByteView(), magnitude});
}

Bytes bit_string(ByteView octets) {
  static constexpr std::array<std::uint8_t, 1> no_unused_bits{0};
  return element(tag_bit_string, {no_unused_bits, octets});
}

Bytes named_bit(unsigned number) {
  Bytes content(number / 8 + 2);
  content.front() = static_cast<std::uint8_t>(7 - number % 8);
  content.back() = static_cast<std::uint8_t>(0x80 >> number % 8);
  return element(tag_bit_string, content);
}

Bytes generalized_time(std::uint64_t at_ms) {
  const auto seconds = static_cast<std::time_t>(at_ms / 1000);
  std::tm parts{};
  std::array<char, sizeof "99999999999999Z"> text{};
  if (gmtime_r(&seconds, &parts) == nullptr || std::strftime(text.data(), text.size(), "%Y%m%d%H%M%SZ", &parts) == 0) {
    return element(tag_generalized_time, as_bytes("19700101000000Z"));
  }
  return element(tag_generalized_time, as_bytes(text.data()));
}

}  // namespace qanat::crypto::cmp_der
