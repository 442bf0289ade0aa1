// Named places where a crash is most awkward. In the program that users run crash_point() is empty; the test program `qanat-crashtest`
// links the other definition (tests/crash/crash_point_on.cpp), which kills the process at the place that QANAT_CRASH_AT names.
#pragma once

#include <string_view>

namespace qanat::node {

/// `place` is unique, "kms.wk.reserved".
void crash_point(std::string_view place) noexcept;

}  // namespace qanat::node
