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

TEST_F(SoftwareDeviceTest, WhatWasSealedIsUnsealedAlsoAfterARestart) {
  const Secret secret = rng_.secret(100);
  Bytes sealed;
  {
    const auto device = open_device();
    EXPECT_EQ(device->kind(), "software");
    sealed = device->seal(as_bytes("keys/row 1/wk"), secret).value();
    EXPECT_EQ(sealed.size(), 12U + 100U + 16U);
  }
  const auto opened = open_device()->unseal(as_bytes("keys/row 1/wk"), sealed);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(equal_secret(*opened, secret));
}

TEST_F(SoftwareDeviceTest, ASealHoldsForItsContextOnly) {
  const auto device = open_device();
  const Bytes sealed = device->seal(as_bytes("row 1"), rng_.secret(32)).value();
  for (const std::string_view context : {"row 2", "row 1 ", "", "row"}) {
    const auto opened = device->unseal(as_bytes(context), sealed);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::denied);
  }
}

TEST_F(SoftwareDeviceTest, ChangedOctetsAreDenied) {
  const auto device = open_device();
  const Bytes sealed = device->seal(as_bytes("row 1"), rng_.secret(32)).value();
  for (std::size_t octet = 0; octet < sealed.size(); ++octet) {
    Bytes changed = sealed;
    changed[octet] ^= 1U;
    EXPECT_FALSE(device->unseal(as_bytes("row 1"), changed));
  }
  for (std::size_t size = 0; size < sealed.size(); ++size) EXPECT_FALSE(device->unseal(as_bytes("row 1"), ByteView(sealed).first(size)));
}

TEST_F(SoftwareDeviceTest, AnotherDeviceIsDenied) {
  const Bytes sealed = open_device("a.key")->seal(as_bytes("row 1"), rng_.secret(32)).value();
  const auto opened = open_device("b.key")->unseal(as_bytes("row 1"), sealed);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::denied);
}

TEST_F(SoftwareDeviceTest, OneSecretIsNeverSealedTwiceTheSame) {
  const auto device = open_device();
  const Secret secret = rng_.secret(32);
  EXPECT_NE(device->seal(as_bytes("row 1"), secret).value(), device->seal(as_bytes("row 1"), secret).value());
}

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

TEST_F(SoftwareDeviceTest, RandomOctetsHaveTheLengthAskedFor) {
  const auto device = open_device();
  const Secret a = device->random(32).value();
  EXPECT_EQ(a.size(), 32U);
  EXPECT_FALSE(equal_secret(a, device->random(32).value()));
  EXPECT_EQ(&device->rng(), &rng_);
}

}  // namespace
}  // namespace qanat::crypto
