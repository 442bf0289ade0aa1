// application/x-www-form-urlencoded, in bodies and in queries.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace qanat::iam {

inline constexpr std::size_t form_octets_max = 32 * 1024;
inline constexpr std::size_t form_members_max = 16;
using Form = std::map<std::string, std::string>;

/// Read strictly: each name once, UTF-8 without control characters. invalid_argument for anything else.
Result<Form> read_form(std::string_view text);
/// invalid_argument if it is not there or empty.
Result<std::string> form_member(const Form& form, const std::string& name);
std::string form_member_or(const Form& form, const std::string& name, const std::string& absent);
/// "name=value", percent-encoded (RFC 3986 §2.1), to be put behind another pair.
std::string form_encoded(std::string_view name, std::string_view value);

}  // namespace qanat::iam
