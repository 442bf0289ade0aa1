// expect: overload resolution selected deleted operator '='
#include "base/secret.hpp"

void overwrite(qanat::Secret& to, const qanat::Secret& from) { to = from; }
