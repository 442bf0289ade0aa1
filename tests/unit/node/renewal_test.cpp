// When certificates are renewed, and what stands in the store before, while and after they are.
#include "node/renewal.hpp"

#include <gtest/gtest.h>

#include "trusted_network.hpp"

namespace qanat::node {
namespace {

using test::must;
using test::refusal;

const Identity renewing_kms = test::identity("qanat://a/kms/kms-a");
const Identity renewing_qkm = test::identity("qanat://a/qkm/qkm-a");

crypto::SubjectNames names_of(const Identity& who) { return {.common_name = who.name, .element = who, .number = {}, .dns = {}}; }

TEST(RenewalTimeTest, TwoThirdsOfALifeAndALittleByChance) {
  test::TrustedNetwork network;
  const crypto::Certificate certificate = network.credentials(renewing_qkm).tls->chain.front();  // lives for two days
  const UnixMs life = certificate.not_after() - certificate.not_before();
  const UnixMs earliest = renewal_due(certificate, 67, 0);
  const UnixMs latest = renewal_due(certificate, 67, 255);
  EXPECT_NEAR(static_cast<double>(earliest - certificate.not_before()), 0.67 * static_cast<double>(life), 100);
  EXPECT_GT(latest, earliest);
  EXPECT_LT(latest - earliest, life / 20);
  EXPECT_LT(renewal_due(certificate, 90, 255), certificate.not_after()) << "at the largest setting there is time left";
}

TEST(RenewalTimeTest, PausesDoubleUpToAnHourAndToWhatAShortLifeAllows) {
  using std::chrono::milliseconds;
  const milliseconds quarter = std::chrono::days(90);
  EXPECT_EQ(renewal_pause(1, quarter), milliseconds(5'000));
  EXPECT_EQ(renewal_pause(2, quarter), milliseconds(10'000));
  EXPECT_EQ(renewal_pause(5, quarter), milliseconds(80'000));
  EXPECT_EQ(renewal_pause(1'000'000, quarter), milliseconds(3'600'000));
  EXPECT_EQ(renewal_pause(1, milliseconds(50'000)), milliseconds(1'000));
  EXPECT_EQ(renewal_pause(9, milliseconds(50'000)), milliseconds(1'000));
  EXPECT_EQ(renewal_pause(1, milliseconds(0)), milliseconds(1));
}

class CredentialStoreTest : public testing::TestWithParam<crypto::SuiteId> {
 protected:
  void open() {
    store_.reset();
    store_ = must(CredentialStore::open(folder_ / "credentials.db", *device_, network_.suite()));
  }
  /// As CAS would give it for this request.
  std::vector<crypto::Certificate> chain(const Bytes& request) { return request.empty() ? std::vector<crypto::Certificate>() : network_.certify(request); }
  void enrol(const Identity& who) {
    const auto requests = must(store_->prepare(names_of(who), signs_messages(who.kind)));
    must(store_->finish(chain(requests.ml_dsa), chain(requests.classical)));
  }
  Credentials load() {
    auto found = must(store_->load());
    CHECK(found.has_value());
    return *std::move(found);
  }
  void renew(const Identity& who) {
    const auto requests = must(store_->prepare_next(names_of(who), signs_messages(who.kind)));
    must(store_->finish_next(chain(requests.ml_dsa), chain(requests.classical)));
  }

  test::TrustedNetwork network_{GetParam()};
  test::TemporaryDirectory folder_;
  std::unique_ptr<crypto::CryptoDevice> device_ = must(crypto::open_software_device(folder_ / "master", network_.rng()));
  std::unique_ptr<CredentialStore> store_ = must(CredentialStore::open(folder_ / "credentials.db", *device_, network_.suite()));
};

TEST_P(CredentialStoreTest, NextKeysStandBesideThoseInForceUntilTheirCertificatesAreThere) {
  enrol(renewing_kms);
  const Credentials before = load();
  const auto requests = must(store_->prepare_next(names_of(renewing_kms), true));
  open();
  EXPECT_EQ(load().tls->chain.front().der(), before.tls->chain.front().der());
  const auto again = must(store_->prepare_next(names_of(renewing_kms), true));
  EXPECT_EQ(again.ml_dsa, requests.ml_dsa) << "after a crash the same requests";
  EXPECT_EQ(again.classical, requests.classical);
  must(store_->finish_next(chain(requests.ml_dsa), chain(requests.classical)));
  open();
  const Credentials after = load();
  EXPECT_EQ(after.tls->chain.front().public_key(), must(crypto::CertificateRequest::parse(requests.ml_dsa)).public_key());
  EXPECT_EQ(after.messages->classical.public_key(), must(crypto::CertificateRequest::parse(requests.classical)).public_key());
  EXPECT_EQ(must(crypto::public_octets(after.tls->key)), after.tls->chain.front().public_key());
  EXPECT_EQ(after.messages->signer.verifying_key().ml_dsa, after.messages->ml_dsa.public_key());
  EXPECT_NE(must(store_->prepare_next(names_of(renewing_kms), true)).ml_dsa, requests.ml_dsa) << "the next renewal has keys of its own";
}

TEST_P(CredentialStoreTest, FormerKeysSignTheirSuccessorsOneAfterTheOther) {
  enrol(renewing_kms);
  std::vector<Credentials> each{load()};
  EXPECT_TRUE(each[0].successions->empty());
  for (int i = 0; i < 2; ++i) {
    renew(renewing_kms);
    each.push_back(load());
  }
  const std::vector<wire::Succession>& links = *each.back().successions;
  ASSERT_EQ(links.size(), 2U);
  for (std::size_t i = 0; i < links.size(); ++i) {
    EXPECT_EQ(links[i].former, each[i].messages->fps);
    EXPECT_EQ(links[i].classical, each[i + 1].messages->classical.der());
    EXPECT_EQ(links[i].ml_dsa, each[i + 1].messages->ml_dsa.der());
    const auto verifier = must(crypto::Verifier::from_key(network_.suite(), each[i].messages->signer.verifying_key()));
    EXPECT_TRUE(wire::verify_succession(links[i], verifier));
  }
}

TEST_P(CredentialStoreTest, OnlyTheLatestSuccessionsAreKept) {
  enrol(renewing_kms);
  for (std::size_t i = 0; i < wire::succession_links_max + 2; ++i) renew(renewing_kms);
  const Credentials now = load();
  EXPECT_EQ(now.successions->size(), wire::succession_links_max);
  EXPECT_EQ(now.successions->back().ml_dsa, now.messages->ml_dsa.der());
}

TEST_P(CredentialStoreTest, WhoSignsNoMessagesHasNoSuccessions) {
  enrol(renewing_qkm);
  const Credentials before = load();
  renew(renewing_qkm);
  EXPECT_NE(load().tls->chain.front().public_key(), before.tls->chain.front().public_key());
  EXPECT_EQ(load().messages, nullptr);
  EXPECT_TRUE(load().successions->empty());
}

TEST_P(CredentialStoreTest, CertificatesOverOtherKeysAreNotTaken) {
  enrol(renewing_kms);
  const Credentials before = load();
  EXPECT_EQ(refusal(store_->finish_next(before.tls->chain, {before.messages->classical})), ErrorCode::conflict) << "no keys wait";
  const auto requests = must(store_->prepare_next(names_of(renewing_kms), true));
  EXPECT_EQ(refusal(store_->finish_next(before.tls->chain, chain(requests.classical))), ErrorCode::denied);
  EXPECT_EQ(refusal(store_->finish_next(chain(requests.ml_dsa), {before.messages->classical})), ErrorCode::denied);
  EXPECT_EQ(refusal(store_->finish_next(chain(requests.ml_dsa), {})), ErrorCode::invalid_argument);
  EXPECT_EQ(load().tls->chain.front().der(), before.tls->chain.front().der());
}

TEST_P(CredentialStoreTest, KeysThatAreGivenUpGiveWayToOthers) {
  enrol(renewing_kms);
  const auto first = must(store_->prepare_next(names_of(renewing_kms), true));
  must(store_->drop_next());
  EXPECT_NE(must(store_->prepare_next(names_of(renewing_kms), true)).ml_dsa, first.ml_dsa);
  EXPECT_EQ(refusal(store_->finish_next(chain(first.ml_dsa), chain(first.classical))), ErrorCode::denied);
}

TEST_P(CredentialStoreTest, WhoStartsOverHasNothingLeftButItsAuditKeys) {
  enrol(renewing_kms);
  renew(renewing_kms);
  const auto audit_keys = must(store_->audit_signer("kms-a")).keys();
  must(store_->start_over());
  EXPECT_FALSE(must(store_->load()));
  EXPECT_EQ(must(store_->audit_signer("kms-a")).keys(), audit_keys);
  enrol(renewing_kms);
  EXPECT_TRUE(load().successions->empty()) << "what comes now follows nothing";
}

INSTANTIATE_TEST_SUITE_P(BothSuites, CredentialStoreTest, testing::Values(crypto::SuiteId::gm_hybrid, crypto::SuiteId::intl_hybrid),
                         [](const auto& instance) { return instance.param == crypto::SuiteId::gm_hybrid ? "Gm" : "Intl"; });

}  // namespace
}  // namespace qanat::node
