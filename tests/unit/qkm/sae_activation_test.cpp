// What QKMs tell each other of their SAEs' keys, where a key has several shares.
#include "quantum/qkm/stock.hpp"

#include "harness.hpp"

namespace qanat::qkm {
namespace {

struct Run {
  const char* stock;
  int count;
};
std::string message(const std::vector<Run>& runs, const std::string& shares, const std::string& octets = "32") {
  std::string list;
  for (const Run& run : runs) {
    list += (list.empty() ? "" : ",") + std::string(R"({"stock":")") + run.stock + R"(","batch":"000102030405060708090a0b","first":0,"count":)" + std::to_string(run.count) + "}";
  }
  return R"({"id":"00112233445566778899aabbccddeeff","groups":[{"master":"m","slaves":["s"],"octets":)" + octets + R"(,"runs":[)" + list + "]" + shares + "}]}";
}

TEST(SaeActivation, SharesAreWholeRunsOfStocksOfTheirOwn) {
  const auto read = read_activation(as_bytes(message({{"x", 3}, {"x", 1}, {"y", 4}}, R"(,"shares":2)", "64")));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->groups[0].shares, 2U);
  EXPECT_EQ(read_activation(as_bytes(message({{"x", 2}}, "")))->groups[0].shares, 1U);
  for (const std::string& text : {message({{"x", 3}, {"y", 4}}, R"(,"shares":2)"), message({{"x", 3}, {"y", 1}}, R"(,"shares":2)"), message({{"x", 2}, {"x", 2}}, R"(,"shares":2)"),
                                  message({{"x", 4}}, R"(,"shares":2)"), message({{"x", 1}, {"y", 1}}, R"(,"shares":2)", "64"), message({{"x", 2}}, R"(,"shares":0)"),
                                  message({{"x", 9}}, R"(,"shares":9)"), message({{"x", 2}, {"y", 2}}, R"(,"shares":"2")")}) {
    const auto refused = read_activation(as_bytes(text));
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument) << text;
  }
}

TEST(SaeActivation, TheKeyIsTheXorOfItsSharesUnderTheIdOfTheFirst) {
  const Secret parts = Secret::copy_of(from_hex("0102030405060708").value());
  EXPECT_TRUE(equal_secret(xor_shares(parts, 2), Secret::copy_of(from_hex("0404040c").value())));
  EXPECT_TRUE(equal_secret(xor_shares(parts, 1), parts));
  const BatchId x{Bytes(12, 1)};
  const BatchId y{Bytes(12, 2)};
  const KeyRun runs[] = {{.batch = x, .first = 5, .count = 1}, {.batch = x, .first = 9, .count = 2}, {.batch = y, .first = 0, .count = 3}};
  EXPECT_EQ(first_share(runs, 2), (std::vector<KeyRun>{runs[0], runs[1]}));
  EXPECT_EQ(first_share(runs, 1), (std::vector<KeyRun>{runs[0], runs[1], runs[2]}));
}

}  // namespace
}  // namespace qanat::qkm
