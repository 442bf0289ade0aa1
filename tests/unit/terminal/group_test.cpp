// A group at its terminals: what is ordered, what is made of the KMS's answers, and the keys that come of it.
#include "terminal/group.hpp"

#include "kms_double.hpp"
#include "terminal/srtp.hpp"

namespace qanat::terminal {
namespace {

using namespace test;
using wire::GroupOrder;

const Number carol_number("+8655120000009");

class GroupClientTest : public testing::TestWithParam<crypto::SuiteId> {
 protected:
  GroupClientTest()
      : net_(network(GetParam())),
        alice_(net_.signer(Kind::app1, "alice", alice_number)),
        encryption_(crypto::Decapsulator::generate(net_.suite(), rng_).value()),
        kms_{.net = net_, .signer = net_.signer(Kind::kms, "kms-a")},
        kms_sender_(net_.sender(kms_.signer)) {}

  using Answer = std::function<Result<Bytes>(const wire::Framed<wire::GroupRequest>&)>;
  GroupClient client(Answer answer) {
    return GroupClient({.applicant = applicant_,
                        .number = alice_number,
                        .token_ref = Bytes(net_.suite().digest),
                        .clock = clock_,
                        .rng = rng_,
                        .send = [this, answer = std::move(answer)](points::Endpoint endpoint, ByteView message, Deadline) -> Result<Bytes> {
                          EXPECT_EQ(endpoint, points::Endpoint::km1_group);
                          sent_.push_back(to_bytes(message));
                          const auto request = wire::parse<wire::GroupRequest>(message).value();
                          EXPECT_TRUE(wire::verify(request, net_.sender(alice_)->verifier, alice_.fps));
                          return answer(request);
                        },
                        .check_kms = [this](Deadline) -> Result<std::shared_ptr<const node::Sender>> { return kms_sender_; }});
  }
  wire::GroupState good(const wire::Framed<wire::GroupRequest>& asked) const {
    return {.h_req = asked.hash,
            .group = asked.message.group,
            .epoch = asked.message.epoch + 1,
            .nonce = wire::GroupNonce(Bytes(16, 4)),
            .uid = Uid("alice"),
            .kms_id = ElementName("kms-a"),
            .ts_ms = now_ms(),
            .owner = alice_number,
            .roster = roster(),
            .left_out = {},
            .fps = kms_.signer.fps};
  }
  static wire::Roster roster() {
    wire::Roster out{{.number = alice_number, .kms = ElementName("kms-a")}, {.number = bob_number, .kms = ElementName("kms-b")}};
    std::ranges::sort(out, {}, &wire::GroupMember::number);
    return out;
  }
  Bytes signed_by(const node::MessageSigner& signer, const wire::GroupState& state) {
    return wire::sign_message(net_.suite(), 1, state, signer.signer, signer.fps, rng_).value().octets;
  }
  Result<GroupView> judged(const std::function<void(wire::GroupState&)>& differ, GroupOrder order = GroupOrder::join) {
    const auto answer = [&](const wire::Framed<wire::GroupRequest>& asked) -> Result<Bytes> {
      wire::GroupState state = good(asked);
      differ(state);
      return signed_by(kms_.signer, state);
    };
    const wire::GroupEpoch present{.group = wire::GroupId(Bytes(32, 5)), .epoch = 3};
    if (order == GroupOrder::show) return client(answer).show(present.group, Deadline::after(std::chrono::seconds(1)));
    return client(answer).change(order, present, {order == GroupOrder::leave ? carol_number : bob_number}, Deadline::after(std::chrono::seconds(1)));
  }

  SmallNetwork& net_;
  SystemClock clock_;
  FixedRng rng_{17};
  node::MessageSigner alice_;
  crypto::Decapsulator encryption_;
  KmsDouble kms_;
  std::shared_ptr<const node::Sender> kms_sender_;
  Applicant applicant_{.suite = net_.suite(),
                       .policy_epoch = 1,
                       .uid = Uid("alice"),
                       .kms = ElementName("kms-a"),
                       .signer = alice_,
                       .encryption = encryption_,
                       .min_assurance = wire::Assurance::local_rng};
  std::vector<Bytes> sent_;
};
INSTANTIATE_TEST_SUITE_P(Suites, GroupClientTest, testing::ValuesIn(both_suites), suite_name);

TEST_P(GroupClientTest, AGoodAnswerSaysTheEpochAndWhoCanRead) {
  const auto view = judged([](wire::GroupState&) {});
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->which.epoch, 4U);
  EXPECT_EQ(view->roster, roster());
  EXPECT_EQ(view->readers(), (std::vector<std::string>{"kms-a", "kms-b"}));
  EXPECT_TRUE(judged([](wire::GroupState&) {}, GroupOrder::leave));
  EXPECT_TRUE(judged([](wire::GroupState& state) { state.owner = bob_number; }, GroupOrder::show)) << "a member looks at another's group";
}

TEST_P(GroupClientTest, AnAnswerThatIsNotToThisOrderOrNotOfThisKmsIsRefused) {
  const auto refused = [&](const std::function<void(wire::GroupState&)>& differ, GroupOrder order = GroupOrder::join) {
    const auto view = judged(differ, order);
    EXPECT_FALSE(view);
    return view ? ErrorCode{} : view.error().code;
  };
  EXPECT_EQ(refused([](wire::GroupState& state) { state.h_req.front() ^= 1; }), ErrorCode::denied);
  EXPECT_EQ(refused([](wire::GroupState& state) { state.group = wire::GroupId(Bytes(32, 6)); }), ErrorCode::denied);
  EXPECT_EQ(refused([](wire::GroupState& state) { state.uid = Uid("bob"); }), ErrorCode::denied);
  EXPECT_EQ(refused([](wire::GroupState& state) { state.epoch = 3; }), ErrorCode::denied) << "no epoch was begun";
  EXPECT_EQ(refused([](wire::GroupState& state) { state.ts_ms -= 600'000; }), ErrorCode::denied);
  EXPECT_EQ(refused([](wire::GroupState& state) { state.owner = bob_number; }), ErrorCode::denied);
  EXPECT_EQ(refused([&](wire::GroupState& state) { state.fps = alice_.fps; }), ErrorCode::denied);
  EXPECT_EQ(refused(
                [](wire::GroupState& state) {
                  state.roster.push_back({.number = carol_number, .kms = ElementName("kms-b")});
                  std::ranges::sort(state.roster, {}, &wire::GroupMember::number);
                },
                GroupOrder::leave),
            ErrorCode::denied)
      << "who was to leave is still in";
  EXPECT_EQ(refused(
                [](wire::GroupState& state) {
                  std::erase_if(state.roster, [](const wire::GroupMember& member) { return member.number == alice_number; });
                  state.roster.push_back({.number = carol_number, .kms = ElementName("kms-b")});
                  std::ranges::sort(state.roster, {}, &wire::GroupMember::number);
                  state.owner = bob_number;
                },
                GroupOrder::show),
            ErrorCode::denied)
      << "this terminal is not in it";
  const auto by_another = client([&](const wire::Framed<wire::GroupRequest>& asked) -> Result<Bytes> {
                            return signed_by(alice_, good(asked));
                          }).open({bob_number}, Deadline::after(std::chrono::seconds(1)));
  ASSERT_FALSE(by_another);
  EXPECT_EQ(by_another.error().code, ErrorCode::denied);
}

TEST_P(GroupClientTest, WhereTheAnswerMayBeLostTheSameOctetsAreSentAgain) {
  int calls = 0;
  const auto answer = [&](const wire::Framed<wire::GroupRequest>& asked) -> Result<Bytes> {
    if (++calls < 3) return fail(ErrorCode::unavailable, "lost");
    return signed_by(kms_.signer, good(asked));
  };
  EXPECT_TRUE(client(answer).open({bob_number}, Deadline::after(std::chrono::seconds(1))));
  ASSERT_EQ(sent_.size(), 3U);
  EXPECT_EQ(sent_[0], sent_[1]);
  EXPECT_EQ(sent_[0], sent_[2]);
  sent_.clear();
  const auto refuse = [](const wire::Framed<wire::GroupRequest>&) -> Result<Bytes> { return fail(ErrorCode::denied, "no"); };
  EXPECT_FALSE(client(refuse).open({bob_number}, Deadline::after(std::chrono::seconds(1))));
  EXPECT_EQ(sent_.size(), 1U) << "a refusal is a refusal";
}

TEST_P(GroupClientTest, TheOwnersOwnLegIsTakenAndNobodyElsesThatNamesItself) {
  const GroupView view{.which = {.group = wire::GroupId(Bytes(32, 5)), .epoch = 1}, .owner = alice_number, .roster = roster(), .left_out = {}};
  const auto taken = [&](const KeyWanted& wanted) {
    const KeyApplication by = KeyApplication::make(applicant_, wanted, Bytes(net_.suite().digest), now_ms(), rng_).value();
    KmsDouble::Wanted said{.wk = rng_.secret(32)};
    said.peer_uid = Uid("alice");
    said.peer_number = wanted.peer();
    const Bytes answer = kms_.deliver(by.octets(), encryption_.encapsulation_key(), std::move(said));
    return by.open(by.authenticate(answer, *kms_sender_).value(), *kms_sender_, now_ms()).has_value();
  };
  const KeyWanted own = group_key_wanted(net_.suite(), view, alice_number);
  EXPECT_EQ(own.caller, own.called);
  EXPECT_TRUE(taken(own));
  EXPECT_FALSE(taken(alice_calls_bob()));
}

TEST_P(GroupClientTest, MembersHearEachOtherUnderTheSendersKeys) {
  const GroupView view{.which = {.group = wire::GroupId(Bytes(32, 5)), .epoch = 1}, .owner = alice_number, .roster = roster(), .left_out = {}};
  const Secret wk = rng_.secret(32);
  const auto keys = [&](const GroupView& told) {
    WorkingKey key;
    key.wk = wk.duplicate();
    return GroupKeys(net_.suite(), told, std::move(key));
  };
  const GroupKeys at_alice = keys(view);
  const GroupKeys at_bob = keys(view);
  EXPECT_EQ(at_alice.fingerprint(), at_bob.fingerprint());
  const Bytes said{0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 9, 1, 2, 3, 4};
  auto sender = SrtpSender::create(net_.suite().aead, at_alice.of(alice_number).value(), at_alice.mki(), 9).value();
  const Bytes sent = sender.protect(said).value();
  auto receiver = SrtpReceiver::create(net_.suite().aead, at_bob.of(alice_number).value(), at_bob.mki()).value();
  const auto heard = receiver.unprotect(sent);
  ASSERT_TRUE(heard);
  EXPECT_EQ(*heard, said);
  EXPECT_FALSE(at_bob.of(carol_number)) << "not in the group";

  GroupView later = view;
  later.which.epoch = 2;
  EXPECT_NE(keys(later).mki(), at_bob.mki());
  GroupView other = view;
  other.roster.push_back({.number = carol_number, .kms = ElementName("kms-b")});
  std::ranges::sort(other.roster, {}, &wire::GroupMember::number);
  const GroupKeys told_otherwise = keys(other);
  auto deaf = SrtpReceiver::create(net_.suite().aead, told_otherwise.of(alice_number).value(), told_otherwise.mki()).value();
  const auto unheard = deaf.unprotect(sent);
  ASSERT_FALSE(unheard);
  EXPECT_EQ(unheard.error(), SrtpDrop::bad_tag) << "who was told another roster has other keys";
}

}  // namespace
}  // namespace qanat::terminal
