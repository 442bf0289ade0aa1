// The names of a subscriber and of the element that serves it, checked where they enter an element as text.
#pragma once

#include <string_view>

#include "base/id.hpp"
#include "base/identity.hpp"

namespace qanat::node {

/// 1 to 64 of A–Z, a–z, 0–9, '.', '_', '-': what the name in an identity URI may hold.
Result<Uid> parse_uid(std::string_view text);
/// The same alphabet.
Result<ElementName> parse_element_name(std::string_view text);
/// E.164: '+' and 2 to 31 digits.
Result<Number> parse_number(std::string_view text);
/// A kind of terminal: "app1" … "dev2".
Result<Kind> parse_device(std::string_view text);

}  // namespace qanat::node
