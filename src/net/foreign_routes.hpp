// Paths with parameters: "/api/v1/keys/{}/status" against what a client sent. No transport here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace qanat::net {

/// Percent-decodes (RFC 3986 §2.1); invalid_argument for a '%' without two hexadecimal digits, for control characters and for more than 256 octets.
Result<std::string> percent_decoded(std::string_view text);

/// The parameters if `path` has the pattern's form; each "{}" stands for one segment that is not empty, a last "{...}" for all that is left, which must not
/// be empty. Still encoded.
inline constexpr std::string_view rest_of_path = "{...}";
std::optional<std::vector<std::string_view>> match_path(std::string_view pattern, std::string_view path);

/// A query's "name=value" pairs in order, decoded ('+' is itself: RFC 3986 knows no form encoding). invalid_argument for more than 16 or a pair without '='.
Result<std::vector<std::pair<std::string, std::string>>> read_query(std::string_view query);

}  // namespace qanat::net
