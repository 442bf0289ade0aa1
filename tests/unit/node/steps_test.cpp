// The trace of a call's steps: one line of JSON each, whatever was done.
#include "node/steps.hpp"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <string>

#include "temporary_directory.hpp"
#include "wire/json.hpp"

namespace qanat::node {
namespace {

TEST(StepTraceTest, WritesOneLineOfJsonForEachStepWhateverItSays) {
  const test::TemporaryDirectory folder;
  const std::array<std::string, 3> said{"both certificates of A are good", "a \"quotation\", a \\ and\na line", "gr\xc3\xbcn"};
  StepTrace trace(folder / "");
  for (std::size_t i = 0; i < said.size(); ++i) trace.done(static_cast<int>(i) + 5, "5e55", said.at(i), std::chrono::microseconds(1500 * i));
  StepTrace::Timer(trace, 11).done("5e56", "octets that are no text: \xff");

  std::ifstream in(folder / "steps.jsonl");
  std::string line;
  for (std::size_t i = 0; i < said.size(); ++i) {
    ASSERT_TRUE(std::getline(in, line));
    const auto json = wire::Json::parse(line);
    ASSERT_TRUE(json) << line;
    EXPECT_EQ(json->names(), (std::vector<std::string>{"step", "session", "what", "end_us", "ms"}));
    EXPECT_EQ(json->integer("step").value(), static_cast<int>(i) + 5);
    EXPECT_EQ(json->text("session").value(), "5e55");
    EXPECT_EQ(json->text("what").value(), said.at(i));
    EXPECT_GT(json->integer("end_us").value(), 1'700'000'000'000'000);
    EXPECT_DOUBLE_EQ(json->number("ms").value(), 1.5 * static_cast<double>(i));
  }
  ASSERT_TRUE(std::getline(in, line));
  const auto last = wire::Json::parse(line);
  ASSERT_TRUE(last) << line;
  EXPECT_EQ(last->integer("step").value(), 11);
  EXPECT_EQ(last->text("what").value(), "octets that are no text: \xef\xbf\xbd");
  EXPECT_GE(last->number("ms").value(), 0.0);
  EXPECT_FALSE(std::getline(in, line));
}

}  // namespace
}  // namespace qanat::node
