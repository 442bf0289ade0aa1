// expect: invalid operands to binary expression
#include "base/id.hpp"

bool same(const qanat::SidWk& session, const qanat::KeyId& key) { return session == key; }
