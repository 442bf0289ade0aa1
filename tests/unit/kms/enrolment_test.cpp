// Steps 1 and 2 at the KMS: what it asks to have certified, what it takes for an answer, and what a lost answer leaves.
#include <atomic>

#include "kms_core.hpp"
#include "node/senders.hpp"
#include "services/kms/kim/enrolment.hpp"
#include "services/kms/kp/encryption_keys.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"

namespace qanat::kms {
namespace {

const Identity alice = identity("qanat://a/app1/alice");
const Number alice_number("+8613800000001");

class KmsEnrolmentTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  void SetUp() override { start(); }
  /// The KMS over its state, as after a restart.
  void start() {
    service_.reset();
    ledger_.reset();
    pairs_.reset();
    keys_.reset();
    store_.reset();
    node_.reset();
    node_ = open_kms_node(network_, {&iam_, &cas_, &cmsp_}, [this](const crypto::Certificate& certificate, Deadline) -> Result<void> {
      if (revoked_.contains(certificate.serial())) return fail(ErrorCode::denied, "certificate of " + certificate.subject() + " is revoked");
      return {};
    });
    store_ = must(stores_.open(node_->settings().state / "kms.db", migrations));
    trace_.emplace(node_->settings().state);
    keys_ = must(PoolKeys::open({.store = *store_, .device = node_->device(), .suite = node_->suite(), .lifetime = std::chrono::hours(24)}, node_->clock().now_ms()));
    pairs_.emplace(*node_, *store_, *keys_, [] { return HistoryPolicy::none; });
    ledger_.emplace(keys_->of(Library::in_use));
    service_.emplace(*node_, *store_, *pairs_, *ledger_, *trace_);
  }

  struct Message {
    Bytes octets;
    crypto::Decapsulator ephemeral;
    crypto::Signer signer;
  };
  Message message(const std::function<void(wire::Enrol&)>& change = {}) {
    const crypto::Suite& suite = network_.suite();
    crypto::Signer signer = must(crypto::Signer::generate(suite, network_.rng()));
    crypto::SigningSecret secret = signer.secret();
    auto ephemeral = must(crypto::Decapsulator::generate(suite, network_.rng()));
    wire::Enrol out;
    out.uid = Uid("alice");
    out.number = alice_number;
    out.kms_id = ElementName("kms-a");
    out.device_kind = Kind::app1;
    out.nonce = network_.rng().bytes(wire::nonce_size);
    out.csr_classical = must(crypto::make_request({.algorithm = crypto::classical_key(suite), .secret = std::move(secret.scalar)}, names_));
    out.csr_pq = must(crypto::make_request({.algorithm = crypto::ml_dsa_key(suite), .secret = std::move(secret.ml_dsa_seed)}, names_));
    out.ephemeral = ephemeral.encapsulation_key();
    out.mac = Bytes(suite.digest);
    if (change) change(out);
    return {.octets = must(wire::frame(suite, 1, out)).octets, .ephemeral = std::move(ephemeral), .signer = std::move(signer)};
  }
  Result<net::Response> enrol(const Message& message) { return service_->enrol(test::request_from(std::nullopt, message.octets)); }
  std::optional<Terminal> terminal() {
    return must(store_->transact([&](store::Transaction& transaction) { return find_terminal(transaction, Uid("alice")); }));
  }

  /// CAS: certifies what it is asked to, unless the test has other ideas.
  Result<net::Response> certify(const net::Request& request) {
    ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
    ASSIGN_OR_RETURN(const Bytes octets, json.base64("enrol"));
    ASSIGN_OR_RETURN(const auto enrol, wire::parse<wire::Enrol>(octets));
    ASSIGN_OR_RETURN(const wire::Json keys, json.at("encryption"));
    crypto::EncapsulationKey encryption;
    ASSIGN_OR_RETURN(encryption.point, keys.base64("classical"));
    ASSIGN_OR_RETURN(encryption.ml_kem, keys.base64("ml_kem"));
    asked_.push_back(encryption);
    if (cas_refuses_) return fail(*cas_refuses_, "no");
    if (other_keys_) encryption = must(crypto::Decapsulator::generate(network_.suite(), network_.rng())).encapsulation_key();
    ASSIGN_OR_RETURN(const auto classical, crypto::CertificateRequest::parse(enrol.message.csr_classical));
    ASSIGN_OR_RETURN(const auto ml_dsa, crypto::CertificateRequest::parse(enrol.message.csr_pq));
    crypto::CertificateBundle made =
        (other_ca_ ? elsewhere_ : network_).bundle(names_, {.point = classical.public_key(), .ml_dsa = ml_dsa.public_key()}, encryption);
    if (broken_link_) {
      made.ml_kem_encryption =
          network_.certify_key(names_, crypto::CertificateUse::encryption, crypto::ml_kem_key(network_.suite()), encryption.ml_kem, Bytes(32, 7));
    }
    const auto chain = [&](const crypto::Certificate& leaf, bool of_classical) {
      return wire::Json::array({wire::to_base64(leaf.der()), wire::to_base64(network_.issuing(of_classical).der())});
    };
    return node::json_response(wire::Json::object({{"ml_dsa", chain(made.ml_dsa_signing, false)},
                                                   {"classical", chain(made.classical_signing, true)},
                                                   {"encryption", wire::Json::object({{"classical", wire::to_base64(made.classical_encryption.der())},
                                                                                      {"ml_kem", wire::to_base64(made.ml_kem_encryption.der())}})},
                                                   {"bundle", to_hex(made.id())}}));
  }

  const crypto::SubjectNames names_{.common_name = "alice", .element = alice, .number = alice_number, .dns = {}, .home_kms = ElementName("kms-a")};
  std::vector<crypto::EncapsulationKey> asked_;
  std::optional<ErrorCode> cas_refuses_;
  bool other_keys_ = false;
  bool broken_link_ = false;
  bool other_ca_ = false;
  std::set<Bytes> revoked_;
  test::TrustedNetwork network_;
  test::TrustedNetwork elsewhere_;
  Double iam_{
      network_, identity("qanat://core/iam/iam"), {{Endpoint::id1_subscriber, [](const net::Request&) -> Result<net::Response> {
                                                      return node::json_response(wire::Json::object({{"number", alice_number.text()}, {"home_kms", "kms-a"}}));
                                                    }}}};
  Double cas_{network_, identity("qanat://core/cas/cas"), {{Endpoint::ce1_terminal, [this](const net::Request& request) { return certify(request); }}}};
  Double cmsp_{network_, identity("qanat://core/cmsp/cmsp"), {{Endpoint::ma2_register, [](const net::Request&) -> Result<net::Response> {
                                                                 return net::Response{.status = 200, .content_type = "", .body = {}};
                                                               }}}};
  std::unique_ptr<node::Node> node_;
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_;
  std::optional<node::StepTrace> trace_;
  std::unique_ptr<PoolKeys> keys_;
  std::optional<EncryptionPairs> pairs_;
  std::optional<Ledger> ledger_;
  std::optional<EnrolmentService> service_;
};

INSTANTIATE_TEST_SUITE_P(Stores, KmsEnrolmentTest, test::every_store_kind, test::name_of);

TEST_P(KmsEnrolmentTest, TheEncryptionPairIsCertifiedBeforeItIsInjected) {
  const auto answer = enrol(message());
  ASSERT_TRUE(answer) << answer.error().message;
  const auto stored = terminal();
  ASSERT_TRUE(stored);
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_EQ(stored->encryption, asked_.front());
  const auto bundle = bundle_of(network_.suite(), *stored);
  ASSERT_TRUE(bundle) << bundle.error().message;
  EXPECT_EQ(bundle->encryption_key(), stored->encryption);
  const auto deliver = wire::parse<wire::EnrolDeliver>(must(wire::parse_envelope(answer->body)).message);
  ASSERT_TRUE(deliver);
  EXPECT_EQ(deliver->message.enc_kid, stored->enc_kid);
}

TEST_P(KmsEnrolmentTest, WhatIsNoEnrolMessageIsRefusedOnRecord) {
  const auto refused = service_->enrol(test::request_from(std::nullopt, to_bytes("no message")));
  EXPECT_EQ(test::refusal(refused), ErrorCode::invalid_argument);
  const std::filesystem::path state = node_->settings().state;
  EXPECT_TRUE(test::audited(state, "\"km-1.enrol\""));
  EXPECT_TRUE(test::audited(state, "127.0.0.1:1")) << "where it came from";
  EXPECT_TRUE(test::audited(state, refused.error().message));
}

TEST_P(KmsEnrolmentTest, WhereCasWasSilentTheSameMessageBringsTheSameKeysAgain) {
  const Message first = message();
  cas_refuses_ = ErrorCode::unavailable;
  EXPECT_FALSE(enrol(first));
  EXPECT_FALSE(terminal());
  start();
  cas_refuses_.reset();
  ASSERT_TRUE(enrol(first));
  ASSERT_EQ(asked_.size(), 2U);
  EXPECT_EQ(asked_[0], asked_[1]) << "CAS may have certified the first pair before it fell silent";
}

TEST_P(KmsEnrolmentTest, OnlyASubscriberOfThisKmsUnderItsNumberEnrols) {
  const auto refused = enrol(message([](wire::Enrol& said) { said.number = Number("+8613800000099"); }));
  EXPECT_EQ(test::refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.contains("is not a subscriber of kms-a")) << refused.error().message;
  EXPECT_TRUE(asked_.empty()) << "CAS is not asked for certificates";
}

TEST_P(KmsEnrolmentTest, AReceiptConfirmsTheAnswerThatWasGivenAndByWhoHasTheKeys) {
  const Message hers = message();
  const auto answer = enrol(hers);
  ASSERT_TRUE(answer) << answer.error().message;
  const Terminal stored = *terminal();
  const crypto::Suite& suite = network_.suite();
  const Bytes given = must(wire::parse_envelope(answer->body)).message;
  const auto fps = wire::fingerprints(suite, stored.classical, stored.ml_dsa);
  const crypto::Certificate own = must(crypto::Certificate::parse(stored.ml_dsa));
  const wire::EnrolReceipt good{.h_deliver = crypto::digest(suite.hash, given), .uid = Uid("alice"), .ok = true};
  const auto received = [&](const wire::EnrolReceipt& receipt, const crypto::Signer& by, const crypto::Certificate& over) {
    return service_->receipt(test::request_from(alice, must(wire::sign_message(suite, 1, receipt, by, fps, network_.rng())).octets, over));
  };
  wire::EnrolReceipt other = good;
  other.h_deliver.front() ^= 1U;
  EXPECT_EQ(test::refusal(received(other, hers.signer, own)), ErrorCode::denied) << "of another answer";
  other = good;
  other.ok = false;
  EXPECT_EQ(test::refusal(received(other, hers.signer, own)), ErrorCode::conflict) << "the terminal could not open its keys";
  EXPECT_EQ(test::refusal(received(good, message().signer, own)), ErrorCode::denied) << "another's signature";
  const node::Credentials bob = network_.credentials(identity("qanat://a/app1/bob"));
  const auto elsewhere = received(good, hers.signer, bob.messages->ml_dsa);
  EXPECT_EQ(test::refusal(elsewhere), ErrorCode::denied);
  EXPECT_TRUE(elsewhere.error().message.contains("the connection is not that of a terminal alice")) << elsewhere.error().message;
  EXPECT_FALSE(terminal()->confirmed);
  EXPECT_TRUE(received(good, hers.signer, own));
  EXPECT_TRUE(terminal()->confirmed);
  EXPECT_TRUE(test::audited(node_->settings().state, "\"km-1.receipt\""));
}

TEST_P(KmsEnrolmentTest, WhoHadTheNumberBeforeHasNothingHereAnyMoreAndThatIsOnRecord) {
  const Uid zoe("zoe");
  WorkingKey owed;
  owed.sid_wk = network_.rng().id<SidWk>();
  owed.leg = wire::Role::callee;
  owed.uid = zoe;
  owed.wk = network_.rng().secret(wire::wk_size);
  owed.expires_ms = node_->clock().now_ms() + 60'000;
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    Enrolment hers;
    hers.terminal = {.uid = zoe, .number = alice_number, .classical = Bytes(1, 1), .ml_dsa = Bytes(1, 2), .encryption = {.point = Bytes(65), .ml_kem = Bytes(1184)},
                     .enc_kid = Bytes(32, 3), .encryption_classical = {}, .encryption_ml_kem = {}};
    hers.h_enrol = Bytes(32, 4);
    TRY(save_enrolment(transaction, hers));
    TRY(transaction.run("INSERT INTO token (uid, digest, expires_ms, level_max) VALUES ('zoe', x'00', 1, 1)", {}));
    TRY(transaction.run("INSERT INTO history_key (enc_kid, uid, number, since_ms) VALUES (x'01', 'zoe', ?, 1)", {std::string_view(alice_number.text())}));
    return ledger_->add(transaction, owed);
  }));
  ASSERT_TRUE(enrol(message()));
  EXPECT_EQ(terminal()->number, alice_number);
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const auto row, find_terminal(transaction, zoe));
    EXPECT_FALSE(row);
    ASSIGN_OR_RETURN(const auto living, ledger_->living(transaction, owed.sid_wk));
    EXPECT_TRUE(living.empty());
    return transaction.query("SELECT count(*) FROM token", {}, [](const store::Row& count) { EXPECT_EQ(count.integer(0), 0); });
  }));
  const auto history = must(pairs_->history(zoe));
  ASSERT_EQ(history.size(), 1U);
  EXPECT_EQ(history.front().why, "number taken over");
  const std::filesystem::path state = node_->settings().state;
  EXPECT_TRUE(test::audited(state, "\"kp.purged\""));
  EXPECT_TRUE(test::audited(state, "its number " + alice_number.text() + " is that of alice now"));
  EXPECT_TRUE(test::audited(state, owed.sid_wk.hex()));
}

TEST_P(KmsEnrolmentTest, ARefusalLeavesNoKeysBehind) {
  const Message first = message();
  cas_refuses_ = ErrorCode::unauthenticated;
  EXPECT_EQ(test::refusal(enrol(first)), ErrorCode::unauthenticated);
  std::int64_t left = -1;
  must(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT count(*) FROM prepared_encryption", {}, [&](const store::Row& row) { left = row.integer(0); });
  }));
  EXPECT_EQ(left, 0);
  // A message that somebody else sends in her name does not push out what waits.
  cas_refuses_ = ErrorCode::unavailable;
  const Message hers = message();
  EXPECT_FALSE(enrol(hers));
  const crypto::EncapsulationKey waiting = asked_.back();
  cas_refuses_ = ErrorCode::unauthenticated;
  for (int i = 0; i < 12; ++i) EXPECT_FALSE(enrol(message()));
  EXPECT_FALSE(enrol(hers));
  cas_refuses_.reset();
  ASSERT_TRUE(enrol(hers));
  EXPECT_EQ(asked_.back(), waiting);
}

TEST_P(KmsEnrolmentTest, CertificatesThatDoNotFitAreNotTaken) {
  other_keys_ = true;
  EXPECT_EQ(test::refusal(enrol(message())), ErrorCode::denied) << "over other keys than those that were asked for";
  other_keys_ = false;
  broken_link_ = true;
  EXPECT_EQ(test::refusal(enrol(message())), ErrorCode::denied) << "not of one bundle";
  broken_link_ = false;
  other_ca_ = true;
  EXPECT_EQ(test::refusal(enrol(message())), ErrorCode::denied) << "of a CA that is not ours";
  EXPECT_FALSE(terminal());
  other_ca_ = false;
  EXPECT_TRUE(enrol(message()));
}

TEST_P(KmsEnrolmentTest, Step10TakesOnlyKeysWhoseCertificatesAreGoodAndOfTheSameBundle) {
  ASSERT_TRUE(enrol(message()));
  const Terminal good = *terminal();
  const auto key_of = [&](const Terminal& terminal) -> Result<void> {
    ASSIGN_OR_RETURN(const KnownTerminal known, KnownTerminal::from_row(node_->suite(), terminal));
    return check_encryption_certificates(*node_, known, test::soon());
  };
  EXPECT_TRUE(key_of(good));
  for (const Bytes* der : {&good.encryption_classical, &good.encryption_ml_kem}) {
    revoked_ = {must(crypto::Certificate::parse(*der)).serial()};
    EXPECT_EQ(test::refusal(key_of(good)), ErrorCode::denied);
  }
  revoked_.clear();
  Terminal without = good;
  without.encryption_ml_kem.clear();
  EXPECT_EQ(test::refusal(key_of(without)), ErrorCode::denied) << "enrolled before there were encryption certificates";
  ASSERT_TRUE(enrol(message()));
  const Terminal other = *terminal();
  Terminal mixed = good;
  mixed.encryption_classical = other.encryption_classical;
  mixed.encryption_ml_kem = other.encryption_ml_kem;
  mixed.encryption = other.encryption;
  EXPECT_EQ(test::refusal(key_of(mixed)), ErrorCode::denied) << "good certificates of another bundle";
  mixed = good;
  mixed.encryption = other.encryption;
  EXPECT_EQ(test::refusal(key_of(mixed)), ErrorCode::denied) << "keys that nobody certified";
  EXPECT_TRUE(key_of(good)) << "and nothing else was wrong";
}

}  // namespace
}  // namespace qanat::kms
