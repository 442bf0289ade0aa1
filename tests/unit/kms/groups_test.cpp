// Group calls at one KMS: orders of an owner and the keys of its domain's members; and an epoch's key from another domain's KMS.
#include "services/kms/kma/groups.hpp"

#include "applicants.hpp"
#include "file_size_limit.hpp"
#include "group_order.hpp"
#include "services/kms/kma/charging_records.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kma/pending.hpp"
#include "services/kms/kp/revocations.hpp"

namespace qanat::kms {
namespace {

using store::KeyState;
using test::refusal;
using wire::GroupOrder;
using wire::Role;

KmsSettings impatient() {
  KmsSettings out;
  out.callee_wait = std::chrono::milliseconds(20);
  return out;
}

class GroupsTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  Groups groups() { return {kms_.node(), kms_.store(), kms_.ledger(), kms_.agreement(), kms_.access(), settings_}; }
  static Number number(const Person& who) { return who.terminal.number; }

  Bytes signed_order(const Person& who, const wire::GroupEpoch& after, GroupOrder order, std::vector<Number> members,
                     const std::function<void(wire::GroupRequest&)>& change = {}) {
    return signed_group_order(kms_.node(), who, after, order, std::move(members), change);
  }
  Result<wire::GroupState> send(const Person& who, const Bytes& octets) {
    kms_.applying_ = &who;
    ASSIGN_OR_RETURN(const net::Response answer, groups().answer(kms_.request_of(who, octets)));
    const auto state = must(wire::parse<wire::GroupState>(answer.body));
    EXPECT_EQ(state.message.h_req, crypto::digest(kms_.node().suite().hash, octets));
    return state.message;
  }
  Result<wire::GroupState> order(const Person& who, const wire::GroupEpoch& after, GroupOrder what, std::vector<Number> members) {
    return send(who, signed_order(who, after, what, std::move(members)));
  }
  Result<wire::GroupState> show(const Person& who, const wire::GroupId& group) { return order(who, {.group = group, .epoch = 0}, GroupOrder::show, {}); }
  wire::GroupEpoch opened(std::vector<Number> members) {
    const wire::GroupId group = kms_.node().rng().id<wire::GroupId>();
    const auto state = must(order(kms_.a(), {.group = group, .epoch = 0}, GroupOrder::open, std::move(members)));
    return {.group = state.group, .epoch = state.epoch, .nonce = state.nonce};
  }
  static wire::GroupEpoch epoch_of(const wire::GroupState& state) { return {.group = state.group, .epoch = state.epoch, .nonce = state.nonce}; }

  SidWk sid_of(const Person& who, const wire::GroupEpoch& which) { return wire::group_sid_wk(kms_.node().suite(), which, number(who)); }
  struct Got {
    wire::KeyDeliverPayload payload;
    Bytes answer;
  };
  /// The member's key of that epoch, as its terminal asks for it.
  Result<Got> key(Person& who, const wire::GroupEpoch& which) {
    const auto made = kms_.make(who, sid_of(who, which), Role::callee, [&](wire::KeyRequest& message) {
      message.sid_call = wire::group_sid_call(kms_.node().suite(), which, number(kms_.a()), number(who));
      message.num_called = number(who);
    });
    kms_.applying_ = &who;
    ASSIGN_OR_RETURN(net::Response answer, kms_.apply(who, made));
    return Result<Got>(Got{.payload = kms_.opened(who, made, answer.body), .answer = answer.body});
  }
  Secret wk(Person& who, const wire::GroupEpoch& which) { return must(key(who, which)).payload.wk.duplicate(); }

  KmsSettings settings_ = impatient();
  Applicants kms_{impatient(), GetParam()};
  Person d_ = kms_.newcomer("D", "+8613800000004");
};
INSTANTIATE_TEST_SUITE_P(Stores, GroupsTest, test::every_store_kind, test::name_of);

TEST_P(GroupsTest, AllMembersGetOneKeyAndEachOfThemIsChargedAndAcknowledges) {
  const wire::GroupEpoch first = opened({number(kms_.c()), number(d_)});
  EXPECT_EQ(first.epoch, 1U);
  const wire::GroupState seen = must(show(d_, first.group));
  EXPECT_EQ(seen.owner, number(kms_.a()));
  EXPECT_EQ(seen.roster.size(), 3U);
  for (const wire::GroupMember& member : seen.roster) EXPECT_EQ(member.kms, ElementName("kms-a"));

  const auto of_a = must(key(kms_.a(), first));
  const auto of_c = must(key(kms_.c(), first));
  const auto of_d = must(key(d_, first));
  EXPECT_TRUE(equal_secret(of_a.payload.wk, of_c.payload.wk));
  EXPECT_TRUE(equal_secret(of_a.payload.wk, of_d.payload.wk));
  for (const Got* one : {&of_a, &of_c, &of_d}) {
    EXPECT_EQ(one->payload.assurance, wire::Assurance::local_rng);
    EXPECT_EQ(one->payload.peer_uid, Uid("A"));
    EXPECT_EQ(one->payload.peer_num, number(kms_.a()));
  }
  const auto charges =
      must(kms_.in_transaction([](store::Transaction& transaction) { return list_charging_records(transaction, {}, SystemClock().now_ms() + 60'000); }));
  EXPECT_EQ(charges.size(), 3U);
  must(kms_.acknowledge(d_, sid_of(d_, first), of_d.answer));
  EXPECT_EQ(kms_.leg(sid_of(d_, first), Role::callee).state, KeyState::destroyed);
  EXPECT_EQ(refusal(key(d_, first)), ErrorCode::conflict) << "delivered once";
  EXPECT_TRUE(kms_.on_record("\"group.open\""));
}

TEST_P(GroupsTest, AfterALeaveTheOthersHaveAnotherKeyAndTheLeaverNone) {
  const wire::GroupEpoch first = opened({number(kms_.c()), number(d_)});
  const Secret before = wk(kms_.a(), first);
  const wire::GroupState left = must(order(kms_.a(), first, GroupOrder::leave, {number(kms_.c())}));
  const wire::GroupEpoch second = epoch_of(left);
  EXPECT_EQ(second.epoch, 2U);
  EXPECT_FALSE(wire::has(left.roster, number(kms_.c())));
  const Secret after = wk(kms_.a(), second);
  EXPECT_TRUE(equal_secret(after, wk(d_, second)));
  EXPECT_FALSE(equal_secret(after, before));
  EXPECT_EQ(refusal(key(kms_.c(), second)), ErrorCode::deadline_exceeded) << "there is no key for it";
  const auto looks = show(kms_.c(), first.group);
  EXPECT_EQ(refusal(looks), ErrorCode::denied);
  EXPECT_TRUE(looks.error().message.contains("is not a member")) << looks.error().message;
  EXPECT_TRUE(kms_.on_record("is not a member"));
}

TEST_P(GroupsTest, WhoJoinsHasTheNewerEpochsAlone) {
  const wire::GroupEpoch first = opened({number(kms_.c())});
  const Secret before = wk(kms_.a(), first);
  const wire::GroupEpoch second = epoch_of(must(order(kms_.a(), first, GroupOrder::join, {number(d_)})));
  EXPECT_EQ(refusal(key(d_, first)), ErrorCode::deadline_exceeded);
  const Secret after = wk(d_, second);
  EXPECT_TRUE(equal_secret(after, wk(kms_.c(), second)));
  EXPECT_FALSE(equal_secret(after, before));
}

TEST_P(GroupsTest, AJoinOfWhoIsInGivesAllANewKey) {
  const wire::GroupEpoch first = opened({number(kms_.c())});
  const Secret before = wk(kms_.a(), first);
  const wire::GroupState next = must(order(kms_.a(), first, GroupOrder::join, {number(kms_.c())}));
  EXPECT_EQ(next.roster.size(), 2U);
  const Secret after = wk(kms_.c(), epoch_of(next));
  EXPECT_TRUE(equal_secret(after, wk(kms_.a(), epoch_of(next))));
  EXPECT_FALSE(equal_secret(after, before));
}

TEST_P(GroupsTest, WhatNobodyHasFetchedGoesWithItsEpoch) {
  const wire::GroupEpoch first = opened({number(kms_.c()), number(d_)});
  must(key(kms_.a(), first));
  must(order(kms_.a(), first, GroupOrder::leave, {number(d_)}));
  for (const Person* who : {&kms_.c(), &d_}) EXPECT_EQ(kms_.leg(sid_of(*who, first), Role::callee).state, KeyState::destroyed);
  EXPECT_EQ(kms_.leg(sid_of(kms_.a(), first), Role::callee).state, KeyState::delivered) << "its answer may have been lost";
  EXPECT_EQ(refusal(key(kms_.c(), first)), ErrorCode::conflict) << "a stale epoch";
  EXPECT_TRUE(kms_.on_record("a later epoch of its group is in force"));
}

TEST_P(GroupsTest, TheSameOrderAgainGetsTheSameAnswerAlsoAfterARestart) {
  const Bytes octets = signed_order(kms_.a(), {.group = kms_.node().rng().id<wire::GroupId>(), .epoch = 0}, GroupOrder::open, {number(kms_.c())});
  const wire::GroupState first = must(send(kms_.a(), octets));
  EXPECT_EQ(must(send(kms_.a(), octets)), first);
  kms_.open();
  EXPECT_EQ(must(send(kms_.a(), octets)), first);
  EXPECT_TRUE(kms_.on_record("\"group.repeated\""));
  EXPECT_EQ(must(show(kms_.c(), first.group)).epoch, 1U) << "no further epoch";
  must(order(kms_.a(), epoch_of(first), GroupOrder::join, {number(d_)}));
  EXPECT_EQ(refusal(send(kms_.a(), octets)), ErrorCode::conflict) << "its answer is not the last any more";
}

TEST_P(GroupsTest, OrdersThatAreNotTheOwnersOrNotOfNowAreRefused) {
  const wire::GroupEpoch first = opened({number(kms_.c())});
  EXPECT_EQ(refusal(order(kms_.c(), first, GroupOrder::join, {number(d_)})), ErrorCode::denied) << "a member is not the owner";
  const wire::GroupEpoch second = epoch_of(must(order(kms_.a(), first, GroupOrder::join, {number(d_)})));
  const auto stale = order(kms_.a(), first, GroupOrder::leave, {number(d_)});
  EXPECT_EQ(refusal(stale), ErrorCode::conflict);
  EXPECT_TRUE(stale.error().message.ends_with("epoch 2 is in force, the order follows 1")) << stale.error().message;
  EXPECT_EQ(refusal(order(kms_.a(), second, GroupOrder::leave, {Number("+8613800000077")})), ErrorCode::not_found) << "not a member";
  EXPECT_EQ(refusal(order(kms_.a(), {.group = second.group, .epoch = 0}, GroupOrder::open, {number(kms_.c())})), ErrorCode::conflict) << "opened before";
  const wire::GroupId unknown = kms_.node().rng().id<wire::GroupId>();
  EXPECT_EQ(refusal(order(kms_.a(), {.group = unknown, .epoch = 1}, GroupOrder::join, {number(kms_.c())})), ErrorCode::not_found);
  EXPECT_EQ(refusal(show(kms_.a(), unknown)), ErrorCode::not_found);
  settings_.policy.groups.members = 3;
  EXPECT_EQ(refusal(order(kms_.a(), second, GroupOrder::join, {Number("+8613800000077")})), ErrorCode::denied) << "too many";
  EXPECT_EQ(must(show(kms_.a(), first.group)).epoch, 2U) << "none of these began an epoch that is in force";
}

TEST_P(GroupsTest, ToSeeAGroupCountsAsToOrder) {
  const wire::GroupEpoch first = opened({number(kms_.c())});
  settings_.policy.applications = {.burst = 2, .per_minute = 1};
  must(show(kms_.c(), first.group));
  must(show(kms_.c(), first.group));
  const auto third = show(kms_.c(), first.group);
  EXPECT_EQ(refusal(third), ErrorCode::exhausted);
  EXPECT_TRUE(third.error().message.starts_with("C applies more often than 1 times a minute")) << third.error().message;
  EXPECT_TRUE(kms_.on_record("\"group.show\""));
  EXPECT_EQ(refusal(order(kms_.c(), first, GroupOrder::join, {number(d_)})), ErrorCode::exhausted) << "one account for both";
  for (int looks = 0; looks < 2; ++looks) EXPECT_EQ(refusal(show(d_, first.group)), ErrorCode::denied) << "who may not see it has an account of its own";
  EXPECT_EQ(refusal(show(d_, first.group)), ErrorCode::exhausted);
}

TEST_P(GroupsTest, WhatIsNotTheTerminalsOwnFreshAndSignedIsRefused) {
  const wire::GroupEpoch first = opened({number(kms_.c())});
  const auto refused = [&](const Person& over, const Bytes& octets) {
    kms_.applying_ = &over;
    return refusal(groups().answer(kms_.request_of(over, octets)));
  };
  const auto changed = [&](const std::function<void(wire::GroupRequest&)>& change) {
    return refused(kms_.a(), signed_order(kms_.a(), first, GroupOrder::join, {number(d_)}, change));
  };
  EXPECT_EQ(refused(kms_.c(), signed_order(kms_.a(), first, GroupOrder::join, {number(d_)})), ErrorCode::denied) << "another's connection";
  Bytes altered = signed_order(kms_.a(), first, GroupOrder::join, {number(d_)});
  altered.back() ^= 1;
  EXPECT_EQ(refused(kms_.a(), altered), ErrorCode::denied);
  EXPECT_EQ(changed([](wire::GroupRequest& m) { m.ts_ms -= 600'000; }), ErrorCode::denied);
  EXPECT_EQ(changed([](wire::GroupRequest& m) { m.kms_id = ElementName("kms-b"); }), ErrorCode::denied);
  EXPECT_EQ(changed([&](wire::GroupRequest& m) { m.number = number(kms_.c()); }), ErrorCode::denied);
  EXPECT_EQ(changed([](wire::GroupRequest& m) { m.uid = Uid("nobody"); }), ErrorCode::denied);
  EXPECT_EQ(changed([&](wire::GroupRequest& m) { m.fps = kms_.c().fps; }), ErrorCode::denied);
  EXPECT_EQ(changed([](wire::GroupRequest& m) { m.min_assurance = wire::Assurance::one_qkd_path; }), ErrorCode::denied) << "more than there is within a domain";
  EXPECT_EQ(refused(kms_.a(), Bytes(100, 7)), ErrorCode::invalid_argument);
  EXPECT_EQ(must(show(kms_.a(), first.group)).epoch, 1U);
}

TEST_P(GroupsTest, AnOrderWhoseNewMemberCannotBeHadBeginsNoEpoch) {
  const wire::GroupEpoch unborn{.group = kms_.node().rng().id<wire::GroupId>(), .epoch = 0};
  const auto nobody = order(kms_.a(), unborn, GroupOrder::open, {number(kms_.c()), Number("+8613800000077")});
  ASSERT_FALSE(nobody);
  EXPECT_TRUE(nobody.error().message.contains("+8613800000077")) << nobody.error().message;
  EXPECT_TRUE(kms_.on_record(unborn.group.hex())) << "the attempt stays on record, and nowhere else";
  EXPECT_EQ(must(order(kms_.a(), unborn, GroupOrder::open, {number(kms_.c())})).epoch, 1U);
  const wire::GroupEpoch first = opened({number(kms_.c())});
  EXPECT_FALSE(order(kms_.a(), first, GroupOrder::join, {Number("+8613800000077")}));
  EXPECT_EQ(must(show(kms_.c(), first.group)).epoch, 1U);
  const wire::GroupState next = must(order(kms_.a(), first, GroupOrder::join, {number(d_)}));
  EXPECT_EQ(next.epoch, 3U) << "the number of the epoch that failed is used";
}

TEST_P(GroupsTest, ARevokedMemberIsLeftOutOfTheNextEpochAndHoldsUpNobody) {
  Person e = kms_.newcomer("E", "+8613800000005");
  const wire::GroupEpoch first = opened({number(kms_.c()), number(d_), number(e)});
  must(purge_revoked(kms_.node(), kms_.store(), kms_.ledger(), {kms_.c().bundle.ml_dsa_signing.fingerprint(crypto::Hash::sha256)}));
  EXPECT_EQ(refusal(key(kms_.c(), first)), ErrorCode::denied);
  const wire::GroupState next = must(order(kms_.a(), first, GroupOrder::leave, {number(e)}));
  EXPECT_EQ(next.left_out, std::vector{number(kms_.c())});
  EXPECT_EQ(next.roster.size(), 2U);
  EXPECT_TRUE(equal_secret(wk(kms_.a(), epoch_of(next)), wk(d_, epoch_of(next))));
  EXPECT_TRUE(kms_.on_record("\"group.left_out\""));
  EXPECT_FALSE(order(kms_.a(), epoch_of(next), GroupOrder::join, {number(kms_.c())})) << "revoked";
}

TEST_P(GroupsTest, AnOwnerWhoseCertificatesAreRevokedOrdersNothing) {
  const wire::GroupEpoch first = opened({number(kms_.c())});
  for (const crypto::Certificate* certificate : {&kms_.a().bundle.classical_signing, &kms_.a().bundle.ml_dsa_signing}) {
    kms_.revoked_ = {certificate->serial()};
    const auto refused = order(kms_.a(), first, GroupOrder::join, {number(d_)});
    EXPECT_EQ(refusal(refused), ErrorCode::denied);
    EXPECT_TRUE(refused.error().message.contains("is revoked")) << refused.error().message;
  }
  EXPECT_EQ(must(show(kms_.c(), first.group)).epoch, 1U);
}

TEST_P(GroupsTest, AnOrderOfAnEarlierLifeIsRefused) {
  const UnixMs began = SystemClock().now_ms();
  must(kms_.in_transaction([&](store::Transaction& transaction) -> Result<void> {
    TRY(begin_life(transaction, began, began - 10'000, NewLife::other_history));
    return {};
  }));
  const wire::GroupEpoch fresh{.group = kms_.node().rng().id<wire::GroupId>(), .epoch = 0};
  const auto refused =
      send(kms_.a(), signed_order(kms_.a(), fresh, GroupOrder::open, {number(kms_.c())}, [&](wire::GroupRequest& message) { message.ts_ms = began - 20'000; }));
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.contains("GroupRequest: is from before the database was restored")) << refused.error().message;
  EXPECT_EQ(opened({number(kms_.c())}).epoch, 1U);
}

TEST_P(GroupsTest, EachOrderAndEachMemberCountsAsAnApplicationOfTheOwner) {
  settings_.policy.applications = {.burst = 3, .per_minute = 1};
  const wire::GroupEpoch unknown{.group = kms_.node().rng().id<wire::GroupId>(), .epoch = 1};
  EXPECT_EQ(refusal(order(kms_.a(), unknown, GroupOrder::join, {number(d_)})), ErrorCode::not_found);
  const auto open = [&](const Person& owner, std::vector<Number> members) {
    return order(owner, {.group = kms_.node().rng().id<wire::GroupId>(), .epoch = 0}, GroupOrder::open, std::move(members));
  };
  EXPECT_EQ(refusal(open(kms_.a(), {number(kms_.c()), number(d_)})), ErrorCode::exhausted) << "the refused order was the first of three";
  EXPECT_TRUE(open(kms_.c(), {number(kms_.a()), number(d_)})) << "another owner";
}

TEST_P(GroupsTest, AnOwnerWithoutAGrantForItsOwnDomainHasNoGroupThere) {
  const wire::GroupEpoch fresh{.group = kms_.node().rng().id<wire::GroupId>(), .epoch = 0};
  kms_.iam_allows_ = false;
  const auto refused = order(kms_.a(), fresh, GroupOrder::open, {number(kms_.c())});
  ASSERT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.contains("no keys with the domain a")) << refused.error().message;
  EXPECT_TRUE(kms_.on_record("no keys with the domain a"));
  kms_.iam_allows_ = true;
  EXPECT_TRUE(order(kms_.a(), fresh, GroupOrder::open, {number(kms_.c())}));
}

TEST_P(GroupsTest, AnOpenThatFailedMayBeMadeAgain) {
  const wire::GroupEpoch fresh{.group = kms_.node().rng().id<wire::GroupId>(), .epoch = 0};
  EXPECT_FALSE(order(kms_.a(), fresh, GroupOrder::open, {Number("+8613800000077")}));
  EXPECT_TRUE(order(kms_.a(), fresh, GroupOrder::open, {number(kms_.c())}));
}

// The KMS of another domain's owner brings an epoch's key; CMSP's announcement and the agreement before it are put in place by hand.
class GroupKeyTest : public GroupsTest {
 protected:
  GroupKeyTest() {
    must(kms_.in_transaction([&](store::Transaction& transaction) -> Result<void> {
      TRY(kms_.ledger().add(transaction, carrier_leg()));
      return add_pending(transaction, carrier_,
                         {.kms_a = owner_kms_,
                          .h_accept = h_accept_,
                          .h_kc_a = hash_of_confirmation(kms_.node().suite(), kc_a_),
                          .shares = {},
                          .expires_ms = SystemClock().now_ms() + 60'000});
    }));
    announce(kms_.c(), which_);
  }
  WorkingKey carrier_leg() {
    const crypto::Suite& suite = kms_.node().suite();
    return {.sid_wk = carrier_,
            .leg = Role::callee,
            .sid_call = wire::group_sid_call(suite, which_, owner_, number(kms_.c())),
            .uid = kms_.c().terminal.uid,
            .wk = carrier_wk_.duplicate(),
            .assurance = wire::Assurance::one_qkd_path,
            .n_paths = 1,
            .path_min = 1,
            .th9 = wire::no_th9(suite),
            .peer_uid = Uid("B"),
            .peer_number = owner_,
            .peer_kms = ElementName("kms-b"),
            .peer_fps = wire::no_fingerprints(suite),
            .expires_ms = SystemClock().now_ms() + 50'000,  // before the group's key, which is made later
            .terms = {}};
  }
  void announce(const Person& member, const wire::GroupEpoch& which, const std::function<void(wire::SessionNotify&)>& change = {}) {
    const crypto::Suite& suite = kms_.node().suite();
    wire::SessionNotify notify;
    notify.sid_wk = sid_of(member, which);
    notify.sid_call = wire::group_sid_call(suite, which, owner_, number(member));
    notify.num_call = owner_;
    notify.num_called = number(member);
    notify.uid_a = Uid("B");
    notify.uid_b = member.terminal.uid;
    notify.kms_a = ElementName("kms-b");
    notify.kms_b = ElementName("kms-a");
    notify.hreq_a = Bytes(suite.digest, 1);
    notify.prev_hash = Bytes(suite.digest, 1);
    notify.kms_a_fps = wire::no_fingerprints(suite);
    notify.kms_b_fps = wire::no_fingerprints(suite);
    notify.ts_ms = SystemClock().now_ms();
    if (change) change(notify);
    const Bytes octets = must(wire::sign_message(suite, 1, notify, member.signer, member.fps, kms_.node().rng())).octets;
    must(kms_.in_transaction([&](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run("INSERT INTO announced_session (sid_wk, notify, expires_ms) VALUES (?, ?, ?)",
                          {notify.sid_wk.view(), ByteView(octets), store::column(SystemClock().now_ms() + 60'000)}));
      return {};
    }));
  }
  wire::Roster roster() { return {{.number = number(kms_.c()), .kms = ElementName("kms-a")}, {.number = owner_, .kms = ElementName("kms-b")}}; }
  Bytes key_message(const std::function<void(wire::GroupKey&)>& change = {}, std::uint32_t policy_epoch = 1) {
    const crypto::Suite& suite = kms_.node().suite();
    wire::GroupKey message{.sid_wk = carrier_,
                           .h_accept = h_accept_,
                           .kc_a = kc_a_,
                           .group = which_.group,
                           .epoch = which_.epoch,
                           .nonce = which_.nonce,
                           .owner = owner_,
                           .roster = roster(),
                           .assurance = wire::Assurance::disjoint_qkd_paths,
                           .n_paths = 2,
                           .path_min = 1,
                           .sealed = {}};
    if (change) change(message);
    return must(wire::frame(suite, policy_epoch, must(wire::seal_group_key(suite, policy_epoch, std::move(message), carrier_wk_, wk_)))).octets;
  }
  Result<net::Response> take(const Bytes& octets, const char* from = "qanat://b/kms/kms-b") {
    return groups().take_key(test::request_from(identity(from), octets));
  }

  const Identity owner_kms_ = identity("qanat://b/kms/kms-b");
  const Number owner_{"+8613900000001"};  // after all numbers of this domain
  const wire::GroupEpoch which_{.group = kms_.node().rng().id<wire::GroupId>(), .epoch = 4, .nonce = kms_.node().rng().id<wire::GroupNonce>()};
  const SidWk carrier_ = kms_.node().rng().id<SidWk>();
  const Secret carrier_wk_ = kms_.node().rng().secret(32);
  const Secret wk_ = kms_.node().rng().secret(32);
  const Bytes h_accept_ = kms_.node().rng().bytes(kms_.node().suite().digest);
  const Bytes kc_a_ = kms_.node().rng().bytes(kms_.node().suite().digest);
};
INSTANTIATE_TEST_SUITE_P(Stores, GroupKeyTest, test::every_store_kind, test::name_of);

TEST_P(GroupKeyTest, TheMembersLegIsTheGroupsKeyAndTheCarriersIsGone) {
  must(take(key_message()));
  const StoredKey leg = kms_.leg(sid_of(kms_.c(), which_), Role::callee);
  EXPECT_EQ(leg.state, KeyState::reserved);
  EXPECT_TRUE(equal_secret(leg.key.wk, wk_));
  EXPECT_EQ(leg.key.peer_number, owner_);
  EXPECT_EQ(leg.key.assurance, wire::Assurance::one_qkd_path) << "not more than this end knows of its own carrier";
  EXPECT_EQ(kms_.leg(carrier_, Role::callee).state, KeyState::destroyed);
  const auto former = must(kms_.in_transaction([&](store::Transaction& transaction) { return kms_.ledger().former(transaction, leg.key); }));
  EXPECT_FALSE(former) << "nobody got the carrier's: the group's key takes no key's place";
  const wire::GroupState seen = must(show(kms_.c(), which_.group));
  EXPECT_EQ(seen.epoch, 4U);
  EXPECT_EQ(seen.owner, owner_);
  EXPECT_EQ(refusal(show(d_, which_.group)), ErrorCode::denied);
  EXPECT_EQ(refusal(take(key_message())), ErrorCode::not_found) << "an agreement is confirmed once";
  EXPECT_TRUE(kms_.on_record("\"km-2.group\""));
  EXPECT_TRUE(kms_.on_record("\"wk.carried\"") && kms_.on_record("it carried a group's key (commitment ")) << "its end, like every key's";
  EXPECT_EQ(refusal(order(kms_.c(), which_, GroupOrder::join, {number(d_)})), ErrorCode::denied) << "a member here is not the owner there";
}

TEST_P(GroupKeyTest, TheEndOfTheCarrierIsOwedToTheRecordByTheWorkThatMadeIt) {
  {
    const test::FileSizeLimit full(std::filesystem::file_size(kms_.state() / "audit.jsonl") + 10);
    EXPECT_FALSE(kms_.node().record({.action = "full", .outcome = audit::Outcome::success, .subject = "", .object = "", .reason = "", .request_id = ""}));
  }  // from here on the log refuses everything
  EXPECT_FALSE(take(key_message())) << "what is owed cannot be put on record";
  EXPECT_EQ(kms_.leg(carrier_, Role::callee).state, KeyState::destroyed);
  const std::string owed = must(kms_.in_transaction([](store::Transaction& transaction) -> Result<std::string> {
    std::string out;
    TRY(transaction.query("SELECT action, object FROM owed_record", {}, [&](const store::Row& row) { out += row.text(0) + " " + row.text(1); }));
    return out;
  }));
  EXPECT_EQ(owed, "wk.carried " + carrier_.hex());
}

TEST_P(GroupKeyTest, WhatDoesNotFitTheAgreementOrTheAnnouncementIsRefused) {
  EXPECT_EQ(refusal(take(key_message([](wire::GroupKey& m) { m.kc_a.front() ^= 1; }))), ErrorCode::denied);
  EXPECT_EQ(refusal(take(key_message([](wire::GroupKey& m) { m.h_accept.front() ^= 1; }))), ErrorCode::denied);
  EXPECT_EQ(refusal(take(key_message([&](wire::GroupKey& m) { m.sid_wk = kms_.node().rng().id<SidWk>(); }))), ErrorCode::not_found);
  EXPECT_EQ(refusal(take(key_message(), "qanat://c/kms/kms-c")), ErrorCode::denied) << "another KMS";
  EXPECT_EQ(refusal(take(key_message([](wire::GroupKey& m) { m.epoch = 5; }))), ErrorCode::not_found) << "an epoch that CMSP has not announced";
  EXPECT_EQ(refusal(take(key_message([&](wire::GroupKey& m) { m.roster.insert(m.roster.begin() + 1, {.number = number(d_), .kms = ElementName("kms-a")}); }))),
            ErrorCode::not_found)
      << "a member that CMSP has not announced";
  EXPECT_EQ(refusal(take(key_message([](wire::GroupKey& m) { m.roster.back().kms = ElementName("kms-b,+8613900000009"); }))), ErrorCode::denied);
  EXPECT_EQ(refusal(take(key_message([](wire::GroupKey& m) { m.roster.front().kms = ElementName("kms-b"); }))), ErrorCode::denied)
      << "no member of this domain";
  const auto of_another_epoch = take(key_message({}, 2));
  EXPECT_EQ(refusal(of_another_epoch), ErrorCode::denied);
  EXPECT_EQ(of_another_epoch.error().message, "GroupKey: policy epoch 2 is not in force");
  Bytes altered = key_message();
  altered.back() ^= 1;
  EXPECT_EQ(refusal(take(altered)), ErrorCode::denied) << "the seal";
  settings_.policy.groups.members = 0;
  EXPECT_EQ(refusal(take(key_message())), ErrorCode::denied) << "no groups here";
  settings_.policy.groups = {.members = 16, .domains = 1};
  EXPECT_EQ(refusal(take(key_message())), ErrorCode::denied) << "too many domains";
  settings_.policy.groups = {};
  must(take(key_message()));
}

TEST_P(GroupKeyTest, ASessionThatWasAnnouncedForSomethingElseBringsNoKey) {
  announce(d_, which_, [](wire::SessionNotify& notify) { notify.num_call = Number("+8613900000002"); });
  const auto out = take(key_message([&](wire::GroupKey& m) { m.roster.insert(m.roster.begin() + 1, {.number = number(d_), .kms = ElementName("kms-a")}); }));
  EXPECT_EQ(refusal(out), ErrorCode::denied);
  EXPECT_TRUE(out.error().message.ends_with("was announced for something else")) << out.error().message;
}

TEST_P(GroupKeyTest, WhatCmspsDirectoryGrantedBringsNoKey) {
  const auto set = [&](std::string_view sql, const store::Value& value, const SidWk& sid) {
    EXPECT_EQ(must(kms_.in_transaction([&](store::Transaction& transaction) { return transaction.run(sql, {value, sid.view()}); })), 1);
  };
  const auto expect_refusal = [&](std::string_view why) {
    const auto out = take(key_message());
    ASSERT_EQ(refusal(out), ErrorCode::denied) << why;
    EXPECT_TRUE(out.error().message.contains(why)) << out.error().message;
  };
  constexpr std::string_view carrier = "UPDATE working_key SET directory_epoch = ? WHERE sid_wk = ?";
  set(carrier, std::int64_t{5}, carrier_);
  expect_refusal("was opened by CMSP's directory, and a group needs CMSP's own word");
  set(carrier, {}, carrier_);

  constexpr std::string_view announcement = "UPDATE announced_session SET notify = ? WHERE sid_wk = ?";
  const SidWk session = sid_of(kms_.c(), which_);
  wire::DirectoryOpen open;
  static_cast<wire::SessionFields&>(open) = must(kms_.agreement().announced(session)).session;
  open.epoch = 5;
  node::Node& node = kms_.node();
  const Bytes opened = must(wire::sign_message(node.suite(), 1, open, kms_.c().signer, kms_.c().fps, node.rng())).octets;
  wire::SessionNotify notify;
  static_cast<wire::SessionFields&>(notify) = open;
  const Bytes notified = must(wire::sign_message(node.suite(), 1, notify, kms_.c().signer, kms_.c().fps, node.rng())).octets;
  set(announcement, ByteView(opened), session);
  expect_refusal("was announced by CMSP's directory, and a group needs CMSP's own word");
  set(announcement, ByteView(notified), session);
  must(take(key_message()));  // nothing else was wrong
}

TEST_P(GroupKeyTest, AnEarlierEpochOrAnotherOwnersGroupIsRefused) {
  const auto known = [&](std::uint32_t epoch, const Uid& uid) {
    must(kms_.in_transaction([&](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run("DELETE FROM call_group", {}));
      return add_group(transaction, {.group = which_.group,
                                     .owner_uid = uid,
                                     .owner = owner_,
                                     .owner_kms = ElementName("kms-b"),
                                     .begun = epoch,
                                     .epoch = epoch,
                                     .nonce = {},
                                     .roster = roster(),
                                     .h_req = {},
                                     .answer = {},
                                     .changed_ms = SystemClock().now_ms()});
    }));
  };
  known(4, Uid("B"));
  EXPECT_EQ(refusal(take(key_message())), ErrorCode::conflict);
  known(3, Uid("Bob"));
  EXPECT_EQ(refusal(take(key_message())), ErrorCode::denied);
  known(3, Uid("B"));
  must(take(key_message()));
}

TEST_P(GroupKeyTest, AKmsOfAnotherDomainWithTheSameNameBringsNoKey) {
  const auto refused = take(key_message(), "qanat://c/kms/kms-b");
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.ends_with("key confirmation does not hold")) << refused.error().message;
  must(take(key_message()));
}

TEST_P(GroupKeyTest, ACarrierThatIsNotTheOwnersBringsNoKey) {
  const auto carried_for = [&](const Number& peer) {
    must(kms_.in_transaction([&](store::Transaction& transaction) {
      return transaction.run("UPDATE working_key SET peer_number = ? WHERE sid_wk = ?", {std::string_view(peer.text()), carrier_.view()});
    }));
  };
  carried_for(Number("+8613900000002"));
  const auto refused = take(key_message());
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.ends_with("is not the owner's")) << refused.error().message;
  carried_for(owner_);
  must(take(key_message()));
}

TEST_P(GroupKeyTest, TheKeysOfTheFormerEpochGoWhenALaterOneComes) {
  must(take(key_message()));
  const wire::GroupEpoch later{.group = which_.group, .epoch = 5, .nonce = kms_.node().rng().id<wire::GroupNonce>()};
  WorkingKey second = carrier_leg();
  second.sid_wk = kms_.node().rng().id<SidWk>();
  second.sid_call = wire::group_sid_call(kms_.node().suite(), later, owner_, number(kms_.c()));
  must(kms_.in_transaction([&](store::Transaction& transaction) -> Result<void> {
    TRY(kms_.ledger().add(transaction, second));
    return add_pending(transaction, second.sid_wk,
                       {.kms_a = owner_kms_,
                        .h_accept = h_accept_,
                        .h_kc_a = hash_of_confirmation(kms_.node().suite(), kc_a_),
                        .shares = {},
                        .expires_ms = SystemClock().now_ms() + 60'000});
  }));
  announce(kms_.c(), later);
  must(take(key_message([&](wire::GroupKey& message) {
    message.sid_wk = second.sid_wk;
    message.epoch = later.epoch;
    message.nonce = later.nonce;
  })));
  EXPECT_EQ(kms_.leg(sid_of(kms_.c(), which_), Role::callee).state, KeyState::destroyed);
  EXPECT_EQ(kms_.leg(sid_of(kms_.c(), later), Role::callee).state, KeyState::reserved);
  EXPECT_TRUE(kms_.on_record("a later epoch of its group is in force"));
}

TEST_P(GroupKeyTest, WhoHasAMembersNumberNowGetsNoKeyThatCmspAnnouncedForAnother) {
  announce(d_, which_, [](wire::SessionNotify& notify) { notify.uid_b = Uid("somebody"); });
  must(take(key_message([&](wire::GroupKey& m) { m.roster.insert(m.roster.begin() + 1, {.number = number(d_), .kms = ElementName("kms-a")}); })));
  EXPECT_EQ(kms_.leg(sid_of(kms_.c(), which_), Role::callee).state, KeyState::reserved);
  const auto of_d = must(kms_.in_transaction([&](store::Transaction& transaction) { return kms_.ledger().find(transaction, sid_of(d_, which_), Role::callee); }));
  EXPECT_FALSE(of_d);
}

}  // namespace
}  // namespace qanat::kms
