// AskedNames to and from a subject and a subjectAltName (RFC 5280 §4.1.2.6, §4.2.1.6). Private to crypto.
#pragma once

#include "crypto/subject.hpp"
#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {

/// What becomes of an alternative name of a kind that AskedNames has not.
enum class OtherKinds : std::uint8_t { refused, read_over };

/// `where` begins the messages. invalid_argument for more than 64 names, names that are not printable ASCII (the common name: UTF-8 without control characters)
/// of at most 256 octets, two common names.
Result<AskedNames> read_asked_names(std::string_view where, const X509_NAME* subject, const GENERAL_NAMES* alternatives, OtherKinds others);

/// CN=<common name> as UTF8String, or an empty name.
Result<X509Name> make_asked_subject(const AskedNames& names);
/// Null if there are none. invalid_argument for a text that is none of its kind.
Result<AlternativeNames> make_asked_alternatives(const AskedNames& names);

/// True for `qanat:` in any case.
bool names_an_element(std::string_view uri) noexcept;

}  // namespace qanat::crypto
