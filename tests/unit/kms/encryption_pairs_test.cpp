// Encryption pairs on their way through the three libraries, and what a revocation leaves of a terminal.
#include "services/kms/kp/encryption_pairs.hpp"

#include "kp_fixture.hpp"
#include "ledger_steps.hpp"
#include "node/revocations.hpp"
#include "services/kms/kma/access.hpp"
#include "services/kms/kma/policy_in_force.hpp"
#include "services/kms/kp/history_keys.hpp"
#include "services/kms/kp/refill.hpp"
#include "services/kms/kp/revocations.hpp"
#include "services/kms/kp/sealed_columns.hpp"
#include "store/key_commitment.hpp"

namespace qanat::kms {
namespace {

const Uid enrolling("alice");
const Bytes enrol_hash(32, 7);
const Bytes enrol_answer = to_bytes("answer");

class EncryptionPairsTest : public KpFixture {
 protected:
  /// Enrols as far as the answer; its certificates are of no CA.
  Terminal enrolled(const Uid& uid, const std::string& number, std::uint8_t mark, const Bytes& h_enrol = enrol_hash) {
    const auto prepared = must(pairs_->prepare(uid, h_enrol));
    Enrolment out{.terminal = {.uid = uid,
                               .number = Number(number),
                               .classical = Bytes(100, mark),
                               .ml_dsa = Bytes(200, mark),
                               .encryption = prepared.pair.encapsulation_key(),
                               .enc_kid = wire::key_id_of(node_->suite(), prepared.pair.encapsulation_key()),
                               .encryption_classical = Bytes(300, mark),
                               .encryption_ml_kem = Bytes(400, mark),
                               .confirmed = false},
                  .h_enrol = h_enrol,
                  .answer = enrol_answer,
                  .sealed_encryption = must(pairs_->seal_for(uid, prepared.pair.secret()))};
    must(store_->transact([&](store::Transaction& transaction) { return save_enrolment(transaction, out); }));
    return out.terminal;
  }
  Terminal confirmed(const Uid& uid, const std::string& number, std::uint8_t mark) {
    Terminal out = enrolled(uid, number, mark);
    must(confirm(out));
    return out;
  }
  /// With a receipt that was checked against this terminal and is for this answer.
  Result<void> confirm(const Terminal& shown, const Bytes& answer = enrol_answer) {
    return pairs_->confirm(shown, crypto::digest(node_->suite().hash, answer), "request");
  }
  /// The private part that history has of it, in clear.
  Secret kept(const Terminal& terminal) {
    Bytes sealed;
    must(store_->transact([&](store::Transaction& transaction) {
      return transaction.query("SELECT sealed_pair FROM history_key WHERE enc_kid = ?", {ByteView(terminal.enc_kid)}, [&](const store::Row& row) { sealed = row.blob(0); });
    }));
    return must(keys_->of(Library::history).unseal(context_of("history_key", "sealed_pair", terminal.enc_kid), sealed));
  }
  std::int64_t private_keys() { return number("SELECT count(*) FROM history_key WHERE sealed_pair IS NOT NULL"); }
  static std::set<Bytes> fingerprints(const Bytes& der) { return {crypto::digest(crypto::Hash::sha256, der)}; }
};

/// The same on every database.
class EncryptionPairsStoresTest : public EncryptionPairsTest, public testing::WithParamInterface<test::StoreKind> {
 protected:
  [[nodiscard]] test::StoreKind kind() const override { return GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(Stores, EncryptionPairsStoresTest, test::every_store_kind, test::name_of);

TEST_P(EncryptionPairsStoresTest, StandbyIsFilledToItsHighMarkWhenItIsBelowItsLowOne) {
  EXPECT_EQ(must(pairs_->fill(2, 5)), 5U);
  EXPECT_EQ(must(pairs_->fill(2, 5)), 0U) << "is above the low mark";
  must(pairs_->prepare(enrolling, enrol_hash));
  EXPECT_EQ(must(pairs_->standby()), 4U);
  EXPECT_EQ(must(pairs_->fill(4, 5)), 0U);
  EXPECT_EQ(must(pairs_->fill(5, 5)), 1U);
}

TEST_P(EncryptionPairsStoresTest, AnEnrolmentTakesItsPairOutOfStandbyOnce) {
  must(pairs_->fill(3, 3));
  const auto first = must(pairs_->prepare(enrolling, enrol_hash));
  EXPECT_TRUE(first.fresh);
  EXPECT_EQ(must(pairs_->standby()), 2U);
  open();
  const auto again = must(pairs_->prepare(enrolling, enrol_hash));
  EXPECT_FALSE(again.fresh);
  EXPECT_EQ(again.pair.encapsulation_key(), first.pair.encapsulation_key()) << "the same enrol_hash, the same pair";
  EXPECT_EQ(must(pairs_->standby()), 2U);
  const auto other = must(pairs_->prepare(Uid("bob"), enrol_hash));
  EXPECT_NE(other.pair.encapsulation_key(), first.pair.encapsulation_key());
  EXPECT_TRUE(test::audited(state(), "encryption pair: from standby into use"));
}

TEST_P(EncryptionPairsStoresTest, WhereStandbyIsEmptyThePairIsMadeOnTheSpot) {
  const auto made = must(pairs_->prepare(enrolling, enrol_hash));
  EXPECT_TRUE(made.fresh);
  EXPECT_EQ(must(pairs_->prepare(enrolling, enrol_hash)).pair.encapsulation_key(), made.pair.encapsulation_key());
  EXPECT_TRUE(test::audited(state(), "made for use, standby is empty"));
}

TEST_P(EncryptionPairsStoresTest, APairOfStandbyIsAPairThatWorks) {
  must(pairs_->fill(1, 1));
  const auto prepared = must(pairs_->prepare(enrolling, enrol_hash));
  for (const crypto::KemForm form : {crypto::KemForm::to_static, crypto::KemForm::to_ephemeral}) {
    const auto made = must(crypto::encapsulate(node_->suite(), form, prepared.pair.encapsulation_key(), node_->rng()));
    const auto got = must(prepared.pair.decapsulate(form, made.ct_classical, made.ct_ml_kem));
    EXPECT_TRUE(equal_secret(got.classical, made.ss_classical));
    EXPECT_TRUE(equal_secret(got.ml_kem, made.ss_ml_kem));
  }
}

TEST_P(EncryptionPairsStoresTest, ByDefaultHistoryHasThatThereWasAPairAndNotThePair) {
  const Terminal terminal = confirmed(enrolling, "+8613800000001", 1);
  const auto history = must(pairs_->history(enrolling));
  ASSERT_EQ(history.size(), 1U);
  EXPECT_EQ(history[0].enc_kid, terminal.enc_kid);
  EXPECT_EQ(history[0].number, terminal.number);
  EXPECT_EQ(history[0].ended_ms, 0U);
  EXPECT_FALSE(history[0].has_private);
  EXPECT_EQ(number("SELECT count(*) FROM terminal WHERE sealed_encryption IS NOT NULL"), 0);
  EXPECT_EQ(number("SELECT count(*) FROM prepared_encryption"), 0);
  EXPECT_EQ(history[0].commitment.size(), store::key_commitment_size);
  EXPECT_TRUE(test::audited(state(), "the private part erased (commitment " + to_hex(history[0].commitment) + ")"));
}

TEST_P(EncryptionPairsStoresTest, UnderThePolicyHistoryHasThePrivatePartSealedForHistoryAlone) {
  policy_ = HistoryPolicy::encryption_keys;
  open();
  const Terminal terminal = confirmed(enrolling, "+8613800000001", 1);
  ASSERT_EQ(must(pairs_->history(enrolling)).size(), 1U);
  EXPECT_TRUE(must(pairs_->history(enrolling))[0].has_private);
  const Bytes sealed = blob("SELECT sealed_pair FROM history_key");
  const Bytes context = context_of("history_key", "sealed_pair", terminal.enc_kid);
  const Secret pair = must(keys_->of(Library::history).unseal(context, sealed));
  EXPECT_EQ(pair.size(), node_->suite().scalar + crypto::seed_ml_kem);
  EXPECT_EQ(test::refusal(keys_->of(Library::in_use).unseal(context, sealed)), ErrorCode::denied);
  EXPECT_TRUE(test::audited(state(), "kept under kms.history"));
}

TEST_P(EncryptionPairsStoresTest, AnEnrolmentAnewEndsTheFormerPair) {
  const Terminal first = confirmed(enrolling, "+8613800000001", 1);
  const Terminal second = enrolled(enrolling, "+8613800000001", 2, Bytes(32, 8));
  EXPECT_EQ(must(pairs_->history(enrolling))[0].ended_ms, 0U) << "it is the terminal's until it has the new one";
  must(confirm(second));
  const auto history = must(pairs_->history(enrolling));
  ASSERT_EQ(history.size(), 2U);
  for (const HistoryKey& one : history) {
    EXPECT_EQ(one.ended_ms != 0, one.enc_kid == first.enc_kid);
    EXPECT_EQ(one.why, one.enc_kid == first.enc_kid ? "replaced" : "");
  }
  EXPECT_NE(first.enc_kid, second.enc_kid);
  Terminal nobody = second;
  nobody.uid = Uid("nobody");
  EXPECT_EQ(test::refusal(confirm(nobody)), ErrorCode::not_found);
}

TEST_P(EncryptionPairsStoresTest, ACopyOfAReceiptTakesNothingOutOfHistory) {
  policy_ = HistoryPolicy::encryption_keys;
  open();
  const Terminal read_by_both = enrolled(enrolling, "+8613800000001", 1);
  must(confirm(read_by_both));
  const Bytes sealed = blob("SELECT sealed_pair FROM history_key");
  ASSERT_FALSE(sealed.empty());
  must(confirm(read_by_both));
  EXPECT_EQ(blob("SELECT sealed_pair FROM history_key"), sealed);
}

TEST_P(EncryptionPairsStoresTest, AReceiptConfirmsTheTerminalThatItWasCheckedAgainstAlone) {
  const Terminal first = enrolled(enrolling, "+8613800000001", 1);
  const Terminal second = enrolled(enrolling, "+8613800000001", 2, Bytes(32, 8));  // between the check and the change
  EXPECT_EQ(test::refusal(confirm(first)), ErrorCode::conflict) << "enrolled anew";
  EXPECT_EQ(test::refusal(confirm(second, to_bytes("another"))), ErrorCode::conflict) << "the answer was made anew";
  EXPECT_EQ(number("SELECT count(*) FROM terminal WHERE confirmed <> 0"), 0);
  EXPECT_TRUE(must(pairs_->history(enrolling)).empty());
  must(confirm(second));
  EXPECT_EQ(number("SELECT count(*) FROM terminal WHERE confirmed <> 0"), 1);
}

TEST_F(EncryptionPairsTest, AfterACrashNoPairOfStandbyIsGivenToAnybody) {
  must(pairs_->fill(3, 3));
  must(store_->settle());
  open_after_kill();
  EXPECT_TRUE(guard_->after_crash());
  EXPECT_EQ(must(store_->transact([](store::Transaction& transaction) { return EncryptionPairs::discard_standby(transaction); })), 3);
  open();
  EXPECT_FALSE(guard_->after_crash());
  EXPECT_EQ(must(pairs_->standby()), 0U);
}

TEST(LibraryTest, KeysMoveForwardAndAsTheTableSaysAlone) {
  for (const PooledKind kind : {PooledKind::working_key, PooledKind::quantum_key, PooledKind::encryption_pair}) {
    for (const Library from : all_libraries) {
      for (const Library to : all_libraries) {
        const auto move = check_move(kind, from, to, "k");
        EXPECT_EQ(move.has_value(), find_move(kind, from, to) != nullptr);
        if (!move) {
          EXPECT_EQ(move.error().code, ErrorCode::conflict);
        }
        if (from >= to) {
          EXPECT_FALSE(move) << name(from) << " to " << name(to);
        }
      }
    }
  }
  EXPECT_EQ(must(check_move(PooledKind::working_key, Library::in_use, Library::history, "k")), Octets::erased);
  EXPECT_FALSE(check_move(PooledKind::working_key, Library::standby, Library::in_use, "k")) << "nobody makes working keys ahead";
}

TEST_P(EncryptionPairsStoresTest, ARevocationTakesTheTerminalOutOfThePoolWithAllThatIsSealed) {
  const Terminal terminal = enrolled(enrolling, "+8613800000001", 1);
  confirmed(Uid("bob"), "+8613800000002", 2);
  must(run("INSERT INTO token (uid, digest, expires_ms, level_max) VALUES ('alice', x'00', 1, 1)"));
  must(run("INSERT INTO peer_grant (uid, domain, level_max, until_ms) VALUES ('alice', 'b', 1, 1)"));
  Ledger ledger(keys_->of(Library::in_use));
  const SidWk sid_wk = network_.rng().id<SidWk>();
  must(store_->transact([&](store::Transaction& transaction) {
    WorkingKey key;
    key.sid_wk = sid_wk;
    key.leg = wire::Role::callee;
    key.uid = enrolling;
    key.wk = network_.rng().secret(wire::wk_size);
    key.expires_ms = now() + 60'000;
    return ledger.add(transaction, key);
  }));
  must(purge_revoked(*node_, *store_, ledger, fingerprints(terminal.encryption_ml_kem)));
  for (const std::string_view table : {"terminal", "terminal_certificate", "prepared_encryption", "token", "peer_grant"}) {
    EXPECT_EQ(number("SELECT count(*) FROM " + std::string(table) + " WHERE uid = 'alice'"), 0) << table;
  }
  EXPECT_EQ(number("SELECT count(*) FROM working_key WHERE uid = 'alice' AND (sealed_wk IS NOT NULL OR state <> 'destroyed')"), 0);
  EXPECT_EQ(number("SELECT count(*) FROM terminal WHERE uid = 'bob'"), 1) << "others stay";
  EXPECT_TRUE(test::audited(state(), "\"kp.purged\""));
  EXPECT_TRUE(test::audited(state(), sid_wk.hex()));
  must(purge_revoked(*node_, *store_, ledger, fingerprints(terminal.encryption_ml_kem)));
}

TEST_F(EncryptionPairsTest, WhatIamEndsIsEndedInTheGuardedDatabase) {
  Ledger ledger(keys_->of(Library::in_use));
  node::SenderDirectory senders(*node_);
  Access access(*node_, *store_, senders);
  const auto delivered = [&](const Uid& uid) {
    const auto sid_wk = network_.rng().id<SidWk>();
    const Bytes hash(32, 1);
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      WorkingKey key;
      key.sid_wk = sid_wk;
      key.sid_call = network_.rng().id<SidCall>();
      key.leg = wire::Role::callee;
      key.uid = uid;
      key.wk = network_.rng().secret(wire::wk_size);
      key.assurance = wire::Assurance::local_rng;
      key.expires_ms = now() + 60'000;
      TRY(ledger.add(transaction, key));
      TRY(ledger.advance(transaction, sid_wk, key.leg, store::KeyState::reserved));
      TRY(deliver_leg(ledger, transaction, sid_wk, key.leg, {.h_req = hash, .h_deliver = hash, .octets = hash}, {.by = uid, .traffic = key.terms.traffic, .now_ms = now()}));
      TRY(transaction.run("INSERT INTO token (uid, digest, expires_ms, level_max) VALUES (?, x'00', 1, 1)", {std::string_view(uid.text())}));
      return {};
    }));
  };
  const auto left = [&] {
    return std::pair(number("SELECT count(*) FROM token"), number("SELECT count(*) FROM delivered_answer"));
  };
  for (const char* uid : {"alice", "bob", "carol"}) delivered(Uid(uid));
  const auto ended = [&](const char* subject) {
    must(access.revoked(test::json_request(identity("qanat://core/iam/iam"), wire::Json::object({{"subject", subject}, {"epoch", 1}, {"at_ms", 1}}))));
  };
  ended("alice");
  EXPECT_EQ(left(), std::pair(std::int64_t{2}, std::int64_t{2}));
  ended("alice");  // said again
  EXPECT_EQ(number("SELECT count(*) FROM working_key WHERE answer_digest IS NOT NULL"), 2) << "an answer that somebody puts back is not given";
  ended("class:terminal");
  EXPECT_EQ(left(), std::pair(std::int64_t{0}, std::int64_t{0}));
  EXPECT_EQ(number("SELECT count(*) FROM working_key WHERE answer_digest IS NOT NULL"), 0);
  open();  // sound
}

TEST_P(EncryptionPairsStoresTest, ARevocationEndsThePairInHistory) {
  const Terminal terminal = confirmed(enrolling, "+8613800000001", 1);
  Ledger ledger(keys_->of(Library::in_use));
  must(purge_revoked(*node_, *store_, ledger, fingerprints(terminal.classical)));
  const auto history = must(pairs_->history(enrolling));
  ASSERT_EQ(history.size(), 1U);
  EXPECT_EQ(history[0].why, "revoked");
  EXPECT_NE(history[0].ended_ms, 0U);
}

TEST_P(EncryptionPairsStoresTest, UnderThePolicyARevokedPairIsRecoverableUntilItsDaysAreOverAndThenAProofStays) {
  policy_ = HistoryPolicy::encryption_keys;
  open();
  const HistoryTerms terms{.policy = policy_, .kept = std::chrono::days(30)};
  const Terminal terminal = confirmed(enrolling, "+8613800000001", 1);
  const Bytes commitment = store::key_commitment(store::KeyKind::terminal_encryption, terminal.enc_kid, kept(terminal));
  confirmed(Uid("bob"), "+8613800000002", 2);
  Ledger ledger(keys_->of(Library::in_use));
  must(purge_revoked(*node_, *store_, ledger, fingerprints(terminal.classical)));
  EXPECT_EQ(must(erase_history_keys(*node_, *store_, terms)), 0);
  HistoryKey key = must(pairs_->history(enrolling)).at(0);
  EXPECT_EQ(key.why, "revoked");
  EXPECT_TRUE(key.has_private) << "what was encrypted to it before can be read";
  EXPECT_EQ(key.commitment, commitment) << "made while it is there";

  must(run("UPDATE history_key SET ended_ms = ? WHERE uid = 'alice'", {store::column(now() - UnixMs{29} * 86'400'000)}));
  EXPECT_EQ(must(erase_history_keys(*node_, *store_, terms)), 0);
  must(run("UPDATE history_key SET ended_ms = ? WHERE uid = 'alice'", {store::column(now() - UnixMs{30} * 86'400'000)}));
  EXPECT_EQ(must(erase_history_keys(*node_, *store_, terms)), 1);
  key = must(pairs_->history(enrolling)).at(0);
  EXPECT_FALSE(key.has_private);
  EXPECT_NE(key.destroyed_ms, 0U);
  EXPECT_EQ(key.destroyed_why, "its pair, or the certificates of it, ended kms.history_keys_days ago");
  EXPECT_EQ(key.commitment, commitment) << "stays";
  EXPECT_TRUE(test::audited(state(), "\"kp.history.erased\""));
  EXPECT_TRUE(test::audited(state(), key.destroyed_why + " (commitment " + to_hex(commitment) + ")"));
  EXPECT_TRUE(must(pairs_->history(Uid("bob"))).at(0).has_private) << "its terminal has it still";
  EXPECT_EQ(number("SELECT count(*) FROM owed_record"), 0);
}

TEST_P(EncryptionPairsStoresTest, OfATerminalThatCameNoMoreThePrivateKeyEndsAfterItsCertificates) {
  policy_ = HistoryPolicy::encryption_keys;
  const HistoryTerms terms{.policy = policy_, .kept = std::chrono::days(30)};
  Terminal terminal = enrolled(enrolling, "+8613800000001", 1);
  const crypto::SubjectNames names{.common_name = "alice", .element = identity("qanat://a/app1/alice"), .number = terminal.number, .dns = {}};
  const crypto::Signer signer = must(crypto::Signer::generate(network_.suite(), network_.rng()));
  const crypto::CertificateBundle bundle = network_.bundle(names, signer.verifying_key(), terminal.encryption);
  must(run("UPDATE terminal SET encryption_classical = ?", {ByteView(bundle.classical_encryption.der())}));
  must(confirm(terminal));
  EXPECT_EQ(number("SELECT certified_until_ms FROM history_key"), store::column(bundle.classical_encryption.not_after()));
  EXPECT_EQ(must(erase_history_keys(*node_, *store_, terms)), 0);
  must(run("UPDATE history_key SET certified_until_ms = ?", {store::column(now() - UnixMs{29} * 86'400'000)}));
  EXPECT_EQ(must(erase_history_keys(*node_, *store_, terms)), 0) << "it may want to read what it has";
  must(run("UPDATE history_key SET certified_until_ms = ?", {store::column(now() - UnixMs{30} * 86'400'000)}));
  EXPECT_EQ(must(erase_history_keys(*node_, *store_, terms)), 1);
  EXPECT_EQ(private_keys(), 0);
}

TEST_P(EncryptionPairsStoresTest, PrivateKeysAreErasedSoManyAtATime) {
  policy_ = HistoryPolicy::encryption_keys;
  open();
  for (std::uint8_t i = 1; i <= 3; ++i) confirmed(Uid("s" + std::to_string(i)), "+861380000000" + std::to_string(i), i);
  ASSERT_EQ(private_keys(), 3);
  const HistoryTerms none{.policy = HistoryPolicy::none, .kept = {}};
  EXPECT_EQ(must(erase_history_keys(*node_, *store_, none, 2)), 2);
  EXPECT_EQ(private_keys(), 1);
  EXPECT_EQ(must(erase_history_keys(*node_, *store_, none, 2)), 1);
  EXPECT_EQ(must(erase_history_keys(*node_, *store_, none, 2)), 0);
  EXPECT_EQ(number("SELECT count(*) FROM history_key WHERE destroyed_why = 'kms.history is none' AND destroyed_by = 'kms'"), 3) << "their rows stay";
}

TEST_F(EncryptionPairsTest, AStartErasesWhatIsOverAndWithoutThePolicyWhateverHistoryKeptUnderIt) {
  policy_ = HistoryPolicy::encryption_keys;
  open();
  const Terminal terminal = confirmed(enrolling, "+8613800000001", 1);
  const Bytes commitment = pair_commitment(terminal.enc_kid, kept(terminal));
  confirmed(Uid("bob"), "+8613800000002", 2);
  must(run("UPDATE history_key SET ended_ms = ? WHERE uid = 'bob'", {store::column(now() - UnixMs{365} * 86'400'000)}));
  ASSERT_EQ(private_keys(), 2);
  const test::TemporaryDirectory folder;
  KmsSettings settings;
  settings.site_key = write_site_key(folder / "");
  for (const HistoryPolicy policy : {HistoryPolicy::encryption_keys, HistoryPolicy::none}) {
    close();
    forget_database();
    settings.history = policy;
    must(KmsService::open(*node_, settings));
    take(must(open_database(*node_)));
    open_keys();
    EXPECT_EQ(private_keys(), policy == HistoryPolicy::none ? 0 : 1);
  }
  EXPECT_TRUE(test::audited(state(), "kms.history is none (commitment " + to_hex(commitment) + ")"));
}

TEST_P(EncryptionPairsStoresTest, WhereCsosPolicyForbidsItNothingNewIsKeptAndWhatIsThereStaysForItsTime) {
  KmsSettings settings;
  settings.history = HistoryPolicy::encryption_keys;
  PolicyInForce in_force(settings);
  pairs_.emplace(*node_, *store_, *keys_, [&in_force] { return in_force.terms()->history; });
  confirmed(enrolling, "+8613800000001", 1);
  points::KmsPolicy policy{.version = 1, .epoch = 1};
  policy.history = false;
  must(in_force.put_in_force(*store_, policy, 1, 0, now()));
  confirmed(Uid("bob"), "+8613800000002", 2);
  EXPECT_FALSE(must(pairs_->history(Uid("bob"))).at(0).has_private);
  EXPECT_FALSE(must(pairs_->history(Uid("bob"))).at(0).commitment.empty()) << "what was erased there and then";
  EXPECT_TRUE(test::audited(state(), "the private part erased"));
  must(end_history_keys(*node_, *store_, {.policy = settings.history, .kept = settings.history_keys_kept}));
  EXPECT_TRUE(must(pairs_->history(enrolling)).at(0).has_private) << "a later policy may allow it again";
  policy = {.version = 2, .epoch = 1};
  must(in_force.put_in_force(*store_, policy, 1, 0, now()));
  confirmed(Uid("carol"), "+8613800000003", 3);
  EXPECT_EQ(private_keys(), 2);
  EXPECT_FALSE(must(pairs_->history(Uid("bob"))).at(0).has_private) << "what is gone does not come back";
  pairs_.reset();  // before its policy
}

TEST_P(EncryptionPairsStoresTest, AKeyThatIsNotThereIsNotErased) {
  const Terminal terminal = confirmed(enrolling, "+8613800000001", 1);  // without the policy: its private part is gone
  const auto erase = [&](const Uid& uid) {
    return store_->transact([&](store::Transaction& transaction) { return erase_history_key(transaction, uid, terminal.enc_kid, {.by = "kms", .why = "test", .at_ms = now()}); });
  };
  EXPECT_EQ(test::refusal(erase(enrolling)), ErrorCode::not_found);
  EXPECT_EQ(test::refusal(erase(Uid("bob"))), ErrorCode::not_found);
  EXPECT_EQ(must(pairs_->history(enrolling)).at(0).destroyed_ms, 0U);
}

TEST_P(EncryptionPairsStoresTest, WhenTheTerminalHasRenewedItsFormerCertificatesAreNobodys) {
  const Terminal former = confirmed(enrolling, "+8613800000001", 1);
  Terminal next = former;
  next.classical = Bytes(100, 9);
  next.ml_dsa = Bytes(200, 9);
  next.encryption_classical = Bytes(300, 9);
  next.encryption_ml_kem = Bytes(400, 9);
  must(store_->transact([&](store::Transaction& transaction) { return replace_certificates(transaction, former, next); }));
  Ledger ledger(keys_->of(Library::in_use));
  for (const Bytes* der : {&former.classical, &former.ml_dsa, &former.encryption_classical, &former.encryption_ml_kem}) {
    must(purge_revoked(*node_, *store_, ledger, fingerprints(*der)));
  }
  EXPECT_EQ(number("SELECT count(*) FROM terminal WHERE uid = 'alice'"), 1);
  must(purge_revoked(*node_, *store_, ledger, fingerprints(next.ml_dsa)));
  EXPECT_EQ(number("SELECT count(*) FROM terminal WHERE uid = 'alice'"), 0);
}

TEST_P(EncryptionPairsStoresTest, TerminalsFromBeforeAreFoundByTheirCertificatesToo) {
  const Terminal terminal = confirmed(enrolling, "+8613800000001", 1);
  must(run("DELETE FROM terminal_certificate"));
  must(store_->transact([](store::Transaction& transaction) { return name_all_certificates(transaction); }));
  EXPECT_EQ(number("SELECT count(*) FROM terminal_certificate WHERE uid = 'alice'"), 4);
  Ledger ledger(keys_->of(Library::in_use));
  must(purge_revoked(*node_, *store_, ledger, fingerprints(terminal.ml_dsa)));
  EXPECT_EQ(number("SELECT count(*) FROM terminal"), 0);
}

TEST(RefillTest, LooksAtOnceAndAgainWhenItIsRungAndStopsWhenItIsTold) {
  std::mutex mutex;
  std::condition_variable changed;
  int looks = 0;
  Refill refill("test", [&]() -> Result<void> {
    {
      const std::lock_guard lock(mutex);
      ++looks;
    }
    changed.notify_all();
    return {};
  }, {.look_every = std::chrono::hours(1), .failed_max = std::chrono::hours(1)});
  const auto await = [&](int wanted) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(20), [&] { return looks >= wanted; });
  };
  refill.start();
  EXPECT_TRUE(await(1));
  refill.ring();
  EXPECT_TRUE(await(2));
  refill.stop();
  refill.stop();
  refill.ring();
  EXPECT_EQ(looks, 2);
}

}  // namespace
}  // namespace qanat::kms
