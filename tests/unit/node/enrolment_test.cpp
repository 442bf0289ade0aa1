// Enrolment and renewal by EST as the element does them: what it takes for an answer, and what is left in its store where the answer does not do.
#include "node/enrolment.hpp"

#include <gtest/gtest.h>

#include "crypto/x509_pkcs7.hpp"
#include "node/trust_folder.hpp"
#include "trusted_network.hpp"
#include "wire/est.hpp"

namespace qanat::node {
namespace {

using test::must;
using test::refusal;

struct StoppedClock final : Clock {
  UnixMs now = SystemClock().now_ms();
  [[nodiscard]] UnixMs now_ms() const override { return now; }
};

net::Response est_answer(const std::vector<Bytes>& certificates) {
  return {.status = 200,
          .content_type = "application/pkcs7-mime; smime-type=certs-only",
          .body = to_bytes(wire::est_body(must(crypto::make_certs_only(certificates))))};
}

/// CAS as its client sees it: certifies what it is asked to, unless the test has other ideas.
class EstDouble final : public net::Client {
 public:
  explicit EstDouble(test::TrustedNetwork& network) : network_(network) {}
  Result<net::Response> call(const net::Call& call, Deadline /*deadline*/) override {
    paths.push_back(call.path);
    authorized = call.authorization != nullptr;
    requests.push_back(must(wire::parse_est_body(call.body)));
    if (fails) return fail(*fails, "as the test wants it");
    if (refuses) return net::error_response({*refuses, "as the test wants it"});
    net::Response out = est_answer({network_.certify(requests.back()).front().der()});
    if (change) change(out, requests.back());
    return out;
  }
  [[nodiscard]] const net::Target& target() const noexcept override { return target_; }
  void chain(net::Chaining) override {}
  Result<void> show(const net::TlsIdentity&) override { return {}; }
  void drop_servers(const std::function<bool(const crypto::Certificate&)>&) override {}

  std::vector<std::string> paths;
  std::vector<Bytes> requests;
  bool authorized = false;
  std::optional<ErrorCode> fails;    // on the way
  std::optional<ErrorCode> refuses;  // CAS itself
  std::function<void(net::Response&, const Bytes& request)> change;

 private:
  test::TrustedNetwork& network_;
  net::Target target_;
};

class EnrolmentTest : public testing::Test {
 protected:
  EnrolmentTest() { write_secret('a'); }
  void write_secret(char digit) const {
    std::ofstream(secret_) << std::string(64, digit);
    std::filesystem::permissions(secret_, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  [[nodiscard]] EstCaller caller() const { return {.identity = kms_, .trust = *trust_, .clock = clock_, .rng = *rng_}; }
  Result<void> conclude() {
    return conclude_enrolment(*store_, secret_, [this]() -> Result<void> {
      ++recorded_;
      return {};
    });
  }
  Result<void> enrol() {
    TRY(enrol_by_secret(caller(), *store_, cas_, secret_, test::soon()));
    return conclude();
  }
  Result<void> renew() { return renew_by_certificate(caller(), *store_, cas_, test::soon()); }
  bool has_secret() const { return std::filesystem::exists(secret_); }
  /// Refused, with nothing in force and the secret as it was.
  void expect_no_enrolment(ErrorCode code, std::string_view why) {
    const auto enrolled = enrol();
    ASSERT_FALSE(enrolled) << why;
    EXPECT_EQ(enrolled.error().code, code) << enrolled.error().message;
    EXPECT_TRUE(enrolled.error().message.contains(why)) << enrolled.error().message;
    EXPECT_FALSE(must(store_->load())) << why;
    EXPECT_TRUE(has_secret()) << why;
  }

  const Identity kms_ = test::identity("qanat://a/kms/kms-a");
  test::TrustedNetwork network_;
  test::TemporaryDirectory folder_;
  const std::filesystem::path secret_ = folder_ / "secret";
  StoppedClock clock_;
  std::unique_ptr<crypto::Rng> rng_ = must(crypto::open_rng());
  std::shared_ptr<const crypto::TrustStore> trust_ = must(read_trust(network_.trust()));
  std::unique_ptr<crypto::CryptoDevice> device_ = must(crypto::open_software_device(folder_ / "master", network_.rng()));
  std::unique_ptr<CredentialStore> store_ = must(CredentialStore::open(folder_ / "credentials.db", *device_, network_.suite()));
  EstDouble cas_{network_};
  int recorded_ = 0;
};

TEST_F(EnrolmentTest, TheSecretBringsBothCertificatesAndIsGoneWithIt) {
  must(enrol());
  EXPECT_TRUE(cas_.authorized);
  EXPECT_EQ(cas_.paths, std::vector<std::string>(2, std::string(points::row(points::Endpoint::ce1_enrol).path)));
  const auto known = must(store_->load());
  ASSERT_TRUE(known && known->messages);
  EXPECT_EQ(known->tls->chain.front().names().element, kms_);
  EXPECT_EQ(known->tls->chain.size(), 2U) << "with the issuing CA";
  EXPECT_FALSE(has_secret());
  EXPECT_EQ(refusal(enrol()), ErrorCode::not_found) << "there is none to enrol by";
}

TEST_F(EnrolmentTest, IsConcludedOnceAlsoByTheNextRun) {
  must(conclude());
  EXPECT_EQ(recorded_, 0) << "there was none";
  must(enrol_by_secret(caller(), *store_, cas_, secret_, test::soon()));
  EXPECT_TRUE(has_secret());
  const auto unrecorded = conclude_enrolment(*store_, secret_, []() -> Result<void> { return fail(ErrorCode::internal, "the disk is full"); });
  EXPECT_EQ(refusal(unrecorded), ErrorCode::internal);
  EXPECT_TRUE(has_secret()) << "not before it is on record";
  store_.reset();
  store_ = must(CredentialStore::open(folder_ / "credentials.db", *device_, network_.suite()));
  must(conclude());
  EXPECT_EQ(recorded_, 1);
  EXPECT_FALSE(has_secret());
  must(conclude());
  EXPECT_EQ(recorded_, 1);
}

TEST_F(EnrolmentTest, ASecretThatWasNotSpentStays) {
  must(enrol_by_secret(caller(), *store_, cas_, secret_, test::soon()));
  write_secret('b');
  must(conclude());
  EXPECT_EQ(recorded_, 1);
  EXPECT_TRUE(has_secret());
}

TEST_F(EnrolmentTest, AfterALostAnswerTheSameRequestsGoAgain) {
  cas_.fails = ErrorCode::unavailable;
  expect_no_enrolment(ErrorCode::unavailable, "enrolment: as the test wants it");
  cas_.fails.reset();
  must(enrol());
  EXPECT_EQ(cas_.requests.at(0), cas_.requests.at(1));
}

TEST_F(EnrolmentTest, OnlyItsOwnCertificateIsTaken) {
  cas_.change = [&](net::Response& response, const Bytes& request) {
    const auto asked = must(crypto::CertificateRequest::parse(request));
    crypto::SubjectNames names = asked.names();
    names.element = test::identity("qanat://a/kms/kms-b");
    const auto made = network_.certify_key(names, crypto::CertificateUse::tls_and_signing, asked.key_algorithm(), asked.public_key());
    response = est_answer({made.der()});
  };
  expect_no_enrolment(ErrorCode::denied, "CAS sent a certificate of");
}

TEST_F(EnrolmentTest, OnlyACertificateThatHoldsIsTaken) {
  clock_.now += 3 * test::day_ms;
  expect_no_enrolment(ErrorCode::denied, "expired");
  clock_.now -= 3 * test::day_ms;
  test::TrustedNetwork other;
  EstDouble stranger(other);
  EXPECT_EQ(refusal(enrol_by_secret(caller(), *store_, stranger, secret_, test::soon())), ErrorCode::denied) << "of a network that is not trusted";
  must(enrol());
}

TEST_F(EnrolmentTest, AnIssuingCaAmongTheRootsIsNotEnough) {
  const crypto::TrustSet set = must(TrustFolder(network_.trust()).read());
  std::vector<crypto::Certificate> all = set.roots;
  all.insert(all.end(), set.intermediates.begin(), set.intermediates.end());
  trust_ = std::make_shared<const crypto::TrustStore>(all, std::vector<crypto::Certificate>());
  expect_no_enrolment(ErrorCode::denied, "its issuer is no issuing-*.pem of the trust folder");
}

TEST_F(EnrolmentTest, AnAnswerThatIsNotOneCertificateIsNotTaken) {
  cas_.change = [](net::Response& response, const Bytes&) { response.status = 503; };
  expect_no_enrolment(ErrorCode::unavailable, "enrolment");
  cas_.change = [](net::Response& response, const Bytes&) { response.content_type = "text/plain"; };
  expect_no_enrolment(ErrorCode::internal, "EST: 'text/plain' is no certificate");
  cas_.change = [](net::Response& response, const Bytes&) { response.body.clear(); };
  expect_no_enrolment(ErrorCode::internal, "what CAS answered");
  cas_.change = [&](net::Response& response, const Bytes& request) {
    const std::vector<crypto::Certificate> chain = network_.certify(request);
    response = est_answer({chain[0].der(), chain[1].der()});
  };
  expect_no_enrolment(ErrorCode::internal, "EST: 2 certificates for one request");
  cas_.change = {};
  must(enrol());
}

TEST_F(EnrolmentTest, ARenewalAsksWithoutTheSecretAndLeavesTheFormerInForceUntilBothAreThere) {
  must(enrol());
  const Bytes before = must(store_->load())->tls->chain.front().der();
  cas_.change = [&](net::Response& response, const Bytes& request) {
    if (must(crypto::CertificateRequest::parse(request)).key_algorithm() == crypto::classical_key(network_.suite())) response.status = 503;
  };
  EXPECT_EQ(refusal(renew()), ErrorCode::unavailable);
  EXPECT_EQ(must(store_->load())->tls->chain.front().der(), before) << "half of it";
  cas_.change = {};
  must(renew());
  EXPECT_NE(must(store_->load())->tls->chain.front().der(), before);
  EXPECT_FALSE(cas_.authorized);
  EXPECT_EQ(cas_.paths.back(), points::row(points::Endpoint::ce1_reenrol).path);
}

TEST_F(EnrolmentTest, OnlyARefusalThatIsFinalGivesTheNextKeysUp) {
  must(enrol());
  const auto asked_again_after = [&](ErrorCode code) {
    cas_.refuses = code;
    EXPECT_EQ(refusal(renew()), code);
    const Bytes refused = cas_.requests.back();
    EXPECT_FALSE(renew());
    return cas_.requests.back() == refused;
  };
  for (const ErrorCode code : {ErrorCode::unauthenticated, ErrorCode::exhausted, ErrorCode::unavailable, ErrorCode::deadline_exceeded, ErrorCode::internal}) {
    EXPECT_TRUE(asked_again_after(code)) << name(code);
  }
  for (const ErrorCode code : {ErrorCode::invalid_argument, ErrorCode::denied, ErrorCode::not_found, ErrorCode::conflict}) {
    EXPECT_FALSE(asked_again_after(code)) << name(code);
  }
  cas_.refuses.reset();
  must(renew());
}

}  // namespace
}  // namespace qanat::node
