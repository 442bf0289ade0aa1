// Key ids as UUID text (RFC 9562 §4), the form of ETSI GS QKD 014, 004 and 020.
#pragma once

#include <string>
#include <string_view>

#include "base/id.hpp"

namespace qanat::kme {

inline constexpr std::size_t uuid_size = 36;
/// "8f3d2b69-c05a-4b72-a1b2-c3d4e5f60718".
std::string to_uuid(const KeyId& id);
/// Either case; invalid_argument for anything but 8-4-4-4-12 hexadecimal digits.
Result<KeyId> from_uuid(std::string_view text);

}  // namespace qanat::kme
