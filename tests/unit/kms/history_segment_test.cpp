// The files of the archive of keys: what is written is what is read, and whatever else is there is told. Known answers: tests/vectors/archive/chain.py.
#include "services/kms/kma/history_segment.hpp"

#include <fstream>
#include <sstream>

#include "temporary_directory.hpp"
#include "trusted_network.hpp"

namespace qanat::kms {
namespace {

using test::must;
using test::refusal;

const std::string first_line = R"({"sid_wk":"00","leg":"caller"})";
const std::string second_line = R"({"sid_wk":"00","leg":"callee"})";

SegmentHead head() { return {.kms = "kms-a", .life = 2, .number = 17, .previous = {0x0a, 0x0b}}; }
SegmentExtent extent_of(std::initializer_list<std::string> lines) {
  SegmentExtent out = SegmentExtent::begun_with(head().line());
  for (const std::string& line : lines) out.add(line);
  return out;
}
Result<SegmentExtent> read(const std::string& text, std::int64_t octets, std::vector<std::string>* lines = nullptr) {
  std::istringstream in(text);
  return read_segment(in, octets, [&](std::string_view line) -> Result<void> {
    if (lines != nullptr) lines->emplace_back(line);
    return {};
  });
}
std::string octets_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(HistorySegmentTest, IsAChainOverItsLinesFromTheFirstOn) {
  EXPECT_EQ(head().line(), R"({"kms":"kms-a","life":2,"segment":17,"previous":"0a0b"})");
  EXPECT_EQ(head().file_name(), "keys-2-17.jsonl");
  EXPECT_EQ(to_hex(extent_of({}).digest), "a1b7f901a2388e500567af1377bb8efc0e4cb7f4bcb6b545dd7c140dd5f98982");
  EXPECT_EQ(to_hex(extent_of({first_line}).digest), "6755469b1c4dd85cf0a39ce231c357fbc8a3721b617ab81b5ee98f9c29310ca4");
  const SegmentExtent both = extent_of({first_line, second_line});
  EXPECT_EQ(to_hex(both.digest), "beedd48dd634f07c639a71d9c7cd4c25d02940e6a26a4d7aa60aa384970e204f");
  EXPECT_EQ(both.records, 2);
  EXPECT_EQ(both.octets, std::ssize(head().line() + first_line + second_line) + 3);
}

TEST(HistorySegmentTest, IsReadAsItWasWrittenAndNoFurtherThanItWasArchived) {
  const std::string text = head().line() + "\n" + first_line + "\n" + second_line + "\n";
  const SegmentExtent both = extent_of({first_line, second_line});
  std::vector<std::string> lines;
  EXPECT_EQ(must(read(text, both.octets, &lines)), both);
  EXPECT_EQ(lines, (std::vector{first_line, second_line}));
  EXPECT_EQ(must(read(text + "{\"half", both.octets)), both) << "what a killed process left behind it";
  const SegmentExtent one = extent_of({first_line});
  EXPECT_EQ(must(read(text, one.octets)), one);
  EXPECT_NE(must(read(head().line() + "\n" + second_line + "\n", one.octets)), one) << "another line of the same length";
}

TEST(HistorySegmentTest, WhatIsNoSuchFileIsRefused) {
  const SegmentExtent one = extent_of({first_line});
  const std::string text = head().line() + "\n" + first_line + "\n";
  for (const std::string& wrong : {std::string(), text.substr(0, text.size() - 1), head().line() + "\n", std::string(segment_line_max + 1, 'x') + "\n"})
    EXPECT_EQ(refusal(read(wrong, one.octets)), ErrorCode::invalid_argument) << wrong.substr(0, 100);
  EXPECT_EQ(refusal(read(text, one.octets - 1)), ErrorCode::invalid_argument) << "no line ends there";
  std::istringstream in(text);
  EXPECT_EQ(refusal(read_segment(in, one.octets, [](std::string_view) -> Result<void> { return fail(ErrorCode::internal, "not wanted"); })),
            ErrorCode::invalid_argument);
}

TEST(HistorySegmentTest, GrowsAtItsEndAndLosesWhatAKilledProcessLeftThere) {
  const test::TemporaryDirectory folder;
  const std::filesystem::path file = folder / "archive" / "keys-0-1.jsonl";
  must(extend_segment(file, 0, "one\n"));
  EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  must(extend_segment(file, 4, "two\nthr"));
  must(extend_segment(file, 8, "three\n"));
  EXPECT_EQ(octets_of(file), "one\ntwo\nthree\n");
  EXPECT_EQ(must(line_of_segment(file, 4)), "two");
  EXPECT_EQ(refusal(line_of_segment(file, 14)), ErrorCode::internal) << "no line begins there";
  EXPECT_EQ(refusal(line_of_segment(folder / "other", 0)), ErrorCode::not_found);
}

TEST(HistorySegmentTest, BeginsAnewWithoutLosingWhatItDoesNotWriteAgain) {
  const test::TemporaryDirectory folder;
  const std::filesystem::path file = folder / "archive" / "keys-1-1.jsonl";
  const auto former = [&](int which) -> std::filesystem::path { return file.string() + ".former-" + std::to_string(which); };
  must(extend_segment(file, 0, "one\n"));
  must(extend_segment(file, 0, "one\ntwo\n"));
  EXPECT_EQ(octets_of(file), "one\ntwo\n");
  EXPECT_FALSE(std::filesystem::exists(former(1))) << "a killed process had begun the same";
  must(extend_segment(file, 0, "one\n"));
  EXPECT_EQ(octets_of(file), "one\n");
  EXPECT_EQ(octets_of(former(1)), "one\ntwo\n") << "there was more of it";
  must(extend_segment(file, 0, "two\n"));
  EXPECT_EQ(octets_of(file), "two\n");
  EXPECT_EQ(octets_of(former(2)), "one\n") << "it was another";
}

TEST(HistorySegmentTest, DoesNotGoOnWhereSomebodyHasCutIt) {
  const test::TemporaryDirectory folder;
  const std::filesystem::path file = folder / "archive" / "keys-0-1.jsonl";
  must(extend_segment(file, 0, "one\n"));
  const auto refused = extend_segment(file, 5, "two\n");
  EXPECT_EQ(refusal(refused), ErrorCode::internal);
  EXPECT_TRUE(refused.error().message.contains("has 4 octets, 5 were archived in it")) << refused.error().message;
  EXPECT_EQ(octets_of(file), "one\n");
  std::filesystem::remove(file);
  EXPECT_EQ(refusal(extend_segment(file, 4, "two\n")), ErrorCode::internal);
  EXPECT_FALSE(std::filesystem::exists(file));
}

}  // namespace
}  // namespace qanat::kms
