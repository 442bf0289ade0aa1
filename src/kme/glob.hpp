// Patterns over names, as SKIP writes sets of remote systems: '*' stands for any text, also none, '?' for one character (of UTF-8), everything else for
// itself. Two loops without recursion: at most as many steps as pattern and text have octets, multiplied.
#pragma once

#include <string_view>

namespace qanat::kme {

/// True if there is a '*' or a '?' in it.
bool is_glob(std::string_view text) noexcept;
bool glob_matches(std::string_view pattern, std::string_view text) noexcept;

}  // namespace qanat::kme
