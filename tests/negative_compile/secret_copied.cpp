// expect: call to deleted constructor of 'qanat::Secret'
#include "base/secret.hpp"

qanat::Secret second_of(const qanat::Secret& secret) {
  // offending begin
  if (!secret.empty()) return secret;
  // offending end
  return secret.duplicate();
}
