// expect: no viable conversion from 'const Name<NumberTag>' to 'const Name<UidTag>'
#include "base/id.hpp"

qanat::Uid subscriber_of(const qanat::Number& number) {
  // offending begin
  const qanat::Uid subscriber = number;
  // offending end
  return qanat::Uid(number.text());
}
