// What the tests of crypto share: one process generator and keys of both suites.
#pragma once

#include <gtest/gtest.h>

#include "crypto/hybrid_kem.hpp"
#include "crypto/hybrid_sign.hpp"
#include "crypto/random.hpp"

namespace qanat::crypto::testing {

inline Rng& test_rng() {
  static const std::unique_ptr<Rng> rng = std::move(open_rng().value());
  return *rng;
}

class BothSuites : public ::testing::TestWithParam<SuiteId> {
 protected:
  const Suite& suite_ = suite(GetParam());
  Rng& rng_ = test_rng();
};

inline std::string suite_test_name(const ::testing::TestParamInfo<SuiteId>& parameter) { return parameter.param == SuiteId::gm_hybrid ? "Gm" : "Intl"; }

}  // namespace qanat::crypto::testing
