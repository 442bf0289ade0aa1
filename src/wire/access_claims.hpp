// What an access token says, whatever its encoding (CWT for terminals and elements, JWT for web software), and the checks that a verifier makes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::wire {

inline constexpr std::int64_t access_lifetime_min_s = 1;
inline constexpr std::int64_t access_lifetime_max_s = 600;   // revocation rests on short lives, and on epochs within them
inline constexpr std::int64_t access_clock_skew_s = 60;      // how far the issuer's clock may be ahead
inline constexpr std::size_t access_token_id_size = 16;
inline constexpr std::size_t certificate_thumbprint_size = 32;  // SHA-256 over the DER (RFC 8705 §3.1)
inline constexpr std::size_t access_text_max = 256;             // octets of each text
inline constexpr std::size_t access_token_max = 16 * 1024;      // octets of an encoded token

struct AccessClaims {
  std::string issuer;
  std::string subject;
  std::string audience;
  std::string client;  // the client that asked for it (RFC 9068 §2.2); the subject itself where there is no other
  std::string scope;   // names, one space between two (RFC 6749 §3.3)
  std::int64_t issued_s = 0;
  std::int64_t expires_s = 0;
  Bytes token_id;            // cti, jti
  Bytes holder;              // SHA-256 of the certificate that must be shown with it
  std::uint64_t epoch = 0;   // of the subject: a token of an epoch that is over is void
  bool operator==(const AccessClaims&) const = default;
};

/// invalid_argument unless every member is within its bounds and the life is 1 to 600 s. Issuers call it before they sign, parsers before they return.
Result<void> check_form(const AccessClaims& claims);

struct AccessExpectation {
  std::string issuer;
  std::string audience;
  Bytes holder;  // of the certificate on the connection
  std::uint64_t epoch_min = 0;
  std::int64_t now_s = 0;
};
/// `denied`, saying which claim does not fit.
Result<void> check_access(const AccessClaims& claims, const AccessExpectation& expected);

/// True if the scope has the name.
bool has_scope(std::string_view scope, std::string_view name) noexcept;

}  // namespace qanat::wire
