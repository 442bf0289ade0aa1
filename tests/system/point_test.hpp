// A test that proves a reference point. scripts/point_evidence.py reads these lines from the sources and `qanat points` shows them, so the
// words here are what the program claims.
#pragma once

#include <gtest/gtest.h>

/// POINT_TEST(Fixture, Km_1, accepts, DeliversOneKeyToBothEnds) { … }  — on one line; the verdict is `accepts` or `refuses`.
#define POINT_TEST(fixture, point, verdict, name) TEST_F(fixture, point##_##verdict##_##name)
