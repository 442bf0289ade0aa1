// Octet strings that are *not* secret, and their views. Secrets live in secret.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qanat {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

/// The octets of a text (no terminator).
inline ByteView as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
/// The octets as text; the caller knows that they are text.
inline std::string_view as_text(ByteView octets) noexcept {
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}
inline Bytes to_bytes(ByteView octets) { return {octets.begin(), octets.end()}; }
inline Bytes to_bytes(std::string_view text) { return to_bytes(as_bytes(text)); }

inline void append(Bytes& out, ByteView octets) { out.insert(out.end(), octets.begin(), octets.end()); }
/// All parts, one after the other.
Bytes concat(std::initializer_list<ByteView> parts);

/// Lower-case hexadecimal.
std::string to_hex(ByteView octets);
/// Octets of a hexadecimal text (either case, even length), or nothing.
std::optional<Bytes> from_hex(std::string_view text);

/// Lexicographic equality for *public* octets. Secrets compare with equal_secret() in secret.hpp.
bool equal(ByteView a, ByteView b) noexcept;

}  // namespace qanat
