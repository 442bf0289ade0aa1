// A terminal renews its certificates: in which order things become durable, what each failure leaves, and what it does not take from CAS.
#include "terminal/renewal.hpp"

#include "crypto/kdf.hpp"
#include "trusted_network.hpp"
#include "wire/base64.hpp"
#include "wire/succession.hpp"

namespace qanat::terminal {
namespace {

using qanat::test::must;

class TerminalRenewalTest : public testing::Test {
 protected:
  TerminalRenewalTest() {
    settings_.uid = Uid("alice");
    settings_.number = *names_.number;
    settings_.kms = "kms-a";
    start();
    const auto requests = must(credentials_->prepare(names_, true));
    const crypto::Certificate classical = reenrolled(requests.classical);
    const crypto::Certificate ml_dsa = reenrolled(requests.ml_dsa);
    must(credentials_->finish({ml_dsa, network_.issuing(false)}, {classical, network_.issuing(true)}));
    install();
    asked_.clear();
  }
  /// The program over its state, as after a restart.
  void start() {
    store_.reset();
    credentials_.reset();
    node_.reset();
    node_ = network_.open_node(*names_.element, {});
    store_ = must(TerminalStore::open(node_->settings().state / "terminal.db", node_->device()));
    credentials_ = must(node::CredentialStore::open(node_->settings().state / "credentials.db", node_->device(), network_.suite()));
  }
  void install() { must(node_->install_credentials(*must(credentials_->load()))); }
  void restart() {
    start();
    install();
  }

  /// CAS: what it makes of a request, and what it then lists.
  crypto::Certificate reenrolled(ByteView csr) {
    const auto request = must(crypto::CertificateRequest::parse(csr));
    const auto signing = crypto::CertificateUse::tls_and_signing;
    if (request.key_algorithm() == crypto::classical_key(network_.suite())) {
      classical_ = network_.certify_key(named_, signing, request.key_algorithm(), request.public_key());
      return list("classical-signing", *classical_);
    }
    const Bytes related = unrelated_ ? Bytes() : classical_->fingerprint(crypto::Hash::sha256);
    const crypto::Certificate ml_dsa = network_.certify_key(named_, signing, request.key_algorithm(), request.public_key(), related);
    list("ml-dsa-signing", ml_dsa);
    const Bytes to_ml_dsa = ml_dsa.fingerprint(crypto::Hash::sha256);
    const crypto::EncapsulationKey& key = pair_.encapsulation_key();
    const auto encryption = crypto::CertificateUse::encryption;
    list("classical-encryption", network_.certify_key(named_, encryption, crypto::classical_key(network_.suite()), key.point, to_ml_dsa));
    list("ml-kem-encryption", network_.certify_key(named_, encryption, crypto::ml_kem_key(network_.suite()), key.ml_kem, to_ml_dsa));
    return ml_dsa;
  }
  const crypto::Certificate& list(std::string role, const crypto::Certificate& certificate) {
    issued_.push_back({.role = std::move(role), .certificate = certificate, .revoked = false});
    return issued_.back().certificate;
  }
  /// Fails at the `nth` thing that it is asked (0: at none), with this code.
  RenewalTransport transport(std::size_t nth = 0, ErrorCode code = ErrorCode::unavailable) {
    const auto ask = [this, nth, code](std::string what) -> Result<void> {
      asked_.push_back(std::move(what));
      if (asked_.size() == nth) return fail(code, "no answer");
      return {};
    };
    return {.reenrol = [this, ask](ByteView request, Deadline) -> Result<crypto::Certificate> {
              TRY(ask("reenrol"));
              requests_.push_back(to_bytes(request));
              const auto key = must(crypto::CertificateRequest::parse(request)).public_key();
              EXPECT_TRUE(must(store_->own_keys()).contains(crypto::digest(crypto::Hash::sha256, key))) << "known as its own before anybody certifies it";
              return reenrolled(request);
            },
            .issued = [this, ask](Deadline) -> Result<std::vector<Issuance>> {
              TRY(ask("issued"));
              return issued_;
            },
            .tell_kms = [this, ask](const wire::Json& renewed, Deadline) -> Result<void> {
              TRY(ask("tell"));
              told_ = renewed;
              return {};
            },
            .confirm = [this, ask](const Bytes& bundle, Deadline) -> Result<void> {
              TRY(ask("confirm"));
              confirmed_ = bundle;
              return {};
            }};
  }
  TerminalRenewal renewal(RenewalTransport by) { return TerminalRenewal(*node_, settings_, *credentials_, *store_, pair_.encapsulation_key(), std::move(by)); }
  Result<void> run(std::size_t fails_at = 0, ErrorCode code = ErrorCode::unavailable) {
    asked_.clear();
    return renewal(transport(fails_at, code)).run(qanat::test::soon());
  }
  Bytes in_force() { return node_->signer()->ml_dsa.der(); }
  Bytes stored() { return must(credentials_->load())->messages->ml_dsa.der(); }

  const crypto::SubjectNames names_{.common_name = "alice",
                                    .element = Identity::parse_uri("qanat://a/app1/alice").value(),
                                    .number = Number("+8613800000001"),
                                    .dns = {},
                                    .home_kms = ElementName("kms-a")};
  crypto::SubjectNames named_ = names_;  // what CAS certifies
  bool unrelated_ = false;
  qanat::test::TrustedNetwork network_;
  const crypto::Decapsulator pair_ = must(crypto::Decapsulator::generate(network_.suite(), network_.rng()));
  std::optional<crypto::Certificate> classical_;
  std::vector<Issuance> issued_;
  std::vector<std::string> asked_;
  std::vector<Bytes> requests_;
  wire::Json told_;
  Bytes confirmed_;
  TerminalSettings settings_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<TerminalStore> store_;
  std::unique_ptr<node::CredentialStore> credentials_;
};

TEST_F(TerminalRenewalTest, NewKeysAreInForceAndKmsAndCasHaveHeardOfIt) {
  const std::shared_ptr<const node::MessageSigner> former = node_->signer();
  const auto done = run();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(asked_, (std::vector<std::string>{"reenrol", "reenrol", "issued", "issued", "tell", "confirm"}));
  const std::shared_ptr<const node::MessageSigner> now = node_->signer();
  EXPECT_NE(now->ml_dsa.der(), former->ml_dsa.der());
  EXPECT_EQ(stored(), now->ml_dsa.der());
  EXPECT_EQ(node_->credentials().tls->chain.front().der(), now->ml_dsa.der()) << "what it shows from now on";
  EXPECT_EQ(confirmed_, now->classical.fingerprint(crypto::Hash::sha256)) << "by the bundle's id";
  EXPECT_FALSE(must(renewal(transport()).to_be_told()));
  // What the KMS hears: a link that the former keys have signed, and the encryption certificates of the new bundle.
  const auto links = must(wire::parse_successions(network_.suite(), must(told_.base64("successions"))));
  const auto last = wire::follow(network_.suite(), {.classical = former->classical.der(), .ml_dsa = former->ml_dsa.der()}, links);
  ASSERT_TRUE(last) << last.error().message;
  EXPECT_EQ(last->ml_dsa, now->ml_dsa.der());
  const wire::Json encryption = must(told_.at("encryption"));
  EXPECT_EQ(must(crypto::Certificate::parse(must(encryption.base64("ml_kem")))).related(), now->ml_dsa.fingerprint(crypto::Hash::sha256));
  EXPECT_TRUE(qanat::test::audited(network_.state_of(*names_.element), "certificate.renewed"));
  restart();
  EXPECT_EQ(in_force(), now->ml_dsa.der());
}

TEST_F(TerminalRenewalTest, WhereCasIsSilentTheFormerStayInForceAndTheSameKeysAreAskedForAgain) {
  const Bytes former = in_force();
  for (const std::size_t at : {1U, 2U, 3U}) {
    EXPECT_FALSE(run(at));
    EXPECT_EQ(in_force(), former) << at;
    EXPECT_EQ(stored(), former) << at;
    restart();
  }
  ASSERT_TRUE(run());
  EXPECT_EQ(requests_.size(), 5U);
  EXPECT_EQ(std::set<Bytes>(requests_.begin(), requests_.end()).size(), 2U) << "one for each key";
}

TEST_F(TerminalRenewalTest, WhatIsInForceAndNotToldYetIsToldAfterARestart) {
  const Bytes former = in_force();
  for (const std::size_t at : {4U, 5U, 6U}) {
    EXPECT_FALSE(at == 4U ? run(4) : run(at - 3)) << at;
    EXPECT_NE(in_force(), former);
    restart();
    EXPECT_TRUE(must(renewal(transport()).to_be_told())) << at;
  }
  const Bytes now = in_force();
  ASSERT_TRUE(run());
  EXPECT_EQ(asked_, (std::vector<std::string>{"issued", "tell", "confirm"})) << "no second renewal";
  EXPECT_EQ(in_force(), now);
  EXPECT_EQ(requests_.size(), 2U);
}

TEST_F(TerminalRenewalTest, AfterAFinalRefusalTheNextAttemptMakesOtherKeys) {
  EXPECT_FALSE(run(2, ErrorCode::conflict));
  EXPECT_EQ(requests_.size(), 1U);
  ASSERT_TRUE(run());
  EXPECT_NE(requests_[1], requests_[0]);
}

TEST_F(TerminalRenewalTest, CertificatesThatDoNotFitAreNotTaken) {
  const Bytes former = in_force();
  named_.common_name = "mallory";
  named_.element = Identity::parse_uri("qanat://a/app1/mallory").value();
  EXPECT_EQ(run().error().code, ErrorCode::denied);
  named_ = names_;
  named_.number = Number("+8613800000009");
  EXPECT_EQ(run().error().code, ErrorCode::denied);
  named_ = names_;
  unrelated_ = true;
  EXPECT_EQ(run().error().code, ErrorCode::denied) << "of no bundle";
  EXPECT_EQ(stored(), former);
  EXPECT_EQ(in_force(), former);
  EXPECT_FALSE(must(renewal(transport()).to_be_told()));
  unrelated_ = false;
  EXPECT_TRUE(run());
}

TEST_F(TerminalRenewalTest, TheTimeComesWhenTwoThirdsAreOver) {
  // The test network's certificates hold from a day ago to a day from now.
  EXPECT_FALSE(renewal(transport()).due()) << "half of the life is over";
  node::Settings settings = node_->settings();
  EXPECT_EQ(settings.renew_at_percent, 67);
  settings.renew_at_percent = 40;
  store_.reset();
  credentials_.reset();
  node_.reset();
  node_ = must(node::Node::open(std::move(settings)));
  node_->use_credentials(network_.credentials(*names_.element), [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; });
  store_ = must(TerminalStore::open(node_->settings().state / "terminal.db", node_->device()));
  credentials_ = must(node::CredentialStore::open(node_->settings().state / "credentials.db", node_->device(), network_.suite()));
  EXPECT_TRUE(renewal(transport()).due());
}

}  // namespace
}  // namespace qanat::terminal
