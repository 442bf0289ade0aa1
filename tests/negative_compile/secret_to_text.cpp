// expect: no viable conversion from 'const qanat::Secret' to 'ByteView'
#include "base/secret.hpp"

std::string print(const qanat::Secret& secret) { return qanat::to_hex(secret); }
