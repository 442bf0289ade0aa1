#include "terminal/key_delivery.hpp"

#include "kms_double.hpp"
#include "wire/injection.hpp"

namespace qanat::terminal {
namespace {

using namespace test;

class KeyDeliveryTest : public testing::TestWithParam<crypto::SuiteId> {
 protected:
  KeyDeliveryTest()
      : net_(network(GetParam())),
        alice_(net_.signer(Kind::app1, "alice", alice_number)),
        encryption_(crypto::Decapsulator::generate(net_.suite(), rng_).value()),
        kms_{.net = net_, .signer = net_.signer(Kind::kms, "kms-a")},
        kms_sender_(net_.sender(kms_.signer)),
        wk_(rng_.secret(32)) {}

  Applicant applicant(wire::Assurance min = wire::Assurance::local_rng) {
    return {.suite = net_.suite(), .policy_epoch = 1, .uid = Uid("alice"), .kms = ElementName("kms-a"), .signer = alice_, .encryption = encryption_, .min_assurance = min};
  }
  KeyApplication application() { return KeyApplication::make(applicant_, alice_calls_bob(), Bytes(net_.suite().digest), now_ms(), rng_).value(); }
  KmsDouble::Wanted good() { return {.wk = wk_.duplicate()}; }
  Bytes delivered(const KeyApplication& to, KmsDouble::Wanted wanted) { return kms_.deliver(to.octets(), encryption_.encapsulation_key(), std::move(wanted)); }
  Result<KeyApplication::Delivered> open(const KeyApplication& by, ByteView answer) {
    ASSIGN_OR_RETURN(const auto delivery, by.authenticate(answer, *kms_sender_));
    return by.open(delivery, *kms_sender_, now_ms());
  }
  /// What the terminal says to a delivery that differs from a good one.
  Result<KeyApplication::Delivered> judged(const std::function<void(KmsDouble::Wanted&)>& differ) {
    const KeyApplication by = application();
    KmsDouble::Wanted wanted = good();
    differ(wanted);
    return open(by, delivered(by, std::move(wanted)));
  }
  Bytes token(const Uid& uid, const wire::Fingerprints& holder) {
    const wire::Token message{.uid = uid, .token_id = rng_.id<wire::TokenId>(), .kms_id = ElementName("kms-a"), .holder = holder, .issued_ms = now_ms(),
                              .expires_ms = now_ms() + hour_ms, .level_max = wire::Assurance::disjoint_qkd_paths};
    return wire::sign_message(net_.suite(), 1, message, kms_.signer.signer, kms_.signer.fps, rng_).value().octets;
  }

  SmallNetwork& net_;
  FixedRng rng_{11};
  node::MessageSigner alice_;
  crypto::Decapsulator encryption_;
  KmsDouble kms_;
  std::shared_ptr<const node::Sender> kms_sender_;
  Secret wk_;
  Applicant applicant_ = applicant();
};
INSTANTIATE_TEST_SUITE_P(Suites, KeyDeliveryTest, testing::ValuesIn(both_suites), suite_name);

TEST_P(KeyDeliveryTest, AGoodDeliveryGivesTheKeyAndWhatTheKmsVouchesFor) {
  const auto got = judged([&](KmsDouble::Wanted& wanted) { wanted.token = token(Uid("alice"), alice_.fps); });
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(equal_secret(got->key.wk, wk_));
  EXPECT_EQ(got->key.assurance, wire::Assurance::one_qkd_path);
  EXPECT_EQ(got->key.peer_uid, Uid("bob"));
  EXPECT_EQ(got->key.peer_kms, ElementName("kms-b"));
  EXPECT_EQ(got->token_ref.size(), net_.suite().digest);
}

TEST_P(KeyDeliveryTest, ADeliveryThatWasSignedTogetherWithAnotherIsAsGood) {
  const crypto::Suite& suite = net_.suite();
  const std::array<KeyApplication, 2> by{application(), application()};
  std::vector<wire::Framed<wire::KeyDeliver>> framed;
  std::vector<Bytes> leaves;
  for (const KeyApplication& one : by) {
    const auto alone = wire::parse<wire::KeyDeliver>(delivered(one, good())).value();
    framed.push_back(wire::frame(suite, 1, alone.message).value());
    leaves.push_back(wire::joint_leaf(suite, wire::to_be_signed(wire::MessageType::key_deliver, framed.back().header_and_body(), kms_.signer.fps)));
  }
  const wire::JointTree tree(suite, leaves);
  const Bytes block = kms_.signer.signer.sign(wire::joint_tbs(tree.signed_root(), kms_.signer.fps), rng_);
  for (std::size_t i = 0; i < by.size(); ++i) {
    auto with_the_others_path = framed[i];
    wire::append_signature(with_the_others_path, block, tree.path(1 - i));
    EXPECT_FALSE(open(by[i], with_the_others_path.octets));
    wire::append_signature(framed[i], block, tree.path(i));
    const auto got = open(by[i], framed[i].octets);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_TRUE(equal_secret(got->key.wk, wk_));
  }
}

TEST_P(KeyDeliveryTest, TheApplicationIsSignedAndAlwaysBringsAFreshEphemeralKey) {
  const auto first = wire::parse<wire::KeyRequest>(application().octets()).value();
  const auto second = wire::parse<wire::KeyRequest>(application().octets()).value();
  EXPECT_TRUE(wire::verify(first, net_.sender(alice_)->verifier, alice_.fps));
  EXPECT_EQ(first.message.flags, wire::flag_eph);
  EXPECT_NE(first.message.ephemeral, second.message.ephemeral);
  EXPECT_NE(first.message.nonce, second.message.nonce);
}

TEST_P(KeyDeliveryTest, AlteredOctetsAreRefused) {
  constexpr std::size_t stride = 11;
  const KeyApplication by = application();
  const Bytes answer = delivered(by, good());
  for (std::size_t at = 0; at < answer.size(); at += at < 400 ? 1 : stride) {
    Bytes altered = answer;
    altered[at] ^= 0x04;
    EXPECT_FALSE(open(by, altered)) << at;
  }
  EXPECT_TRUE(open(by, answer));
}

TEST_P(KeyDeliveryTest, TheAnswerToAnotherApplicationIsRefused) {
  const KeyApplication first = application();
  const KeyApplication second = application();
  const auto got = open(second, delivered(first, good()));
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().message.find("another application"), std::string::npos);
}

TEST_P(KeyDeliveryTest, ADeliveryThatAnotherKmsSignedIsRefused) {
  KmsDouble other{.net = net_, .signer = net_.signer(Kind::kms, "kms-a")};  // the same name, but not the pinned certificates
  const KeyApplication by = application();
  EXPECT_FALSE(open(by, other.deliver(by.octets(), encryption_.encapsulation_key(), good())));
  const wire::Fingerprints foreign = other.signer.fps;
  EXPECT_FALSE(judged([&](KmsDouble::Wanted& wanted) { wanted.change = [&](wire::KeyDeliver& message) { message.fps = foreign; }; }));
}

TEST_P(KeyDeliveryTest, ADeliveryOutOfItsTimeIsRefused) {
  const auto with = [&](UnixMs ts, UnixMs expiry) {
    return judged([&](KmsDouble::Wanted& wanted) {
      wanted.change = [=](wire::KeyDeliver& message) {
        message.ts_ms = ts;
        message.expiry_ms = expiry;
      };
    });
  };
  const UnixMs now = now_ms();
  EXPECT_TRUE(with(now - 100'000, now + 10'000));
  EXPECT_FALSE(with(now - 200'000, now + 10'000)) << "old";
  EXPECT_FALSE(with(now + 200'000, now + 300'000)) << "from the future";
  EXPECT_FALSE(with(now, now - 1)) << "expired";
  EXPECT_FALSE(with(now, now + 2 * delivery_lifetime_max_ms)) << "lives too long";
}

TEST_P(KeyDeliveryTest, ADeliveryForAnotherSessionSubscriberOrKeyIsRefused) {
  const auto refused = [&](std::function<void(wire::KeyDeliver&)> change) {
    return !judged([&](KmsDouble::Wanted& wanted) { wanted.change = std::move(change); });
  };
  EXPECT_TRUE(refused([](wire::KeyDeliver& message) { message.sid_wk = SidWk(Bytes(16, 1)); }));
  EXPECT_TRUE(refused([](wire::KeyDeliver& message) { message.sid_call = SidCall(Bytes(32, 1)); }));
  EXPECT_TRUE(refused([](wire::KeyDeliver& message) { message.uid = Uid("bob"); }));
  EXPECT_TRUE(refused([](wire::KeyDeliver& message) { message.kms_id = ElementName("kms-b"); }));
  EXPECT_TRUE(refused([](wire::KeyDeliver& message) { message.enc_kid.front() ^= 1; }));
  EXPECT_TRUE(refused([](wire::KeyDeliver& message) { message.flags |= wire::flag_escrow; })) << "escrow is not in force";
  EXPECT_TRUE(refused([](wire::KeyDeliver& message) {
    message.flags = 0;
    message.eph_ct_classical.clear();
    message.eph_ct_ml_kem.clear();
  })) << "without F_EPH";
}

TEST_P(KeyDeliveryTest, AKeyThatWasAgreedWithSomebodyElseIsRefused) {
  EXPECT_FALSE(judged([](KmsDouble::Wanted& wanted) { wanted.peer_number = Number("+869999"); }));
  EXPECT_FALSE(judged([](KmsDouble::Wanted& wanted) { wanted.peer_uid = Uid("alice"); }));
}

TEST_P(KeyDeliveryTest, AKeyOfLessAssuranceThanDemandedIsRefused) {
  const Applicant demanding = applicant(wire::Assurance::one_qkd_path);
  const KeyApplication by = KeyApplication::make(demanding, alice_calls_bob(), Bytes(net_.suite().digest), now_ms(), rng_).value();
  EXPECT_TRUE(open(by, delivered(by, good())));
  KmsDouble::Wanted pqc = good();
  pqc.assurance = wire::Assurance::pqc;
  pqc.n_paths = 0;
  EXPECT_FALSE(open(by, delivered(by, std::move(pqc))));
  EXPECT_FALSE(judged([](KmsDouble::Wanted& wanted) { wanted.n_paths = 0; })) << "a quantum key that no path carried";
  EXPECT_FALSE(judged([](KmsDouble::Wanted& wanted) { wanted.injected = true; }));
}

TEST_P(KeyDeliveryTest, AChargedKeyGoesIntoTheLastMileAndIsSaidAsItCame) {
  for (const wire::Charged how : {wire::Charged::offline, wire::Charged::wire}) {
    const TakenKey known{.index = 5, .key = Secret::copy_of(Bytes(32, 9)), .charged = how};
    const auto with_key = [&] {
      return KeyApplication::make(applicant_, alice_calls_bob(), Bytes(net_.suite().digest), now_ms(), rng_,
                                  {.call = TakenKey{.index = 5, .key = known.key.duplicate(), .charged = how}, .authentication = std::nullopt})
          .value();
    };
    const KeyApplication by = with_key();
    const auto request = wire::parse<wire::KeyRequest>(by.octets()).value();
    EXPECT_EQ(request.message.flags, wire::flag_eph | wire::flag_inj);
    EXPECT_TRUE(wire::check_proof(request, wire::ExtensionType::injected_key, known.key));
    KmsDouble::Wanted wanted = good();
    wanted.charged = &known;
    wanted.injected = wire::counts(how);
    const auto got = open(by, delivered(by, std::move(wanted)));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->key.injected, wire::counts(how)) << "what came over a wire under public keys adds nothing against their fall";
    EXPECT_EQ(got->key.charged, how);
    const KeyApplication without = with_key();
    EXPECT_FALSE(open(without, delivered(without, good()))) << "a delivery that the charged key is not in";
    const KeyApplication other = with_key();
    KmsDouble::Wanted differs = good();
    differs.charged = &known;
    differs.injected = !wire::counts(how);
    EXPECT_FALSE(open(other, delivered(other, std::move(differs)))) << "the KMS has it otherwise";
  }
}

TEST_P(KeyDeliveryTest, SymmetricModeIsProvedByTheAuthenticationSetAndSaidByTheKms) {
  const TakenKey call{.index = 1, .key = Secret::copy_of(Bytes(32, 1)), .charged = wire::Charged::offline};
  const Secret authentication = Secret::copy_of(Bytes(32, 2));
  const auto make = [&] {
    return KeyApplication::make(applicant_, alice_calls_bob(), Bytes(net_.suite().digest), now_ms(), rng_,
                                {.call = TakenKey{.index = 1, .key = call.key.duplicate(), .charged = call.charged},
                                 .authentication = TakenKey{.index = 8, .key = authentication.duplicate(), .charged = wire::Charged::offline}})
        .value();
  };
  for (const bool needed : {true, false}) {
    const KeyApplication by = make();
    EXPECT_TRUE(wire::check_proof(wire::parse<wire::KeyRequest>(by.octets()).value(), wire::ExtensionType::symmetric_authentication, authentication));
    KmsDouble::Wanted wanted = good();
    wanted.charged = &call;
    wanted.injected = true;
    if (!needed) wanted.change = [](wire::KeyDeliver& message) { message.flags &= static_cast<std::uint8_t>(~wire::flag_sym); };
    const auto got = open(by, delivered(by, std::move(wanted)));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->key.symmetric, needed);
  }
  EXPECT_FALSE(judged([](KmsDouble::Wanted& wanted) { wanted.change = [](wire::KeyDeliver& message) { message.flags |= wire::flag_sym; }; }))
      << "symmetric mode that nobody asked for";
}

TEST_P(KeyDeliveryTest, AGrantByTheDirectoryIsSaidByTheKmsAndShown) {
  const auto by_directory = [](wire::KeyDeliver& message) { message.flags |= wire::flag_directory; };
  const auto got = judged([&](KmsDouble::Wanted& wanted) { wanted.change = by_directory; });
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(got->key.directory);
  EXPECT_FALSE(judged([](KmsDouble::Wanted&) {})->key.directory);
  const auto within = judged([&](KmsDouble::Wanted& wanted) {
    wanted.change = by_directory;
    wanted.peer_kms = ElementName("kms-a");
  });
  ASSERT_FALSE(within) << "there is no grant within one KMS";
  EXPECT_TRUE(within.error().message.contains("needs no grant")) << within.error().message;
  // Under the seal and both signatures: nobody on the way takes it off.
  const KeyApplication by = application();
  KmsDouble::Wanted wanted = good();
  wanted.change = by_directory;
  Bytes octets = delivered(by, std::move(wanted));
  const auto parsed = wire::parse<wire::KeyDeliver>(octets).value();
  const std::size_t flags_at = wire::header_size + parsed.message.h_req.size() + 16 + 32 + 1 + parsed.message.uid.text().size() + 1 +
                               parsed.message.kms_id.text().size() + wire::nonce_size + 8 + 8;
  ASSERT_EQ(octets.at(flags_at), parsed.message.flags);
  octets.at(flags_at) ^= wire::flag_directory;
  EXPECT_FALSE(open(by, octets));
}

TEST_P(KeyDeliveryTest, AForeignTokenIsRefused) {
  EXPECT_FALSE(judged([&](KmsDouble::Wanted& wanted) { wanted.token = token(Uid("bob"), alice_.fps); }));
  EXPECT_FALSE(judged([&](KmsDouble::Wanted& wanted) { wanted.token = token(Uid("alice"), kms_.signer.fps); }));
  EXPECT_FALSE(judged([&](KmsDouble::Wanted& wanted) { wanted.token = Bytes(100, 1); }));
}

TEST_P(KeyDeliveryTest, AnotherPolicyEpochIsRefused) {
  EXPECT_FALSE(judged([](KmsDouble::Wanted& wanted) { wanted.policy_epoch = 2; }));
}

TEST_P(KeyDeliveryTest, TheAcknowledgementIsSignedByTheTerminal) {
  const auto ack = wire::parse<wire::DeliverAck>(application().acknowledgement(Bytes(net_.suite().digest, 3), true, rng_).value()).value();
  EXPECT_TRUE(wire::verify(ack, net_.sender(alice_)->verifier, alice_.fps));
  EXPECT_EQ(ack.message.h_deliver, Bytes(net_.suite().digest, 3));
  EXPECT_TRUE(ack.message.ok);
}

}  // namespace
}  // namespace qanat::terminal
