// Keys inside JSON: taken out of the text, into locked memory, before an ordinary parser sees it.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::kme {

/// For every member with this name whose value is a text of base64 (RFC 4648 §4): its octets, in the order of the text, which then has '#' in place of what
/// stood between the quotes. invalid_argument for a value that is no base64 with its padding, is empty or over `text_max` octets of text.
inline constexpr std::size_t key_text_max = 4096;
Result<std::vector<Secret>> lift_base64(std::span<std::uint8_t> json, std::string_view name, std::size_t text_max = key_text_max);

}  // namespace qanat::kme
