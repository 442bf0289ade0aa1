// expect: no matching function for call to 'deliver'
#include "base/id.hpp"

void deliver(const qanat::SidWk& session, const qanat::KeyId& key);

void swapped(const qanat::SidWk& session, const qanat::KeyId& key) { deliver(key, session); }
