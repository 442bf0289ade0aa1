// expect: call to deleted constructor of 'qanat::Secret'
#include "base/secret.hpp"

qanat::Secret twice(const qanat::Secret& secret) {
  qanat::Secret copy = secret;
  return copy;
}
