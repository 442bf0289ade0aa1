// The device over SDF (GM/T 0018), against the test double of tests/sdf: no device of a maker is here.
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "crypto/wrapped_keys.hpp"
#include "crypto/sdf_module.hpp"
#include "file_size_limit.hpp"
#include "sdf/sdf_folder.hpp"
#include "unit/crypto/crypto_fixture.hpp"

namespace qanat::crypto {
namespace {

namespace fs = std::filesystem;

std::string whole_text(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class SdfDeviceTest : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path keys() const { return sdf_.file("device.keys"); }
  Result<std::unique_ptr<CryptoDevice>> try_open(const SdfSettings& settings = test::SdfFolder::settings()) { return open_sdf_device(settings, keys(), rng_); }
  std::unique_ptr<CryptoDevice> open_device() {
    auto device = try_open();
    EXPECT_TRUE(device) << device.error().message;
    return device ? *std::move(device) : nullptr;
  }
  Error refusal(const SdfSettings& settings = test::SdfFolder::settings()) {
    const auto device = try_open(settings);
    EXPECT_FALSE(device);
    return device ? Error{} : device.error();
  }
  /// What is in the folder of the key file besides the device itself.
  [[nodiscard]] std::ptrdiff_t files_beside() const {
    return std::count_if(fs::directory_iterator(sdf_.file("")), {}, [](const auto& entry) { return entry.is_regular_file(); });
  }

  test::SdfFolder sdf_;
  Rng& rng_ = testing::test_rng();
};

TEST_F(SdfDeviceTest, OtherKeysUnderTheSameOrAnotherKekAreDenied) {
  const auto device = open_device();
  const Secret secret = rng_.secret(32);
  const Bytes sealed = device->seal(as_bytes("row 1"), secret).value();
  const auto same_kek = open_sdf_device(test::SdfFolder::settings(1), sdf_.file("other.keys"), rng_).value();
  const auto other_kek = open_sdf_device(test::SdfFolder::settings(2), sdf_.file("second.keys"), rng_).value();
  for (CryptoDevice* const other : {same_kek.get(), other_kek.get()}) {
    const auto opened = other->unseal(as_bytes("row 1"), sealed);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::denied);
  }
  EXPECT_TRUE(equal_secret(device->unseal(as_bytes("row 1"), sealed).value(), secret));
}

TEST_F(SdfDeviceTest, OpensTheFileAndTheBoxesOfAnotherImplementation) {
  const fs::path vectors = fs::path(QANAT_SOURCE_DIR) / "tests/vectors/sdf";
  fs::copy_file(vectors / "device.keys", keys());
  fs::permissions(keys(), fs::perms::owner_read | fs::perms::owner_write);
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

TEST_F(SdfDeviceTest, AMissingLibraryIsNotFoundAndOneWithoutTheFunctionsIsRefusedByName) {
  SdfSettings settings = test::SdfFolder::settings();
  settings.module = sdf_.file("nowhere.so");
  EXPECT_EQ(refusal(settings).code, ErrorCode::not_found);
  std::ofstream(sdf_.file("text.so")) << "no library";
  settings.module = sdf_.file("text.so");
  EXPECT_EQ(refusal(settings).code, ErrorCode::invalid_argument);
  settings.module = QANAT_SDF_LIBRARY_WITHOUT_MAC;
  const Error error = refusal(settings);
  EXPECT_EQ(error.code, ErrorCode::invalid_argument);
  EXPECT_TRUE(error.message.contains("SDF_CalculateMAC")) << error.message;
  EXPECT_FALSE(error.message.contains("SDF_Encrypt")) << "what is there is not complained about: " << error.message;
  EXPECT_FALSE(fs::exists(keys()));
}

TEST_F(SdfDeviceTest, AnIndexWithoutAKekIsNotFoundAndAWrongKekOpensNothing) {
  const Error none = refusal(test::SdfFolder::settings(7));
  EXPECT_EQ(none.code, ErrorCode::not_found);
  EXPECT_TRUE(none.message.contains("KEK 7")) << none.message;
  EXPECT_FALSE(fs::exists(keys()));
  Bytes sealed = open_device()->seal(as_bytes("row 1"), rng_.secret(32)).value();
  EXPECT_EQ(refusal(test::SdfFolder::settings(2)).code, ErrorCode::invalid_argument) << "the file says which KEK wrapped";
  const std::string before = whole_text(keys());
  sdf_.make_kek(1, 'x');
  EXPECT_EQ(refusal().code, ErrorCode::denied) << "another device, or a KEK made anew";
  EXPECT_EQ(whole_text(keys()), before) << "nothing is made anew over what is there";
  sdf_.make_kek(1, 'a');
  EXPECT_TRUE(open_device()->unseal(as_bytes("row 1"), sealed));
}

TEST_F(SdfDeviceTest, TheWrappedKeysAreForTheirOwnerAloneAndHoldNoKey) {
  (void)open_device();
  struct stat status {};
  ASSERT_EQ(::stat(keys().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(files_beside(), 1) << "nothing is left beside it";
  const std::string before = whole_text(keys());
  (void)open_device();
  EXPECT_EQ(whole_text(keys()), before);
}

TEST_F(SdfDeviceTest, AKeyFileThatOthersReadOrThatWasChangedIsRefused) {
  (void)open_device();
  for (const mode_t mode : {0640U, 0604U, 0660U, 0777U}) {
    ASSERT_EQ(::chmod(keys().c_str(), mode), 0);
    EXPECT_EQ(refusal().code, ErrorCode::denied) << std::oct << mode;
  }
  ASSERT_EQ(::chmod(keys().c_str(), 0600), 0);
  const std::string good = whole_text(keys());
  const auto refused_as = [&](const std::string& text) {
    std::ofstream(keys(), std::ios::binary | std::ios::trunc) << text;
    return refusal().code;
  };
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string changed = good;
    changed[at] = changed[at] == '0' ? '1' : '0';
    EXPECT_EQ(refused_as(changed), ErrorCode::invalid_argument) << "octet " << at;
  }
  for (const std::string& text : {std::string(), good.substr(0, good.size() / 2), good + "\n", std::string(32, 'k'), std::string(5000, 'x')})
    EXPECT_EQ(refused_as(text), ErrorCode::invalid_argument);
  std::ofstream(keys(), std::ios::binary | std::ios::trunc) << good;
  EXPECT_TRUE(open_device());
}

TEST_F(SdfDeviceTest, WrappedKeysThatAreSwappedOrMixedDoNotHold) {
  (void)open_device();
  (void)open_sdf_device(test::SdfFolder::settings(), sdf_.file("other.keys"), rng_).value();
  const WrappedKeys own = read_wrapped_keys(sdf_keys_form, keys()).value();
  const WrappedKeys other = read_wrapped_keys(sdf_keys_form, sdf_.file("other.keys")).value();
  WrappedKeys swapped = own;
  std::swap(swapped.encryption, swapped.mac);
  WrappedKeys mixed = own;
  mixed.encryption = other.encryption;
  WrappedKeys short_check = own;
  short_check.check.resize(16);
  // Each with a right digest of itself, as one who may write the file would make it.
  for (const WrappedKeys& bad : {swapped, mixed, short_check}) {
    std::ofstream(keys(), std::ios::binary | std::ios::trunc) << format_wrapped_keys(sdf_keys_form, bad);
    const ErrorCode code = refusal().code;
    EXPECT_TRUE(code == ErrorCode::denied || code == ErrorCode::invalid_argument);
  }
}

TEST_F(SdfDeviceTest, ALostKeyFileMeansOtherKeysWhichOpenNothingOfTheOld) {
  const auto running = open_device();
  const Secret secret = rng_.secret(32);
  const Bytes sealed = running->seal(as_bytes("row 1"), secret).value();
  fs::rename(keys(), sdf_.file("backup"));
  EXPECT_EQ(open_device()->unseal(as_bytes("row 1"), sealed).error().code, ErrorCode::denied);
  EXPECT_TRUE(running->unseal(as_bytes("row 1"), sealed)) << "who has the keys goes on";
  fs::remove(keys());
  fs::rename(sdf_.file("backup"), keys());
  EXPECT_TRUE(equal_secret(open_device()->unseal(as_bytes("row 1"), sealed).value(), secret));
}

TEST_F(SdfDeviceTest, ADeviceThatIsGoneIsAnErrorUntilItIsBackWithTheSameKek) {
  const auto device = open_device();
  const Secret secret = rng_.secret(32);
  const Bytes sealed = device->seal(as_bytes("row 1"), secret).value();
  const auto all_fail = [&](const char* why) {
    const auto sealing = device->seal(as_bytes("row 1"), secret);
    const auto opening = device->unseal(as_bytes("row 1"), sealed);
    const auto drawing = device->random(32);
    ASSERT_FALSE(sealing) << why;
    ASSERT_FALSE(opening) << why;
    EXPECT_NE(sealing.error().code, ErrorCode::denied) << why;
    EXPECT_NE(opening.error().code, ErrorCode::denied) << "the box is right: " << opening.error().message;
    if (!drawing) EXPECT_NE(drawing.error().code, ErrorCode::denied) << why;
  };
  sdf_.go_away();
  all_fail("gone");
  EXPECT_FALSE(device->random(32)) << "its half of the octets is missing";
  sdf_.come_back();
  sdf_.make_kek(1, 'x');
  all_fail("back with another KEK");
  sdf_.remove_kek(1);
  all_fail("back without the KEK");
  sdf_.make_kek(1, 'a');
  EXPECT_TRUE(equal_secret(device->unseal(as_bytes("row 1"), sealed).value(), secret));
  EXPECT_TRUE(device->seal(as_bytes("row 1"), secret));
}

TEST_F(SdfDeviceTest, ASessionThatWasLostIsOpenedAnewWithinTheCall) {
  const auto device = open_device();
  const Secret secret = rng_.secret(32);
  const Bytes sealed = device->seal(as_bytes("row 1"), secret).value();
  sdf_.go_away();
  // Another's call notices it and drops all sessions.
  EXPECT_FALSE(try_open());
  sdf_.come_back();
  EXPECT_TRUE(equal_secret(device->unseal(as_bytes("row 1"), sealed).value(), secret));
}

TEST_F(SdfDeviceTest, ACallThatFailsGivesNoPartOfAResultWhereverItFails) {
  const auto device = open_device();
  const Secret secret = rng_.secret(9000);  // three calls to encrypt
  const Bytes sealed = device->seal(as_bytes("row 1"), secret).value();
  for (int call = 1; call < 20; ++call) {
    sdf_.order("* fail " + std::to_string(call));
    const auto box = device->seal(as_bytes("row 1"), secret);
    sdf_.order("* fail " + std::to_string(call));
    const auto opened = device->unseal(as_bytes("row 1"), sealed);
    sdf_.obey();
    if (box) EXPECT_TRUE(equal_secret(device->unseal(as_bytes("row 1"), *box).value(), secret)) << call;
    if (!box) EXPECT_EQ(box.error().code, ErrorCode::internal) << box.error().message;
    if (opened) EXPECT_TRUE(equal_secret(*opened, secret)) << call;
    if (!opened) EXPECT_EQ(opened.error().code, ErrorCode::internal) << opened.error().message;
    if (call <= 4) EXPECT_FALSE(box) << call;
    if (call <= 4) EXPECT_FALSE(opened) << call;
  }
  EXPECT_TRUE(equal_secret(device->unseal(as_bytes("row 1"), sealed).value(), secret));
}

TEST_F(SdfDeviceTest, ADeviceThatSaysDoneAndGivesLessIsNotBelieved) {
  const auto device = open_device();
  const Secret secret = rng_.secret(32);
  const Bytes sealed = device->seal(as_bytes("row 1"), secret).value();
  for (const char* order : {"SDF_Encrypt short", "SDF_Encrypt mute", "SDF_CalculateMAC short", "SDF_CalculateMAC mute"}) {
    sdf_.order(order);
    const auto box = device->seal(as_bytes("row 1"), secret);
    ASSERT_FALSE(box) << order;
    EXPECT_EQ(box.error().code, ErrorCode::internal) << order;
  }
  for (const char* order : {"SDF_Decrypt short", "SDF_Decrypt mute", "SDF_Decrypt fail", "SDF_CalculateMAC short", "SDF_CalculateMAC mute"}) {
    sdf_.order(order);
    const auto opened = device->unseal(as_bytes("row 1"), sealed);
    ASSERT_FALSE(opened) << order;
    EXPECT_EQ(opened.error().code, ErrorCode::internal) << order << ": " << opened.error().message;
  }
  sdf_.obey();
  EXPECT_TRUE(equal_secret(device->unseal(as_bytes("row 1"), sealed).value(), secret));
}

TEST_F(SdfDeviceTest, AWrongBoxIsDeniedOnlyByADeviceThatWorks) {
  const auto device = open_device();
  Bytes changed = device->seal(as_bytes("row 1"), rng_.secret(32)).value();
  changed.back() ^= 1U;
  EXPECT_EQ(device->unseal(as_bytes("row 1"), changed).error().code, ErrorCode::denied);
  sdf_.order("SDF_Decrypt fail");
  EXPECT_EQ(device->unseal(as_bytes("row 1"), changed).error().code, ErrorCode::internal) << "the check of the keys could not be opened";
}

TEST_F(SdfDeviceTest, NoKeysAreKeptThatTheDeviceMadeBadly) {
  for (const char* order : {"SDF_GenerateKeyWithKEK same", "SDF_GenerateKeyWithKEK short", "SDF_GenerateKeyWithKEK mute", "SDF_GenerateKeyWithKEK fail",
                            "SDF_ImportKeyWithKEK fail", "SDF_Encrypt mute", "SDF_Decrypt mute", "SDF_CalculateMAC mute", "SDF_CalculateMAC short"}) {
    sdf_.order(order);
    (void)refusal();
    EXPECT_FALSE(fs::exists(keys())) << order;
    EXPECT_EQ(files_beside(), 0) << order;
  }
  sdf_.obey();
  EXPECT_TRUE(open_device());
}

TEST_F(SdfDeviceTest, OfManyThatOpenAtOnceAllHaveTheSameKeys) {
  constexpr std::size_t openers = 8;
  std::array<std::unique_ptr<CryptoDevice>, openers> devices;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < openers; ++i) {
    threads.emplace_back([&, i] {
      auto device = try_open();
      if (device) devices[i] = *std::move(device);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Secret secret = rng_.secret(32);
  for (const auto& one : devices) {
    ASSERT_TRUE(one);
    const Bytes sealed = one->seal(as_bytes("row 1"), secret).value();
    for (const auto& other : devices) EXPECT_TRUE(equal_secret(other->unseal(as_bytes("row 1"), sealed).value(), secret));
  }
  EXPECT_EQ(files_beside(), 1);
}

TEST_F(SdfDeviceTest, AFullDiskLeavesNoKeyFile) {
  {
    const test::FileSizeLimit full(40);
    EXPECT_EQ(refusal().code, ErrorCode::internal);
  }
  EXPECT_FALSE(fs::exists(keys()));
  EXPECT_EQ(files_beside(), 0);
  EXPECT_TRUE(open_device());
}

TEST_F(SdfDeviceTest, RandomOctetsThatRepeatAreRefusedAtTheStartAndLater) {
  for (const char* const order : {"SDF_GenerateRandom mute", "SDF_GenerateRandom same"}) {
    sdf_.order(order);
    EXPECT_TRUE(refusal().message.contains("random octets")) << order;
    sdf_.obey();
  }
  const auto device = open_device();
  sdf_.order("SDF_GenerateRandom same");
  EXPECT_TRUE(device->random(32)) << "the first of them passes every test";
  const auto again = device->random(48);
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error().message.contains("are those of a draw before")) << again.error().message;
  sdf_.obey();
  EXPECT_FALSE(device->random(32)) << "what failed once is not trusted again";
  EXPECT_EQ(device->health().state, DeviceState::degraded);
  sdf_.order("SDF_GenerateRandom fail");
  const auto other = open_sdf_device(test::SdfFolder::settings(2), sdf_.file("other.keys"), rng_);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::internal);
}

using SdfDeviceDeathTest = SdfDeviceTest;

TEST_F(SdfDeviceDeathTest, AProcessThatDiesAnywhereLeavesNoKeyFileOrAWholeOne) {
  GTEST_FLAG_SET(death_test_style, "fast");
  int without = 0;
  int calls = 1;
  for (bool died = true; died; ++calls) {
    ASSERT_LT(calls, 200);
    fs::remove(keys());
    sdf_.order("* kill " + std::to_string(calls));
    // Whoever comes through to the end ends by itself.
    const auto killed_or_done = [&](int status) {
      died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
      return died || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
    };
    EXPECT_EXIT(std::_Exit(try_open() ? 0 : 1), killed_or_done, "");
    sdf_.obey();
    if (!fs::exists(keys())) ++without;
    EXPECT_TRUE(open_device()) << "after a death at call " << calls;
  }
  EXPECT_GT(without, 10) << "the keys are made, compared, wrapped, unwrapped and checked before they are kept";
}

TEST(WrappedKeysTest, TakesWhatItGivesAndNothingElse) {
  const WrappedKeys keys{.wrapper = "4294967295", .encryption = Bytes(16, 1), .mac = Bytes(32, 2), .check = Bytes(64, 3)};
  const std::string text = format_wrapped_keys(sdf_keys_form, keys);
  EXPECT_EQ(parse_wrapped_keys(sdf_keys_form, text).value(), keys);
  EXPECT_FALSE(parse_wrapped_keys(skf_keys_form, text)) << "of another kind of device";
  std::string upper = text;
  upper.replace(upper.find("kek 4"), 5, "kek A");
  std::string none = text;
  none.replace(none.find("kek 4294967295"), 14, "kek ");
  for (const std::string& bad : {upper, none, text + " ", text.substr(1), std::string("qanat sdf keys 1\n"), std::string("qanat sdf keys 2\n") + text.substr(17)})
    EXPECT_FALSE(parse_wrapped_keys(sdf_keys_form, bad)) << bad;
}

}  // namespace
}  // namespace qanat::crypto
