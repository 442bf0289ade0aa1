// Sessions by CMSP's directory, at the caller's KMS and at the callee's.
#include "kms_directory.hpp"
#include "person.hpp"
#include "services/kms/kma/agreement.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kp/encryption_state.hpp"
#include "services/kms/schema.hpp"

namespace qanat::kms {
namespace {

class DirectorySessionsTest : public testing::Test {
 protected:
  DirectorySessionsTest()
      : cmsp_(network_),
        far_credentials_(network_.credentials(directory_kms_b)),
        far_(network_, directory_kms_b,
             {{Endpoint::km2_open,
               [this](const net::Request& request) -> Result<net::Response> {
                 opens_.push_back(request.body);
                 if (far_refuses_) return fail(ErrorCode::denied, "not here");
                 return net::Response{.status = 204, .content_type = "", .body = {}};
               }},
              {Endpoint::km2_offer,
               [this](const net::Request& request) -> Result<net::Response> {
                 offers_.push_back(request.body);
                 return fail(ErrorCode::denied, "as far as this test goes");
               }}}),
        node_(open_kms_node(network_, {&cmsp_.element(), &far_}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; })),
        senders_(*node_) {
    settings_.directory_fallback = true;
    open();
    enrol();
    cmsp_.offer(5, pages());
    EXPECT_TRUE(must(agreement_->directory().fetch(test::soon())));
  }
  void open() {
    agreement_.reset();
    ledger_.reset();
    store_.reset();
    store_ = must(open_database(*node_));
    ledger_ = std::make_unique<Ledger>(node_->device());
    agreement_ = std::make_unique<Agreement>(*node_, *store_, *ledger_, senders_, trace_, errands_, settings_,
                                             must(crypto::SiteKey::read(write_site_key(network_.state_of(kms_id)))));
  }
  static CmspOfDirectories::Pages pages() { return {{listed(number_of_alice, "alice", "kms-a"), listed(number_of_bob, "bob", "kms-b")}}; }
  /// Alice's terminal, which this KMS serves.
  void enrol() {
    alice_ = make_person(network_, identity("qanat://a/app1/alice"), number_of_alice).terminal;
    must(store_->transact([&](store::Transaction& transaction) { return put_terminal(transaction, alice_); }));
  }
  bool on_record(std::string_view text) { return test::audited(network_.state_of(kms_id), text); }

  // The caller's side: alice calls bob.
  Asked asked() {
    Asked out;
    out.sid_wk = network_.rng().id<SidWk>();
    out.sid_call = network_.rng().id<SidCall>();
    out.role = wire::Role::caller;
    out.num_call = number_of_alice;
    out.num_called = number_of_bob;
    out.hash = Bytes(network_.suite().digest, 3);
    return out;
  }
  Result<Choice> call(const Asked& wanted) {
    const LevelTowards any = [](const std::string&) -> Result<wire::Assurance> { return wire::Assurance::disjoint_qkd_paths; };
    return agreement_->as_caller(wanted, alice_, any, test::soon(), "0123456789abcdef");
  }
  template <class M>
  static wire::Framed<M> inside(ByteView body) {
    return must(wire::parse<M>(must(wire::parse_envelope(body)).message));
  }

  // The callee's side: bob calls alice.
  wire::DirectoryOpen session() {
    const auto head = must(agreement_->directory().locate(number_of_bob, number_of_alice, SystemClock().now_ms()));
    wire::DirectoryOpen out;
    out.sid_wk = network_.rng().id<SidWk>();
    out.sid_call = network_.rng().id<SidCall>();
    out.num_call = number_of_bob;
    out.num_called = number_of_alice;
    out.uid_a = Uid("bob");
    out.uid_b = Uid("alice");
    out.kms_a = ElementName("kms-b");
    out.kms_b = ElementName("kms-a");
    out.hreq_a = Bytes(network_.suite().digest, 4);
    out.prev_hash = head.hash;
    out.kms_a_fps = far_credentials_.messages->fps;
    out.kms_b_fps = wire::no_fingerprints(network_.suite());
    out.ts_ms = SystemClock().now_ms();
    out.epoch = static_cast<std::uint64_t>(head.epoch);
    return out;
  }
  template <class M>
  wire::Framed<M> sign(const M& message, std::uint32_t policy_epoch = 1) {
    const node::MessageSigner& signer = *far_credentials_.messages;
    return must(wire::sign_message(network_.suite(), policy_epoch, message, signer.signer, signer.fps, network_.rng()));
  }
  net::Request from_far(const Bytes& message) { return test::request_from(directory_kms_b, node::enclose(*far_credentials_.messages, message)); }
  Result<net::Response> opened(const Bytes& message) { return agreement_->open(from_far(message)); }
  Result<net::Response> opened(const wire::DirectoryOpen& message) { return opened(sign(message).octets); }
  void expect_refusal(const wire::DirectoryOpen& message, ErrorCode code, std::string_view why) {
    const auto answer = opened(message);
    EXPECT_EQ(test::refusal(answer), code) << why;
    if (!answer) EXPECT_TRUE(answer.error().message.contains(why)) << answer.error().message;
  }
  Result<net::Response> offered(const wire::DirectoryOpen& session, const Bytes& h_grant) {
    const auto ephemeral = must(crypto::Decapsulator::generate(network_.suite(), network_.rng()));
    const wire::KmsOffer offer{.sid_wk = session.sid_wk,
                               .sid_call = session.sid_call,
                               .kms_a = session.kms_a,
                               .kms_b = session.kms_b,
                               .h_grant = h_grant,
                               .nonce = network_.rng().bytes(wire::nonce_size),
                               .ts_ms = SystemClock().now_ms(),
                               .shares = {},
                               .ephemeral = ephemeral.encapsulation_key(),
                               .fps = far_credentials_.messages->fps};
    return agreement_->offer(from_far(sign(offer).octets));
  }

  test::TrustedNetwork network_;
  CmspOfDirectories cmsp_;
  node::Credentials far_credentials_;
  std::vector<Bytes> opens_;
  std::vector<Bytes> offers_;
  bool far_refuses_ = false;
  Double far_;
  std::unique_ptr<node::Node> node_;
  node::SenderDirectory senders_;
  node::StepTrace trace_{network_.state_of(kms_id)};
  Errands errands_;
  KmsSettings settings_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<Agreement> agreement_;
  Terminal alice_;
};

TEST_F(DirectorySessionsTest, WhileCmspIsSilentTheCallersKmsOpensTheSessionWithTheOther) {
  cmsp_.fall_silent();
  const Asked wanted = asked();
  EXPECT_EQ(test::refusal(call(wanted)), ErrorCode::denied) << "the other KMS refuses the offer in this test";
  ASSERT_EQ(opens_.size(), 1U);
  const auto open = inside<wire::DirectoryOpen>(opens_[0]);
  const auto kept = must(agreement_->directory().locate(number_of_alice, number_of_bob, SystemClock().now_ms()));
  EXPECT_EQ(open.message.sid_wk, wanted.sid_wk);
  EXPECT_EQ(open.message.sid_call, wanted.sid_call);
  EXPECT_EQ(open.message.uid_a, Uid("alice"));
  EXPECT_EQ(open.message.uid_b, Uid("bob"));
  EXPECT_EQ(open.message.kms_a, ElementName("kms-a"));
  EXPECT_EQ(open.message.kms_b, ElementName("kms-b"));
  EXPECT_EQ(open.message.hreq_a, wanted.hash);
  EXPECT_EQ(open.message.prev_hash, kept.hash);
  EXPECT_EQ(open.message.epoch, 5U);
  EXPECT_EQ(open.message.kms_a_fps, node_->signer()->fps);
  ASSERT_EQ(offers_.size(), 1U);
  EXPECT_EQ(inside<wire::KmsOffer>(offers_[0]).message.h_grant, open.hash) << "what the other KMS signs answers this opening";
  EXPECT_TRUE(on_record("km-2.open"));
  EXPECT_TRUE(on_record("by its directory 5, +8613900000002 is the number of 'bob' at kms-b"));
}

TEST_F(DirectorySessionsTest, ARefusalOfCmspsIsFinal) {
  const auto answer = call(asked());
  EXPECT_EQ(test::refusal(answer), ErrorCode::unavailable) << "the code of a silence, in a complete answer";
  EXPECT_TRUE(answer.error().message.contains("callee is not registered")) << answer.error().message;
  EXPECT_EQ(cmsp_.located, 1);
  EXPECT_TRUE(opens_.empty());
}

TEST_F(DirectorySessionsTest, WithTheSettingOffTheCallerIsToldWhy) {
  settings_.directory_fallback = false;
  open();
  cmsp_.fall_silent();
  const auto answer = call(asked());
  EXPECT_EQ(test::refusal(answer), ErrorCode::unavailable);
  EXPECT_TRUE(answer.error().message.starts_with("CMSP does not answer (")) << answer.error().message;
  EXPECT_TRUE(answer.error().message.ends_with(", and policy allows no session by its directory")) << answer.error().message;
  EXPECT_TRUE(opens_.empty());
}

TEST_F(DirectorySessionsTest, TheCallersKmsOpensNothingThatItsDirectoryOrPolicyDoesNotBear) {
  cmsp_.fall_silent();
  const auto refused = [&](const Asked& wanted, ErrorCode code, std::string_view why) {
    const auto answer = call(wanted);
    EXPECT_EQ(test::refusal(answer), code) << why;
    if (!answer) EXPECT_TRUE(answer.error().message.contains(why)) << answer.error().message;
  };
  Asked wanted = asked();
  wanted.num_called = Number("+999");
  refused(wanted, ErrorCode::not_found, "directory 5: does not have +999");
  wanted = asked();
  wanted.num_call = number_of_bob;
  refused(wanted, ErrorCode::denied, "+8613900000002 is the number of 'bob' at kms-b");
  wanted = asked();
  wanted.num_called = number_of_alice;
  refused(wanted, ErrorCode::not_found, "has no enrolled terminal at kms-a");
  wanted = asked();
  wanted.says_directory = false;
  refused(wanted, ErrorCode::unavailable, "could not say that its directory stood in");
  settings_.policy.no_directory_with = {"b"};
  refused(asked(), ErrorCode::denied, "policy of kms-a allows no session by CMSP's directory with domain b");
  settings_.policy.no_directory_with.clear();
  points::KmsPolicy policy{.version = 1, .epoch = 1};
  policy.directory_fallback = false;
  must(agreement_->policy().put_in_force(*store_, policy, 1, 0, SystemClock().now_ms()));
  refused(asked(), ErrorCode::unavailable, "policy allows no session by its directory");
  EXPECT_TRUE(opens_.empty());
}

TEST_F(DirectorySessionsTest, WhatTheOtherKmsRefusesIsRefused) {
  cmsp_.fall_silent();
  far_refuses_ = true;
  const auto answer = call(asked());
  EXPECT_EQ(test::refusal(answer), ErrorCode::denied);
  EXPECT_TRUE(answer.error().message.contains("not here")) << answer.error().message;
  EXPECT_TRUE(offers_.empty());
}

TEST_F(DirectorySessionsTest, TheCalleesKmsTakesAnOfferForIt) {
  cmsp_.fall_silent();
  const wire::DirectoryOpen message = session();
  const auto open = sign(message);
  EXPECT_EQ(must(opened(open.octets)).status, 204U);
  EXPECT_TRUE(on_record("CMSP does not answer: kms-b opens the session by its directory 5"));
  EXPECT_EQ(must(opened(open.octets)).status, 204U) << "the same octets again: the answer was lost";
  const auto other = offered(message, Bytes(network_.suite().digest, 9));
  EXPECT_EQ(test::refusal(other), ErrorCode::denied) << "for another opening";
  EXPECT_EQ(must(offered(message, open.hash)).status, 200U);
  const auto leg = must(store_->transact([&](store::Transaction& transaction) { return ledger_->find(transaction, message.sid_wk, wire::Role::callee); }));
  ASSERT_TRUE(leg);
  EXPECT_EQ(leg->key.directory_epoch, 5);
  EXPECT_EQ(leg->key.uid, Uid("alice"));
  EXPECT_EQ(leg->key.peer_uid, Uid("bob"));
}

TEST_F(DirectorySessionsTest, ASessionIsOpenedOnce) {
  cmsp_.fall_silent();
  const wire::DirectoryOpen message = session();
  const auto open = sign(message);
  must(opened(open.octets));
  wire::DirectoryOpen other = message;
  other.hreq_a = Bytes(network_.suite().digest, 5);
  expect_refusal(other, ErrorCode::conflict, "was announced already");
  must(store_->transact([&](store::Transaction& transaction) {
    return transaction.run("DELETE FROM announced_session WHERE sid_wk = ?", {message.sid_wk.view()});
  }));
  EXPECT_EQ(test::refusal(opened(open.octets)), ErrorCode::conflict) << "a replay after the session has ended";
  this->open();
  EXPECT_EQ(test::refusal(opened(open.octets)), ErrorCode::conflict) << "also after a restart";
}

TEST_F(DirectorySessionsTest, TheCalleesKmsRefusesWhatCmspWouldNotAnnounce) {
  cmsp_.fall_silent();
  const auto changed = [&](const std::function<void(wire::DirectoryOpen&)>& change) {
    wire::DirectoryOpen out = session();
    change(out);
    return out;
  };
  using Open = wire::DirectoryOpen;
  expect_refusal(changed([](Open& m) { m.num_call = Number("+998"); }), ErrorCode::not_found, "directory 5: does not have +998");
  expect_refusal(changed([](Open& m) { m.num_call = number_of_alice; }), ErrorCode::denied, "calls itself");
  expect_refusal(changed([](Open& m) { m.uid_a = Uid("mallory"); }), ErrorCode::denied, "is the number of 'bob' at kms-b");
  expect_refusal(changed([](Open& m) { m.uid_b = Uid("mallory"); }), ErrorCode::denied, "is the number of 'alice' at kms-a");
  expect_refusal(changed([](Open& m) { m.kms_b = ElementName("kms-c"); }), ErrorCode::denied, "is for KMS kms-c");
  expect_refusal(changed([](Open& m) { m.kms_a = ElementName("kms-c"); }), ErrorCode::denied, "names another KMS");
  expect_refusal(changed([this](Open& m) { m.kms_a_fps = node_->signer()->fps; }), ErrorCode::denied, "names another KMS, or other certificates");
  expect_refusal(changed([](Open& m) { m.ts_ms -= 600'000; }), ErrorCode::denied, "more than the clock window");
  expect_refusal(changed([this](Open& m) { m.prev_hash = Bytes(network_.suite().digest, 7); }), ErrorCode::denied, "directory 5 is another one here");
  EXPECT_EQ(test::refusal(opened(sign(session(), 2).octets)), ErrorCode::denied) << "another policy epoch";
  Bytes altered = sign(session()).octets;
  altered[wire::header_size] ^= 1;
  EXPECT_EQ(test::refusal(opened(altered)), ErrorCode::denied) << "not what was signed";
  const net::Request as_another = test::request_from(identity("qanat://c/kms/kms-b"), node::enclose(*far_credentials_.messages, sign(session()).octets));
  EXPECT_EQ(test::refusal(agreement_->open(as_another)), ErrorCode::denied) << "over the connection of another element";
  settings_.policy.no_directory_with = {"b"};
  expect_refusal(session(), ErrorCode::denied, "policy of kms-a allows no session by CMSP's directory with domain b");
  settings_.policy.no_directory_with.clear();
  EXPECT_TRUE(opened(session())) << "it was for those reasons alone";
}

TEST_F(DirectorySessionsTest, ANumberThatBelongsToAnotherKmsIsNotTheCallers) {
  cmsp_.offer(6, {{listed(number_of_alice, "alice", "kms-a"), listed(number_of_bob, "bob", "kms-c")}});
  ASSERT_TRUE(must(agreement_->directory().fetch(test::soon())));
  cmsp_.fall_silent();
  wire::DirectoryOpen message = session();
  message.epoch = 5;  // by the caller's KMS's earlier copy
  message.prev_hash = Bytes(network_.suite().digest, 7);
  expect_refusal(message, ErrorCode::denied, "+8613900000002 is the number of 'bob' at kms-c");
}

TEST_F(DirectorySessionsTest, AnotherEpochThanHereIsNoFault) {
  cmsp_.fall_silent();
  wire::DirectoryOpen message = session();
  message.epoch = 4;
  message.prev_hash = Bytes(network_.suite().digest, 7);
  EXPECT_TRUE(opened(message));
}

TEST_F(DirectorySessionsTest, WhereCmspAnswersTheCalleesKmsTheSessionIsNotPassedBy) {
  expect_refusal(session(), ErrorCode::unavailable, "CMSP answers kms-a: the session is to be opened with it");
}

TEST_F(DirectorySessionsTest, WhoLeavesCmspNoTimeToAnswerHasNotMadeItSilent) {
  cmsp_.fall_silent();
  const LevelTowards any = [](const std::string&) -> Result<wire::Assurance> { return wire::Assurance::disjoint_qkd_paths; };
  const auto answer = agreement_->as_caller(asked(), alice_, any, Deadline::after(std::chrono::milliseconds(900)), "0123456789abcdef");
  ASSERT_FALSE(answer);
  EXPECT_TRUE(is_silence(answer.error().code)) << "worth another application";
  EXPECT_TRUE(answer.error().message.contains("ms to answer")) << answer.error().message;
  EXPECT_TRUE(opens_.empty());
}

TEST_F(DirectorySessionsTest, AKmsOfAnotherDomainWithThePeersNameOpensNone) {
  cmsp_.fall_silent();
  const Identity namesake = identity("qanat://c/kms/kms-b");
  const node::Credentials theirs = network_.credentials(namesake);
  const node::MessageSigner& signer = *theirs.messages;
  wire::DirectoryOpen message = session();
  message.kms_a_fps = signer.fps;
  const Bytes octets = must(wire::sign_message(network_.suite(), 1, message, signer.signer, signer.fps, network_.rng())).octets;
  const auto answer = agreement_->open(test::request_from(namesake, node::enclose(signer, octets)));
  EXPECT_EQ(test::refusal(answer), ErrorCode::denied);
  EXPECT_TRUE(answer.error().message.contains("is no KMS among this one's peers")) << answer.error().message;
}

TEST_F(DirectorySessionsTest, WhatIsFromBeforeARestoreOpensNoSession) {
  cmsp_.fall_silent();
  const UnixMs began = SystemClock().now_ms();
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(begin_life(transaction, began, began - 10'000, NewLife::other_history));
    return {};
  }));
  wire::DirectoryOpen earlier = session();
  earlier.ts_ms = began - 20'000;
  expect_refusal(earlier, ErrorCode::denied, "DirectoryOpen: is from before the database was restored");
  EXPECT_TRUE(opened(session()));
}

TEST_F(DirectorySessionsTest, ACalleeThatHasNotConfirmedItsEnrolmentIsNotOpenedTo) {
  cmsp_.fall_silent();
  const auto confirm = [&](std::int64_t confirmed) {
    must(store_->transact([&](store::Transaction& transaction) { return transaction.run("UPDATE terminal SET confirmed = ?", {confirmed}); }));
  };
  confirm(0);
  expect_refusal(session(), ErrorCode::not_found, "has no enrolled terminal at kms-a");
  confirm(1);
  must(store_->transact([](store::Transaction& transaction) { return change_encryption_key(transaction, Uid("alice"), store::KeyEvent::suspend, 0); }));
  expect_refusal(session(), ErrorCode::denied, "the encryption key of alice is suspended by order");
  must(store_->transact([](store::Transaction& transaction) { return change_encryption_key(transaction, Uid("alice"), store::KeyEvent::recover, 0); }));
  EXPECT_TRUE(opened(session()));
}

TEST_F(DirectorySessionsTest, WithTheSettingOffTheCalleesKmsOpensNone) {
  const wire::DirectoryOpen message = session();
  settings_.directory_fallback = false;
  open();
  cmsp_.fall_silent();
  expect_refusal(message, ErrorCode::denied, "policy of kms-a allows no session by CMSP's directory");
}

}  // namespace
}  // namespace qanat::kms
