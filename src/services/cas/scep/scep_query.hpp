// What stands behind the '?' of a SCEP request (RFC 8894 §4.1). Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::cas {

struct ScepQuery {
  std::string operation;
  std::string message;  // percent-decoded; empty if there is none
};

/// invalid_argument for a query without operation, with one of the two twice, or with a '%' that is not followed by two hexadecimal digits. Other names are
/// read over.
Result<ScepQuery> read_scep_query(std::string_view query);

/// The octets of a PKIOperation by GET: base64 with padding. Line breaks between its characters are skipped, and a space is the '+' that it was before a client
/// or a proxy took the query for a form.
Result<Bytes> read_scep_message(std::string_view message);

}  // namespace qanat::cas
