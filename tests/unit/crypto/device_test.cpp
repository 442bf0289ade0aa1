#include "crypto/device.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "unit/crypto/crypto_fixture.hpp"

namespace qanat::crypto {
namespace {

namespace fs = std::filesystem;

class SoftwareDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("qanat-device-" + to_hex(rng_.bytes(8)));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::unique_ptr<CryptoDevice> open_device(const char* name = "master.key") { return std::move(open_software_device(folder_ / name, rng_).value()); }
  void write_file(const char* name, std::size_t size, mode_t mode) {
    std::ofstream(folder_ / name, std::ios::binary) << std::string(size, 'k');
    ASSERT_EQ(::chmod((folder_ / name).c_str(), mode), 0);
  }
  std::optional<ErrorCode> refusal(const char* name) {
    const auto device = open_software_device(folder_ / name, rng_);
    return device ? std::optional<ErrorCode>() : device.error().code;
  }

  Rng& rng_ = testing::test_rng();
  fs::path folder_;
};

TEST_F(SoftwareDeviceTest, TheMasterKeyIsCreatedForItsOwnerAlone) {
  const auto device = open_device();
  struct stat status {};
  ASSERT_EQ(::stat((folder_ / "master.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(status.st_size, 32);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);  // nothing is left beside it
}

TEST_F(SoftwareDeviceTest, AMasterKeyThatOthersCanReachIsRefused) {
  for (const mode_t mode : {0640U, 0604U, 0660U, 0620U, 0610U, 0644U, 0777U}) {
    write_file("open.key", 32, mode);
    EXPECT_EQ(refusal("open.key"), ErrorCode::denied) << std::oct << mode;
  }
  write_file("closed.key", 32, 0600);
  EXPECT_EQ(refusal("closed.key"), std::nullopt);
}

TEST_F(SoftwareDeviceTest, AMasterKeyOfAnotherLengthOrKindIsRefused) {
  for (const std::size_t size : {0U, 31U, 33U}) {
    write_file("size.key", size, 0600);
    EXPECT_EQ(refusal("size.key"), ErrorCode::invalid_argument);
  }
  fs::create_directory(folder_ / "folder.key");
  EXPECT_NE(refusal("folder.key"), std::nullopt);
  write_file("target.key", 32, 0600);
  fs::create_symlink(folder_ / "target.key", folder_ / "link.key");
  EXPECT_NE(refusal("link.key"), std::nullopt);
  EXPECT_NE(refusal("no/such/folder.key"), std::nullopt);
}

}  // namespace
}  // namespace qanat::crypto
