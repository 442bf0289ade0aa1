// expect: invalid operands to binary expression
#include "base/id.hpp"

bool same(const qanat::SidWk& session, const qanat::KeyId& key) {
  // offending begin
  if (session == key) return true;
  // offending end
  return qanat::equal(session.view(), key.view());
}
