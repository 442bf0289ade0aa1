// What tests of every case leave out in builds with sanitizers, whose code takes many times as long. The release build leaves nothing out.
#pragma once

#include <cstddef>

namespace qanat::test {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

/// Every so many cases are tried.
inline constexpr std::size_t case_step = sanitized ? 5 : 1;

}  // namespace qanat::test
