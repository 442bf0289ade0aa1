// What terminals' messages are checked with: kept while the terminal's row is the same, and of the latest used alone.
#include "services/kms/kp/known_terminals.hpp"

#include <array>
#include <thread>

#include "trusted_network.hpp"

namespace qanat::kms {
namespace {

class KnownTerminalsTest : public testing::Test {
 protected:
  /// A terminal as it stands in the pool after its enrolment, with new keys each time.
  Terminal enrolled(const std::string& uid, const std::string& number) {
    const crypto::Suite& suite = network_.suite();
    const auto signer = test::must(crypto::Signer::generate(suite, network_.rng()));
    const auto encryption = test::must(crypto::Decapsulator::generate(suite, network_.rng()));
    const crypto::SubjectNames names{
        .common_name = uid, .element = test::identity("qanat://a/app1/" + uid), .number = Number(number), .dns = {}, .home_kms = ElementName("kms-a")};
    const auto bundle = network_.bundle(names, signer.verifying_key(), encryption.encapsulation_key());
    return {.uid = Uid(uid),
            .number = Number(number),
            .classical = bundle.classical_signing.der(),
            .ml_dsa = bundle.ml_dsa_signing.der(),
            .encryption = encryption.encapsulation_key(),
            .enc_kid = wire::key_id_of(suite, encryption.encapsulation_key()),
            .encryption_classical = bundle.classical_encryption.der(),
            .encryption_ml_kem = bundle.ml_kem_encryption.der(),
            .confirmed = true};
  }
  std::shared_ptr<const KnownTerminal> of(const Terminal& row) { return test::must(known_.of(row)); }

  test::TrustedNetwork network_;
  KnownTerminals known_{network_.suite(), 2};
};

TEST_F(KnownTerminalsTest, TheSameRowIsTheSameObjectAndAllThatFollowsFromTheRow) {
  const Terminal row = enrolled("alice", "+8613800000001");
  const auto first = of(row);
  EXPECT_EQ(first->terminal, row);
  EXPECT_EQ(first->classical.der(), row.classical);
  EXPECT_EQ(first->ml_dsa.der(), row.ml_dsa);
  EXPECT_EQ(first->fps, wire::fingerprints(network_.suite(), row.classical, row.ml_dsa));
  ASSERT_TRUE(first->bundle) << first->bundle.error().message;
  EXPECT_EQ(first->bundle->encryption_key(), row.encryption);
  ASSERT_TRUE(first->encapsulator) << first->encapsulator.error().message;
  EXPECT_EQ(first->encapsulator->key(), row.encryption);
  const Terminal read_again = row;
  EXPECT_EQ(of(read_again), first);
}

TEST_F(KnownTerminalsTest, AnotherRowOfTheSameSubscriberIsAnotherAndTheFormerDoesNotComeBack) {
  const Terminal row = enrolled("alice", "+8613800000001");
  const auto first = of(row);
  const Terminal anew = enrolled("alice", "+8613800000001");
  const auto second = of(anew);
  EXPECT_NE(second, first);
  EXPECT_EQ(second->terminal, anew);
  EXPECT_NE(second->fps, first->fps);
  EXPECT_EQ(first->terminal, row) << "whoever checks a message with it still has it";
  EXPECT_EQ(of(anew), second);

  Terminal without = anew;
  without.encryption_ml_kem.clear();
  EXPECT_EQ(test::refusal(of(without)->bundle), ErrorCode::denied);
  Terminal other_keys = anew;
  other_keys.encryption = row.encryption;
  EXPECT_EQ(test::refusal(of(other_keys)->bundle), ErrorCode::denied) << "a single column is enough";
  EXPECT_EQ(of(other_keys)->encapsulator->key(), row.encryption) << "the row's own, never those of before";
  Terminal no_point = anew;
  no_point.encryption.point.back() ^= 1U;
  EXPECT_EQ(test::refusal(of(no_point)->encapsulator), ErrorCode::invalid_argument);
  Terminal unconfirmed = anew;
  unconfirmed.confirmed = false;
  EXPECT_FALSE(of(unconfirmed)->terminal.confirmed);
  EXPECT_TRUE(of(anew)->bundle) << "none of these was taken for it";
}

TEST_F(KnownTerminalsTest, ALookAtTheRowTellsWhetherWhatIsKeptIsOfIt) {
  const auto look_at = [](const Terminal& row) { return TerminalLook{.uid = row.uid, .confirmed = row.confirmed, .digest = content_digest(row)}; };
  const Terminal alice = enrolled("alice", "+8613800000001");
  EXPECT_EQ(known_.kept(look_at(alice)), nullptr) << "not read yet";
  const auto first = of(alice);
  EXPECT_EQ(known_.kept(look_at(alice)), first);
  const Terminal anew = enrolled("alice", "+8613800000001");
  EXPECT_EQ(known_.kept(look_at(anew)), nullptr) << "another row";
  Terminal unconfirmed = alice;
  unconfirmed.confirmed = false;
  EXPECT_EQ(known_.kept(look_at(unconfirmed)), nullptr);
  TerminalLook suspended = look_at(alice);
  suspended.state = store::KeyState::suspended;
  EXPECT_EQ(known_.kept(suspended), nullptr) << "its encryption key is in another state";
  EXPECT_EQ(known_.kept({.uid = alice.uid, .confirmed = true, .digest = {}}), nullptr) << "a row that says nothing is read";
  const Terminal bob = enrolled("bob", "+8613800000002");
  of(bob);
  EXPECT_EQ(known_.kept(look_at(alice)), first);
  of(enrolled("carol", "+8613800000003"));
  EXPECT_EQ(known_.kept(look_at(alice)), first) << "a look is a use";
  EXPECT_EQ(known_.kept(look_at(bob)), nullptr);
}

TEST_F(KnownTerminalsTest, SoManyAreKeptAndThoseThatWereUsedLatest) {
  const Terminal alice = enrolled("alice", "+8613800000001");
  const Terminal bob = enrolled("bob", "+8613800000002");
  const Terminal carol = enrolled("carol", "+8613800000003");
  const auto of_alice = of(alice);
  const auto of_bob = of(bob);
  EXPECT_EQ(of(alice), of_alice);
  const auto of_carol = of(carol);  // in the place of bob's
  EXPECT_EQ(of_bob.use_count(), 1) << "nobody else has it any more";
  EXPECT_EQ(of(carol), of_carol);
  EXPECT_EQ(of(alice), of_alice);
  const auto bob_again = of(bob);  // in the place of carol's
  EXPECT_NE(bob_again, of_bob);
  EXPECT_EQ(of_carol.use_count(), 1);
  EXPECT_EQ(of(alice), of_alice);
  EXPECT_EQ(of(bob), bob_again);
}

TEST_F(KnownTerminalsTest, ARowWhoseCertificateIsNoneIsRefusedAndNotKept) {
  const Terminal row = enrolled("alice", "+8613800000001");
  const auto first = of(row);
  for (Bytes Terminal::*const der : {&Terminal::classical, &Terminal::ml_dsa}) {
    Terminal spoilt = row;
    (spoilt.*der).resize(20);
    EXPECT_EQ(test::refusal(known_.of(spoilt)), ErrorCode::invalid_argument);
    EXPECT_EQ(test::refusal(known_.of(spoilt)), ErrorCode::invalid_argument) << "again";
  }
  EXPECT_EQ(of(row), first);
}

TEST_F(KnownTerminalsTest, ThreadsSideBySideGetEachTheRowThatTheyAskedFor) {
  constexpr int rounds = 60;
  const std::array rows{enrolled("alice", "+8613800000001"), enrolled("bob", "+8613800000002"), enrolled("carol", "+8613800000003"),
                        enrolled("alice", "+8613800000001")};
  std::array<int, 2> wrong{};
  const auto ask = [&](std::size_t thread) {
    for (std::size_t i = 0; i < rounds; ++i) {
      const Terminal& row = rows.at((i * (thread + 1) + thread) % rows.size());
      const auto known = known_.of(row);
      if (!known || (*known)->terminal != row || (*known)->ml_dsa.der() != row.ml_dsa) ++wrong.at(thread);
    }
  };
  std::thread other([&] { ask(1); });
  ask(0);
  other.join();
  EXPECT_EQ(wrong, (std::array<int, 2>{}));
}

}  // namespace
}  // namespace qanat::kms
