// expect: invalid operands to binary expression ('const qanat::Secret' and 'const qanat::Secret')
#include "base/secret.hpp"

bool same(const qanat::Secret& a, const qanat::Secret& b) {
  // offending begin
  if (a == b) return true;
  // offending end
  return qanat::equal_secret(a, b);
}
