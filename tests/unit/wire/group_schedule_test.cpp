// Group calls: messages and keys against tests/vectors/group/group.json, and what their grammar refuses.
#include "wire/group_schedule.hpp"

#include <cstdlib>
#include <set>

#include "unit/wire/answers.hpp"

namespace qanat::wire {
namespace {

const Json& group_vectors() {
  static const Json all = must(Json::parse(file_text("tests/vectors/group/group.json")));
  return all;
}

class GroupScheduleTest : public testing::TestWithParam<std::size_t> {
 protected:
  Bytes hex(const std::string& name) const { return must(json_.hex(name)); }
  Secret secret(const std::string& name) const { return Secret::copy_of(hex(name)); }
  Number number(const std::string& name) const { return Number(must(json_.text(name))); }
  GroupEpoch which() const { return {.group = GroupId(hex("group")), .epoch = epoch_, .nonce = GroupNonce(hex("epoch_nonce"))}; }
  Roster roster() const {
    const std::vector<std::string> numbers = must(json_.texts("numbers"));
    const std::vector<std::string> kmss = must(json_.texts("kmss"));
    Roster out;
    for (std::size_t i = 0; i < numbers.size(); ++i) out.push_back({.number = Number(numbers[i]), .kms = ElementName(kmss[i])});
    return out;
  }
  Fingerprints fps() const { return {.classical = hex("fp_classical"), .pq = hex("fp_pq")}; }
  GroupRequest request() const {
    return {.group = which().group,
            .order = GroupOrder::join,
            .epoch = epoch_,
            .uid = alice,
            .number = number("owner"),
            .kms_id = kms_a,
            .nonce = hex("nonce"),
            .ts_ms = ts,
            .min_assurance = Assurance::pqc,
            .token_ref = hex("token_ref"),
            .fps = fps(),
            .members = {number("left")}};
  }
  GroupState state() const {
    return {.h_req = hex("h_req"),
            .group = which().group,
            .epoch = epoch_,
            .nonce = which().nonce,
            .uid = alice,
            .kms_id = kms_a,
            .ts_ms = ts,
            .owner = number("owner"),
            .roster = roster(),
            .left_out = {number("left")},
            .fps = fps()};
  }
  GroupKey key() const {
    return {.sid_wk = SidWk(hex("carrier_sid_0")),
            .h_accept = hex("h_accept"),
            .kc_a = hex("kc_a"),
            .group = which().group,
            .epoch = epoch_,
            .nonce = which().nonce,
            .owner = number("owner"),
            .roster = roster(),
            .assurance = Assurance::one_qkd_path,
            .n_paths = 1,
            .path_min = 2,
            .sealed = {}};
  }
  template <class M>
  void agrees(const M& message, const std::string& name) {
    EXPECT_EQ(to_hex(must(encode(suite_, policy_epoch_, message))), to_hex(hex(name)));
    const Bytes body = to_bytes(ByteView(hex(name)).subspan(header_size));
    EXPECT_EQ(must(parse_body<M>(suite_, body)), message);
    for (std::size_t size = 0; size < body.size(); ++size) EXPECT_FALSE(parse_body<M>(suite_, ByteView(body).first(size))) << name << " of " << size;
    EXPECT_FALSE(parse_body<M>(suite_, concat({body, Bytes{0}}))) << "trailing octets";
  }
  template <class M>
  void refused(M message, const std::function<void(M&)>& change) {
    change(message);
    EXPECT_FALSE(encode_body(suite_, message));
  }

  const Json json_ = must(group_vectors().array("suites")).at(GetParam());
  const crypto::Suite& suite_ = *must(crypto::find_suite(static_cast<std::uint16_t>(must(json_.integer("suite")))));
  const std::uint32_t epoch_ = static_cast<std::uint32_t>(must(json_.integer("epoch")));
  const std::uint32_t policy_epoch_ = static_cast<std::uint32_t>(must(json_.integer("policy_epoch")));
};
INSTANTIATE_TEST_SUITE_P(Suites, GroupScheduleTest, testing::Range(std::size_t{0}, std::size_t{2}));

TEST(GroupVectorScriptTest, MakesTheCommittedFile) {
  const std::string script = std::string(QANAT_SOURCE_DIR) + "/tests/vectors/group/generate.py";
  EXPECT_EQ(std::system(("python3 -B '" + script + "' --check").c_str()), 0);  // NOLINT(cert-env33-c): a fixed command
}

TEST_P(GroupScheduleTest, NamesAndKeysAreWhatTheIndependentScriptDerives) {
  const Number member = roster().back().number;
  EXPECT_EQ(group_sid_wk(suite_, which(), member), SidWk(hex("sid_wk")));
  EXPECT_EQ(group_sid_call(suite_, which(), number("owner"), member), SidCall(hex("sid_call")));
  EXPECT_NE(group_sid_call(suite_, which(), number("owner"), member), make_sid_call(number("owner"), member, group_epoch_name(suite_, which()).view()))
      << "a call whose nonce is the epoch's name is not the group";
  EXPECT_EQ(group_epoch_name(suite_, which()), SidWk(hex("epoch_name")));
  std::vector<Secret> mixes;
  for (const char* n : {"0", "1"}) {
    mixes.push_back(group_mix(suite_, secret(std::string("carrier_wk_") + n), SidWk(hex(std::string("carrier_sid_") + n))));
    EXPECT_TRUE(equal_secret(mixes.back(), secret(std::string("mix_") + n)));
  }
  EXPECT_TRUE(equal_secret(group_wk(suite_, which(), secret("r"), {}), secret("wk_without_carriers")));
  EXPECT_TRUE(equal_secret(group_wk(suite_, which(), secret("r"), mixes), secret("wk")));
  for (const GroupMember& one : roster()) {
    const Json expected = must(must(json_.object("media")).object(one.number.text()));
    const MediaKey media = must(group_media_key(suite_, secret("wk"), which(), number("owner"), roster(), one.number));
    EXPECT_TRUE(equal_secret(media.key, Secret::copy_of(must(expected.hex("key")))));
    EXPECT_TRUE(equal_secret(media.salt, Secret::copy_of(must(expected.hex("salt")))));
  }
}

TEST_P(GroupScheduleTest, TheKeyTravelsSealedAndBoundToWhatIsSaidWithIt) {
  const GroupKey sealed = must(seal_group_key(suite_, policy_epoch_, key(), secret("carrier_wk_0"), secret("wk")));
  agrees(sealed, "group_key");
  EXPECT_TRUE(equal_secret(must(open_group_key(must(parse<GroupKey>(hex("group_key"))), secret("carrier_wk_0"))), secret("wk")));
  EXPECT_FALSE(open_group_key(must(parse<GroupKey>(hex("group_key"))), secret("carrier_wk_1"))) << "another carrier's key";
  const auto altered = [&](const std::function<void(GroupKey&)>& change) {
    GroupKey message = sealed;
    change(message);
    EXPECT_FALSE(open_group_key(must(frame(suite_, policy_epoch_, message)), secret("carrier_wk_0")));
  };
  altered([](GroupKey& m) { ++m.epoch; });
  altered([](GroupKey& m) { m.nonce = GroupNonce(Bytes(16, 1)); });
  altered([](GroupKey& m) { m.group = GroupId(Bytes(32, 1)); });
  altered([](GroupKey& m) { m.roster.erase(m.roster.begin() + 1); });
  altered([](GroupKey& m) { m.owner = m.roster[1].number; });
  altered([](GroupKey& m) { m.assurance = Assurance::disjoint_qkd_paths; });
  altered([](GroupKey& m) { m.kc_a.front() ^= 1; });
  altered([](GroupKey& m) { m.sealed.back() ^= 1; });
}

TEST_P(GroupScheduleTest, OrdersAndStatesAgree) {
  agrees(request(), "group_request");
  agrees(state(), "group_state");
}

TEST_P(GroupScheduleTest, SendersEpochsAndRostersHaveDifferentKeys) {
  const Roster all = roster();
  const Roster fewer(all.begin(), all.begin() + 2);
  const GroupEpoch later{.group = which().group, .epoch = epoch_ + 1, .nonce = which().nonce};
  const GroupEpoch other_nonce{.group = which().group, .epoch = epoch_, .nonce = GroupNonce(Bytes(16, 1))};
  std::set<std::string> seen;
  for (const GroupEpoch& one : {which(), later, other_nonce}) {
    for (const Roster& told : {all, fewer}) {
      for (const Number& owner : {all[0].number, all[1].number}) {
        for (const Number& sender : {all[0].number, all[1].number}) {
          seen.insert(to_hex(must(group_media_key(suite_, secret("wk"), one, owner, told, sender)).key.reveal()));
        }
      }
    }
  }
  EXPECT_EQ(seen.size(), 24U);
  EXPECT_FALSE(group_media_key(suite_, secret("wk"), which(), all[0].number, fewer, all[2].number)) << "not a member";
  EXPECT_NE(group_sid_wk(suite_, which(), all[0].number), group_sid_wk(suite_, later, all[0].number));
  EXPECT_NE(group_epoch_name(suite_, which()), group_epoch_name(suite_, later));
  EXPECT_NE(group_sid_wk(suite_, which(), all[0].number), group_sid_wk(suite_, other_nonce, all[0].number));
  EXPECT_NE(group_sid_call(suite_, which(), all[0].number, all[1].number), group_sid_call(suite_, other_nonce, all[0].number, all[1].number));
}

TEST_P(GroupScheduleTest, WhatTheGrammarDoesNotKnowIsRefused) {
  const Number owner = number("owner");
  refused<GroupRequest>(request(), [](GroupRequest& m) { m.order = GroupOrder::open; });  // an epoch that it follows
  refused<GroupRequest>(request(), [](GroupRequest& m) { m.epoch = 0; });
  refused<GroupRequest>(request(), [](GroupRequest& m) { m.members.clear(); });
  refused<GroupRequest>(request(), [](GroupRequest& m) { m.members.push_back(m.members.front()); });
  refused<GroupRequest>(request(), [&](GroupRequest& m) { m.members.push_back(owner); });  // not ascending
  refused<GroupRequest>(request(), [](GroupRequest& m) { m.members = {Number("8655110000001")}; });
  refused<GroupRequest>(request(), [](GroupRequest& m) {
    m.order = GroupOrder::show;
    m.epoch = 0;
  });
  refused<GroupState>(state(), [](GroupState& m) { m.epoch = 0; });
  refused<GroupState>(state(), [](GroupState& m) { m.roster.resize(1); });
  refused<GroupState>(state(), [](GroupState& m) { m.roster.erase(m.roster.begin()); });  // without the owner
  refused<GroupState>(state(), [](GroupState& m) { std::swap(m.roster[0], m.roster[1]); });
  refused<GroupState>(state(), [](GroupState& m) {
    m.roster.clear();
    for (int i = 0; i < 65; ++i) m.roster.push_back({.number = Number("+86551100001" + std::to_string(100 + i)), .kms = kms_a});
    m.owner = m.roster.front().number;
  });
  refused<GroupKey>(key(), [](GroupKey& m) { m.sealed.assign(47, 0); });
}

}  // namespace
}  // namespace qanat::wire
