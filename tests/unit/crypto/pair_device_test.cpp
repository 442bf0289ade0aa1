// A pair of devices of which one is enough: SoftHSM2 and the software device, and the two test doubles.
#include <gtest/gtest.h>

#include "crypto/pair_box.hpp"
#include "sdf/sdf_folder.hpp"
#include "skf/skf_folder.hpp"
#include "softhsm.hpp"
#include "unit/crypto/crypto_fixture.hpp"

namespace qanat::crypto {
namespace {

namespace fs = std::filesystem;

class PairDeviceTest : public ::testing::Test {
 protected:
  [[nodiscard]] PairMember sdf_member() const { return {.device = test::SdfFolder::settings(), .file = sdf_.file("sdf.keys")}; }
  [[nodiscard]] PairMember skf_member() const { return {.device = skf_.settings(), .file = skf_.file("skf.keys")}; }
  [[nodiscard]] PairSettings settings() const { return {.members = {sdf_member(), skf_member()}, .retry_after = std::chrono::milliseconds(0)}; }
  std::unique_ptr<CryptoDevice> open_device(const PairSettings& settings) {
    auto device = open_pair_device(settings, rng_);
    EXPECT_TRUE(device) << device.error().message;
    return device ? *std::move(device) : nullptr;
  }
  std::unique_ptr<CryptoDevice> open_device() { return open_device(settings()); }
  static bool opens(CryptoDevice& device, const Bytes& sealed, const Secret& secret) {
    const auto opened = device.unseal(as_bytes("row 1"), sealed);
    return opened && equal_secret(*opened, secret);
  }

  test::SdfFolder sdf_;
  test::SkfFolder skf_;
  Rng& rng_ = testing::test_rng();
  const Secret secret_ = rng_.secret(32);
};

TEST_F(PairDeviceTest, WhatBothSealedEitherOpens) {
  const auto device = open_device();
  const Bytes sealed = device->seal(as_bytes("row 1"), secret_).value();
  EXPECT_EQ(device->health().state, DeviceState::ok);
  sdf_.go_away();
  EXPECT_TRUE(opens(*device, sealed, secret_));
  EXPECT_EQ(device->health().state, DeviceState::degraded);
  sdf_.come_back();
  skf_.go_away();
  EXPECT_TRUE(opens(*device, sealed, secret_));
  skf_.come_back();
  EXPECT_TRUE(opens(*device, sealed, secret_));
}

TEST_F(PairDeviceTest, WhatOneSealedItOpensAndTheOtherIsNoReasonToDenyIt) {
  const auto device = open_device();
  sdf_.go_away();
  const Bytes sealed = device->seal(as_bytes("row 1"), secret_).value();
  EXPECT_EQ(device->health().sealed_by_one, 1U);
  EXPECT_TRUE(opens(*device, sealed, secret_));
  sdf_.come_back();
  EXPECT_TRUE(opens(*device, sealed, secret_));
  skf_.go_away();
  const auto without = device->unseal(as_bytes("row 1"), sealed);
  ASSERT_FALSE(without);
  EXPECT_NE(without.error().code, ErrorCode::denied) << "the one that sealed it is away: " << without.error().message;
  skf_.come_back();
  EXPECT_TRUE(opens(*device, sealed, secret_));
  const Bytes both = device->seal(as_bytes("row 1"), secret_).value();
  EXPECT_GT(both.size(), sealed.size()) << "what is sealed now is for both again";
  EXPECT_EQ(device->health().sealed_by_one, 1U);
}

TEST_F(PairDeviceTest, BothDownIsAnErrorAndNeverAKey) {
  const auto device = open_device();
  const Bytes sealed = device->seal(as_bytes("row 1"), secret_).value();
  sdf_.go_away();
  skf_.go_away();
  const auto sealing = device->seal(as_bytes("row 1"), secret_);
  const auto opening = device->unseal(as_bytes("row 1"), sealed);
  const auto drawing = device->random(32);
  ASSERT_FALSE(sealing);
  ASSERT_FALSE(opening);
  ASSERT_FALSE(drawing);
  EXPECT_NE(opening.error().code, ErrorCode::denied);
  EXPECT_TRUE(opening.error().message.contains("the first: ")) << opening.error().message;
  EXPECT_TRUE(opening.error().message.contains("the second: ")) << opening.error().message;
  EXPECT_EQ(device->health().state, DeviceState::failed);
  EXPECT_FALSE(open_pair_device(settings(), rng_)) << "and nothing starts on none";
  sdf_.come_back();
  skf_.come_back();
  EXPECT_TRUE(opens(*device, sealed, secret_));
}

TEST_F(PairDeviceTest, StartsOnOneAndTakesTheOtherWhenItIsBack) {
  Bytes before;
  {
    const auto device = open_device();
    before = device->seal(as_bytes("row 1"), secret_).value();
  }
  skf_.go_away();
  const auto device = open_device();
  std::vector<DeviceHealth> told;
  device->on_change([&](const DeviceHealth& health) { told.push_back(health); });
  const DeviceHealth one = device->health();
  EXPECT_EQ(one.state, DeviceState::degraded);
  ASSERT_EQ(one.members.size(), 2U);
  EXPECT_EQ(one.members[0].state, DeviceState::ok);
  EXPECT_EQ(one.members[1].device, "skf");
  EXPECT_EQ(one.members[1].state, DeviceState::failed);
  EXPECT_TRUE(one.last_error.contains("skf: ")) << one.last_error;
  EXPECT_TRUE(opens(*device, before, secret_));
  skf_.come_back();
  const Bytes after = device->seal(as_bytes("row 1"), secret_).value();
  EXPECT_EQ(device->health().state, DeviceState::ok);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].state, DeviceState::ok);
  sdf_.go_away();
  EXPECT_TRUE(opens(*device, after, secret_)) << "sealed by both";
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[1].state, DeviceState::degraded);
  EXPECT_EQ(told[1].members[0].state, DeviceState::failed);
}

TEST_F(PairDeviceTest, ADeviceThatFailedIsNotAskedAgainAtOnce) {
  PairSettings slow = settings();
  slow.retry_after = std::chrono::hours(1);
  const auto device = open_device(slow);
  sdf_.go_away();
  ASSERT_TRUE(device->seal(as_bytes("row 1"), secret_));
  sdf_.come_back();
  // It is back, and not yet asked.
  ASSERT_TRUE(device->seal(as_bytes("row 1"), secret_));
  EXPECT_EQ(device->health().sealed_by_one, 2U);
  EXPECT_EQ(device->health().members[0].state, DeviceState::failed);
}

TEST_F(PairDeviceTest, APinThatIsRefusedIsShownOnceHoweverOftenThePairIsCalled) {
  Bytes by_skf;
  {
    const auto device = open_device();
    sdf_.go_away();
    by_skf = device->seal(as_bytes("row 1"), secret_).value();
    sdf_.come_back();
  }
  skf_.write_private(skf_.pin_file(), "97979797\n");
  const auto device = open_device();
  for (int call = 0; call < 20; ++call) {
    EXPECT_TRUE(device->seal(as_bytes("row 1"), secret_));
    EXPECT_TRUE(device->random(32));
  }
  EXPECT_EQ(std::filesystem::file_size(skf_.device() / "tries"), 1U) << "and not one for each call";
  EXPECT_TRUE(device->health().last_error.contains("SAR_PIN_INCORRECT")) << device->health().last_error;
  EXPECT_TRUE(device->health().last_error.contains("before the element starts anew")) << device->health().last_error;
  const auto opened = device->unseal(as_bytes("row 1"), by_skf);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::unavailable) << "that the PIN is wrong says nothing against the box: " << opened.error().message;
  skf_.write_private(skf_.pin_file(), test::SkfFolder::pin() + "\n");
  EXPECT_FALSE(opens(*device, by_skf, secret_)) << "not before it is opened anew";
  EXPECT_TRUE(opens(*open_device(), by_skf, secret_));
}

TEST_F(PairDeviceTest, ADeviceThatDiesInTheMiddleGivesTheOthersAnswer) {
  const auto device = open_device();
  const Bytes sealed = device->seal(as_bytes("row 1"), secret_).value();
  for (int call = 1; call < 30; ++call) {
    sdf_.order("* fail " + std::to_string(call));
    const auto box = device->seal(as_bytes("row 1"), secret_);
    sdf_.order("* fail " + std::to_string(call));
    const auto opened = device->unseal(as_bytes("row 1"), sealed);
    sdf_.order("* fail " + std::to_string(call));
    const auto drawn = device->random(32);
    sdf_.obey();
    ASSERT_TRUE(box) << call;
    EXPECT_TRUE(opens(*device, *box, secret_)) << call;
    ASSERT_TRUE(opened) << call;
    EXPECT_TRUE(equal_secret(*opened, secret_)) << call;
    ASSERT_TRUE(drawn) << call;
    EXPECT_FALSE(equal_secret(*drawn, Secret(32))) << call;
  }
}

TEST_F(PairDeviceTest, ADeviceWhoseRandomOctetsAreRefusedStillSealsAndTheOthersAreTaken) {
  const auto device = open_device();
  sdf_.order("SDF_GenerateRandom mute");
  EXPECT_TRUE(device->random(32));
  sdf_.obey();
  const DeviceHealth health = device->health();
  EXPECT_EQ(health.state, DeviceState::degraded);
  EXPECT_EQ(health.members[0].state, DeviceState::degraded);
  EXPECT_TRUE(health.last_error.contains("random octets")) << health.last_error;
  const Bytes sealed = device->seal(as_bytes("row 1"), secret_).value();
  EXPECT_EQ(device->health().sealed_by_one, 0U);
  skf_.order("SKF_GenRandom mute");
  EXPECT_FALSE(device->random(32)) << "neither is good, so there are none";
  skf_.obey();
  EXPECT_TRUE(opens(*device, sealed, secret_));
}

TEST_F(PairDeviceTest, DevicesWithoutAFreeSessionAreExhausted) {
  PairMember full = sdf_member();
  std::get<SdfSettings>(full.device).pool = {.sessions_max = 0, .wait_max = std::chrono::milliseconds(0)};
  EXPECT_EQ(open_pair_device({.members = {full, full}, .retry_after = {}}, rng_).error().code, ErrorCode::exhausted);
}

TEST_F(PairDeviceTest, NoPartOfABoxCanBeTakenAwayOrBroughtFromAnother) {
  const auto device = open_device();
  const Bytes one = device->seal(as_bytes("row 1"), secret_).value();
  const Bytes two = device->seal(as_bytes("row 1"), rng_.secret(32)).value();
  const auto parts_one = parts_of_pair_box(one).value();
  const auto parts_two = parts_of_pair_box(two).value();
  const auto put_together = [](ByteView first, ByteView second, ByteView sealed) {
    Bytes out = to_bytes("qanatpr1");
    for (const ByteView box : {first, second}) {
      out.push_back(static_cast<std::uint8_t>(box.size() >> 8U));
      out.push_back(static_cast<std::uint8_t>(box.size()));
      append(out, box);
    }
    append(out, sealed);
    return out;
  };
  EXPECT_TRUE(opens(*device, put_together(parts_one.boxes[0], parts_one.boxes[1], parts_one.sealed), secret_));
  for (const Bytes& bad :
       {put_together({}, parts_one.boxes[1], parts_one.sealed), put_together(parts_one.boxes[0], {}, parts_one.sealed),
        put_together(parts_one.boxes[0], parts_two.boxes[1], parts_one.sealed), put_together({}, {}, parts_one.sealed),
        put_together(parts_two.boxes[0], parts_one.boxes[1], parts_one.sealed), put_together(parts_one.boxes[0], parts_one.boxes[1], parts_two.sealed),
        put_together(parts_one.boxes[1], parts_one.boxes[0], parts_one.sealed)}) {
    const auto opened = device->unseal(as_bytes("row 1"), bad);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::denied);
  }
}

TEST_F(PairDeviceTest, ADeviceThatLostItsKeysIsFoundOutByWhatTheOtherOpens) {
  const Bytes sealed = open_device()->seal(as_bytes("row 1"), secret_).value();
  fs::remove(sdf_.file("sdf.keys"));
  const auto device = open_device();
  int told = 0;
  device->on_change([&](const DeviceHealth&) { ++told; });
  EXPECT_EQ(device->health().state, DeviceState::ok);
  Bytes changed = sealed;
  changed.back() ^= 1U;
  EXPECT_EQ(device->unseal(as_bytes("row 1"), changed).error().code, ErrorCode::denied);
  EXPECT_EQ(device->health().state, DeviceState::ok) << "a box that is wrong proves nothing";
  EXPECT_TRUE(opens(*device, sealed, secret_));
  EXPECT_TRUE(opens(*device, sealed, secret_));
  EXPECT_EQ(told, 1);
  EXPECT_EQ(device->health().state, DeviceState::degraded);
  EXPECT_TRUE(device->health().last_error.contains("its keys are others")) << device->health().last_error;
}

TEST_F(PairDeviceTest, OpensWhatOneOfTheTwoSealedBeforeThereWasAPair) {
  const fs::path master = sdf_.file("master.key");
  const auto alone = std::move(open_software_device(master, rng_).value());
  const Bytes sealed = alone->seal(as_bytes("row 1"), secret_).value();
  PairSettings with_software = settings();
  with_software.members[1] = {.device = {}, .file = master};
  const auto device = open_device(with_software);
  EXPECT_TRUE(opens(*device, sealed, secret_));
  EXPECT_EQ(device->unseal(as_bytes("row 2"), sealed).error().code, ErrorCode::denied);
  // And the data keys of a pair are no secrets of that device: their contexts are others.
  const Bytes of_pair = device->seal(as_bytes("row 1"), secret_).value();
  EXPECT_FALSE(alone->unseal(as_bytes("row 1"), to_bytes(parts_of_pair_box(of_pair).value().boxes[1])));
  EXPECT_TRUE(alone->unseal(pair_key_context(1, as_bytes("row 1")), parts_of_pair_box(of_pair).value().boxes[1]));
}

TEST_F(PairDeviceTest, WhatOneOfTheTwoDoesNotOpenIsSealedAnewForBothOnceBothAreThere) {
  const auto device = open_device();
  sdf_.go_away();
  const Bytes half = device->seal(as_bytes("row 1"), secret_).value();
  EXPECT_FALSE(device->completed(as_bytes("row 1"), half, secret_)) << "one is away still";
  sdf_.come_back();
  const auto whole = device->completed(as_bytes("row 1"), half, secret_);
  ASSERT_TRUE(whole);
  EXPECT_FALSE(device->completed(as_bytes("row 1"), *whole, secret_)) << "nothing is left to be done";
  skf_.go_away();
  EXPECT_FALSE(opens(*device, half, secret_));
  EXPECT_TRUE(opens(*device, *whole, secret_));
  EXPECT_FALSE(device->completed(as_bytes("row 1"), *whole, secret_)) << "one that is away may open it";
  skf_.come_back();
  // Another device in the place of one that broke.
  fs::remove(sdf_.file("sdf.keys"));
  const auto replaced = open_device();
  const auto anew = replaced->completed(as_bytes("row 1"), *whole, secret_);
  ASSERT_TRUE(anew);
  skf_.go_away();
  EXPECT_FALSE(opens(*replaced, *whole, secret_));
  EXPECT_TRUE(opens(*replaced, *anew, secret_));
}

TEST_F(PairDeviceTest, ABoxFromBeforeThereWasAPairIsSealedAnewForBoth) {
  const fs::path master = sdf_.file("master.key");
  const auto alone = std::move(open_software_device(master, rng_).value());
  const Bytes sealed = alone->seal(as_bytes("row 1"), secret_).value();
  EXPECT_FALSE(alone->completed(as_bytes("row 1"), sealed, secret_)) << "one device has nothing to complete";
  PairSettings with_software = settings();
  with_software.members[1] = {.device = {}, .file = master};
  const auto whole = open_device(with_software)->completed(as_bytes("row 1"), sealed, secret_);
  ASSERT_TRUE(whole);
  fs::remove(master);
  const auto device = open_device(with_software);
  EXPECT_FALSE(opens(*device, sealed, secret_));
  EXPECT_TRUE(opens(*device, *whole, secret_));
}

TEST_F(PairDeviceTest, SoftHsmAndTheSoftwareDeviceStandInForEachOther) {
  test::SoftHsm& hsm = test::SoftHsm::instance();
  hsm.make_token("pair");
  const PairSettings both{.members = {PairMember{.device = hsm.settings("pair"), .file = {}}, PairMember{.device = {}, .file = sdf_.file("software.key")}},
                          .retry_after = std::chrono::milliseconds(0)};
  Bytes sealed;
  Bytes by_software;
  {
    const auto device = open_device(both);
    sealed = device->seal(as_bytes("row 1"), secret_).value();
    const fs::path aside = hsm.file("aside-pair");
    fs::rename(hsm.tokens(), aside);
    EXPECT_TRUE(opens(*device, sealed, secret_)) << "the software device has it too";
    by_software = device->seal(as_bytes("row 1"), secret_).value();
    EXPECT_EQ(device->health().state, DeviceState::degraded);
    EXPECT_EQ(device->health().members[0].device, "pkcs11");
    EXPECT_EQ(device->health().members[0].state, DeviceState::failed);
    fs::rename(aside, hsm.tokens());
    EXPECT_TRUE(opens(*device, by_software, secret_));
  }
  fs::remove(sdf_.file("software.key"));
  {
    const auto device = open_device(both);
    EXPECT_TRUE(opens(*device, sealed, secret_)) << "the token alone has it";
    EXPECT_EQ(device->unseal(as_bytes("row 1"), by_software).error().code, ErrorCode::denied) << "that one is lost with the software device's key";
  }
  hsm.delete_token("pair");
}

TEST(PairBoxTest, OpensTheBoxesOfAnotherImplementation) {
  std::ifstream in(fs::path(QANAT_SOURCE_DIR) / "tests/vectors/pair/boxes.txt");
  int boxes = 0;
  for (std::string context, key, secret, box; in >> context >> key >> secret >> box; ++boxes) {
    const Bytes octets = from_hex(box).value();
    const auto parts = parts_of_pair_box(octets);
    ASSERT_TRUE(parts);
    const auto opened = open_pair_box(from_hex(context).value(), *parts, Secret::copy_of(from_hex(key).value()));
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_TRUE(equal_secret(*opened, Secret::copy_of(from_hex(secret == "-" ? "" : secret).value())));
    EXPECT_EQ(open_pair_box(from_hex(context).value(), *parts, Secret(31)).error().code, ErrorCode::denied) << "no data key";
  }
  EXPECT_EQ(boxes, 4);
}

}  // namespace
}  // namespace qanat::crypto
