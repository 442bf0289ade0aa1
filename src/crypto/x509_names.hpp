// SubjectNames to and from a subject and a subjectAltName (RFC 5280 §4.1.2.6, §4.2.1.6). Private to crypto.
#pragma once

#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {

inline constexpr std::size_t max_common_name_octets = 64;  // ub-common-name, RFC 5280 appendix A.1
inline constexpr std::size_t max_dns_names = 16;
inline constexpr std::size_t max_dns_octets = 253;   // RFC 1035 §2.3.4 without the root's dot
inline constexpr std::size_t max_label_octets = 63;  // RFC 1035 §2.3.4

/// invalid_argument unless every name has its form: the same rules that reading applies.
Result<void> check_names(const SubjectNames& names);
/// CN=<common name>, UTF8String.
Result<X509Name> make_subject(const SubjectNames& names);
/// The URIs and dNSNames, or null if there are none.
Result<AlternativeNames> make_alternative_names(const SubjectNames& names);
/// At most one common name, one qanat URI and one tel URI; invalid_argument for any other kind of alternative name, so that
/// nobody certifies a name that this code does not show. `alternatives` may be null.
Result<SubjectNames> read_names(const X509_NAME* subject, const GENERAL_NAMES* alternatives);

/// What OpenSSL's get_ext_d2i gave: null with `critical` -1 is an absent extension, any other null a malformed or doubled one.
Result<AlternativeNames> take_alternative_names(void* decoded, int critical);
/// The subject on one line, RFC 4514 order and escapes.
Result<std::string> readable_name(const X509_NAME* subject);

}  // namespace qanat::crypto
