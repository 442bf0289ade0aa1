// expect: no viable conversion from 'const qanat::Secret' to 'ByteView'
#include "base/secret.hpp"

std::string print(const qanat::Secret& secret) {
  // offending begin
  if (!secret.empty()) return qanat::to_hex(secret);
  // offending end
  return std::to_string(secret.size());
}
