// expect: no viable conversion from 'const Id<KeyIdTag, [...]>' to 'const Id<SidWkTag, [...]>'
#include "base/id.hpp"

qanat::SidWk session_of(const qanat::KeyId& key) {
  // offending begin
  const qanat::SidWk session = key;
  // offending end
  return qanat::SidWk(key.view());
}
