// expect: invalid operands to binary expression
#include "base/secret.hpp"

bool same(const qanat::Secret& a, const qanat::Secret& b) { return a == b; }
