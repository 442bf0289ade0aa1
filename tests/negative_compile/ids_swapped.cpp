// expect: no matching function for call to 'deliver'
#include "base/id.hpp"

void deliver(const qanat::SidWk& session, const qanat::KeyId& key);

void both_ways(const qanat::SidWk& session, const qanat::KeyId& key) {
  deliver(session, key);
  // offending begin
  deliver(key, session);
  // offending end
}
