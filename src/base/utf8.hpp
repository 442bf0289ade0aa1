// UTF-8 (RFC 3629): where text from outside becomes part of JSON, an audit record or a name, it must be well formed.
#pragma once

#include <cstddef>
#include <string_view>

namespace qanat {

/// Octets of the well-formed sequence at the start of `text`, which is not empty (Unicode 15, table 3-7), or 0.
std::size_t utf8_sequence(std::string_view text) noexcept;
/// True if all of it is well formed; also if it is empty.
bool is_utf8(std::string_view text) noexcept;

}  // namespace qanat
