// The device over SKF (GM/T 0016), against the test double of tests/skf: no device of a maker is here.
#include <signal.h>

#include <algorithm>

#include "crypto/skf_envelope.hpp"
#include "crypto/skf_module.hpp"
#include "crypto/wrapped_keys.hpp"
#include "skf/skf_folder.hpp"
#include "unit/crypto/crypto_fixture.hpp"

namespace qanat::crypto {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class SkfDeviceTest : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path keys() const { return skf_.file("device.keys"); }
  Result<std::unique_ptr<CryptoDevice>> try_open(const SkfSettings& settings) { return open_skf_device(settings, keys(), rng_); }
  std::unique_ptr<CryptoDevice> open_device() {
    auto device = try_open(skf_.settings());
    EXPECT_TRUE(device) << device.error().message;
    return device ? *std::move(device) : nullptr;
  }
  Error refusal(const SkfSettings& settings) {
    const auto device = try_open(settings);
    EXPECT_FALSE(device);
    return device ? Error{} : device.error();
  }
  Error refusal() { return refusal(skf_.settings()); }

  test::SkfFolder skf_;
  Rng& rng_ = testing::test_rng();
};

TEST_F(SkfDeviceTest, MakesContainerAndKeysOnFirstUseAndNeverAgain) {
  (void)open_device();
  for (const char* const file : {"container-qkd-qanat", "container-qkd-qanat.sign", "container-qkd-qanat.enc"}) EXPECT_TRUE(skf_.has(file)) << file;
  const std::string wrapped = text_of(keys());
  const std::string encryption = text_of(skf_.device() / "container-qkd-qanat.enc");
  (void)open_device();
  EXPECT_EQ(text_of(keys()), wrapped);
  EXPECT_EQ(text_of(skf_.device() / "container-qkd-qanat.enc"), encryption);
  // What is lost is not made anew under a file that is there.
  skf_.remove("container-qkd-qanat.enc");
  EXPECT_EQ(refusal().code, ErrorCode::not_found);
  skf_.remove("container-qkd-qanat");
  EXPECT_EQ(refusal().code, ErrorCode::internal);
  EXPECT_FALSE(skf_.has("container-qkd-qanat"));
  EXPECT_EQ(text_of(keys()), wrapped);
}

TEST_F(SkfDeviceTest, UsesKeysThatAreInTheContainerAlready) {
  (void)open_device();
  const std::string signing = text_of(skf_.device() / "container-qkd-qanat.sign");
  const std::string encryption = text_of(skf_.device() / "container-qkd-qanat.enc");
  fs::remove(keys());
  (void)open_device();
  EXPECT_EQ(text_of(skf_.device() / "container-qkd-qanat.enc"), encryption);
  fs::remove(keys());
  skf_.remove("container-qkd-qanat.enc");
  (void)open_device();
  EXPECT_EQ(text_of(skf_.device() / "container-qkd-qanat.sign"), signing);
  EXPECT_NE(text_of(skf_.device() / "container-qkd-qanat.enc"), encryption);
}

TEST_F(SkfDeviceTest, ADeviceWithAnotherEncryptionKeyIsRefused) {
  const Bytes sealed = open_device()->seal(as_bytes("row 1"), rng_.secret(32)).value();
  const std::string before = text_of(keys());
  const std::string encryption = text_of(skf_.device() / "container-qkd-qanat.enc");
  skf_.write("container-qkd-qanat.enc", text_of(skf_.device() / "container-qkd-qanat.sign"));
  const Error error = refusal();
  EXPECT_EQ(error.code, ErrorCode::invalid_argument);
  EXPECT_TRUE(error.message.contains("wrapped by container")) << error.message;
  EXPECT_EQ(text_of(keys()), before);
  skf_.write("container-qkd-qanat.enc", encryption);
  EXPECT_TRUE(open_device()->unseal(as_bytes("row 1"), sealed));
}

TEST_F(SkfDeviceTest, AWrongPinIsDeniedNamedByNoDigitAndNotShownAgain) {
  const auto device = open_device();
  SkfSettings wrong = skf_.settings();
  wrong.pin_file = skf_.file("wrong");
  skf_.write_private(wrong.pin_file, "97979797\n");
  const Error error = refusal(wrong);
  EXPECT_EQ(error.code, ErrorCode::denied);
  EXPECT_TRUE(error.message.contains("SAR_PIN_INCORRECT")) << error.message;
  EXPECT_TRUE(error.message.contains("9 tries are left")) << error.message;
  EXPECT_FALSE(error.message.contains("97979797")) << error.message;
  // A device whose PIN was changed under it loses one try, however often it is called.
  skf_.write("application-qkd", "00000000");
  skf_.go_away();
  EXPECT_FALSE(device->random(32));
  skf_.come_back();
  for (int call = 0; call < 20; ++call) EXPECT_FALSE(device->random(32));
  EXPECT_EQ(text_of(skf_.device() / "tries").size(), 2U);
}

TEST_F(SkfDeviceTest, ALibraryInWhichTheProcessIsLoggedInAlreadyIsNoReasonToRefuse) {
  skf_.order("SKF_VerifyPIN same");
  const auto device = open_device();
  ASSERT_TRUE(device);
  const Secret secret = rng_.secret(32);
  const Bytes sealed = device->seal(as_bytes("row 1"), secret).value();
  skf_.obey();
  EXPECT_TRUE(equal_secret(open_device()->unseal(as_bytes("row 1"), sealed).value(), secret));
}

TEST_F(SkfDeviceTest, APinFileThatOthersReadOrThatIsEmptyOrAbsentIsRefused) {
  SkfSettings settings = skf_.settings();
  settings.pin_file = skf_.file("open");
  skf_.write_private(settings.pin_file, test::SkfFolder::pin(), 0640);
  EXPECT_EQ(refusal(settings).code, ErrorCode::denied);
  skf_.write_private(settings.pin_file, "\n");
  EXPECT_EQ(refusal(settings).code, ErrorCode::invalid_argument);
  settings.pin_file = skf_.file("nowhere");
  EXPECT_EQ(refusal(settings).code, ErrorCode::not_found);
  EXPECT_FALSE(skf_.has("tries")) << "no PIN was shown";
}

TEST_F(SkfDeviceTest, AuthenticatesToADeviceThatWantsIt) {
  skf_.write("auth", std::string(16, 'k'));
  EXPECT_EQ(refusal().code, ErrorCode::internal) << "no application opens before";
  SkfSettings settings = skf_.settings();
  settings.auth_key_file = skf_.file("auth");
  skf_.write_private(settings.auth_key_file, to_hex(as_bytes(std::string(16, 'k'))));
  EXPECT_TRUE(try_open(settings));
  skf_.order("SKF_GetDevInfo same");
  EXPECT_EQ(refusal(settings).code, ErrorCode::invalid_argument) << "an algorithm that is not SM4";
  skf_.obey();
  skf_.write_private(settings.auth_key_file, to_hex(as_bytes(std::string(16, 'x'))));
  const Error wrong = refusal(settings);
  EXPECT_EQ(wrong.code, ErrorCode::denied);
  EXPECT_TRUE(wrong.message.contains("SKF_DevAuth")) << wrong.message;
  skf_.write_private(settings.auth_key_file, to_hex(as_bytes(std::string(16, 'k'))), 0644);
  EXPECT_EQ(refusal(settings).code, ErrorCode::denied);
}

TEST_F(SkfDeviceTest, SaysWhichOfTheDevicesTheApplicationsAndTheLibrariesIsMissing) {
  SkfSettings settings = skf_.settings();
  settings.device = "key 2";
  EXPECT_EQ(refusal(settings).code, ErrorCode::not_found);
  skf_.write("second", "key 2");
  EXPECT_EQ(refusal().code, ErrorCode::conflict) << "two are there, and none is named";
  settings.device = "key 1";
  EXPECT_TRUE(try_open(settings));
  skf_.remove("second");
  settings = skf_.settings();
  settings.application = "none";
  const Error application = refusal(settings);
  EXPECT_EQ(application.code, ErrorCode::not_found);
  EXPECT_TRUE(application.message.contains("'none'")) << application.message;
  settings = skf_.settings();
  settings.module = skf_.file("nowhere.so");
  EXPECT_EQ(refusal(settings).code, ErrorCode::not_found);
  std::ofstream(skf_.file("text.so")) << "no library";
  settings.module = skf_.file("text.so");
  EXPECT_EQ(refusal(settings).code, ErrorCode::invalid_argument);
  settings.module = QANAT_SKF_LIBRARY_WITHOUT_MAC;
  const Error error = refusal(settings);
  EXPECT_EQ(error.code, ErrorCode::invalid_argument);
  EXPECT_TRUE(error.message.ends_with("is without SKF_Mac")) << error.message;
  skf_.remove("name");
  EXPECT_EQ(refusal().code, ErrorCode::not_found) << "no device at all";
}

TEST_F(SkfDeviceTest, AChangedFileOfWrappedKeysIsRefusedWhereverItWasChanged) {
  (void)open_device();
  const std::string good = text_of(keys());
  const auto refused_as = [&](const std::string& text) {
    std::ofstream(keys(), std::ios::binary | std::ios::trunc) << text;
    return refusal().code;
  };
  for (std::size_t at = 0; at < good.size(); at += 7) {
    std::string changed = good;
    changed[at] = changed[at] == '0' ? '1' : '0';
    EXPECT_EQ(refused_as(changed), ErrorCode::invalid_argument) << "octet " << at;
  }
  // With a right digest of itself, as one who may write the file would make it.
  WrappedKeys swapped = parse_wrapped_keys(skf_keys_form, good).value();
  std::swap(swapped.encryption, swapped.mac);
  EXPECT_EQ(refused_as(format_wrapped_keys(skf_keys_form, swapped)), ErrorCode::denied);
  WrappedKeys brief = parse_wrapped_keys(skf_keys_form, good).value();
  brief.mac.pop_back();
  EXPECT_EQ(refused_as(format_wrapped_keys(skf_keys_form, brief)), ErrorCode::invalid_argument);
  EXPECT_EQ(refused_as(format_wrapped_keys(sdf_keys_form, swapped)), ErrorCode::invalid_argument) << "keys of another kind of device";
  std::ofstream(keys(), std::ios::binary | std::ios::trunc) << good;
  EXPECT_TRUE(open_device());
}

TEST_F(SkfDeviceTest, ADeviceThatIsGoneIsAnErrorUntilItIsBack) {
  const auto device = open_device();
  const Secret secret = rng_.secret(32);
  const Bytes sealed = device->seal(as_bytes("row 1"), secret).value();
  std::vector<DeviceHealth> told;
  device->on_change([&](const DeviceHealth& health) { told.push_back(health); });
  skf_.go_away();
  const auto sealing = device->seal(as_bytes("row 1"), secret);
  const auto opening = device->unseal(as_bytes("row 1"), sealed);
  ASSERT_FALSE(sealing);
  ASSERT_FALSE(opening);
  EXPECT_FALSE(device->random(32));
  EXPECT_NE(opening.error().code, ErrorCode::denied) << "the box is right: " << opening.error().message;
  EXPECT_TRUE(opening.error().message.contains("SAR_DEVICE_REMOVED")) << opening.error().message;
  EXPECT_EQ(device->health().state, DeviceState::failed);
  skf_.come_back();
  EXPECT_TRUE(equal_secret(device->unseal(as_bytes("row 1"), sealed).value(), secret));
  ASSERT_EQ(told.size(), 2U) << "each change is told once";
  EXPECT_EQ(told[0].state, DeviceState::failed);
  EXPECT_EQ(told[1].state, DeviceState::ok);
  EXPECT_TRUE(told[1].last_error.contains("SAR_DEVICE_REMOVED"));
}

TEST_F(SkfDeviceTest, ACallThatFailsGivesNoPartOfAResultWhereverItFails) {
  const auto device = open_device();
  const Secret secret = rng_.secret(9000);  // three calls to encrypt
  const Bytes sealed = device->seal(as_bytes("row 1"), secret).value();
  int failures = 0;
  for (int call = 1; call < 30; ++call) {
    skf_.order("* fail " + std::to_string(call));
    const auto box = device->seal(as_bytes("row 1"), secret);
    skf_.order("* fail " + std::to_string(call));
    const auto opened = device->unseal(as_bytes("row 1"), sealed);
    skf_.obey();
    if (box) EXPECT_TRUE(equal_secret(device->unseal(as_bytes("row 1"), *box).value(), secret)) << call;
    if (!box) EXPECT_EQ(box.error().code, ErrorCode::internal) << box.error().message;
    if (opened) EXPECT_TRUE(equal_secret(*opened, secret)) << call;
    if (!opened) EXPECT_EQ(opened.error().code, ErrorCode::internal) << opened.error().message;
    failures += box ? 0 : 1;
  }
  EXPECT_GE(failures, 8) << "three times two calls to encrypt, two for the MAC";
}

TEST_F(SkfDeviceTest, ADeviceThatSaysDoneAndGivesLessIsNotBelieved) {
  const auto device = open_device();
  const Secret secret = rng_.secret(32);
  const Bytes sealed = device->seal(as_bytes("row 1"), secret).value();
  for (const char* const order : {"SKF_Encrypt short", "SKF_Encrypt mute", "SKF_Mac short", "SKF_Mac mute"}) {
    skf_.order(order);
    const auto box = device->seal(as_bytes("row 1"), secret);
    ASSERT_FALSE(box) << order;
    EXPECT_EQ(box.error().code, ErrorCode::internal) << order;
  }
  for (const char* const order : {"SKF_Decrypt short", "SKF_Decrypt mute", "SKF_Decrypt fail", "SKF_Mac short", "SKF_Mac mute"}) {
    skf_.order(order);
    const auto opened = device->unseal(as_bytes("row 1"), sealed);
    ASSERT_FALSE(opened) << order;
    EXPECT_EQ(opened.error().code, ErrorCode::internal) << order;
  }
}

TEST_F(SkfDeviceTest, NoKeysAreKeptThatTheDeviceMadeBadly) {
  for (const char* const order :
       {"SKF_ECCExportSessionKey same", "SKF_ECCExportSessionKey short", "SKF_ECCExportSessionKey mute", "SKF_ECCExportSessionKey fail",
        "SKF_ImportSessionKey fail", "SKF_Encrypt mute", "SKF_Decrypt mute", "SKF_Mac mute", "SKF_Mac short", "SKF_ExportPublicKey short",
        "SKF_ExportPublicKey mute", "SKF_GenECCKeyPair fail", "SKF_ImportECCKeyPair fail", "SKF_ImportECCKeyPair same"}) {
    for (const char* const file : {"container-qkd-qanat", "container-qkd-qanat.sign", "container-qkd-qanat.enc"}) skf_.remove(file);
    skf_.order(order);
    (void)refusal();
    EXPECT_FALSE(fs::exists(keys())) << order;
  }
  skf_.obey();
  for (const char* const file : {"container-qkd-qanat", "container-qkd-qanat.sign", "container-qkd-qanat.enc"}) skf_.remove(file);
  EXPECT_TRUE(open_device());
}

TEST_F(SkfDeviceTest, RandomOctetsThatRepeatAreRefusedAtTheStartAndLater) {
  for (const char* const order : {"SKF_GenRandom mute", "SKF_GenRandom same"}) {
    skf_.order(order);
    EXPECT_TRUE(refusal().message.contains("random octets")) << order;
    skf_.obey();
  }
  const auto device = open_device();
  skf_.order("SKF_GenRandom mute");
  const auto constant = device->random(32);
  ASSERT_FALSE(constant);
  EXPECT_TRUE(constant.error().message.contains("SP 800-90B")) << constant.error().message;
  skf_.obey();
  EXPECT_FALSE(device->random(32)) << "what failed once is not trusted again";
  EXPECT_EQ(device->health().state, DeviceState::degraded);
  EXPECT_TRUE(device->seal(as_bytes("row 1"), rng_.secret(32))) << "the keys in it were made before";
  EXPECT_EQ(device->health().state, DeviceState::degraded);
}

TEST_F(SkfDeviceTest, OpensTheFileAndTheBoxesOfAnotherImplementation) {
  const fs::path vectors = fs::path(QANAT_SOURCE_DIR) / "tests/vectors/skf";
  fs::copy_file(vectors / "device.keys", keys());
  fs::permissions(keys(), fs::perms::owner_read | fs::perms::owner_write);
  skf_.write("container-qkd-qanat", "");
  const Bytes pair = from_hex(text_of(vectors / "encryption.hex")).value();
  skf_.write("container-qkd-qanat.enc", std::string(as_text(pair)));
  const auto device = open_device();
  ASSERT_TRUE(device);
  std::ifstream in(vectors / "boxes.txt");
  int boxes = 0;
  for (std::string context, secret, box; in >> context >> secret >> box; ++boxes) {
    const auto opened = device->unseal(from_hex(context).value(), from_hex(box).value());
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_TRUE(equal_secret(*opened, Secret::copy_of(from_hex(secret == "-" ? "" : secret).value())));
  }
  EXPECT_EQ(boxes, 4);
}

TEST_F(SkfDeviceTest, TakesNoPublicKeyThatIsNoneOfTheCurve) {
  ECCPUBLICKEYBLOB key{};
  EXPECT_FALSE(point_of_skf(key));
  key.BitLen = skf_ecc_bits;
  EXPECT_FALSE(point_of_skf(key)) << "zero is no point";
  (void)open_device();
  const std::string pair = text_of(skf_.device() / "container-qkd-qanat.sign");
  std::copy_n(pair.begin() + 32, 32, key.XCoordinate + 32);
  std::copy_n(pair.begin() + 64, 32, key.YCoordinate + 32);
  EXPECT_TRUE(point_of_skf(key));
  key.XCoordinate[0] = 1;
  EXPECT_FALSE(point_of_skf(key)) << "more than 256 bits";
  key.XCoordinate[0] = 0;
  key.BitLen = 512;
  EXPECT_FALSE(point_of_skf(key));
}

using SkfDeviceDeathTest = SkfDeviceTest;

TEST_F(SkfDeviceDeathTest, AProcessThatDiesAnywhereLeavesADeviceThatOpensAtTheNextStart) {
  GTEST_FLAG_SET(death_test_style, "fast");
  int without = 0;
  int calls = 1;
  for (bool died = true; died; ++calls) {
    ASSERT_LT(calls, 300);
    fs::remove(keys());
    for (const char* const file : {"container-qkd-qanat", "container-qkd-qanat.sign", "container-qkd-qanat.enc"}) skf_.remove(file);
    skf_.order("* kill " + std::to_string(calls));
    const auto killed_or_done = [&](int status) {
      died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
      return died || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
    };
    EXPECT_EXIT(std::_Exit(try_open(skf_.settings()) ? 0 : 1), killed_or_done, "");
    skf_.obey();
    if (!fs::exists(keys())) ++without;
    EXPECT_TRUE(open_device()) << "after a death at call " << calls;
  }
  EXPECT_GT(without, 20) << "container, keys and session keys are made and tried before anything is kept";
}

}  // namespace
}  // namespace qanat::crypto
