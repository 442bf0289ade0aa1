// The device over PKCS#11, against SoftHSM2 as Debian has it.
#include <array>

#include "crypto/pkcs11_module.hpp"
#include "softhsm.hpp"
#include "unit/crypto/crypto_fixture.hpp"

namespace qanat::crypto {
namespace {

using test::SoftHsm;

/// Stands before one of the module's functions, in the table of functions that all callers of the process share, for as long as it lives.
template <class Function>
class Stand {
 public:
  Stand(Function CK_FUNCTION_LIST::*place, Function instead)
      : module_(Pkcs11Module::load(test::softhsm_module).value()), function_(module_->functions().*place), real_(function_) {
    function_ = instead;
  }
  ~Stand() { function_ = real_; }
  Stand(const Stand&) = delete;
  Stand& operator=(const Stand&) = delete;
  [[nodiscard]] Function real() const { return real_; }

 private:
  std::unique_ptr<Pkcs11Module> module_;
  Function& function_;
  const Function real_;
};

CK_C_Decrypt real_decrypt = nullptr;
int faults_left = 0;
CK_RV faulty_decrypt(CK_SESSION_HANDLE session, CK_BYTE* in, CK_ULONG in_size, CK_BYTE* out, CK_ULONG* out_size) {
  const CK_RV value = real_decrypt(session, in, in_size, out, out_size);
  if (faults_left == 0) return value;
  --faults_left;
  return CKR_DEVICE_ERROR;
}

CK_C_GenerateKey real_generate = nullptr;
/// Another process makes the same key, a moment before.
CK_RV late_generate(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_ATTRIBUTE* wanted, CK_ULONG count, CK_OBJECT_HANDLE* key) {
  CK_OBJECT_HANDLE others = CK_INVALID_HANDLE;
  const CK_RV value = real_generate(session, mechanism, wanted, count, &others);
  return value == CKR_OK ? real_generate(session, mechanism, wanted, count, key) : value;
}

class Pkcs11DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override { hsm_.make_token("alpha"); }
  void TearDown() override { hsm_.delete_token("alpha"); }
  std::unique_ptr<CryptoDevice> open_device(const Pkcs11Settings& settings) {
    auto device = open_pkcs11_device(settings, rng_);
    EXPECT_TRUE(device) << device.error().message;
    return device ? *std::move(device) : nullptr;
  }
  std::unique_ptr<CryptoDevice> open_device() { return open_device(hsm_.settings("alpha")); }
  Error refusal(const Pkcs11Settings& settings) {
    const auto device = open_pkcs11_device(settings, rng_);
    EXPECT_FALSE(device);
    return device ? Error{} : device.error();
  }

  /// A key that somebody else made in the token: `octets` long, and `extractable` from it or not.
  void make_key(std::string label, CK_ULONG octets, CK_BBOOL extractable) {
    const auto module = Pkcs11Module::load(test::softhsm_module).value();
    const auto session = Pkcs11Session::open(*module, "alpha", Secret::copy_of(as_bytes(SoftHsm::pin()))).value();
    CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL sensitive = extractable == CK_TRUE ? CK_FALSE : CK_TRUE;
    std::array wanted{CK_ATTRIBUTE{CKA_VALUE_LEN, &octets, sizeof octets},
                      CK_ATTRIBUTE{CKA_TOKEN, &yes, sizeof yes},
                      CK_ATTRIBUTE{CKA_ENCRYPT, &yes, sizeof yes},
                      CK_ATTRIBUTE{CKA_DECRYPT, &yes, sizeof yes},
                      CK_ATTRIBUTE{CKA_SENSITIVE, &sensitive, sizeof sensitive},
                      CK_ATTRIBUTE{CKA_EXTRACTABLE, &extractable, sizeof extractable},
                      CK_ATTRIBUTE{CKA_LABEL, label.data(), label.size()}};
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    ASSERT_EQ(session->functions().C_GenerateKey(session->handle(), &mechanism, wanted.data(), wanted.size(), &key), CKR_OK);
  }

  SoftHsm& hsm_ = SoftHsm::instance();
  Rng& rng_ = testing::test_rng();
};

TEST_F(Pkcs11DeviceTest, AnotherTokenAndAnotherKeyAreDenied) {
  hsm_.make_token("beta");
  const auto alpha = open_device();
  const auto beta = open_device(hsm_.settings("beta"));
  Pkcs11Settings other_key = hsm_.settings("alpha");
  other_key.key = "another key";
  const auto gamma = open_device(other_key);
  const Secret secret = rng_.secret(32);
  const Bytes sealed = alpha->seal(as_bytes("row 1"), secret).value();
  for (CryptoDevice* const other : {beta.get(), gamma.get()}) {
    const auto opened = other->unseal(as_bytes("row 1"), sealed);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::denied);
  }
  EXPECT_TRUE(equal_secret(alpha->unseal(as_bytes("row 1"), sealed).value(), secret));
  hsm_.delete_token("beta");
}

TEST_F(Pkcs11DeviceTest, AWrongPinIsDeniedAndNamesNoPin) {
  Pkcs11Settings settings = hsm_.settings("alpha");
  settings.pin_file = hsm_.file("wrong");
  hsm_.write_pin(settings.pin_file, "979797\n");
  const Error error = refusal(settings);
  EXPECT_EQ(error.code, ErrorCode::denied);
  EXPECT_NE(error.message.find("CKR_PIN_INCORRECT"), std::string::npos) << error.message;
  EXPECT_EQ(error.message.find("979797"), std::string::npos) << error.message;
  EXPECT_TRUE(open_device());
}

TEST_F(Pkcs11DeviceTest, APinFileThatOthersCanReadOrThatIsEmptyOrAbsentIsRefused) {
  Pkcs11Settings settings = hsm_.settings("alpha");
  settings.pin_file = hsm_.file("open");
  hsm_.write_pin(settings.pin_file, SoftHsm::pin(), 0640);
  EXPECT_EQ(refusal(settings).code, ErrorCode::denied);
  hsm_.write_pin(settings.pin_file, "\n");
  EXPECT_EQ(refusal(settings).code, ErrorCode::invalid_argument);
  settings.pin_file = hsm_.file("nowhere");
  EXPECT_EQ(refusal(settings).code, ErrorCode::not_found);
}

TEST_F(Pkcs11DeviceTest, AMissingTokenOrModuleIsNotFoundAndALibraryThatIsNoneIsRefused) {
  EXPECT_EQ(refusal(hsm_.settings("nobody")).code, ErrorCode::not_found);
  Pkcs11Settings settings = hsm_.settings("alpha");
  settings.module = hsm_.file("nowhere.so");
  EXPECT_EQ(refusal(settings).code, ErrorCode::not_found);
  std::ofstream(hsm_.file("text.so")) << "no library";
  settings.module = hsm_.file("text.so");
  EXPECT_EQ(refusal(settings).code, ErrorCode::invalid_argument);
}

TEST_F(Pkcs11DeviceTest, TwoTokensOfOneNameAreAConflict) {
  hsm_.make_token("twin");
  hsm_.make_token("twin");
  EXPECT_EQ(refusal(hsm_.settings("twin")).code, ErrorCode::conflict);
}

TEST_F(Pkcs11DeviceTest, AKeyThatMayLeaveTheTokenOrIsTooShortOrNotAloneIsNoMasterKey) {
  Pkcs11Settings settings = hsm_.settings("alpha");
  const std::string good = settings.key;
  settings.key = "extractable";
  make_key(settings.key, 32, CK_TRUE);
  EXPECT_EQ(refusal(settings).code, ErrorCode::denied);
  settings.key = "short";
  make_key(settings.key, 16, CK_FALSE);
  EXPECT_EQ(refusal(settings).code, ErrorCode::denied);
  settings.key = good;
  EXPECT_TRUE(open_device(settings));
  make_key(good, 32, CK_FALSE);
  EXPECT_EQ(refusal(settings).code, ErrorCode::conflict);
}

TEST_F(Pkcs11DeviceTest, ATokenThatIsGoneIsAnErrorAndNeverAWeakKey) {
  const auto device = open_device();
  const Secret secret = rng_.secret(32);
  const Bytes sealed = device->seal(as_bytes("row 1"), secret).value();
  const std::filesystem::path aside = hsm_.file("aside");
  std::filesystem::rename(hsm_.tokens(), aside);
  const auto sealing = device->seal(as_bytes("row 1"), secret);
  ASSERT_FALSE(sealing);
  EXPECT_NE(sealing.error().code, ErrorCode::denied) << sealing.error().message;
  const auto opening = device->unseal(as_bytes("row 1"), sealed);
  ASSERT_FALSE(opening);
  EXPECT_NE(opening.error().code, ErrorCode::denied) << "the box is right, the token is gone: " << opening.error().message;
  EXPECT_EQ(device->health().state, DeviceState::failed);
  std::filesystem::rename(aside, hsm_.tokens());
}

TEST_F(Pkcs11DeviceTest, ATokenMadeAnewUnderTheSameNameIsNotTakenForTheOldOne) {
  Bytes sealed;
  {
    const auto device = open_device();
    sealed = device->seal(as_bytes("row 1"), rng_.secret(32)).value();
  }
  hsm_.delete_token("alpha");
  hsm_.make_token("alpha");
  EXPECT_EQ(open_device()->unseal(as_bytes("row 1"), sealed).error().code, ErrorCode::denied);
}

TEST_F(Pkcs11DeviceTest, AFaultThatPassesIsNotTakenForABoxThatIsWrong) {
  const auto device = open_device();
  const Secret secret = rng_.secret(32);
  const Bytes sealed = device->seal(as_bytes("row 1"), secret).value();
  const Stand stand(&CK_FUNCTION_LIST::C_Decrypt, &faulty_decrypt);
  real_decrypt = stand.real();
  faults_left = 1;
  const auto opened = device->unseal(as_bytes("row 1"), sealed);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_TRUE(equal_secret(*opened, secret));
  EXPECT_EQ(faults_left, 0);
  EXPECT_EQ(device->health().state, DeviceState::ok);
  faults_left = 1000;
  const auto failed = device->unseal(as_bytes("row 1"), sealed);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::internal) << "a token that opens nothing says nothing of the box: " << failed.error().message;
  EXPECT_EQ(device->health().state, DeviceState::failed);
  faults_left = 0;
  Bytes changed = sealed;
  changed.back() ^= 1U;
  EXPECT_EQ(device->unseal(as_bytes("row 1"), changed).error().code, ErrorCode::denied);
  EXPECT_TRUE(device->unseal(as_bytes("row 1"), sealed));
}

TEST_F(Pkcs11DeviceTest, OfTwoFirstStartsAtOnceOneMakesTheMasterKeyAndTheOtherTakesItsOwnBack) {
  {
    const Stand stand(&CK_FUNCTION_LIST::C_GenerateKey, &late_generate);
    real_generate = stand.real();
    const Error late = refusal(hsm_.settings("alpha"));
    EXPECT_EQ(late.code, ErrorCode::conflict);
    EXPECT_TRUE(late.message.contains("start again")) << late.message;
  }
  // One key is left, and it is the first one's: the next start takes it.
  EXPECT_TRUE(open_device());
}

}  // namespace
}  // namespace qanat::crypto
