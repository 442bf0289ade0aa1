// expect: no matching function for call to 'dial'
#include "base/id.hpp"

void dial(const qanat::Uid& caller, const qanat::Number& callee);

void both(const qanat::Uid& caller, const qanat::Number& callee) {
  // offending begin
  dial(callee, caller);
  // offending end
  dial(caller, callee);
}
