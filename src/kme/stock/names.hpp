// Names of SAEs in one column of a table: one a line, since no name holds a control character (kme/sae_registry.hpp).
#pragma once

#include <vector>

#include "kme/provider.hpp"

namespace qanat::kme {

std::string joined_names(const std::vector<SaeId>& names);
std::vector<SaeId> split_names(std::string_view text);

}  // namespace qanat::kme
