// SID_CALL names the call that a working key protects. It does not depend on SIP's Call-ID, which a server on the way may rewrite.
#pragma once

#include "base/id.hpp"
#include "base/result.hpp"

namespace qanat::terminal {

struct CallNonceTag;
using CallNonce = Id<CallNonceTag, 16>;  // drawn by the caller for each call

inline constexpr std::size_t number_octets_min = 3;
inline constexpr std::size_t number_octets_max = 32;

/// "+" and digits only, 3..32 octets.
Result<Number> parse_number(std::string_view text);

/// wire::make_sid_call with the nonce's type.
SidCall make_sid_call(const Number& caller, const Number& callee, const CallNonce& nonce);

/// The 16 octets that stand in SIP's Session-ID header (RFC 7989), as 32 hexadecimal digits.
std::string session_id_of(const SidCall& sid_call);

}  // namespace qanat::terminal
