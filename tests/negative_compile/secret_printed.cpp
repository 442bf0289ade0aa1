// expect: invalid operands to binary expression ('std::ostream'
#include <iostream>

#include "base/secret.hpp"

void show(std::ostream& out, const qanat::Secret& secret) {
  // offending begin
  out << secret;
  // offending end
  out << secret.size();
}
