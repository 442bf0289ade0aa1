// OBJECT IDENTIFIERs of CMP as the content of their DER (RFC 9810 appendix F, RFC 9481). Private to crypto.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::crypto::cmp_oid {

using namespace std::string_view_literals;

inline constexpr std::string_view password_based_mac = "\x2a\x86\x48\x86\xf6\x7d\x07\x42\x0d"sv;  // 1.2.840.113533.7.66.13
inline constexpr std::string_view sha256 = "\x60\x86\x48\x01\x65\x03\x04\x02\x01"sv;
inline constexpr std::string_view sha384 = "\x60\x86\x48\x01\x65\x03\x04\x02\x02"sv;
inline constexpr std::string_view sha512 = "\x60\x86\x48\x01\x65\x03\x04\x02\x03"sv;
inline constexpr std::string_view sm3 = "\x2a\x81\x1c\xcf\x55\x01\x83\x11"sv;  // 1.2.156.10197.1.401
inline constexpr std::string_view hmac_sha256 = "\x2a\x86\x48\x86\xf7\x0d\x02\x09"sv;
inline constexpr std::string_view hmac_sha384 = "\x2a\x86\x48\x86\xf7\x0d\x02\x0a"sv;
inline constexpr std::string_view hmac_sha512 = "\x2a\x86\x48\x86\xf7\x0d\x02\x0b"sv;

// id-it: 1.3.6.1.5.5.7.4
inline constexpr std::string_view implicit_confirm = "\x2b\x06\x01\x05\x05\x07\x04\x0d"sv;
inline constexpr std::string_view confirm_wait_time = "\x2b\x06\x01\x05\x05\x07\x04\x0e"sv;
inline constexpr std::string_view cert_profile = "\x2b\x06\x01\x05\x05\x07\x04\x15"sv;

// id-regCtrl: 1.3.6.1.5.5.7.5.1
inline constexpr std::string_view reg_ctrl_alg_id = "\x2b\x06\x01\x05\x05\x07\x05\x01\x0b"sv;
inline constexpr std::string_view reg_ctrl_rsa_key_len = "\x2b\x06\x01\x05\x05\x07\x05\x01\x0c"sv;

/// "1.3.6.1.5.5.7.4.17"; invalid_argument for what is none, or too long.
Result<std::string> text_of(ByteView content);
/// DER of the OBJECT IDENTIFIER of such a text (one of ours, or one that text_of() gave).
Result<Bytes> der_of(std::string_view text);

}  // namespace qanat::crypto::cmp_oid
