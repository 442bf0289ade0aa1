// Percent-encoding (RFC 3986 §2.1).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace qanat {

/// Nothing if a '%' is not followed by two hexadecimal digits. '+' stays what it is.
std::optional<std::string> from_percent(std::string_view text);
/// Everything but the unreserved characters (§2.3) encoded.
std::string to_percent(std::string_view text);
/// Letters, digits and "-._~" (RFC 3986 §2.3).
bool is_unreserved(char c) noexcept;

}  // namespace qanat
