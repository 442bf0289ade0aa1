// Base64 (RFC 4648 §4) for octets that are not secret, read strictly: padding as required, no white space, no other characters, and
// the unused bits zero (§3.5), so that one octet string has one text.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::wire {

std::string to_base64(ByteView octets);
/// invalid_argument for anything that to_base64 does not write.
Result<Bytes> from_base64(std::string_view text);

/// The URL-safe alphabet without padding (RFC 4648 §5, as JWS uses it).
std::string to_base64url(ByteView octets);
Result<Bytes> from_base64url(std::string_view text);

}  // namespace qanat::wire
