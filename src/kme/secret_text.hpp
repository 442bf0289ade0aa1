// Keys as text: base64 and hexadecimal without a table that is indexed by key octets, so that the cache tells nothing of them.
#pragma once

#include <span>
#include <string_view>

#include "base/secret.hpp"

namespace qanat::kme {

constexpr std::size_t base64_size(std::size_t octets) { return (octets + 2) / 3 * 4; }
/// `out` has base64_size(octets.size()) places.
void write_base64(ByteView octets, std::span<std::uint8_t> out) noexcept;
/// `out` has twice as many places.
void write_hex(ByteView octets, std::span<std::uint8_t> out) noexcept;

/// A text that holds secrets, put together in locked memory: the length is known beforehand.
class SecretText {
 public:
  explicit SecretText(std::size_t size) : text_(size) {}
  SecretText& add(std::string_view text);
  SecretText& add_base64(ByteView octets);
  SecretText& add_hex(ByteView octets);
  /// CHECKs that every place was written.
  Secret finish() &&;

 private:
  std::span<std::uint8_t> next(std::size_t size);
  Secret text_;
  std::size_t at_ = 0;
};

}  // namespace qanat::kme
