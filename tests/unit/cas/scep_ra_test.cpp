// The registration authority of SCEP: made once, kept sealed, followed up in time; and its certificate from a real CAS.
#include "cas_fixture.hpp"
#include "scep_fixture.hpp"
#include "services/cas/scep/scep_query.hpp"
#include "services/cas/scep/scep_ra_certificate.hpp"

namespace qanat::cas {
namespace {

using test::must;

class ScepRaTest : public testing::Test {
 protected:
  ScepRaTest() { open(); }
  void open() {
    keeper_.reset();
    store_.reset();
    store_ = must(store::Store::open(directory_ / "ra.db", scep_test_migrations));
    keeper_.emplace(
        *store_, *device_,
        [this](const crypto::SubjectPublicKey& key, UnixMs now) -> Result<Bytes> {
          certified_.push_back(key.der());
          if (refuses_) return fail(*refuses_);
          return scep_test_certifier(*rng_, *issuer_, 90 * test::day_ms)(key, now);
        },
        [this] { return issuer_->certificate.der(); });
  }
  std::shared_ptr<const ScepRas> at(UnixMs now) { return must(keeper_->at(now)); }

  test::TemporaryDirectory directory_;
  std::unique_ptr<crypto::Rng> rng_ = must(crypto::open_rng());
  std::unique_ptr<crypto::CryptoDevice> device_ = must(crypto::open_software_device(directory_ / "master", *rng_));
  ScepTestCas cas_{*rng_};
  const Authority* issuer_ = &cas_.devices;
  std::vector<Bytes> certified_;  // keys
  std::optional<Error> refuses_;
  std::unique_ptr<store::Store> store_;
  std::optional<ScepRaKeeper> keeper_;
  const UnixMs now_ = SystemClock().now_ms();
};

TEST_F(ScepRaTest, IsMadeOnceAndComesBackWithTheProcess) {
  const Bytes first = at(now_)->all.front().certificate;
  EXPECT_EQ(at(now_ + test::day_ms)->all.front().certificate, first);
  open();
  const auto back = at(now_ + 2 * test::day_ms);
  ASSERT_EQ(back->all.size(), 1U);
  EXPECT_EQ(back->all.front().certificate, first);
  EXPECT_EQ(back->all.front().key.public_key_info(), certified_.front());
  EXPECT_EQ(certified_.size(), 1U);
}

TEST_F(ScepRaTest, IsFollowedUpWhenTwoThirdsOfItsLifeAreOverAndServesToItsEnd) {
  const Bytes first = at(now_)->all.front().certificate;
  EXPECT_EQ(at(now_ + 59 * test::day_ms)->all.size(), 1U);
  const auto both = at(now_ + 61 * test::day_ms);
  ASSERT_EQ(both->all.size(), 2U);
  EXPECT_NE(both->all[0].certificate, first);
  EXPECT_EQ(both->all[1].certificate, first);
  EXPECT_EQ(both->of_this_ca, 2U);
  const auto later = at(now_ + 91 * test::day_ms);
  ASSERT_EQ(later->all.size(), 1U);
  EXPECT_EQ(later->all.front().certificate, both->all.front().certificate);
  open();
  EXPECT_EQ(at(now_ + 91 * test::day_ms)->all.size(), 1U) << "the key of the first is gone";
}

TEST_F(ScepRaTest, AKeyThatWasBegunIsFinished) {
  refuses_ = Error{.code = ErrorCode::unavailable, .message = "the disk is full"};
  EXPECT_EQ(test::refusal(keeper_->at(now_)), ErrorCode::unavailable);
  open();
  refuses_.reset();
  EXPECT_EQ(at(now_)->all.size(), 1U);
  ASSERT_EQ(certified_.size(), 2U);
  EXPECT_EQ(certified_[0], certified_[1]) << "no second key for one certificate";
}

TEST_F(ScepRaTest, AKeyWhoseCertificateHoldsNoLongerIsGivenUp) {
  refuses_ = Error{.code = ErrorCode::denied, .message = "expired"};
  EXPECT_EQ(test::refusal(keeper_->at(now_)), ErrorCode::denied);
  refuses_.reset();
  EXPECT_EQ(at(now_)->all.size(), 1U);
  EXPECT_NE(certified_[0], certified_[1]);
}

TEST_F(ScepRaTest, TheOneThatHoldsServesOnWhereNoneCanBeMade) {
  const Bytes first = at(now_)->all.front().certificate;
  refuses_ = Error{.code = ErrorCode::unavailable, .message = "the disk is full"};
  EXPECT_EQ(at(now_ + 61 * test::day_ms)->all.front().certificate, first);
  const std::size_t tries = certified_.size();
  EXPECT_EQ(at(now_ + 61 * test::day_ms + 1000)->all.front().certificate, first);
  EXPECT_EQ(certified_.size(), tries) << "not at every request";
  EXPECT_EQ(test::refusal(keeper_->at(now_ + 91 * test::day_ms)), ErrorCode::unavailable) << "but not beyond its end";
  refuses_.reset();
  EXPECT_NE(at(now_ + 91 * test::day_ms + 120'000)->all.front().certificate, first);
}

TEST_F(ScepRaTest, ANewCaGetsANewAuthorityAndTheOldOneTellsOfIt) {
  const Bytes first = at(now_)->all.front().certificate;
  const ScepTestCas next(*rng_);
  issuer_ = &next.devices;
  const auto both = at(now_ + 1000);
  ASSERT_EQ(both->all.size(), 2U);
  EXPECT_EQ(both->of_this_ca, 1U);
  EXPECT_EQ(both->all[1].certificate, first);

  ScepDesk desk(*rng_, next);
  ScepTransactions transactions(*store_, *device_);
  ClockAhead clock;
  ScepService service({.desk = desk, .transactions = transactions, .rng = *rng_, .clock = clock, .list = [](Branch) { return Bytes(); }}, *keeper_);
  net::ForeignRequest request{
      .peer = {}, .parameters = {}, .query = "operation=GetNextCACert", .content_type = "", .body = {}, .deadline = test::soon(), .request_id = ""};
  const net::ForeignResponse response = service.answer("GET", request);
  ASSERT_EQ(response.status, 200U);
  EXPECT_EQ(response.content_type, "application/x-x509-next-ca-cert");
  EXPECT_EQ(peer::certificates_in(peer::read_answer(*response.open_body, first).envelope),
            (std::vector{both->all[0].certificate, next.devices.certificate.der()}));
}

TEST_F(ScepRaTest, WithoutADeviceSealThereIsNone) {
  at(now_);
  open();
  const auto other = must(crypto::open_software_device(directory_ / "other", *rng_));
  ScepRaKeeper keeper(
      *store_, *other, [](const crypto::SubjectPublicKey&, UnixMs) { return Bytes(); }, [this] { return issuer_->certificate.der(); });
  EXPECT_EQ(test::refusal(keeper.at(now_)), ErrorCode::denied);
}

// ---- from a real CAS ----

class ScepRaCertificateTest : public CasFixture {
 protected:
  ScepRaCertificateTest() {
    close_service();  // the database is one process's at a time
    device_ = must(crypto::open_software_device(plan().master_key, *rng_));
    records_ = must(Records::open(state() / "cas.db", *device_));
    Authorities found = must(records_->authorities(suite_));
    if (!found.devices) {
      must(records_->keep_device_authority(must(make_device_authority(found, now_, *rng_))));
      found = must(records_->authorities(suite_));
    }
    authorities_.emplace(std::move(found));
  }
  CertifyRa certifier() {
    return scep_ra_certifier({.records = *records_,
                              .authorities = *authorities_,
                              .rng = *rng_,
                              .self = cas_id,
                              .status_url = "http://status.test",
                              .issued = [this] { ++issued_; },
                              .record = [this](const audit::Event& event) -> Result<void> {
                                events_.emplace_back(event.object);
                                if (record_fails_) return fail(ErrorCode::internal, "the disk is full");
                                return {};
                              }});
  }
  const UnixMs now_ = SystemClock().now_ms();
  std::unique_ptr<crypto::CryptoDevice> device_;
  std::unique_ptr<Records> records_;
  std::optional<Authorities> authorities_;
  int issued_ = 0;
  std::vector<std::string> events_;
  bool record_fails_ = false;
};

TEST_F(ScepRaCertificateTest, IsOnRecordLikeEveryOtherAndTheSameForOneKey) {
  const auto key = must(crypto::SubjectPublicKey::parse(must(crypto::RsaKey::generate(scep_ra_bits)).public_key_info()));
  record_fails_ = true;
  EXPECT_EQ(test::refusal(certifier()(key, now_)), ErrorCode::internal) << "what cannot be recorded is not handed out";
  record_fails_ = false;
  const Bytes der = must(certifier()(key, now_));
  EXPECT_EQ(must(certifier()(key, now_ + 1000)), der);
  EXPECT_EQ(issued_, 1);
  const auto certificate = must(crypto::SubjectCertificate::parse(der));
  ASSERT_FALSE(events_.empty());
  EXPECT_EQ(events_.back(), to_hex(certificate.serial()));
  EXPECT_EQ(certificate.key(), key);
  EXPECT_TRUE(certificate.signed_by(authorities_->devices->certificate));
  EXPECT_EQ(certificate.usages(), (crypto::KeyUsages{crypto::KeyUsage::digital_signature, crypto::KeyUsage::key_encipherment}));
  EXPECT_EQ(must(records_->status(Branch::devices, certificate.serial())), crypto::CertStatus::good);
  EXPECT_EQ(test::refusal(certifier()(key, now_ + 800 * test::day_ms)), ErrorCode::denied) << "once it is over";
  must(records_->revoke_certificate(certificate.serial(), key_compromise, now_));
  EXPECT_EQ(test::refusal(certifier()(key, now_)), ErrorCode::denied);
}

TEST_F(ScepRaCertificateTest, NoOtherKeyThanRsaIsMadeAnAuthority) {
  const peer::Key key = peer::make_key("EC");
  EXPECT_EQ(test::refusal(certifier()(must(crypto::SubjectPublicKey::parse(peer::public_key_info(key.get()))), now_)), ErrorCode::denied);
  EXPECT_EQ(issued_, 0);
}

// ---- the query ----

TEST(ScepQueryTest, OperationAndMessageAreReadWhateverElseStandsThere) {
  const auto query = must(read_scep_query("x=1&operation=GetCACert&&message=a%2Bb%0Ac&message2=y&z"));
  EXPECT_EQ(query.operation, "GetCACert");
  EXPECT_EQ(query.message, "a+b\nc");
  EXPECT_EQ(must(read_scep_query("operation=GetCACaps")).message, "");
  for (const char* bad : {"", "message=x", "operation", "operation=", "operation=a&operation=b", "operation=a&message=b&message=c", "operation=%",
                          "operation=%2", "operation=%zz"}) {
    EXPECT_EQ(test::refusal(read_scep_query(bad)), ErrorCode::invalid_argument) << bad;
  }
}

TEST(ScepQueryTest, MessagesAreBase64WithLineBreaksAndSpacesForPluses) {
  EXPECT_EQ(must(read_scep_message("+/8=")), (Bytes{0xfb, 0xff}));
  EXPECT_EQ(must(read_scep_message(" /\r\n8=\n")), (Bytes{0xfb, 0xff}));
  for (const char* bad : {"+/8", "-_8=", "+/9=", "a"}) EXPECT_EQ(test::refusal(read_scep_message(bad)), ErrorCode::invalid_argument) << bad;
}

}  // namespace
}  // namespace qanat::cas
