// Keys and passwords as text: base64 and hexadecimal without a table that is indexed by secret octets, so that the cache tells nothing of them.
#pragma once

#include <span>
#include <string_view>

#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::wire {

constexpr std::size_t base64_size(std::size_t octets) { return (octets + 2) / 3 * 4; }
constexpr std::size_t base64_line_octets = 48;
constexpr std::size_t base64_lines_size(std::size_t octets) { return base64_size(octets) + (octets + base64_line_octets - 1) / base64_line_octets; }
/// `out` has base64_size(octets.size()) places.
void write_base64(ByteView octets, std::span<std::uint8_t> out) noexcept;
/// `out` has twice as many places.
void write_hex(ByteView octets, std::span<std::uint8_t> out) noexcept;

/// The text of these octets in the URL-safe alphabet without padding (RFC 4648 §5).
Secret base64url_text(const Secret& octets);
/// The octets of a padded base64 text (RFC 4648 §4), read as strictly as from_base64() does. invalid_argument.
Result<Secret> secret_from_base64(ByteView text);

/// A text that holds secrets, put together in locked memory: the length is known beforehand.
class SecretText {
 public:
  explicit SecretText(std::size_t size) : text_(size) {}
  SecretText& add(std::string_view text);
  SecretText& add_base64(ByteView octets);
  /// In lines of 64 characters, each with a line feed.
  SecretText& add_base64_lines(ByteView octets);
  SecretText& add_hex(ByteView octets);
  /// CHECKs that every place was written.
  Secret finish() &&;

 private:
  std::span<std::uint8_t> next(std::size_t size);
  Secret text_;
  std::size_t at_ = 0;
};

}  // namespace qanat::wire
