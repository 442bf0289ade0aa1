// SIP messages (RFC 3261) as the terminal's agent needs them: start line, headers in order, body. Strict limits; no I/O.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "net/udp.hpp"

namespace qanat::terminal {

inline constexpr std::size_t sip_headers_max = 64;
inline constexpr std::size_t sip_line_octets_max = 1024;
inline constexpr std::size_t sip_body_octets_max = 8192;
inline constexpr std::size_t sip_message_octets_max = 16'384;

struct SipHeader {
  std::string name;
  std::string value;
};

struct SipMessage {
  std::string method;  // of a request; empty in a response
  std::string uri;     // Request-URI
  int status = 0;      // of a response, 100..699
  std::string reason;
  std::vector<SipHeader> headers;
  std::string body;

  [[nodiscard]] bool is_request() const noexcept { return !method.empty(); }
  /// The first header of this name (full name, any case); null if there is none.
  [[nodiscard]] const std::string* find(std::string_view name) const;
  void add(std::string_view name, std::string value) { headers.push_back({std::string(name), std::move(value)}); }
};

/// invalid_argument with the line otherwise: limits, line ends other than CRLF, control characters, a malformed start line or header, a
/// Content-Length that does not fit. Compact header names (§7.3.3) are turned into the full ones, folded lines (§7.3.1) into one.
Result<SipMessage> parse_sip(ByteView datagram);
/// Adds Content-Length. The caller has kept CR and LF out of every part.
Bytes encode_sip(const SipMessage& message);

/// A sip: URI of the one form that we write: user@IPv4:port.
struct SipUri {
  std::string user;
  net::Endpoint at;

  [[nodiscard]] std::string text() const;
};
Result<SipUri> parse_sip_uri(std::string_view text);
/// The user part of a sip: URI, whatever its host.
Result<std::string> sip_user(std::string_view uri);

/// True if both are the same header name or parameter: letters of either case.
bool same_sip_name(std::string_view a, std::string_view b);

/// A From, To or Contact value: `"name" <uri>;params` or `uri;params`.
struct SipAddress {
  std::string uri;
  std::string tag;  // empty if there is none
};
Result<SipAddress> parse_sip_address(std::string_view text);

/// What every message must carry (§8.1.1), taken apart.
struct SipEssentials {
  std::string branch;  // of the top Via, with the magic cookie
  SipAddress from;
  SipAddress to;
  std::string call_id;
  std::uint32_t sequence = 0;  // CSeq
  std::string sequence_method;
};
/// invalid_argument naming the header that is missing or malformed.
Result<SipEssentials> sip_essentials(const SipMessage& message);

}  // namespace qanat::terminal
