// Two things of one shape get two types: Id<Tag, N> is N public octets, Name<Tag> is a text. Swapped arguments do not compile.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstring>

#include "base/bytes.hpp"
#include "base/check.hpp"
#include "base/result.hpp"

namespace qanat {

template <class Tag, std::size_t N>
class Id {
 public:
  static constexpr std::size_t size = N;

  constexpr Id() = default;
  /// `octets` must be exactly N long (a caller that does not know uses parse()).
  explicit Id(ByteView octets) {
    CHECK(octets.size() == N);
    std::copy(octets.begin(), octets.end(), octets_.begin());
  }
  static Result<Id> parse(ByteView octets) {
    if (octets.size() != N) {
      return fail(ErrorCode::invalid_argument, "id: " + std::to_string(octets.size()) + " octets where " + std::to_string(N) + " belong");
    }
    return Id(octets);
  }
  static Result<Id> parse_hex(std::string_view text) {
    const auto octets = from_hex(text);
    if (!octets) return fail(ErrorCode::invalid_argument, "id: not hexadecimal");
    return parse(*octets);
  }

  [[nodiscard]] ByteView view() const noexcept { return octets_; }
  [[nodiscard]] std::string hex() const { return to_hex(octets_); }
  auto operator<=>(const Id&) const = default;

 private:
  std::array<std::uint8_t, N> octets_{};
};

/// An identifier that is a text, such as a subscriber's UID or an E.164 number.
template <class Tag>
class Name {
 public:
  Name() = default;
  explicit Name(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] ByteView view() const noexcept { return as_bytes(text_); }
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
  auto operator<=>(const Name&) const = default;

 private:
  std::string text_;
};

struct SidWkTag;
struct SidCallTag;
struct KeyIdTag;
struct PathIdTag;
struct UidTag;
struct NumberTag;
struct ElementTag;

using SidWk = Id<SidWkTag, 16>;      // session of one working key application (SID_WK)
using SidCall = Id<SidCallTag, 32>;  // session that the working key protects (SID_CALL)
using KeyId = Id<KeyIdTag, 16>;      // a quantum key, the same at both ends
using PathId = Id<PathIdTag, 8>;     // a relay path
using Uid = Name<UidTag>;            // subscriber (terminal user), 1..64 octets
using Number = Name<NumberTag>;      // E.164 with leading '+', 3..32 octets
using ElementName = Name<ElementTag>;  // an element's name within the network, "kms-a"

}  // namespace qanat

template <class Tag, std::size_t N>
struct std::hash<qanat::Id<Tag, N>> {
  std::size_t operator()(const qanat::Id<Tag, N>& id) const noexcept {
    // Ids are random or digests: their first octets are hash enough.
    std::size_t out = 0;
    std::memcpy(&out, id.view().data(), std::min(sizeof out, N));
    return out;
  }
};
template <class Tag>
struct std::hash<qanat::Name<Tag>> {
  std::size_t operator()(const qanat::Name<Tag>& name) const noexcept { return std::hash<std::string>()(name.text()); }
};
