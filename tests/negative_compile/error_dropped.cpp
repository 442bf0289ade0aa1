// expect: ignoring return value of function declared with 'nodiscard' attribute
#include "base/result.hpp"

void forget() {
  // offending begin
  qanat::fail(qanat::ErrorCode::denied, "not said");
  // offending end
}
