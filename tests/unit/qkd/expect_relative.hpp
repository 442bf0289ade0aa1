// Numbers of papers, compared as the papers print them: by relative difference.
#pragma once

#include <gtest/gtest.h>

namespace qanat::qkd::test {

inline void expect_relative(double value, double expected, double tolerance) {
  EXPECT_NEAR(value / expected, 1.0, tolerance) << value << " for " << expected;
}

}  // namespace qanat::qkd::test
