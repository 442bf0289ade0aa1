// expect: ignoring return value of function declared with 'nodiscard' attribute
#include "base/result.hpp"

qanat::Result<void> store();

void forget() { store(); }
