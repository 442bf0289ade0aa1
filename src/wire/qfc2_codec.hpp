// Private to wire: one grammar per message, walked by an Encoder or a Decoder. A family's .cpp writes
//   template <class Codec, class M> void fields(Codec& c, M& m) { c.id("sid_wk", m.sid_wk); … }
// once, and both directions follow from it, so that they cannot differ.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <vector>

#include "base/id.hpp"
#include "crypto/hybrid_kem.hpp"
#include "wire/qfc2_header.hpp"
#include "wire/reader.hpp"
#include "wire/signed.hpp"
#include "wire/writer.hpp"

namespace qanat::wire {

/// Printable ASCII without space: identifiers have one spelling.
inline bool is_identifier(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}
inline bool is_e164(std::string_view text) {
  return text.starts_with('+') && std::ranges::all_of(text.substr(1), [](char c) { return c >= '0' && c <= '9'; });
}

/// `ext`: u16 type ‖ `<0..65535>` value, ascending by type.
Result<Bytes> encode_extensions(const crypto::Suite& suite, const std::vector<Extension>& extensions);
Result<std::vector<Extension>> parse_extensions(const crypto::Suite& suite, ByteView octets);

class Encoder {
 public:
  explicit Encoder(const crypto::Suite& suite) : suite_(suite) {}
  [[nodiscard]] const crypto::Suite& suite() const noexcept { return suite_; }

  void u8(std::string_view, std::uint8_t value) { out_.u8(value); }
  void u16(std::string_view, std::uint16_t value) { out_.u16(value); }
  void u32(std::string_view, std::uint32_t value) { out_.u32(value); }
  void u64(std::string_view, std::uint64_t value) { out_.u64(value); }
  void boolean(std::string_view, bool value) { out_.u8(value ? 1 : 0); }
  void flags(std::string_view field, std::uint8_t value, std::uint8_t allowed) {
    require((value & ~allowed) == 0, field, "unknown flag");
    out_.u8(value);
  }
  template <class E>
  void choice(std::string_view field, E value, std::initializer_list<E> allowed) {
    require(std::ranges::find(allowed, value) != allowed.end(), field, "not one of the values allowed");
    out_.u8(static_cast<std::uint8_t>(value));
  }
  template <class Tag, std::size_t N>
  void id(std::string_view, const Id<Tag, N>& value) {
    out_.raw(value.view());
  }
  void fixed(std::string_view field, const Bytes& value, std::size_t size) { out_.fixed(field, value, size); }
  void digest(std::string_view field, const Bytes& value) { out_.fixed(field, value, suite_.digest); }
  void opaque(std::string_view field, const Bytes& value, Bounds bounds) { out_.opaque(field, value, bounds); }
  /// Exactly `size` octets, or none.
  void optional(std::string_view field, const Bytes& value, std::size_t size) {
    require(value.empty() || value.size() == size, field, "neither absent nor of the suite's size");
    out_.opaque(field, value, {.min = 0, .max = size});
  }
  void text(std::string_view field, const std::string& value, Bounds bounds) { out_.opaque(field, value, bounds); }
  template <class Tag>
  void name(std::string_view field, const Name<Tag>& value, Bounds bounds) {
    require(is_identifier(value.text()), field, "must be printable ASCII without space");
    out_.opaque(field, value.text(), bounds);
  }
  void number(std::string_view field, const Number& value) {
    require(is_e164(value.text()), field, "must be '+' and digits");
    out_.opaque(field, value.text(), number_bounds);
  }
  void extensions(std::string_view field, const std::vector<Extension>& value) {
    auto octets = encode_extensions(suite_, value);
    if (!octets) return out_.refuse(field, octets.error().message);
    out_.opaque(field, *octets, ext_bounds);
  }
  /// A counted list of what `each` writes.
  template <class T, class Each>
  void list(std::string_view field, const std::vector<T>& values, std::size_t max, Each each) {
    require(values.size() <= max, field, "too many");
    out_.u8(static_cast<std::uint8_t>(values.size()));
    for (const T& value : values) each(*this, value);
  }
  /// The same with a count of two octets.
  template <class T, class Each>
  void long_list(std::string_view field, const std::vector<T>& values, std::size_t max, Each each) {
    require(values.size() <= max, field, "too many");
    out_.u16(static_cast<std::uint16_t>(values.size()));
    for (const T& value : values) each(*this, value);
  }
  void require(bool holds, std::string_view field, std::string_view why) {
    if (!holds) out_.refuse(field, why);
  }
  /// Remembers this position (where a sealed field begins).
  void mark() { mark_ = out_.size(); }
  [[nodiscard]] std::size_t marked() const noexcept { return mark_; }

  Result<Bytes> finish() && { return std::move(out_).finish(); }

 private:
  const crypto::Suite& suite_;
  Writer out_;
  std::size_t mark_ = 0;
};

class Decoder {
 public:
  Decoder(const crypto::Suite& suite, ByteView octets) : suite_(suite), in_(octets) {}
  [[nodiscard]] const crypto::Suite& suite() const noexcept { return suite_; }

  void u8(std::string_view field, std::uint8_t& value) { take(in_.u8(field), value); }
  void u16(std::string_view field, std::uint16_t& value) { take(in_.u16(field), value); }
  void u32(std::string_view field, std::uint32_t& value) { take(in_.u32(field), value); }
  void u64(std::string_view field, std::uint64_t& value) { take(in_.u64(field), value); }
  void boolean(std::string_view field, bool& value) {
    std::uint8_t octet = 0;
    u8(field, octet);
    require(octet <= 1, field, "must be 0 or 1");
    value = octet == 1;
  }
  void flags(std::string_view field, std::uint8_t& value, std::uint8_t allowed) {
    u8(field, value);
    require((value & ~allowed) == 0, field, "unknown flag");
  }
  template <class E>
  void choice(std::string_view field, E& value, std::initializer_list<E> allowed) {
    std::uint8_t octet = 0;
    u8(field, octet);
    value = static_cast<E>(octet);
    require(std::ranges::find(allowed, value) != allowed.end(), field, "not one of the values allowed");
  }
  template <class Tag, std::size_t N>
  void id(std::string_view field, Id<Tag, N>& value) {
    if (const auto octets = view(in_.fixed(field, N))) value = Id<Tag, N>(*octets);
  }
  void fixed(std::string_view field, Bytes& value, std::size_t size) { copy(in_.fixed(field, size), value); }
  void digest(std::string_view field, Bytes& value) { fixed(field, value, suite_.digest); }
  void opaque(std::string_view field, Bytes& value, Bounds bounds) { copy(in_.opaque(field, bounds), value); }
  void optional(std::string_view field, Bytes& value, std::size_t size) {
    copy(in_.opaque(field, {.min = 0, .max = size}), value);
    require(value.empty() || value.size() == size, field, "neither absent nor of the suite's size");
  }
  void text(std::string_view field, std::string& value, Bounds bounds) {
    if (const auto octets = view(in_.opaque(field, bounds))) value = std::string(as_text(*octets));
  }
  template <class Tag>
  void name(std::string_view field, Name<Tag>& value, Bounds bounds) {
    std::string letters;
    text(field, letters, bounds);
    require(is_identifier(letters), field, "must be printable ASCII without space");
    value = Name<Tag>(std::move(letters));
  }
  void number(std::string_view field, Number& value) {
    std::string letters;
    text(field, letters, number_bounds);
    require(is_e164(letters), field, "must be '+' and digits");
    value = Number(std::move(letters));
  }
  void extensions(std::string_view field, std::vector<Extension>& value) {
    const auto octets = view(in_.opaque(field, ext_bounds));
    if (!octets) return;
    auto parsed = parse_extensions(suite_, *octets);
    if (parsed) {
      value = *std::move(parsed);
    } else {
      require(false, field, parsed.error().message);
    }
  }
  template <class T, class Each>
  void list(std::string_view field, std::vector<T>& values, std::size_t max, Each each) {
    std::uint8_t count = 0;
    u8(field, count);
    require(count <= max, field, "too many");
    for (std::size_t i = 0; i < count && !failure_; ++i) each(*this, values.emplace_back());
  }
  template <class T, class Each>
  void long_list(std::string_view field, std::vector<T>& values, std::size_t max, Each each) {
    std::uint16_t count = 0;
    u16(field, count);
    require(count <= max, field, "too many");
    for (std::size_t i = 0; i < count && !failure_; ++i) each(*this, values.emplace_back());
  }
  void require(bool holds, std::string_view field, std::string_view why) {
    if (!holds && !failure_) failure_ = Error{ErrorCode::invalid_argument, std::string(field) + ": " + std::string(why)};
  }
  void mark() {}

  Result<void> finish() && {
    if (failure_) return fail(*std::move(failure_));
    return in_.finish();
  }

 private:
  // Once something has failed, nothing after it is looked at: later fields would be read from the wrong place.
  template <class T>
  void take(Result<T> read, T& value) {
    if (failure_) return;
    if (read) {
      value = *read;
    } else {
      failure_ = std::move(read).error();
    }
  }
  std::optional<ByteView> view(Result<ByteView> read) {
    ByteView octets;
    take(std::move(read), octets);
    return failure_ ? std::nullopt : std::optional(octets);
  }
  void copy(Result<ByteView> read, Bytes& value) {
    if (const auto octets = view(std::move(read))) value.assign(octets->begin(), octets->end());
  }

  const crypto::Suite& suite_;
  Reader in_;
  std::optional<Error> failure_;
};

template <class Codec, class Prints>
void fingerprint_fields(Codec& c, std::string_view field, Prints& prints) {
  c.digest(std::string(field) + "_classical", prints.classical);
  c.digest(std::string(field) + "_pq", prints.pq);
}

/// An ephemeral or static public key pair at full size.
template <class Codec, class Key>
void key_fields(Codec& c, std::string_view field, Key& key) {
  c.fixed(std::string(field) + "_T", key.point, c.suite().point);
  c.fixed(std::string(field) + "_PQ", key.ml_kem, c.suite().ml_kem_public);
}
/// The same, both halves there or both absent.
template <class Codec, class Key>
void optional_key_fields(Codec& c, std::string_view field, Key& key) {
  c.optional(std::string(field) + "_T", key.point, c.suite().point);
  c.optional(std::string(field) + "_PQ", key.ml_kem, c.suite().ml_kem_public);
  c.require(key.point.empty() == key.ml_kem.empty(), field, "one half without the other");
}

inline bool is_zero(ByteView octets) {
  return std::ranges::all_of(octets, [](std::uint8_t octet) { return octet == 0; });
}

/// encode_body by way of `fields`, found where M is defined.
#define QANAT_WIRE_MESSAGE(M)                                                  \
  template <>                                                                  \
  Result<Bytes> encode_body(const crypto::Suite& suite, const M& message) {    \
    Encoder codec(suite);                                                      \
    fields(codec, message);                                                    \
    auto octets = std::move(codec).finish();                                   \
    if (!octets) return fail_in(name(M::type), std::move(octets).error());     \
    return octets;                                                             \
  }                                                                            \
  template <>                                                                  \
  Result<M> parse_body(const crypto::Suite& suite, ByteView body) {            \
    M message;                                                                 \
    Decoder codec(suite, body);                                                \
    fields(codec, message);                                                    \
    auto finished = std::move(codec).finish();                                 \
    if (!finished) return fail_in(name(M::type), std::move(finished).error()); \
    return message;                                                            \
  }                                                                            \
  static_assert(true)

/// Header and body up to the field that the grammar marked, of the message that `walked` has written.
Result<Bytes> octets_before_mark(std::uint32_t policy_epoch, MessageType type, Encoder walked);

}  // namespace qanat::wire
