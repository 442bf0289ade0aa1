// KP's pool: terminals and their keys, and what an enrolment leaves until the terminal confirms.
#include "services/kms/kp/terminals.hpp"

#include "services/kms/kp/encryption_state.hpp"
#include "services/kms/schema.hpp"
#include "trusted_network.hpp"
#include "store_kinds.hpp"

namespace qanat::kms {
namespace {

using test::must;

class TerminalsTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  Enrolment enrolment(std::string uid, std::string number) {
    return {.terminal = {.uid = Uid(std::move(uid)),
                         .number = Number(std::move(number)),
                         .classical = rng_->bytes(100),
                         .ml_dsa = rng_->bytes(200),
                         .encryption = {.point = rng_->bytes(65), .ml_kem = rng_->bytes(1184)},
                         .enc_kid = rng_->bytes(32),
                         .encryption_classical = rng_->bytes(150),
                         .encryption_ml_kem = rng_->bytes(250),
                         .confirmed = false},
            .h_enrol = rng_->bytes(32),
            .answer = rng_->bytes(300),
            .sealed_encryption = rng_->bytes(124)};
  }
  Result<void> save(const Enrolment& one) {
    return store_->transact([&](store::Transaction& transaction) { return save_enrolment(transaction, one); });
  }
  std::optional<Enrolment> found(const Uid& uid) {
    return must(store_->transact([&](store::Transaction& transaction) { return find_enrolment(transaction, uid); }));
  }
  template <class Key>
  std::optional<Terminal> terminal(const Key& key) {
    return must(store_->transact([&](store::Transaction& transaction) { return find_terminal(transaction, key); }));
  }
  void confirm(const Uid& uid) {
    must(store_->transact([&](store::Transaction& transaction) { return confirm_terminal(transaction, uid); }));
  }
  static void expect_same(const Terminal& got, const Terminal& wanted) {
    EXPECT_EQ(got.uid, wanted.uid);
    EXPECT_EQ(got.number, wanted.number);
    EXPECT_EQ(got.classical, wanted.classical);
    EXPECT_EQ(got.ml_dsa, wanted.ml_dsa);
    EXPECT_EQ(got.encryption, wanted.encryption);
    EXPECT_EQ(got.enc_kid, wanted.enc_kid);
    EXPECT_EQ(got.encryption_classical, wanted.encryption_classical);
    EXPECT_EQ(got.encryption_ml_kem, wanted.encryption_ml_kem);
  }

  test::TemporaryDirectory folder_;
  std::unique_ptr<crypto::Rng> rng_ = must(crypto::open_rng());
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_ = must(stores_.open(folder_ / "kms.db", migrations));
};

INSTANTIATE_TEST_SUITE_P(Stores, TerminalsTest, test::every_store_kind, test::name_of);

TEST_P(TerminalsTest, EnrolmentComesBackWholeUntilItIsConfirmed) {
  const Enrolment in = enrolment("alice", "+8613800000001");
  must(save(in));
  const auto out = found(in.terminal.uid);
  ASSERT_TRUE(out);
  expect_same(out->terminal, in.terminal);
  EXPECT_FALSE(out->terminal.confirmed);
  EXPECT_EQ(out->h_enrol, in.h_enrol);
  EXPECT_EQ(out->answer, in.answer) << "a lost answer is given again";
  EXPECT_EQ(out->sealed_encryption, in.sealed_encryption);
}

TEST_P(TerminalsTest, TerminalIsFoundByUidAndByNumber) {
  const Enrolment alice = enrolment("alice", "+8613800000001");
  const Enrolment carol = enrolment("carol", "+8613800000003");
  must(save(alice));
  must(save(carol));
  expect_same(terminal(Uid("alice")).value(), alice.terminal);
  expect_same(terminal(Number("+8613800000003")).value(), carol.terminal);
  EXPECT_FALSE(terminal(Uid("bob")));
  EXPECT_FALSE(terminal(Number("+8613900000002")));
  EXPECT_FALSE(found(Uid("bob")));
}

TEST_P(TerminalsTest, ALookSaysWhoseRowItIsAndTheDigestOfItsContent) {
  const Enrolment in = enrolment("alice", "+8613800000001");
  must(save(in));
  const auto look = [&](const auto& key) { return must(store_->transact([&](store::Transaction& transaction) { return look_at_terminal(transaction, key); })); };
  ASSERT_TRUE(look(Uid("alice")));
  EXPECT_FALSE(look(Uid("alice"))->confirmed);
  EXPECT_EQ(look(Uid("alice"))->digest, content_digest(in.terminal));
  EXPECT_EQ(look(Number("+8613800000001"))->uid, Uid("alice"));
  EXPECT_FALSE(look(Uid("bob")));
  EXPECT_FALSE(look(Number("+8613800000002")));
  confirm(in.terminal.uid);
  EXPECT_TRUE(look(Number("+8613800000001"))->confirmed);
  EXPECT_EQ(look(Uid("alice"))->digest, content_digest(*terminal(Uid("alice")))) << "confirmed or not";
  for (Bytes Terminal::*const part : {&Terminal::classical, &Terminal::ml_dsa, &Terminal::enc_kid, &Terminal::encryption_classical, &Terminal::encryption_ml_kem}) {
    Terminal changed = in.terminal;
    (changed.*part).back() ^= 1U;
    EXPECT_NE(content_digest(changed), content_digest(in.terminal));
  }
}

TEST_P(TerminalsTest, ATerminalIsUnchangedWhileItHasTheSameKeysAndCertificates) {
  const Enrolment in = enrolment("alice", "+8613800000001");
  must(save(in));
  const auto unchanged = [&](const Terminal& as) {
    return store_->transact([&](store::Transaction& transaction) { return check_unchanged(transaction, as, content_digest(as)); });
  };
  const auto set_digest = [&](std::string_view value) {
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run("UPDATE terminal SET digest = " + std::string(value), {}));
      return {};
    }));
  };
  confirm(in.terminal.uid);
  must(unchanged(in.terminal));
  Terminal next = in.terminal;
  next.classical = rng_->bytes(100);
  next.ml_dsa = rng_->bytes(200);
  must(store_->transact([&](store::Transaction& transaction) { return replace_certificates(transaction, in.terminal, next); }));
  EXPECT_EQ(test::refusal(unchanged(in.terminal)), ErrorCode::conflict);
  must(unchanged(next));
  set_digest("NULL");  // a row from before there were any
  must(unchanged(next));
  EXPECT_EQ(test::refusal(unchanged(in.terminal)), ErrorCode::conflict);
  set_digest("x'00'");
  EXPECT_EQ(test::refusal(unchanged(next)), ErrorCode::conflict);
  must(store_->transact([&](store::Transaction& transaction) { return forget_terminal(transaction, next.uid); }));
  EXPECT_EQ(test::refusal(unchanged(next)), ErrorCode::conflict) << "there is none";
}

TEST_P(TerminalsTest, AnEncryptionKeyLivesByTheOneTableFromItsEnrolmentOn) {
  using store::KeyEvent;
  using store::KeyState;
  const Uid alice("alice");
  constexpr UnixMs now = 1000;
  const auto state = [&] { return must(store_->look([&](store::Transaction& transaction) { return find_encryption_key(transaction, alice, now); })).state; };
  const auto order = [&](KeyEvent event) {
    return store_->transact([&](store::Transaction& transaction) { return change_encryption_key(transaction, alice, event, now); });
  };
  const auto suspended = [&] { return must(store_->look(suspended_encryption_keys)); };
  const auto use = [&](const Terminal& as) {
    return store_->transact([&](store::Transaction& transaction) { return check_unchanged(transaction, as, content_digest(as)); });
  };
  const auto confirm_again = [&] { return store_->transact([&](store::Transaction& transaction) { return confirm_terminal(transaction, alice); }); };
  EXPECT_EQ(test::refusal(order(KeyEvent::suspend)), ErrorCode::not_found);

  const Enrolment first = enrolment("alice", "+8613800000001");
  must(save(first));
  EXPECT_EQ(state(), KeyState::delivered) << "the KMS made it and handed it over";
  EXPECT_EQ(test::refusal(use(first.terminal)), ErrorCode::denied);
  EXPECT_EQ(test::refusal(order(KeyEvent::suspend)), ErrorCode::conflict);
  confirm(alice);
  EXPECT_EQ(state(), KeyState::active);
  EXPECT_EQ(terminal(alice)->state, KeyState::active);
  EXPECT_EQ(test::refusal(confirm_again()), ErrorCode::conflict);
  must(use(first.terminal));

  EXPECT_EQ(must(order(KeyEvent::suspend)).state, KeyState::suspended);
  EXPECT_EQ(suspended(), 1);
  const auto refused = use(first.terminal);
  EXPECT_EQ(test::refusal(refused), ErrorCode::denied);
  EXPECT_EQ(refused.error().message, "the encryption key of alice is suspended by order");
  EXPECT_EQ(test::refusal(order(KeyEvent::suspend)), ErrorCode::conflict) << "twice";
  Terminal next = first.terminal;
  next.classical = rng_->bytes(100);
  next.ml_dsa = rng_->bytes(200);
  must(store_->transact([&](store::Transaction& transaction) { return replace_certificates(transaction, first.terminal, next); }));
  EXPECT_EQ(state(), KeyState::suspended) << "a renewal lets nothing go";
  EXPECT_EQ(must(order(KeyEvent::recover)).state, KeyState::active);
  EXPECT_EQ(test::refusal(order(KeyEvent::recover)), ErrorCode::conflict);
  EXPECT_EQ(suspended(), 0);
  must(use(next));

  must(order(KeyEvent::suspend));
  Enrolment second = enrolment("alice", "+8613800000001");
  second.sealed_encryption.clear();
  must(save(second));
  EXPECT_EQ(state(), KeyState::generated) << "another key, which its terminal made";
  confirm(alice);
  EXPECT_EQ(state(), KeyState::active);
  must(order(KeyEvent::suspend));
  must(store_->transact([&](store::Transaction& transaction) { return forget_terminal(transaction, alice); }));
  EXPECT_EQ(test::refusal(order(KeyEvent::recover)), ErrorCode::not_found) << "revoked";
  EXPECT_EQ(suspended(), 0);
}

TEST_P(TerminalsTest, ARowFromBeforeThereWereStatesIsActiveOnceConfirmedAndOneOfAStateThatNobodyKnowsIsNotUsed) {
  const Enrolment in = enrolment("alice", "+8613800000001");
  must(save(in));
  const auto set_state = [&](std::string_view value) {
    must(store_->transact([&](store::Transaction& transaction) { return transaction.run("UPDATE terminal SET enc_state = " + std::string(value), {}); }));
  };
  const auto state = [&] { return terminal(in.terminal.uid)->state; };
  set_state("NULL");
  EXPECT_EQ(state(), store::KeyState::generated);
  confirm(in.terminal.uid);
  EXPECT_EQ(state(), store::KeyState::active);
  set_state("NULL");
  EXPECT_EQ(state(), store::KeyState::active);
  EXPECT_EQ(must(store_->transact([&](store::Transaction& transaction) {
              return change_encryption_key(transaction, in.terminal.uid, store::KeyEvent::suspend, 0);
            })).state,
            store::KeyState::suspended);
  set_state("'lent'");
  EXPECT_EQ(test::refusal(store_->transact([&](store::Transaction& transaction) {
              return check_unchanged(transaction, in.terminal, content_digest(in.terminal));
            })),
            ErrorCode::denied);
}

TEST_P(TerminalsTest, ConfirmationErasesPrivateKeysAndTheAnswer) {
  const Enrolment in = enrolment("alice", "+8613800000001");
  must(save(in));
  confirm(in.terminal.uid);
  const auto out = found(in.terminal.uid);
  ASSERT_TRUE(out);
  EXPECT_TRUE(out->terminal.confirmed);
  EXPECT_TRUE(out->answer.empty());
  EXPECT_TRUE(out->sealed_encryption.empty());
  EXPECT_EQ(out->h_enrol, in.h_enrol);
  expect_same(out->terminal, in.terminal);
  EXPECT_TRUE(terminal(in.terminal.uid)->confirmed);
}

TEST_P(TerminalsTest, ConfirmationIsOfOneTerminalAlone) {
  const Enrolment alice = enrolment("alice", "+8613800000001");
  const Enrolment carol = enrolment("carol", "+8613800000003");
  must(save(alice));
  must(save(carol));
  confirm(alice.terminal.uid);
  EXPECT_FALSE(found(carol.terminal.uid)->terminal.confirmed);
  EXPECT_EQ(found(carol.terminal.uid)->sealed_encryption, carol.sealed_encryption);
}

TEST_P(TerminalsTest, EnrolmentAnewTakesThePlaceOfTheOldOneAndMustBeConfirmedAgain) {
  const Enrolment first = enrolment("alice", "+8613800000001");
  must(save(first));
  confirm(first.terminal.uid);
  const Enrolment second = enrolment("alice", "+8613800000001");
  must(save(second));
  const auto out = found(Uid("alice"));
  ASSERT_TRUE(out);
  expect_same(out->terminal, second.terminal);
  EXPECT_FALSE(out->terminal.confirmed);
  EXPECT_EQ(out->answer, second.answer);
}

TEST_P(TerminalsTest, ANumberIsOfOneTerminalAlone) {
  must(save(enrolment("alice", "+8613800000001")));
  const Enrolment bob = enrolment("bob", "+8613800000001");
  must(save(bob));
  expect_same(terminal(Number("+8613800000001")).value(), bob.terminal);
  EXPECT_FALSE(terminal(Uid("alice"))) << "whose number it was before";
}

TEST_P(TerminalsTest, NeitherTokenNorGrantsOutliveTheCertificatesThatTheyWereGivenFor) {
  must(save(enrolment("alice", "+8613800000001")));
  must(save(enrolment("bob", "+8613800000002")));
  must(save(enrolment("carol", "+8613800000003")));
  must(store_->transact([](store::Transaction& transaction) -> Result<void> {
    for (const std::string_view uid : {"alice", "bob", "carol"}) {
      TRY(transaction.run("INSERT INTO token (uid, digest, expires_ms, level_max) VALUES (?, x'00', 1, 1)", {uid}));
      TRY(transaction.run("INSERT INTO peer_grant (uid, domain, level_max, until_ms) VALUES (?, 'b', 1, 1)", {uid}));
      TRY(transaction.run("INSERT INTO prepared_encryption (uid, h_enrol, sealed_scalar, sealed_seed, made_ms) VALUES (?, x'01', x'02', x'03', 1)", {uid}));
    }
    return {};
  }));
  must(save(enrolment("alice", "+8613800000002")));  // bob's number until now
  const auto left = [&](const std::string& table) {
    std::string out;
    must(store_->transact([&](store::Transaction& transaction) {
      out.clear();
      return transaction.query("SELECT uid FROM " + table + " ORDER BY uid", {}, [&](const store::Row& row) { out += row.text(0) + " "; });
    }));
    return out;
  };
  EXPECT_EQ(left("token"), "carol ");
  EXPECT_EQ(left("peer_grant"), "carol ");
  EXPECT_EQ(left("prepared_encryption"), "alice carol ") << "hers may be needed for her answer";
}

TEST_P(TerminalsTest, APreparedPairIsOfOneMessageAndGoesWithTheEnrolment) {
  const Uid alice("alice");
  const PreparedPair pair{.scalar = rng_->bytes(60), .ml_kem_seed = rng_->bytes(92)};
  const Bytes h_enrol(32, 1);
  const auto run = [&](auto work) { return must(store_->transact(work)); };
  const auto prepared = [&](const Bytes& hash) { return run([&](store::Transaction& transaction) { return find_prepared(transaction, alice, hash); }); };
  const auto save_pair = [&](const Bytes& hash, UnixMs at) {
    must(store_->transact([&](store::Transaction& transaction) { return save_prepared(transaction, alice, hash, pair, at); }));
  };
  EXPECT_FALSE(prepared(h_enrol));
  save_pair(h_enrol, 1000);
  ASSERT_TRUE(prepared(h_enrol));
  EXPECT_EQ(prepared(h_enrol)->scalar, pair.scalar);
  EXPECT_EQ(prepared(h_enrol)->ml_kem_seed, pair.ml_kem_seed);
  EXPECT_FALSE(prepared(Bytes(32, 2)));
  // Anybody can send messages in her name: only the latest few are remembered.
  for (std::uint8_t other = 10; other < 30; ++other) save_pair(Bytes(32, other), 2000);
  EXPECT_FALSE(prepared(h_enrol));
  EXPECT_TRUE(prepared(Bytes(32, 29)));
  must(store_->transact([&](store::Transaction& transaction) { return forget_old_prepared(transaction, 2000 + 8 * test::day_ms); }));
  EXPECT_FALSE(prepared(Bytes(32, 29)));
  save_pair(h_enrol, 3000);
  must(save(enrolment("alice", "+8613800000001")));
  EXPECT_TRUE(prepared(h_enrol)) << "the answer may have to be made anew";
  confirm(alice);
  EXPECT_FALSE(prepared(h_enrol)) << "the terminal has its keys: the private ones are nowhere else";
}

TEST_P(TerminalsTest, TerminalThatMadeItsOwnKeysLeavesNoPrivateOnes) {
  Enrolment in = enrolment("alice", "+8613800000001");
  in.sealed_encryption.clear();
  must(save(in));
  bool absent = false;
  must(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT sealed_encryption IS NULL FROM terminal", {}, [&](const store::Row& row) { absent = row.integer(0) != 0; });
  }));
  EXPECT_TRUE(absent);
  EXPECT_TRUE(found(in.terminal.uid)->sealed_encryption.empty());
}

}  // namespace
}  // namespace qanat::kms
