// What every device promises, whatever it is: one test over the software device, SoftHSM2, the test doubles of SDF and SKF, and a pair.
#include <atomic>
#include <thread>
#include <vector>

#include "sdf/sdf_folder.hpp"
#include "skf/skf_folder.hpp"
#include "softhsm.hpp"
#include "unit/crypto/crypto_fixture.hpp"

namespace qanat::crypto {
namespace {

using Opened = Result<std::unique_ptr<CryptoDevice>>;

/// A kind of device: `open` opens the one again and again, `open_other` one with other keys.
class Ground {
 public:
  virtual ~Ground() = default;
  virtual Opened open(Rng& rng) = 0;
  virtual Opened open_other(Rng& rng) = 0;
  [[nodiscard]] virtual std::size_t box_octets(std::size_t secret) const = 0;
};

class SoftwareGround final : public Ground {
 public:
  Opened open(Rng& rng) override { return open_software_device(folder_ / "master.key", rng); }
  Opened open_other(Rng& rng) override { return open_software_device(folder_ / "other.key", rng); }
  [[nodiscard]] std::size_t box_octets(std::size_t secret) const override { return 12 + secret + 16; }

 private:
  test::TemporaryDirectory folder_;
};

class TokenGround final : public Ground {
 public:
  TokenGround() { hsm_.make_token("every"); }
  ~TokenGround() override { hsm_.delete_token("every"); }
  Opened open(Rng& rng) override { return open_pkcs11_device(hsm_.settings("every"), rng); }
  Opened open_other(Rng& rng) override {
    Pkcs11Settings other = hsm_.settings("every");
    other.key = "another key";
    return open_pkcs11_device(other, rng);
  }
  [[nodiscard]] std::size_t box_octets(std::size_t secret) const override { return 12 + secret + 16; }

 private:
  test::SoftHsm& hsm_ = test::SoftHsm::instance();
};

class SdfGround final : public Ground {
 public:
  Opened open(Rng& rng) override { return open_sdf_device(test::SdfFolder::settings(), sdf_.file("device.keys"), rng); }
  Opened open_other(Rng& rng) override { return open_sdf_device(test::SdfFolder::settings(2), sdf_.file("other.keys"), rng); }
  [[nodiscard]] std::size_t box_octets(std::size_t secret) const override { return 16 + (secret / 16 + 1) * 16 + 16; }

 private:
  test::SdfFolder sdf_;
};

class SkfGround final : public Ground {
 public:
  Opened open(Rng& rng) override { return open_skf_device(skf_.settings(), skf_.file("device.keys"), rng); }
  Opened open_other(Rng& rng) override { return open_skf_device(skf_.settings("another"), skf_.file("other.keys"), rng); }
  [[nodiscard]] std::size_t box_octets(std::size_t secret) const override { return 16 + (secret / 16 + 1) * 16 + 16; }

 private:
  test::SkfFolder skf_;
};

class PairGround final : public Ground {
 public:
  Opened open(Rng& rng) override { return open_pair_device(settings("first", 1), rng); }
  Opened open_other(Rng& rng) override { return open_pair_device(settings("other", 2), rng); }
  /// Magic, two boxes of the data key with their lengths, nonce, tag.
  [[nodiscard]] std::size_t box_octets(std::size_t secret) const override { return 8 + 2 + (12 + 32 + 16) + 2 + (16 + 48 + 16) + 12 + secret + 16; }

 private:
  [[nodiscard]] PairSettings settings(const std::string& name, std::uint32_t kek) const {
    return {.members = {PairMember{.device = {}, .file = sdf_.file(name + ".key")},
                        PairMember{.device = test::SdfFolder::settings(kek), .file = sdf_.file(name + ".keys")}},
            .retry_after = std::chrono::milliseconds(0)};
  }
  test::SdfFolder sdf_;
};

struct Kind {
  std::string_view name;
  std::unique_ptr<Ground> (*make)();
};
template <class Of>
std::unique_ptr<Ground> make_ground() {
  return std::make_unique<Of>();
}

class EveryDevice : public ::testing::TestWithParam<Kind> {
 protected:
  std::unique_ptr<CryptoDevice> open_device() { return must(ground_->open(rng_)); }
  std::unique_ptr<CryptoDevice> open_other() { return must(ground_->open_other(rng_)); }
  static ErrorCode refusal(CryptoDevice& device, ByteView context, ByteView sealed) {
    const auto opened = device.unseal(context, sealed);
    EXPECT_FALSE(opened);
    return opened ? ErrorCode::internal : opened.error().code;
  }

  const std::unique_ptr<Ground> ground_ = GetParam().make();
  Rng& rng_ = testing::test_rng();

 private:
  static std::unique_ptr<CryptoDevice> must(Opened device) {
    EXPECT_TRUE(device) << device.error().message;
    return device ? *std::move(device) : nullptr;
  }
};

TEST_P(EveryDevice, UnsealsWhatItSealedAlsoAfterARestart) {
  for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 48U, 100U, 4095U, 4096U, 4097U, 70000U}) {
    const Secret secret = rng_.secret(size);
    Bytes sealed;
    {
      const auto device = open_device();
      EXPECT_EQ(device->kind(), GetParam().name);
      sealed = device->seal(as_bytes("keys/row 1/wk"), secret).value();
      EXPECT_EQ(sealed.size(), ground_->box_octets(size));
    }
    const auto opened = open_device()->unseal(as_bytes("keys/row 1/wk"), sealed);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_TRUE(equal_secret(*opened, secret));
  }
}

TEST_P(EveryDevice, SealsForOneContextAndIsNotHurtByABoxThatItDenies) {
  const auto device = open_device();
  const Secret secret = rng_.secret(32);
  const Bytes sealed = device->seal(as_bytes("row 1"), secret).value();
  for (const std::string_view context : {"row 2", "row 1 ", "", "row"}) {
    EXPECT_EQ(refusal(*device, as_bytes(context), sealed), ErrorCode::denied);
    EXPECT_TRUE(equal_secret(device->unseal(as_bytes("row 1"), sealed).value(), secret));
    EXPECT_EQ(device->health().state, DeviceState::ok) << "a wrong box says nothing against the device";
  }
}

TEST_P(EveryDevice, DeniesOctetsThatMovedBetweenTheContextAndTheBox) {
  const auto device = open_device();
  const Bytes sealed = device->seal(as_bytes("row 1"), rng_.secret(32)).value();
  Bytes longer = to_bytes("row 1");
  append(longer, ByteView(sealed).first(16));
  EXPECT_EQ(refusal(*device, longer, ByteView(sealed).subspan(16)), ErrorCode::denied);
}

TEST_P(EveryDevice, DeniesChangedOctetsAndPartsOfABox) {
  const auto device = open_device();
  const Bytes sealed = device->seal(as_bytes("row 1"), rng_.secret(32)).value();
  for (std::size_t octet = 0; octet < sealed.size(); ++octet) {
    Bytes changed = sealed;
    changed[octet] ^= 1U;
    EXPECT_EQ(refusal(*device, as_bytes("row 1"), changed), ErrorCode::denied) << octet;
  }
  for (std::size_t size = 0; size < sealed.size(); ++size)
    EXPECT_EQ(refusal(*device, as_bytes("row 1"), ByteView(sealed).first(size)), ErrorCode::denied) << size;
  Bytes longer = sealed;
  longer.push_back(0);
  EXPECT_EQ(refusal(*device, as_bytes("row 1"), longer), ErrorCode::denied);
}

TEST_P(EveryDevice, DeniesWhatOthersSealed) {
  const auto device = open_device();
  const auto other = open_other();
  const test::TemporaryDirectory folder;
  const auto software = std::move(open_software_device(folder / "software.key", rng_).value());
  const Secret secret = rng_.secret(32);
  const Bytes sealed = device->seal(as_bytes("row 1"), secret).value();
  EXPECT_EQ(refusal(*other, as_bytes("row 1"), sealed), ErrorCode::denied);
  EXPECT_EQ(refusal(*software, as_bytes("row 1"), sealed), ErrorCode::denied);
  EXPECT_EQ(refusal(*device, as_bytes("row 1"), other->seal(as_bytes("row 1"), secret).value()), ErrorCode::denied);
  EXPECT_TRUE(equal_secret(device->unseal(as_bytes("row 1"), sealed).value(), secret));
}

TEST_P(EveryDevice, NeverSealsOneSecretTwiceTheSame) {
  const auto device = open_device();
  const Secret secret = rng_.secret(32);
  EXPECT_NE(device->seal(as_bytes("row 1"), secret).value(), device->seal(as_bytes("row 1"), secret).value());
}

TEST_P(EveryDevice, GivesAsManyRandomOctetsAsItIsAskedFor) {
  const auto device = open_device();
  const Secret a = device->random(32).value();
  EXPECT_EQ(a.size(), 32U);
  EXPECT_FALSE(equal_secret(a, device->random(32).value()));
  EXPECT_EQ(device->random(0).value().size(), 0U);
  EXPECT_EQ(device->random(1).value().size(), 1U);
  EXPECT_EQ(device->random(10000).value().size(), 10000U);
  EXPECT_EQ(&device->rng(), &rng_);
}

TEST_P(EveryDevice, IsSharedByThreads) {
  const auto device = open_device();
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const std::string context = "row " + std::to_string(i);
      for (int round = 0; round < 20; ++round) {
        const Secret secret = device->random(48).value();
        const Bytes sealed = device->seal(as_bytes(context), secret).value();
        if (equal_secret(device->unseal(as_bytes(context), sealed).value(), secret)) ++right;
        if (!device->unseal(as_bytes("elsewhere"), sealed)) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 8 * 20 * 2);
  EXPECT_EQ(device->health().state, DeviceState::ok);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryDevice,
                         ::testing::Values(Kind{"software", &make_ground<SoftwareGround>}, Kind{"pkcs11", &make_ground<TokenGround>},
                                           Kind{"sdf", &make_ground<SdfGround>}, Kind{"skf", &make_ground<SkfGround>}, Kind{"pair", &make_ground<PairGround>}),
                         [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace qanat::crypto
