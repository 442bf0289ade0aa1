// CBOR (RFC 8949) in its deterministic form (§4.2.1), as far as COSE and CWT need it: integers, octet and text strings, arrays, maps with integer keys, tags,
// false, true, null. Read strictly: one value has one encoding, any other is refused. No I/O, nothing is allocated by what a length claims.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::wire {

inline constexpr std::size_t cbor_depth_max = 16;

class CborWriter {
 public:
  void integer(std::int64_t value);
  void octets(ByteView value);
  void text(std::string_view value);
  void boolean(bool value);
  void null() { out_.push_back(0xF6); }
  /// The elements follow.
  void array(std::size_t size) { head(4, size); }
  /// The pairs follow; the caller keeps the order (CborMap does).
  void map(std::size_t pairs) { head(5, pairs); }
  /// The tagged value follows.
  void tag(std::uint64_t number) { head(6, number); }
  /// A value that is encoded already.
  void raw(ByteView encoded) { append(out_, encoded); }
  [[nodiscard]] Bytes take() && { return std::move(out_); }

 private:
  void head(std::uint8_t major, std::uint64_t argument);
  Bytes out_;
};

/// A map with integer keys under construction: written in the order that §4.2.1 demands, whatever the order of set().
class CborMap {
 public:
  void integer(std::int64_t key, std::int64_t value);
  void octets(std::int64_t key, ByteView value);
  void text(std::int64_t key, std::string_view value);
  void raw(std::int64_t key, Bytes encoded);
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  [[nodiscard]] Bytes encode() const;

 private:
  std::map<Bytes, Bytes> entries_;  // encoded key → encoded value; octet order is the order of §4.2.1
};

enum class CborType : std::uint8_t { unsigned_integer, negative_integer, octets, text, array, map, tag, simple };

class CborReader {
 public:
  explicit CborReader(ByteView octets) : rest_(octets) {}

  // Each: invalid_argument that names the field if something else stands there, or in another form than the shortest.
  Result<std::int64_t> integer(std::string_view field);
  Result<ByteView> octets(std::string_view field);
  Result<std::string_view> text(std::string_view field);  // UTF-8
  /// Number of elements, which follow.
  Result<std::size_t> array(std::string_view field);
  Result<std::uint64_t> tag(std::string_view field);
  /// The whole map: each value still encoded, one item. Keys are integers in order, each once.
  Result<std::map<std::int64_t, ByteView>> map(std::string_view field);
  /// One whole item of any kind, checked and skipped; its octets.
  Result<ByteView> item(std::string_view field);
  /// What comes next; nothing is read. invalid_argument at the end.
  [[nodiscard]] Result<CborType> peek(std::string_view field) const;
  Result<void> finish(std::string_view field) const;

 private:
  struct Head {
    CborType type{};
    std::uint64_t argument = 0;
  };
  Result<Head> head(std::string_view field);
  Result<std::uint64_t> head_of(CborType type, std::string_view field, std::string_view what);
  Result<ByteView> take(std::uint64_t size, std::string_view field);
  Result<void> skip(std::string_view field, std::size_t depth);

  ByteView rest_;
};

}  // namespace qanat::wire
