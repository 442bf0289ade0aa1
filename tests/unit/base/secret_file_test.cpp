#include "base/secret_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "base/bytes.hpp"
#include "temporary_directory.hpp"

namespace qanat {
namespace {

class SecretFileTest : public testing::Test {
 protected:
  std::filesystem::path write(std::string_view text, mode_t mode = 0600) {
    const std::filesystem::path file = directory_ / "secret";
    std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
    ::chmod(file.c_str(), mode);
    return file;
  }
  test::TemporaryDirectory directory_;
};

TEST_F(SecretFileTest, HoldsHexadecimalDigitsInWholeUnits) {
  const auto secret = read_secret_file(write("00ff1a2b\n"), 2, 4);
  ASSERT_TRUE(secret) << secret.error().message;
  EXPECT_EQ(to_hex(secret->reveal()), "00ff1a2b");
  const auto digits = read_secret_digits(write("00ff1a2b\n"), 4);
  ASSERT_TRUE(digits) << digits.error().message;
  EXPECT_TRUE(std::ranges::equal(digits->reveal(), as_bytes("00ff1a2b")));
}

TEST_F(SecretFileTest, AnythingElseIsRefused) {
  EXPECT_EQ(read_secret_file(write("00ff1a2b", 0644), 2, 4).error().code, ErrorCode::denied);
  EXPECT_EQ(read_secret_file(directory_ / "absent", 2, 4).error().code, ErrorCode::not_found);
  const std::filesystem::path folder = directory_ / "folder";
  ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
  EXPECT_EQ(read_secret_file(folder, 2, 4).error().code, ErrorCode::internal);
  for (const std::string_view text : {"", "\n", "00ff1a", "00ff1a2", "00FF", "00fg", "00ff 00ff", "00ff00ff00ff00ff00ff", "00ff\n\n"}) {
    EXPECT_EQ(read_secret_file(write(text), 2, 4).error().code, ErrorCode::invalid_argument) << text;
    EXPECT_EQ(read_secret_digits(write(text), 4).error().code, ErrorCode::invalid_argument) << text;
  }
}

}  // namespace
}  // namespace qanat
