#include "terminal/ax.hpp"

#include "small_network.hpp"

namespace qanat::terminal {
namespace {

using namespace test;

bool same(const wire::MediaKey& a, const wire::MediaKey& b) { return equal_secret(a.key, b.key) && equal_secret(a.salt, b.salt); }

/// Alice calls Bob; everything is as it should be until a test changes it.
class AxTest : public testing::TestWithParam<crypto::SuiteId> {
 protected:
  AxTest()
      : net_(network(GetParam())),
        alice_(net_.signer(Kind::app1, "alice", alice_number)),
        bob_(net_.signer(Kind::app1, "bob", bob_number)),
        alice_party_{.suite = net_.suite(), .policy_epoch = 1, .signer = alice_, .check_peer = net_.check_peer(), .rng = rng_},
        bob_party_{.suite = net_.suite(), .policy_epoch = 1, .signer = bob_, .check_peer = net_.check_peer(), .rng = rng_},
        wk_(rng_.secret(32)) {}

  AxSession session(const std::string& peer) const {
    return {.sid_wk = SidWk(Bytes(16, 7)), .sid_call = SidCall(Bytes(32, 8)), .caller = alice_number, .called = bob_number, .peer_uid = Uid(peer),
            .peer_fps = wire::no_fingerprints(net_.suite())};
  }
  AxInitiator initiator() { return AxInitiator::start(alice_party_, session("bob"), wk_).value(); }
  AxResponder responder() { return AxResponder(bob_party_, session("alice"), wk_.duplicate()); }
  /// `envelope` with one bit of octet `at` of its message turned.
  static Bytes altered(const Bytes& envelope, std::size_t at) {
    wire::Envelope parts = wire::parse_envelope(envelope).value();
    parts.message.at(at) ^= 0x10;
    return wire::encode(parts);
  }
  static std::size_t message_size(const Bytes& envelope) { return wire::parse_envelope(envelope).value().message.size(); }

  SmallNetwork& net_;
  FixedRng rng_{7};
  node::MessageSigner alice_;
  node::MessageSigner bob_;
  AxParty alice_party_;
  AxParty bob_party_;
  Secret wk_;
};
INSTANTIATE_TEST_SUITE_P(Suites, AxTest, testing::ValuesIn(both_suites), suite_name);

TEST_P(AxTest, BothEndsHaveTheSameKeysOnePerDirectionAndTheSameSas) {
  AxInitiator a = initiator();
  AxResponder b = responder();
  const Bytes ax2 = b.answer(a.opening()).value();
  const AxInitiator::Finished finished = a.finish(ax2).value();
  const AxKeys at_b = b.finish(finished.message).value();
  EXPECT_TRUE(same(finished.keys.media.initiator, at_b.media.initiator));
  EXPECT_TRUE(same(finished.keys.media.responder, at_b.media.responder));
  EXPECT_FALSE(same(at_b.media.initiator, at_b.media.responder));
  EXPECT_EQ(finished.keys.sas, at_b.sas);
  EXPECT_EQ(at_b.media.initiator.key.size(), net_.suite().aead_key);
}

TEST_P(AxTest, TheSameWorkingKeyGivesOtherMediaKeysEachTime) {
  const auto run = [this] {
    AxInitiator a = initiator();
    AxResponder b = responder();
    return b.finish(a.finish(b.answer(a.opening()).value()).value().message).value();
  };
  EXPECT_FALSE(same(run().media.initiator, run().media.initiator));
}

TEST_P(AxTest, AnotherWorkingKeyAtTheCalleeIsRefusedWithItsReason) {
  AxInitiator a = initiator();
  AxResponder b(bob_party_, session("alice"), rng_.secret(32));
  const auto answer = b.answer(a.opening());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::denied);
  EXPECT_NE(answer.error().message.find("another working key"), std::string::npos);
  EXPECT_FALSE(b.finish(a.opening()));
}

TEST_P(AxTest, AResponderWithoutTheWorkingKeyGetsNoAx3) {
  // A responder that has all certificates but another WK answers an AX1 that it made fit itself: the caller's finish() refuses.
  AxInitiator a = initiator();
  const Secret other = rng_.secret(32);
  AxInitiator fitting = AxInitiator::start(alice_party_, session("bob"), other).value();
  AxResponder b(bob_party_, session("alice"), other.duplicate());
  const Bytes ax2 = b.answer(fitting.opening()).value();
  const auto finished = a.finish(ax2);
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, ErrorCode::denied);
}

TEST_P(AxTest, EveryAlteredOctetOfAx1IsRefused) {
  AxInitiator a = initiator();
  for (std::size_t at = 0; at < message_size(a.opening()); ++at) EXPECT_FALSE(responder().answer(altered(a.opening(), at))) << at;
}

TEST_P(AxTest, AlteredOctetsOfAx2AreRefused) {
  constexpr std::size_t stride = 23;
  AxInitiator shape = initiator();
  AxResponder shape_b = responder();
  const std::size_t size = message_size(shape_b.answer(shape.opening()).value());
  for (std::size_t at = 0; at < size; at += at < 64 ? 1 : stride) {
    AxInitiator a = initiator();
    AxResponder b = responder();
    const Bytes ax2 = b.answer(a.opening()).value();
    EXPECT_FALSE(a.finish(altered(ax2, at))) << at;
    EXPECT_FALSE(a.finish(ax2)) << "a machine that has failed takes nothing more";
  }
}

TEST_P(AxTest, AlteredOctetsOfAx3AreRefused) {
  constexpr std::size_t stride = 37;
  std::size_t size = 64;
  for (std::size_t at = 0; at < size; at += at < 24 ? 1 : stride) {
    AxInitiator a = initiator();
    AxResponder b = responder();
    const Bytes ax3 = a.finish(b.answer(a.opening()).value()).value().message;
    size = message_size(ax3);
    EXPECT_FALSE(b.finish(altered(ax3, at))) << at;
    EXPECT_FALSE(b.finish(ax3)) << "a machine that has failed takes nothing more";
  }
}

TEST_P(AxTest, AnAx3ThatBringsCertificatesIsRefused) {
  for (const bool classical : {false, true}) {
    AxInitiator a = initiator();
    AxResponder b = responder();
    wire::Envelope ax3 = wire::parse_envelope(a.finish(b.answer(a.opening()).value()).value().message).value();
    (classical ? ax3.classical : ax3.ml_dsa) = (classical ? alice_.classical : alice_.ml_dsa).der();
    const auto refused = b.finish(wire::encode(ax3));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::denied) << refused.error().message;
  }
}

TEST_P(AxTest, ACallerWhoseCertificateCarriesAnotherNumberIsRefused) {
  const node::MessageSigner other = net_.signer(Kind::app1, "alice", Number("+869999"));
  const AxParty party{.suite = net_.suite(), .policy_epoch = 1, .signer = other, .check_peer = net_.check_peer(), .rng = rng_};
  AxInitiator a = AxInitiator::start(party, session("bob"), wk_).value();
  const auto answer = responder().answer(a.opening());
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("number"), std::string::npos) << answer.error().message;
}

TEST_P(AxTest, AnotherSubscriberWhoKnowsTheWorkingKeyIsRefusedAsCaller) {
  const node::MessageSigner mallory = net_.signer(Kind::app1, "mallory", alice_number);
  const AxParty party{.suite = net_.suite(), .policy_epoch = 1, .signer = mallory, .check_peer = net_.check_peer(), .rng = rng_};
  AxInitiator a = AxInitiator::start(party, session("bob"), wk_).value();
  EXPECT_FALSE(responder().answer(a.opening()));
}

TEST_P(AxTest, AnotherSubscriberWhoKnowsTheWorkingKeyIsRefusedAsCallee) {
  const node::MessageSigner mallory = net_.signer(Kind::app1, "mallory", bob_number);
  const AxParty party{.suite = net_.suite(), .policy_epoch = 1, .signer = mallory, .check_peer = net_.check_peer(), .rng = rng_};
  AxInitiator a = initiator();
  AxResponder b(party, session("alice"), wk_.duplicate());
  EXPECT_FALSE(a.finish(b.answer(a.opening()).value()));
}

TEST_P(AxTest, AKmsCertificateIsNoTerminals) {
  const node::MessageSigner kms = net_.signer(Kind::kms, "bob", bob_number);
  const AxParty party{.suite = net_.suite(), .policy_epoch = 1, .signer = kms, .check_peer = net_.check_peer(), .rng = rng_};
  AxInitiator a = initiator();
  AxResponder b(party, session("alice"), wk_.duplicate());
  EXPECT_FALSE(a.finish(b.answer(a.opening()).value()));
}

TEST_P(AxTest, CertificatesOfAnotherNetworkAreRefused) {
  SmallNetwork foreign(GetParam(), 99);
  const node::MessageSigner alice = foreign.signer(Kind::app1, "alice", alice_number);
  const AxParty party{.suite = net_.suite(), .policy_epoch = 1, .signer = alice, .check_peer = net_.check_peer(), .rng = rng_};
  AxInitiator a = AxInitiator::start(party, session("bob"), wk_).value();
  EXPECT_FALSE(responder().answer(a.opening()));
}

TEST_P(AxTest, ShownCertificatesThatDidNotSignAreRefused) {
  // Alice's certificates in the envelope, somebody else's keys behind the message: in AX1 by the fingerprints, in AX2 by the signature.
  const node::MessageSigner other = net_.signer(Kind::app1, "bob", bob_number);
  AxInitiator a = initiator();
  wire::Envelope opening = wire::parse_envelope(a.opening()).value();
  opening.classical = other.classical.der();
  opening.ml_dsa = other.ml_dsa.der();
  EXPECT_FALSE(responder().answer(wire::encode(opening)));
  AxResponder b = responder();
  wire::Envelope answer = wire::parse_envelope(b.answer(a.opening()).value()).value();
  answer.classical = other.classical.der();
  answer.ml_dsa = other.ml_dsa.der();
  EXPECT_FALSE(a.finish(wire::encode(answer)));
}

TEST_P(AxTest, FingerprintsThatTheKmsDeliveredMustBeThePeers) {
  const node::MessageSigner newer = net_.signer(Kind::app1, "alice", alice_number);  // the same subscriber, other certificates
  AxInitiator a = initiator();
  AxSession expects = session("alice");
  expects.peer_fps = newer.fps;
  EXPECT_FALSE(AxResponder(bob_party_, expects, wk_.duplicate()).answer(a.opening()));
  expects.peer_fps = alice_.fps;
  EXPECT_TRUE(AxResponder(bob_party_, expects, wk_.duplicate()).answer(a.opening()));
}

TEST_P(AxTest, MessagesOfAnotherCallWithTheSameWorkingKeyAreRefused) {
  AxSession other = session("bob");
  other.sid_call = SidCall(Bytes(32, 9));
  AxInitiator a = AxInitiator::start(alice_party_, other, wk_).value();
  EXPECT_FALSE(responder().answer(a.opening()));
  other = session("bob");
  other.sid_wk = SidWk(Bytes(16, 9));
  AxInitiator second = AxInitiator::start(alice_party_, other, wk_).value();
  EXPECT_FALSE(responder().answer(second.opening()));
}

TEST_P(AxTest, ReflectedMessagesAreRefused) {
  AxInitiator a = initiator();
  EXPECT_FALSE(a.finish(a.opening()));
  AxInitiator second = initiator();
  AxResponder b = responder();
  const Bytes ax2 = b.answer(second.opening()).value();
  EXPECT_FALSE(b.finish(ax2));
}

TEST_P(AxTest, ReplayedMessagesOfAnEarlierExchangeAreRefused) {
  AxInitiator earlier = initiator();
  AxResponder earlier_b = responder();
  const Bytes ax2 = earlier_b.answer(earlier.opening()).value();
  const Bytes ax3 = earlier.finish(ax2).value().message;
  AxInitiator a = initiator();
  EXPECT_FALSE(a.finish(ax2));
  AxResponder b = responder();
  ASSERT_TRUE(b.answer(earlier.opening())) << "AX1 alone says nothing about freshness";
  EXPECT_FALSE(b.finish(ax3));
}

TEST_P(AxTest, MessagesOutOfOrderEndTheExchange) {
  AxInitiator a = initiator();
  AxResponder b = responder();
  EXPECT_FALSE(b.finish(a.opening())) << "AX3 before AX1";
  EXPECT_FALSE(b.answer(a.opening())) << "over";
  AxResponder c = responder();
  const Bytes ax2 = c.answer(a.opening()).value();
  EXPECT_FALSE(c.answer(a.opening())) << "AX1 twice";
  const Bytes ax3 = a.finish(ax2).value().message;
  EXPECT_FALSE(c.finish(ax3)) << "over";
  EXPECT_FALSE(a.finish(ax2)) << "AX2 twice";
}

TEST_P(AxTest, NothingSecretStaysInAMachineThatIsThroughOrHasFailed) {
  AxInitiator a = initiator();
  AxResponder b = responder();
  EXPECT_TRUE(a.holds_secrets());
  EXPECT_TRUE(b.holds_secrets());
  const Bytes ax2 = b.answer(a.opening()).value();
  EXPECT_TRUE(b.holds_secrets()) << "for AX3";
  const Bytes ax3 = a.finish(ax2).value().message;
  EXPECT_FALSE(a.holds_secrets()) << "neither the ephemeral keys";
  ASSERT_TRUE(b.finish(ax3));
  EXPECT_FALSE(b.holds_secrets());

  AxInitiator refusing = initiator();
  EXPECT_FALSE(refusing.finish(ax2));
  EXPECT_FALSE(refusing.holds_secrets());
  for (const bool answers : {false, true}) {
    AxResponder refuses = responder();
    if (answers) {
      ASSERT_TRUE(refuses.answer(a.opening()));
    }
    EXPECT_FALSE(answers ? refuses.answer(a.opening()) : refuses.answer(ax2));
    EXPECT_FALSE(refuses.holds_secrets());
    AxResponder out_of_turn = responder();
    EXPECT_FALSE(out_of_turn.finish(ax3));
    EXPECT_FALSE(out_of_turn.holds_secrets());
  }
}

TEST_P(AxTest, AnotherPolicyEpochOrSuiteIsRefused) {
  AxParty later{.suite = net_.suite(), .policy_epoch = 2, .signer = alice_, .check_peer = net_.check_peer(), .rng = rng_};
  EXPECT_FALSE(responder().answer(AxInitiator::start(later, session("bob"), wk_).value().opening()));
  SmallNetwork& other = network(GetParam() == crypto::SuiteId::gm_hybrid ? crypto::SuiteId::intl_hybrid : crypto::SuiteId::gm_hybrid);
  const node::MessageSigner alice = other.signer(Kind::app1, "alice", alice_number);
  const AxParty party{.suite = other.suite(), .policy_epoch = 1, .signer = alice, .check_peer = other.check_peer(), .rng = rng_};
  EXPECT_FALSE(responder().answer(AxInitiator::start(party, session("bob"), wk_).value().opening()));
}

}  // namespace
}  // namespace qanat::terminal
