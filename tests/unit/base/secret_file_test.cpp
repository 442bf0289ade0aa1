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

TEST_F(SecretFileTest, ANewFileIsItsOwnersAndNeverTakesTheOneThatIsThere) {
  const std::filesystem::path file = directory_ / "new";
  const Secret octets = Secret::copy_of(as_bytes("00ff1a2b"));
  ASSERT_TRUE(write_secret_file(file, octets));
  struct stat facts {};
  ASSERT_EQ(::stat(file.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U);
  EXPECT_TRUE(equal_secret(read_secret_digits(file, 4).value(), octets));
  EXPECT_EQ(write_secret_file(file, Secret::copy_of(as_bytes("ffffffff"))).error().code, ErrorCode::conflict);
  EXPECT_TRUE(equal_secret(read_secret_digits(file, 4).value(), octets)) << "what was there stays";
  EXPECT_EQ(write_secret_file(directory_ / "absent" / "new", octets).error().code, ErrorCode::internal);
}

TEST_F(SecretFileTest, ANewFileThatIsNotKeptGoesAgain) {
  const std::filesystem::path file = directory_ / "new";
  {
    auto made = NewSecretFile::make(file);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_TRUE(std::filesystem::exists(file)) << "it has its place before the secret is there";
    ASSERT_TRUE(made->write(Secret::copy_of(as_bytes("00ff1a2b"))));
    EXPECT_EQ(NewSecretFile::make(file).error().code, ErrorCode::conflict);
    EXPECT_TRUE(std::filesystem::exists(file)) << "one that could not be made removes nothing";
  }
  EXPECT_FALSE(std::filesystem::exists(file));
  {
    NewSecretFile made = NewSecretFile::make(file).value();
    made.keep();
  }
  EXPECT_TRUE(std::filesystem::exists(file));
}

}  // namespace
}  // namespace qanat
