// A private key comes out of history only as two operators have signed, for the recipient that they signed, once.
#include "services/kms/kp/recovery.hpp"

#include "crypto/lone_signer.hpp"
#include "kp_fixture.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::kms {
namespace {

const Uid subscriber("alice");
const Identity operator_one = identity("qanat://core/operator/first");
const Identity operator_two = identity("qanat://core/operator/second");

class RecoveryTest : public KpStoresFixture {
 protected:
  void SetUp() override {
    policy_ = HistoryPolicy::encryption_keys;
    KpStoresFixture::SetUp();
    const auto prepared = must(pairs_->prepare(subscriber, Bytes(32, 3)));
    pair_ = prepared.pair.encapsulation_key();
    const Enrolment enrolment{.terminal = {.uid = subscriber,
                                           .number = Number("+8613800000001"),
                                           .classical = Bytes(10, 1),
                                           .ml_dsa = Bytes(10, 2),
                                           .encryption = pair_,
                                           .enc_kid = wire::key_id_of(node_->suite(), pair_),
                                           .encryption_classical = Bytes(10, 3),
                                           .encryption_ml_kem = Bytes(10, 4),
                                           .confirmed = false},
                              .h_enrol = Bytes(32, 3),
                              .answer = {},
                              .sealed_encryption = must(pairs_->seal_for(subscriber, prepared.pair.secret()))};
    enc_kid_ = to_hex(enrolment.terminal.enc_kid);
    must(store_->transact([&](store::Transaction& transaction) { return save_enrolment(transaction, enrolment); }));
    must(pairs_->confirm(enrolment.terminal, crypto::digest(node_->suite().hash, enrolment.answer), "request"));
    restart(HistoryPolicy::encryption_keys);
  }
  void restart(HistoryPolicy policy) { recovery_.emplace(*node_, *store_, *keys_, [policy] { return policy; }); }

  Result<wire::Json> say(const Identity& who, const wire::Json& body) {
    ASSIGN_OR_RETURN(const net::Response answer, recovery_->answer(test::request_from(who, to_bytes(body.dump()), credentials(who).tls->chain.front())));
    return wire::Json::parse(answer.body);
  }
  const node::Credentials& credentials(const Identity& who) {
    const auto known = credentials_.find(who.uri());
    return known != credentials_.end() ? known->second : credentials_.emplace(who.uri(), network_.credentials(who)).first->second;
  }
  Result<wire::Json> ask(const Identity& who, const std::string& reason = "evidence, case 5") {
    return say(who, wire::Json::object({{"op", "ask"},
                                        {"uid", subscriber.text()},
                                        {"enc_kid", enc_kid_},
                                        {"reason", reason},
                                        {"ephemeral", wire::Json::object({{"point", wire::to_base64(recipient_.encapsulation_key().point)},
                                                                          {"ml_kem", wire::to_base64(recipient_.encapsulation_key().ml_kem)}})}}));
  }
  Result<wire::Json> destroy(const Identity& who) {
    return say(who, wire::Json::object({{"op", "destroy"}, {"uid", subscriber.text()}, {"enc_kid", enc_kid_}, {"reason", "contract ended"}}));
  }
  Result<wire::Json> sign(const Identity& who, const wire::Json& order, const Identity& key_of) {
    const std::string statement = must(order.text("statement"));
    const Bytes signature = must(crypto::sign_with(credentials(key_of).tls->key, as_bytes(statement), network_.rng()));
    return say(who, wire::Json::object({{"op", "sign"}, {"order", must(order.text("order"))}, {"signature", wire::to_base64(signature)}}));
  }
  Result<wire::Json> sign(const Identity& who, const wire::Json& order) { return sign(who, order, who); }
  Result<wire::Json> collect(const Identity& who, const wire::Json& order) {
    return say(who, wire::Json::object({{"op", "collect"}, {"order", must(order.text("order"))}}));
  }

  crypto::EncapsulationKey pair_;
  std::string enc_kid_;
  std::map<std::string, node::Credentials> credentials_;
  crypto::Decapsulator recipient_ = must(crypto::Decapsulator::generate(network_.suite(), network_.rng()));
  std::optional<Recovery> recovery_;
};

INSTANTIATE_TEST_SUITE_P(Stores, RecoveryTest, test::every_store_kind, test::name_of);

TEST_P(RecoveryTest, TwoOperatorsTogetherHaveTheKeyBackOnce) {
  const wire::Json order = must(ask(operator_one));
  const std::string statement = must(order.text("statement"));
  for (const std::string& part : {enc_kid_, subscriber.text(), operator_one.uri(), kms_id.uri(), std::string("evidence, case 5")}) {
    EXPECT_TRUE(statement.contains(part)) << part;
  }
  must(sign(operator_one, order));
  const wire::Json shown = must(say(operator_two, wire::Json::object({{"op", "show"}, {"order", must(order.text("order"))}})));
  EXPECT_EQ(must(shown.text("statement")), statement);
  must(sign(operator_two, order));
  const Bytes octets = must(must(collect(operator_one, order)).base64("message"));

  const auto message = must(wire::parse<wire::EnrolDeliver>(octets));
  const Bytes h_statement = crypto::digest(node_->suite().hash, as_bytes(statement));
  EXPECT_EQ(message.message.h_enrol, h_statement);
  const auto secrets = must(recipient_.decapsulate(crypto::KemForm::to_ephemeral, message.message.ct_classical, message.message.ct_ml_kem));
  const wire::KemTranscript transcript{secrets.classical, secrets.ml_kem, message.message.ct_classical, message.message.ct_ml_kem, recipient_.encapsulation_key()};
  const Secret ss = wire::hybrid_secret(node_->suite(), transcript, wire::enrol_context(h_statement));
  const wire::EnrolPayload payload = must(wire::open_enrol(message, ss));
  EXPECT_EQ(must(crypto::Decapsulator::from_secret(node_->suite(), payload.encryption)).encapsulation_key(), pair_) << "it is the terminal's";

  EXPECT_EQ(test::refusal(collect(operator_one, order)), ErrorCode::conflict);
  for (const std::string& part : {"collect " + enc_kid_, "signed by " + operator_two.uri(), std::string("evidence, case 5")}) EXPECT_TRUE(test::audited(state(), part)) << part;
}

TEST_P(RecoveryTest, OneOperatorAloneHasNothing) {
  const wire::Json order = must(ask(operator_one));
  EXPECT_EQ(test::refusal(collect(operator_one, order)), ErrorCode::denied);
  must(sign(operator_one, order));
  EXPECT_EQ(test::refusal(sign(operator_one, order)), ErrorCode::conflict) << "twice is not two";
  EXPECT_EQ(test::refusal(collect(operator_one, order)), ErrorCode::denied);
  EXPECT_EQ(test::refusal(sign(operator_two, order, operator_one)), ErrorCode::denied) << "another's key";
  must(sign(operator_two, order));
  EXPECT_EQ(test::refusal(collect(operator_two, order)), ErrorCode::denied) << "the key goes to the recipient of who asked";
  EXPECT_TRUE(test::audited(state(), "two operators must sign"));
}

TEST_P(RecoveryTest, WhatIsDoneIsWhatWasSigned) {
  const wire::Json order = must(destroy(operator_one));
  must(sign(operator_one, order));
  must(run("UPDATE recovery_order SET kind = NULL", {}));
  EXPECT_EQ(test::refusal(sign(operator_two, order)), ErrorCode::denied) << "signed to destroy, and would be collected";
  must(run("UPDATE recovery_order SET kind = 'destroy', asked_by = ?", {std::string_view(operator_two.uri())}));
  EXPECT_EQ(test::refusal(sign(operator_two, order)), ErrorCode::denied);
  must(run("UPDATE recovery_order SET asked_by = ?", {std::string_view(operator_one.uri())}));
  EXPECT_TRUE(sign(operator_two, order)) << "it was for that alone";
}

TEST_P(RecoveryTest, ASignatureThatSomebodyPutInDoesNotCount) {
  const wire::Json order = must(ask(operator_one));
  must(sign(operator_one, order));
  must(run("INSERT INTO recovery_signature (id, operator, certificate, signature, at_ms) SELECT id, ?, certificate, signature, at_ms FROM recovery_signature",
           {std::string_view(operator_two.uri())}));
  EXPECT_EQ(test::refusal(collect(operator_one, order)), ErrorCode::denied) << "another's certificate";
  const Bytes der = credentials(operator_two).tls->chain.front().der();
  must(run("UPDATE recovery_signature SET certificate = ? WHERE operator = ?", {ByteView(der), std::string_view(operator_two.uri())}));
  EXPECT_EQ(test::refusal(collect(operator_one, order)), ErrorCode::denied) << "another's signature";
  must(run("DELETE FROM recovery_signature WHERE operator = ?", {std::string_view(operator_two.uri())}));
  must(sign(operator_two, order));
  EXPECT_TRUE(collect(operator_one, order));
}

TEST_P(RecoveryTest, AnOrderEndsWithItsHour) {
  const wire::Json order = must(ask(operator_one));
  must(sign(operator_one, order));
  must(sign(operator_two, order));
  must(run("UPDATE recovery_order SET expires_ms = ?", {store::column(now())}));
  EXPECT_EQ(test::refusal(collect(operator_one, order)), ErrorCode::not_found);
  must(run("UPDATE recovery_order SET expires_ms = ?", {store::column(now() + 60'000)}));
  EXPECT_TRUE(collect(operator_one, order)) << "it was for that reason alone";
}

TEST_P(RecoveryTest, ASignatureIsOfOneOrder) {
  const wire::Json order = must(ask(operator_one));
  wire::Json mixed = must(ask(operator_one, "another reason"));
  const wire::Json confused = wire::Json::object({{"order", must(mixed.text("order"))}, {"statement", must(order.text("statement"))}});
  EXPECT_EQ(test::refusal(sign(operator_two, confused)), ErrorCode::denied);
}

TEST_P(RecoveryTest, WithoutThePolicyThereIsNothingToHave) {
  restart(HistoryPolicy::none);
  EXPECT_EQ(test::refusal(ask(operator_one)), ErrorCode::denied);
  EXPECT_TRUE(test::audited(state(), "kms.history is none"));
  const wire::Json history = must(say(operator_one, wire::Json::object({{"op", "history"}, {"uid", subscriber.text()}})));
  const auto keys = must(history.array("keys"));
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_FALSE(must(keys[0].boolean("recoverable")));
}

TEST_P(RecoveryTest, WhatIsNoOrderIsRefused) {
  enc_kid_ = std::string(64, '0');
  EXPECT_EQ(test::refusal(ask(operator_one)), ErrorCode::not_found);
  enc_kid_ = "xyz";
  EXPECT_EQ(test::refusal(ask(operator_one)), ErrorCode::invalid_argument);
  EXPECT_EQ(test::refusal(say(operator_one, wire::Json::object({{"op", "steal"}}))), ErrorCode::invalid_argument);
  EXPECT_EQ(test::refusal(say(operator_one, wire::Json::object({{"op", "collect"}, {"order", std::string(32, '0')}}))), ErrorCode::not_found);
  EXPECT_EQ(test::refusal(recovery_->answer(test::request_from(std::nullopt, to_bytes("{}")))), ErrorCode::denied);
}

TEST_P(RecoveryTest, TwoOperatorsTogetherDestroyTheKeyAndAProofStays) {
  const std::string commitment = to_hex(must(pairs_->history(subscriber)).at(0).commitment);
  ASSERT_EQ(commitment.size(), 64U);
  const wire::Json order = must(destroy(operator_one));
  const std::string statement = must(order.text("statement"));
  EXPECT_TRUE(statement.starts_with("qanat destroy-key 1\n")) << statement;
  for (const std::string& part : {enc_kid_, subscriber.text(), operator_one.uri(), kms_id.uri(), std::string("contract ended")}) {
    EXPECT_TRUE(statement.contains(part)) << part;
  }
  const wire::Json first = must(sign(operator_one, order));
  EXPECT_FALSE(first.text("destroyed")) << "one alone destroys nothing";
  EXPECT_TRUE(must(pairs_->history(subscriber)).at(0).has_private);
  EXPECT_EQ(test::refusal(sign(operator_one, order)), ErrorCode::conflict) << "twice is not two";
  EXPECT_EQ(test::refusal(sign(operator_two, order, operator_one)), ErrorCode::denied) << "another's key";
  EXPECT_TRUE(must(pairs_->history(subscriber)).at(0).has_private);
  const wire::Json recovery = must(ask(operator_one));

  const wire::Json second = must(sign(operator_two, order));
  EXPECT_EQ(must(second.text("destroyed")), commitment);
  const HistoryKey key = must(pairs_->history(subscriber)).at(0);
  EXPECT_FALSE(key.has_private);
  EXPECT_EQ(to_hex(key.commitment), commitment);
  EXPECT_TRUE(key.destroyed_why.contains("signed by " + operator_two.uri())) << key.destroyed_why;
  EXPECT_EQ(number("SELECT count(*) FROM history_key WHERE destroyed_by = '" + operator_one.uri() + "'"), 1);
  EXPECT_TRUE(test::audited(state(), "\"kp.history.erased\""));
  EXPECT_TRUE(test::audited(state(), key.destroyed_why + " (commitment " + commitment + ")"));

  EXPECT_EQ(test::refusal(sign(identity("qanat://core/operator/third"), order)), ErrorCode::conflict) << "it is done";
  EXPECT_EQ(test::refusal(destroy(operator_one)), ErrorCode::not_found);
  EXPECT_EQ(test::refusal(ask(operator_one)), ErrorCode::not_found);
  must(sign(operator_one, recovery));
  must(sign(operator_two, recovery));
  EXPECT_EQ(test::refusal(collect(operator_one, recovery)), ErrorCode::not_found) << "an order from before finds nothing";
}

TEST_P(RecoveryTest, AnOrderToDestroyAKeyGivesItToNobody) {
  const wire::Json order = must(destroy(operator_one));
  must(sign(operator_one, order));
  EXPECT_EQ(test::refusal(collect(operator_one, order)), ErrorCode::denied);
  EXPECT_TRUE(test::audited(state(), "is to destroy its key, not to recover it"));
  EXPECT_TRUE(must(pairs_->history(subscriber)).at(0).has_private);
  const wire::Json recovery = must(ask(operator_one));
  must(sign(operator_one, recovery));
  EXPECT_FALSE(must(sign(operator_two, recovery)).text("destroyed")) << "nor does an order to recover it destroy it";
  EXPECT_TRUE(must(pairs_->history(subscriber)).at(0).has_private);
}

TEST_P(RecoveryTest, AnOrderToDestroyEndsWithItsHour) {
  const wire::Json order = must(destroy(operator_one));
  must(sign(operator_one, order));
  must(run("UPDATE recovery_order SET expires_ms = ?", {store::column(now())}));
  EXPECT_EQ(test::refusal(sign(operator_two, order)), ErrorCode::not_found);
  EXPECT_TRUE(must(pairs_->history(subscriber)).at(0).has_private);
}

TEST_P(RecoveryTest, WhereThePolicyInForceKeepsNoKeysOneThatIsThereIsDestroyedAndNotRecovered) {
  const wire::Json recovery = must(ask(operator_one));
  must(sign(operator_one, recovery));
  must(sign(operator_two, recovery));
  restart(HistoryPolicy::none);
  EXPECT_EQ(test::refusal(collect(operator_one, recovery)), ErrorCode::denied) << "an order from before";
  EXPECT_TRUE(test::audited(state(), "CSO's policy forbids it"));
  restart(HistoryPolicy::encryption_keys);
  must(collect(operator_one, recovery));
  restart(HistoryPolicy::none);
  const wire::Json order = must(destroy(operator_two));
  must(sign(operator_one, order));
  EXPECT_TRUE(must(sign(operator_two, order)).text("destroyed"));
  EXPECT_FALSE(must(pairs_->history(subscriber)).at(0).has_private);
}

TEST_P(RecoveryTest, WhereTheKeyWentMeanwhileTheSecondSignatureIsNotTaken) {
  const wire::Json order = must(destroy(operator_one));
  must(sign(operator_one, order));
  must(end_history_keys(*node_, *store_, {.policy = HistoryPolicy::none, .kept = {}}));
  EXPECT_EQ(test::refusal(sign(operator_two, order)), ErrorCode::not_found);
  EXPECT_EQ(number("SELECT count(*) FROM recovery_signature"), 1);
}

TEST_P(RecoveryTest, AReasonIsOneLine) {
  EXPECT_EQ(test::refusal(ask(operator_one, "")), ErrorCode::invalid_argument);
  EXPECT_EQ(test::refusal(ask(operator_one, "a\nrecipient 00")), ErrorCode::invalid_argument) << "it would say something else in the statement";
  EXPECT_EQ(test::refusal(ask(operator_one, std::string(257, 'x'))), ErrorCode::invalid_argument);
}

TEST_P(RecoveryTest, OrdersThatWaitAreFew) {
  for (std::size_t i = 0; i < recovery_open_max; ++i) must(ask(operator_one));
  EXPECT_EQ(test::refusal(ask(operator_one)), ErrorCode::exhausted);
}

}  // namespace
}  // namespace qanat::kms
