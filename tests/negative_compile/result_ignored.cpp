// expect: ignoring return value of function declared with 'nodiscard' attribute
#include "base/result.hpp"

qanat::Result<void> write_record();

qanat::Result<void> act() {
  // offending begin
  write_record();
  // offending end
  TRY(write_record());
  return {};
}
