// expect: no viable conversion from 'const qanat::Secret' to 'ByteView'
#include "base/secret.hpp"

std::string in_hex(const qanat::Secret& secret) {
  // offending begin
  (void)qanat::to_hex(secret);
  // offending end
  return std::to_string(secret.size());
}
