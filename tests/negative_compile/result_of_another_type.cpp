// expect: no viable conversion from returned value of type
#include "base/result.hpp"

qanat::Result<int> count(bool known) {
  // offending begin
  if (!known) return qanat::Error{.code = qanat::ErrorCode::not_found, .message = "no count"};
  // offending end
  if (!known) return qanat::fail(qanat::ErrorCode::not_found, "no count");
  return 1;
}
