// CHECK: a condition that cannot be false unless the program is wrong. On in release; the process stops.
// For failures that can happen use Result (result.hpp).
#pragma once

namespace qanat {

[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace qanat

#define CHECK(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::qanat::check_failed(#condition, __FILE__, __LINE__))
