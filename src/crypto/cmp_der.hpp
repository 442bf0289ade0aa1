// DER as CMP's messages need it (X.690 §8, §10): tags of one octet, definite lengths in their shortest form. Private to crypto.
#pragma once

#include <initializer_list>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::crypto::cmp_der {

inline constexpr std::uint8_t tag_integer = 0x02;
inline constexpr std::uint8_t tag_bit_string = 0x03;
inline constexpr std::uint8_t tag_octet_string = 0x04;
inline constexpr std::uint8_t tag_null = 0x05;
inline constexpr std::uint8_t tag_oid = 0x06;
inline constexpr std::uint8_t tag_utf8 = 0x0c;
inline constexpr std::uint8_t tag_utc_time = 0x17;
inline constexpr std::uint8_t tag_generalized_time = 0x18;
inline constexpr std::uint8_t tag_sequence = 0x30;
/// [n], constructed: an explicit tag, or an implicit one of a SEQUENCE.
constexpr std::uint8_t context(unsigned number) noexcept { return static_cast<std::uint8_t>(0xa0 | number); }
/// [n], primitive.
constexpr std::uint8_t context_primitive(unsigned number) noexcept { return static_cast<std::uint8_t>(0x80 | number); }

struct Element {
  std::uint8_t tag = 0;
  ByteView content;
  ByteView whole;  // with tag and length
};

/// Elements one after the other. Views into the octets that it was made of.
class Reader {
 public:
  explicit Reader(ByteView octets) : rest_(octets) {}
  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
  /// True if an element with this tag is next.
  [[nodiscard]] bool sees(std::uint8_t tag) const noexcept { return !rest_.empty() && rest_.front() == tag; }
  /// invalid_argument unless a whole element follows.
  Result<Element> next();
  /// The same, which must have this tag; `what` names it in the message.
  Result<Element> take(std::uint8_t tag, std::string_view what);
  /// invalid_argument unless everything was taken.
  Result<void> finish(std::string_view what) const;

 private:
  ByteView rest_;
};

/// The one element that the octets are, of this tag.
Result<Element> only(ByteView octets, std::uint8_t tag, std::string_view what);
/// What stands inside [number] EXPLICIT.
Result<Element> inside(const Element& outer, std::uint8_t tag, std::string_view what);
/// invalid_argument for one that does not fit into 32 bits with its sign, or is not in its shortest form.
Result<std::int64_t> small_integer(ByteView content, std::string_view what);
/// The content of a BIT STRING without unused bits.
Result<ByteView> whole_bits(ByteView content, std::string_view what);

Bytes element(std::uint8_t tag, std::initializer_list<ByteView> content);
inline Bytes element(std::uint8_t tag, ByteView content) { return element(tag, {content}); }
inline Bytes sequence(std::initializer_list<ByteView> content) { return element(tag_sequence, content); }
Bytes integer(std::int64_t value);
/// A positive INTEGER from its magnitude.
Bytes unsigned_integer(ByteView magnitude);
/// A BIT STRING without unused bits.
Bytes bit_string(ByteView octets);
/// A BIT STRING of named bits with this one set (X.690 §11.2.2).
Bytes named_bit(unsigned number);
/// YYYYMMDDHHMMSSZ.
Bytes generalized_time(std::uint64_t at_ms);

}  // namespace qanat::crypto::cmp_der
