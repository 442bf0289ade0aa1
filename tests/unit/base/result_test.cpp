#include "base/result.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace qanat {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return fail(ErrorCode::invalid_argument, std::to_string(number) + " is odd");
  return number / 2;
}
Result<int> quarter(int number) {
  ASSIGN_OR_RETURN(const int once, half(number));
  ASSIGN_OR_RETURN(const int twice, half(once));
  return twice;
}
Result<void> check_even(int number) {
  TRY(half(number));
  return {};
}
Result<std::unique_ptr<int>> boxed(int number) {
  ASSIGN_OR_RETURN(auto box, Result<std::unique_ptr<int>>(std::make_unique<int>(number)));
  return Result<std::unique_ptr<int>>(std::move(box));
}

TEST(ResultTest, CarriesTheValueThrough) {
  EXPECT_EQ(quarter(12), 3);
  EXPECT_TRUE(check_even(2));
  EXPECT_EQ(*boxed(7).value(), 7);
}

TEST(ResultTest, TheFirstFailureIsReturnedAsItIs) {
  EXPECT_EQ(quarter(6).error(), (Error{ErrorCode::invalid_argument, "3 is odd"}));
  EXPECT_EQ(quarter(5).error().message, "5 is odd");
  EXPECT_EQ(check_even(9).error().code, ErrorCode::invalid_argument);
}

TEST(ResultTest, WhereItHappenedStandsInFront) {
  const Result<void> outcome = fail_in("pool", Error{ErrorCode::exhausted, "link r-b: no key left"});
  EXPECT_EQ(outcome.error(), (Error{ErrorCode::exhausted, "pool: link r-b: no key left"}));
}

TEST(ErrorCodeTest, EveryCodeHasItsOwnNameAndIsFoundByIt) {
  std::set<std::string_view> names;
  for (auto code = static_cast<int>(ErrorCode::invalid_argument); code <= static_cast<int>(ErrorCode::internal); ++code) {
    const auto error_code = static_cast<ErrorCode>(code);
    EXPECT_EQ(error_code_from_name(name(error_code)), error_code);
    names.insert(name(error_code));
  }
  EXPECT_EQ(names.size(), 9U);
  EXPECT_EQ(name(ErrorCode::deadline_exceeded), "deadline_exceeded");
}

TEST(ErrorCodeTest, AnUnknownNameIsInternal) {
  for (const char* text : {"", "Denied", "denied ", "ok"}) EXPECT_EQ(error_code_from_name(text), ErrorCode::internal) << text;
}

}  // namespace
}  // namespace qanat
