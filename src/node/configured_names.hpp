// Names of elements in configuration files: read, checked, and complained of with file and line. One place for every element's settings.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/id.hpp"
#include "node/config.hpp"

namespace qanat::node {

/// Must be there. An empty name after a complaint.
ElementName element_name(Config& table, std::string_view key);
/// Nothing if the key is absent or empty, or after a complaint.
std::optional<ElementName> optional_element_name(Config& table, std::string_view key);
/// A list, which may be absent; what is no name is complained of and left out.
std::vector<ElementName> element_names(Config& table, std::string_view key);

}  // namespace qanat::node
