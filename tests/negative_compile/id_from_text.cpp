// expect: no viable conversion from 'const std::string'
#include "base/id.hpp"

qanat::Uid named(const std::string& text) {
  // offending begin
  const qanat::Uid uid = text;
  // offending end
  return qanat::Uid(text);
}
