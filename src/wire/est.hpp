// What Enrollment over Secure Transport puts into HTTP (RFC 7030, clarified by RFC 8951): DER as base64 in the body, and HTTP Basic (RFC 7617) for who has no
// certificate yet.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::wire {

inline constexpr std::size_t est_body_octets_max = 96UL * 1024;  // base64 of the largest PKCS#10 that is read (64 KiB), in lines

/// base64 in one line (RFC 8951 §3.1 asks for no line ends): not every client reads over them, as it should.
std::string est_body(ByteView der);
/// The octets of a body; spaces, tabs and line ends are read over, as RFC 8951 §3.1 demands of a reader; the field Content-Transfer-Encoding has no say.
/// invalid_argument for anything else that is not base64, for nothing at all, and beyond the bound.
Result<Bytes> parse_est_body(ByteView body);

inline constexpr std::size_t basic_user_octets_max = 128;
inline constexpr std::size_t basic_password_octets_max = 256;

struct BasicCredentials {
  std::string user;  // printable ASCII without colon
  Secret password;   // printable ASCII
};
/// The value of the field Authorization: "Basic" and base64(user ‖ ":" ‖ password). CHECKs the bounds and that there is no colon in the user's name.
Secret basic_authorization(std::string_view user, const Secret& password);
/// `unauthenticated` for another scheme and for what has not this form; no message repeats any of it.
Result<BasicCredentials> parse_basic_authorization(const Secret& field);
/// WWW-Authenticate of who takes such credentials.
inline constexpr std::string_view basic_challenge = "Basic realm=\"qanat\"";

}  // namespace qanat::wire
