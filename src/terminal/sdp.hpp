// The session description (RFC 8866) of a protected call, offer and answer alike (RFC 3264): one PCMA stream over SRTP, and the attribute
//   a=qanat:1 sid_call=<64 hex> sid_wk=<32 hex> kms=<name> nonce=<32 hex>
// that names the working key. The key itself never appears in SIP.
#pragma once

#include <string>
#include <string_view>

#include "base/id.hpp"
#include "base/result.hpp"
#include "net/udp.hpp"
#include "terminal/sid_call.hpp"

namespace qanat::terminal {

inline constexpr std::size_t sdp_lines_max = 128;
inline constexpr std::size_t kms_name_octets_max = 64;

struct SessionDescription {
  net::Endpoint media;  // where this side receives SRTP
  SidCall sid_call;
  SidWk sid_wk;
  ElementName kms;  // the KMS that serves this side
  CallNonce nonce;  // from which SID_CALL was formed
  bool operator==(const SessionDescription&) const = default;
};

/// invalid_argument if the media host is not IPv4, the port is 0 or the KMS name has other characters than [A-Za-z0-9._-].
Result<std::string> encode_sdp(const SessionDescription& session);
/// invalid_argument if it is not a session description, offers no PCMA over RTP/SAVP, or does not carry exactly one qanat attribute.
Result<SessionDescription> parse_sdp(std::string_view text);

}  // namespace qanat::terminal
