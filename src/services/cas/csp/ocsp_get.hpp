// A status request as it stands in the path of a GET (RFC 6960 appendix A.1.1): base64, percent-encoded.
#pragma once

#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::cas {

inline constexpr std::size_t status_request_octets_max = 8 * 1024;
inline constexpr std::size_t status_path_octets_max = 3 * (status_request_octets_max / 3 * 4);  // every character percent-encoded

/// The request's octets. Clients that leave '/', '+' and '=' as they are, or leave the padding away, are understood too; invalid_argument for anything else.
Result<Bytes> read_status_path(std::string_view path);

}  // namespace qanat::cas
