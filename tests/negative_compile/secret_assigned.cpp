// expect: overload resolution selected deleted operator '='
#include "base/secret.hpp"

void overwrite(qanat::Secret& to, const qanat::Secret& from) {
  // offending begin
  to = from;
  // offending end
  to = from.duplicate();
}
