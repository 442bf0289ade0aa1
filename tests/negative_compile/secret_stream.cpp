// expect: invalid operands to binary expression
#include <ostream>

#include "base/secret.hpp"

void print(std::ostream& out, const qanat::Secret& secret) { out << secret; }
