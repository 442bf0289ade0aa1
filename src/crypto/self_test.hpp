// Power-on known-answer tests of every primitive in use; an element that fails one does not start.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace qanat::crypto {

/// Names the primitive that fails. Under 50 ms.
Result<void> power_on_self_test();
/// What it tests, in its words.
std::vector<std::string_view> self_tested_primitives();

}  // namespace qanat::crypto
