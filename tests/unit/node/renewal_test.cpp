// When certificates are renewed, and what stands in the store before, while and after they are.
#include "node/renewal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "audit/auditor.hpp"
#include "trusted_network.hpp"
#include "postgresql.hpp"

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

/// What a node makes of its own renewal: on record, and what the audit record's keys are bound to.
class NodeRenewalTest : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path state() const { return network_.state_of(renewing_kms); }
  [[nodiscard]] std::string text_of(const std::filesystem::path& file) const {
    std::ifstream in(state() / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  [[nodiscard]] crypto::Certificate bound() const { return must(audit::parse_statement(text_of("audit/statement"))).chain.front(); }
  /// Lines of the audit record that say this of its renewals.
  [[nodiscard]] std::size_t recorded(std::string_view outcome, const std::string& reason) const {
    return lines_with({"certificate.renewed", "\"" + std::string(outcome) + "\"", reason});
  }
  [[nodiscard]] std::size_t lines_with(const std::vector<std::string>& texts) const {
    std::istringstream lines(text_of("audit.jsonl"));
    std::size_t out = 0;
    for (std::string line; std::getline(lines, line);) {
      out += std::ranges::all_of(texts, [&](const std::string& text) { return line.contains(text); }) ? 1 : 0;
    }
    return out;
  }
  /// With CAS among its peers, which nobody reaches.
  void open() {
    node_.reset();
    node_ = network_.open_node_without_credentials(renewing_kms, {test::identity("qanat://core/cas/cas")});
  }
  /// The store of a node that is not running.
  void with_store(const std::function<void(CredentialStore&)>& work) {
    const auto device = must(crypto::open_software_device(state().string() + ".master", network_.rng()));
    work(*must(CredentialStore::open(state() / "credentials.db", *device, network_.suite())));
  }
  static std::string serial_of(const Node& node) { return to_hex(node.credentials().tls->chain.front().serial()); }

  test::TrustedNetwork network_;
  std::unique_ptr<Node> node_;
};

TEST_F(NodeRenewalTest, BringsTheNewCredentialsIntoForceAndOnRecord) {
  node_ = network_.open_node(renewing_kms, {});
  node_->renew_by([this](Deadline) -> Result<Credentials> { return network_.credentials(renewing_kms); });
  const std::string former = serial_of(*node_);
  must(renew_on_record(*node_, test::soon()));
  EXPECT_NE(serial_of(*node_), former);
  EXPECT_EQ(to_hex(bound().serial()), serial_of(*node_)) << "the audit record's keys are bound to the new certificate";
  EXPECT_EQ(recorded("success", former), 1U);
  node_->renew_by([](Deadline) -> Result<Credentials> { return fail(ErrorCode::unavailable, "nobody is there"); });
  const std::string second = serial_of(*node_);
  EXPECT_EQ(refusal(renew_on_record(*node_, test::soon())), ErrorCode::unavailable);
  EXPECT_EQ(serial_of(*node_), second);
  EXPECT_EQ(recorded("failure", "nobody is there"), 1U);
}

TEST_F(NodeRenewalTest, OneThatFailsAfterItCameIntoForceIsCalledSo) {
  node_ = network_.open_node(renewing_kms, {});
  node_->renew_by([this](Deadline) -> Result<Credentials> { return network_.credentials(renewing_kms); });
  const std::string former = serial_of(*node_);
  std::filesystem::remove(state() / "audit/statement");
  std::filesystem::create_directories(state() / "audit/statement/in-the-way");
  const auto renewed = renew_on_record(*node_, test::soon());
  ASSERT_FALSE(renewed);
  EXPECT_TRUE(renewed.error().message.starts_with("in force in place of " + former + ", but not complete: ")) << renewed.error().message;
  EXPECT_NE(serial_of(*node_), former);
  EXPECT_EQ(lines_with({"certificate.renewed", serial_of(*node_), "in force in place of " + former}), 1U);
}

TEST_F(NodeRenewalTest, OneThatDiedBeforeItsRecordIsRecordedAtTheNextStart) {
  open();
  with_store([&](CredentialStore& store) {
    const auto requests = must(store.prepare(names_of(renewing_kms), true));
    must(store.finish(network_.certify(requests.ml_dsa), network_.certify(requests.classical)));
  });
  must(node_->enrol(test::soon()));
  const std::string former = serial_of(*node_);
  node_.reset();
  with_store([&](CredentialStore& store) {
    const auto requests = must(store.prepare_next(names_of(renewing_kms), true));
    must(store.finish_next(network_.certify(requests.ml_dsa), network_.certify(requests.classical)));
  });
  EXPECT_EQ(recorded("success", former), 0U);
  for (int start = 0; start < 2; ++start) {
    open();
    must(node_->enrol(test::soon()));
    EXPECT_NE(serial_of(*node_), former);
    EXPECT_EQ(recorded("success", former), 1U) << "once";
  }
}

TEST_F(NodeRenewalTest, AnEnrolmentThatDiedBeforeItsRecordIsRecordedAtTheNextStart) {
  const Secret spent = network_.rng().secret(64);
  open();
  with_store([&](CredentialStore& store) {
    const auto requests = must(store.prepare(names_of(renewing_kms), true));
    must(store.finish(network_.certify(requests.ml_dsa), network_.certify(requests.classical), &spent));
  });
  for (int start = 0; start < 2; ++start) {
    open();
    must(node_->enrol(test::soon()));
    EXPECT_EQ(lines_with({"\"enrolled\"", "\"success\"", serial_of(*node_)}), 1U) << "once";
  }
}

TEST_F(NodeRenewalTest, AnEnrolmentThatFailsIsOnRecord) {
  open();
  EXPECT_EQ(refusal(node_->enrol(test::soon())), ErrorCode::not_found);
  EXPECT_EQ(lines_with({"\"enrolled\"", "\"refused\"", "no enrolment secret"}), 1U);
}

TEST_F(NodeRenewalTest, WhatHasExpiredIsNotPutInForce) {
  open();
  const UnixMs now = SystemClock().now_ms();
  const crypto::PrivateKey root_key{.algorithm = crypto::ml_dsa_key(network_.suite()), .secret = network_.rng().secret(32)};
  crypto::CertificateTemplate wanted{.use = crypto::CertificateUse::root_ca,
                                     .names = {.common_name = "root", .element = {}, .number = {}, .dns = {}},
                                     .key_algorithm = root_key.algorithm,
                                     .public_key = must(crypto::public_octets(root_key)),
                                     .serial = Bytes(16, 0x41)};
  wanted.not_before = now - 4 * test::day_ms;
  wanted.not_after = now + test::day_ms;
  const crypto::Certificate root = must(crypto::issue(wanted, nullptr, root_key));
  wanted.use = crypto::CertificateUse::tls_and_signing;
  wanted.names = names_of(renewing_kms);
  wanted.not_after = now - test::day_ms;
  const auto certify = [&](const Bytes& request) -> std::vector<crypto::Certificate> {
    const auto parsed = must(crypto::CertificateRequest::parse(request));
    wanted.key_algorithm = parsed.key_algorithm();
    wanted.public_key = parsed.public_key();
    return {must(crypto::issue(wanted, &root, root_key))};
  };
  with_store([&](CredentialStore& store) {
    const auto requests = must(store.prepare(names_of(renewing_kms), true));
    must(store.finish(certify(requests.ml_dsa), certify(requests.classical)));
  });
  const auto enrolled = node_->enrol(test::soon());
  EXPECT_EQ(refusal(enrolled), ErrorCode::denied);
  EXPECT_TRUE(enrolled.error().message.contains("has expired, and there is no enrolment secret")) << enrolled.error().message;
  with_store([](CredentialStore& store) { EXPECT_TRUE(must(store.load())) << "they stay until there is a secret"; });
}

TEST(SharedCredentialsTest, FrontEndsShowOneCertificateAndFollowTheOneThatRenews) {
  test::TrustedNetwork network;
  test::PostgresqlCluster& cluster = test::PostgresqlCluster::instance();
  const store::PostgresqlPlace place{.conninfo = cluster.conninfo(cluster.new_database()), .schema = "credentials", .connections = 2};
  const auto front_end = [&](unsigned number) {
    Settings settings = network.open_node_without_credentials(renewing_kms, {test::identity("qanat://core/cas/cas")})->settings();
    settings.state += "-" + std::to_string(number);  // the master key stays the same
    settings.store = StoreSettings{.postgresql = place.conninfo, .connections = 2, .front_end = number};
    return must(Node::open(std::move(settings)));
  };
  const auto serial_of = [](const Node& node) { return to_hex(node.credentials().tls->chain.front().serial()); };
  const auto one = front_end(1);
  const auto two = front_end(2);
  const auto store = must(CredentialStore::open(place, one->device(), network.suite()));
  const auto requests = must(store->prepare(names_of(renewing_kms), true));
  must(store->finish(network.certify(requests.ml_dsa), network.certify(requests.classical)));
  must(one->enrol(test::soon()));
  must(two->enrol(test::soon()));
  const std::string former = serial_of(*one);
  EXPECT_EQ(serial_of(*two), former);
  EXPECT_EQ(one->signer()->fps, two->signer()->fps) << "they sign with the same keys";

  const auto watch = two->watch_credentials();
  ASSERT_TRUE(watch);
  must(two->adopt_stored());
  EXPECT_EQ(serial_of(*two), former) << "nothing has changed";
  const auto next = must(store->prepare_next(names_of(renewing_kms), true));
  EXPECT_EQ(must(store->prepare_next(names_of(renewing_kms), true)).ml_dsa, next.ml_dsa) << "whoever asks";
  must(store->finish_next(network.certify(next.ml_dsa), network.certify(next.classical)));
  must(one->renew(test::soon()));  // finds that it is done; CAS is not there to be asked
  must(two->adopt_stored());
  EXPECT_NE(serial_of(*one), former);
  EXPECT_EQ(serial_of(*two), serial_of(*one));
  EXPECT_TRUE(test::audited(two->settings().state, "certificate.renewed"));
  EXPECT_TRUE(test::audited(two->settings().state, "qanat://a/kms/")) << "its own record";
}

}  // namespace
}  // namespace qanat::node
