// Group calls over the wire: four terminals in two domains, one key per epoch; and what is refused, or dies, on the way.
#include "point_test.hpp"
#include "program.hpp"
#include "terminal/group.hpp"
#include "terminal/srtp.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using app::RunningNetwork;
using points::Endpoint;
using terminal::GroupClient;
using terminal::GroupKeys;
using terminal::GroupView;
using wire::GroupOrder;

constexpr std::chrono::seconds group_within{10};
constexpr std::chrono::seconds group_death_max{30};

/// Fetches as the product does, through the terminal that the test drives.
class FromTestTerminal final : public terminal::KeySource {
 public:
  explicit FromTestTerminal(TestTerminal& terminal) : terminal_(terminal) {}
  Result<terminal::WorkingKey> fetch(const terminal::KeyWanted& wanted, Deadline deadline, const std::stop_token&) override {
    return terminal_.apply(wanted, deadline);  // and acknowledges
  }
  void acknowledge(const Bytes&, Deadline) override {}

 private:
  TestTerminal& terminal_;
};

class GroupNetwork : public SharedNetwork {
 protected:
  static void start() {
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B", "C"}) net().enrol(uid);
  }
  /// A second terminal of domain b, configured like B.
  static void enrol_d() { net().enrol(net().further_terminal("B", "D", "+8655120000004")); }

  static Deadline in_time() { return Deadline::after(group_within); }
  static Number number(const std::string& uid) { return net().terminal(uid).number(); }
  static std::vector<Number> numbers(const std::vector<std::string>& uids) {
    std::vector<Number> out;
    for (const std::string& uid : uids) out.push_back(number(uid));
    return out;
  }
  static GroupClient client(const std::string& uid) {
    TestTerminal& terminal = net().terminal(uid);
    return GroupClient({.applicant = terminal.applicant(),
                        .number = terminal.number(),
                        .token_ref = Bytes(net().suite().digest),
                        .clock = terminal.node().clock(),
                        .rng = terminal.node().rng(),
                        .send = [&terminal](Endpoint endpoint, ByteView message, Deadline) { return terminal.send(endpoint, message); },
                        .check_kms = [&terminal](Deadline) { return terminal.kms(); }});
  }
  static Result<GroupView> open(const std::vector<std::string>& members) { return client("A").open(numbers(members), in_time()); }
  static Result<GroupView> change(GroupOrder order, const GroupView& present, const std::vector<std::string>& members) {
    return client("A").change(order, present.which, numbers(members), in_time());
  }
  static Result<GroupKeys> keys(const std::string& uid, const GroupView& view) {
    FromTestTerminal source(net().terminal(uid));
    const std::stop_source never;
    return client(uid).keys(view, source, in_time(), never.get_token());
  }
  /// What each member has after it was told of the epoch by its own KMS.
  static std::map<std::string, GroupKeys> keys_of_all(const std::vector<std::string>& uids, const GroupView& told) {
    std::map<std::string, GroupKeys> out;
    for (const std::string& uid : uids) {
      const auto view = client(uid).show(told.which.group, in_time());
      EXPECT_TRUE(view) << uid << ": " << (view ? "" : view.error().message);
      if (!view) continue;
      EXPECT_EQ(view->which, told.which) << uid;
      EXPECT_EQ(view->roster, told.roster) << uid;
      auto got = keys(uid, *view);
      EXPECT_TRUE(got) << uid << ": " << (got ? "" : got.error().message);
      if (got) out.emplace(uid, *std::move(got));
    }
    return out;
  }
  static void expect_one_key(const std::map<std::string, GroupKeys>& all, std::size_t members) {
    std::set<std::string> fingerprints;
    for (const auto& [uid, one] : all) fingerprints.insert(one.fingerprint());
    EXPECT_EQ(all.size(), members);
    EXPECT_EQ(fingerprints.size(), 1U);
  }
};

Bytes rtp_packet(std::uint8_t ssrc, std::uint8_t sequence) {
  Bytes out{0x80, 0, 0, sequence, 0, 0, 0, 160, 0, 0, 0, ssrc};
  out.insert(out.end(), 160, static_cast<std::uint8_t>(0x55 ^ sequence));
  return out;
}

class GroupsOverTheWire : public GroupNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.status_fresh_ms = 200;
    start();
    if (!net().ok()) return;
    enrol_d();
    net().await_quantum_keys();
  }
  /// Each speaks, and each other hears it under the speaker's keys and under nobody else's.
  static void expect_frames_to_open(const std::map<std::string, GroupKeys>& all) {
    const crypto::Aead aead = net().suite().aead;
    std::uint8_t ssrc = 0;
    for (const auto& [speaker, of_speaker] : all) {
      ++ssrc;
      auto sender = terminal::SrtpSender::create(aead, of_speaker.of(number(speaker)).value(), of_speaker.mki(), ssrc).value();
      const Bytes said = rtp_packet(ssrc, 1);
      const Bytes sent = sender.protect(said).value();
      EXPECT_NE(sent, said);
      for (const auto& [hearer, of_hearer] : all) {
        if (hearer == speaker) continue;
        auto receiver = terminal::SrtpReceiver::create(aead, of_hearer.of(number(speaker)).value(), of_hearer.mki()).value();
        const auto heard = receiver.unprotect(sent);
        ASSERT_TRUE(heard) << hearer << " does not hear " << speaker;
        EXPECT_EQ(*heard, said);
        auto other = terminal::SrtpReceiver::create(aead, of_hearer.of(number(hearer)).value(), of_hearer.mki()).value();
        const auto mistaken = other.unprotect(sent);
        ASSERT_FALSE(mistaken);
        EXPECT_EQ(mistaken.error(), terminal::SrtpDrop::bad_tag);
      }
    }
  }
};

POINT_TEST(GroupsOverTheWire, Km_1, accepts, FourTerminalsInTwoDomainsShareAKeyPerEpoch) {
  const auto first = open({"B", "C", "D"});
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->which.epoch, 1U);
  EXPECT_TRUE(first->left_out.empty());
  EXPECT_EQ(first->readers(), (std::vector<std::string>{"kms-a", "kms-b"}));
  const auto in_first = keys_of_all({"A", "B", "C", "D"}, *first);
  expect_one_key(in_first, 4);
  ASSERT_EQ(in_first.size(), 4U);
  for (const auto& [uid, one] : in_first) EXPECT_EQ(one.assurance(), wire::Assurance::one_qkd_path) << uid;
  expect_frames_to_open(in_first);
  net().expect_audit("kms-a", "group.open", "epoch 1, assurance 3");
  net().expect_audit("kms-b", "km-2.group", "2 members are served here");
  for (const char* kms : {"kms-a", "kms-b"}) net().expect_audit(kms, "wk.carried", "it carried a group's key (commitment ");

  // D leaves: what is said then it cannot read, and there is no key for it.
  const auto second = change(GroupOrder::leave, *first, {"D"});
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->which.epoch, 2U);
  const auto in_second = keys_of_all({"A", "B", "C"}, *second);
  expect_one_key(in_second, 3);
  ASSERT_EQ(in_second.size(), 3U);
  EXPECT_NE(in_second.at("A").fingerprint(), in_first.at("A").fingerprint());
  expect_frames_to_open(in_second);
  const auto looks = client("D").show(first->which.group, in_time());
  ASSERT_FALSE(looks);
  EXPECT_EQ(looks.error().code, ErrorCode::denied) << looks.error().message;
  EXPECT_FALSE(keys("D", *second)) << "whatever it asks for";
  const crypto::Aead aead = net().suite().aead;
  auto sender = terminal::SrtpSender::create(aead, in_second.at("A").of(number("A")).value(), in_second.at("A").mki(), 1).value();
  auto leaver = terminal::SrtpReceiver::create(aead, in_first.at("D").of(number("A")).value(), in_second.at("A").mki()).value();
  const auto overheard = leaver.unprotect(sender.protect(rtp_packet(1, 2)).value());
  ASSERT_FALSE(overheard);
  EXPECT_EQ(overheard.error(), terminal::SrtpDrop::bad_tag);

  // D comes again: it has what is said from then on, and nothing of the time between.
  const auto third = change(GroupOrder::join, *second, {"D"});
  ASSERT_TRUE(third) << third.error().message;
  EXPECT_EQ(third->which.epoch, 3U);
  const auto in_third = keys_of_all({"A", "B", "C", "D"}, *third);
  expect_one_key(in_third, 4);
  ASSERT_EQ(in_third.size(), 4U);
  EXPECT_NE(in_third.at("D").fingerprint(), in_second.at("A").fingerprint());
  expect_frames_to_open(in_third);
  EXPECT_FALSE(keys("D", *second)) << "an epoch without it";
}

POINT_TEST(GroupsOverTheWire, Km_1, refuses, OrdersThatPolicyOrTheGroupDoNotAllow) {
  const auto group = open({"B"});
  ASSERT_TRUE(group) << group.error().message;
  const auto expect_refused = [](const Result<GroupView>& answer, ErrorCode code, const std::string& why) {
    ASSERT_FALSE(answer) << why;
    EXPECT_EQ(answer.error().code, code) << answer.error().message;
    EXPECT_TRUE(answer.error().message.contains(why)) << answer.error().message;
  };
  expect_refused(client("C").show(group->which.group, in_time()), ErrorCode::denied, "is not a member");
  expect_refused(client("D").show(group->which.group, in_time()), ErrorCode::denied, "is not a member");
  expect_refused(client("B").change(GroupOrder::join, group->which, {number("C")}, in_time()), ErrorCode::denied, "to order");
  expect_refused(client("A").change(GroupOrder::join, group->which, {Number("+8655190000001")}, in_time()), ErrorCode::not_found, "is in no domain");
  std::vector<Number> crowd;
  for (int i = 0; i < 16; ++i) crowd.emplace_back("+86551900001" + std::to_string(10 + i));
  expect_refused(client("A").open(crowd, in_time()), ErrorCode::denied, "17 members, policy allows 16");
  const auto next = change(GroupOrder::join, *group, {"C"});
  ASSERT_TRUE(next) << next.error().message;
  expect_refused(change(GroupOrder::leave, *group, {"C"}), ErrorCode::conflict, "is in force, the order follows 1");
  const auto answer = net().call("kms-b", Endpoint::km1_group, "kms-a", as_bytes("garbage"));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 403U) << "no terminal";
}

POINT_TEST(GroupsOverTheWire, Km_2, refuses, AGroupsKeyThatNobodyAnnounced) {
  const wire::GroupKey unasked{.sid_wk = net().rng().id<SidWk>(),
                               .h_accept = Bytes(net().suite().digest),
                               .kc_a = Bytes(net().suite().digest),
                               .group = net().rng().id<wire::GroupId>(),
                               .epoch = 1,
                               .nonce = net().rng().id<wire::GroupNonce>(),
                               .owner = number("A"),
                               .roster = {{.number = number("A"), .kms = ElementName("kms-a")}, {.number = number("B"), .kms = ElementName("kms-b")}},
                               .assurance = wire::Assurance::pqc,
                               .n_paths = 0,
                               .path_min = 0,
                               .sealed = Bytes(wire::group_sealed_size)};
  const Bytes octets = wire::frame(net().suite(), 1, unasked).value().octets;
  const auto status = [&](const char* from, ByteView body) {
    const auto answer = net().call(from, Endpoint::km2_group, "kms-b", body);
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? answer->status : 0U;
  };
  EXPECT_EQ(status("kms-a", octets), 404U);
  EXPECT_EQ(status("kms-a", as_bytes("garbage")), 400U);
  EXPECT_EQ(status("A", octets), 403U);
  net().expect_audit("kms-b", "km-2.group", "was not announced by CMSP");
}

TEST_F(GroupsOverTheWire, WithARevokedMemberItIsNotOpenedAndARunningOneGoesOnWithoutIt) {
  const auto group = open({"B", "C", "D"});
  ASSERT_TRUE(group) << group.error().message;
  ASSERT_TRUE(net().op().revoke({.domain = "b", .kind = Kind::app1, .name = "D"}));
  net().expect_audit("kms-b", "kp.purged", "certificates are revoked");
  EXPECT_FALSE(keys("D", *group));
  const auto another = open({"D"});
  ASSERT_FALSE(another);
  EXPECT_TRUE(another.error().message.contains(number("D").text())) << another.error().message;
  const auto next = change(GroupOrder::leave, *group, {"C"});
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_EQ(next->left_out, numbers({"D"}));
  expect_one_key(keys_of_all({"A", "B"}, *next), 2);
}

class GroupCommands : public GroupNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;
    start();
  }
  Outcome group(const std::string& what) const { return run_program("group " + what + " --network " + net().network().folder().string(), folder_); }

  const TemporaryDirectory folder_;
};

TEST_F(GroupCommands, OpenAGroupFetchItsKeyAndSayWhoCanRead) {
  const Outcome opened = group("open --as A --member B --member C --json");
  ASSERT_EQ(opened.code, 0) << opened.error;
  const std::string id = opened.json().text("group").value_or("");
  EXPECT_EQ(opened.json().texts("readable_by").value(), (std::vector<std::string>{"kms-a", "kms-b"}));
  std::set<std::string> fingerprints;
  for (const char* uid : {"A", "B", "C"}) {
    const Outcome key = group("key " + id + " --json --as " + uid);
    ASSERT_EQ(key.code, 0) << uid << ": " << key.error;
    fingerprints.insert(key.json().text("wk_fingerprint").value_or(uid));
    EXPECT_EQ(key.json().integer("assurance").value_or(0), 2) << "no quantum keys in this network";
  }
  EXPECT_EQ(fingerprints.size(), 1U);
  const Outcome left = group("leave " + id + " --as A --member B");
  EXPECT_EQ(left.code, 0) << left.error;
  EXPECT_TRUE(left.out.contains("epoch 2") && left.out.contains("NOT END TO END: kms-a can read")) << left.out;
  const Outcome looks = group("show " + id + " --as B");
  EXPECT_EQ(looks.code, 0) << "its KMS has heard of epoch 1 alone";
  EXPECT_TRUE(looks.out.contains("epoch 1")) << looks.out;
  EXPECT_EQ(group("key " + id + " --as B").code, 1) << "it has had that key, and there is no other";
  EXPECT_EQ(group("join " + id + " --as B --member A").code, 1);
}

class CrashDuringAGroup : public GroupNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;
    start();
  }
  /// The KMS dies at the place while A opens a group with B and C, starts again, and groups work.
  static Result<GroupView> survive(const std::string& element, const std::string& place) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, element + " dies at " + place);
    const std::filesystem::path mark = net().network().folder() / ("crashed-" + place);
    const auto carried = [&] {
      return std::ranges::count_if(net().audit(element, "wk.carried"),
                                   [](const wire::Json& entry) { return entry.text("reason").value_or("").starts_with("it carried a group's key"); });
    };
    const auto carried_before = carried();
    net().running().stop_element(element, RunningNetwork::Ending::orderly);
    const auto armed = net().running().start_element(element, QANAT_CRASH_PROGRAM, {"QANAT_CRASH_AT=" + place, "QANAT_CRASH_ONCE=" + mark.string()});
    EXPECT_TRUE(armed) << armed.error().message;
    Result<GroupView> interrupted = fail(ErrorCode::internal, "was not tried");
    TestNetwork::await(
        "its death",
        [&] {
          if (!std::filesystem::exists(mark)) interrupted = open({"B", "C"});
          return !net().running().lives(element);
        },
        group_death_max);
    EXPECT_TRUE(std::filesystem::exists(mark)) << "the place was not reached";
    net().running().stop_element(element, RunningNetwork::Ending::kill);
    const auto restarted = net().running().start_element(element);
    EXPECT_TRUE(restarted) << restarted.error().message;
    if (place == "kms.group.in_force" || place == "kms.group.taken") EXPECT_GT(carried(), carried_before) << "the carrier's key is destroyed, and its end not on record";
    std::optional<GroupView> again;
    TestNetwork::await(
        "a group with everybody in it",
        [&] {
          const auto view = open({"B", "C"});
          if (view && view->left_out.empty()) again = *view;
          return again.has_value();
        },
        group_death_max);
    if (again) expect_one_key(keys_of_all({"A", "B", "C"}, *again), 3);
    return interrupted;
  }
};

TEST_F(CrashDuringAGroup, AtTheOwnersKmsNoEpochIsHalfInForce) {
  EXPECT_FALSE(survive("kms-a", "kms.group.begun"));
  EXPECT_FALSE(survive("kms-a", "kms.group.agreed"));
  EXPECT_FALSE(survive("kms-a", "kms.group.carried"));
  EXPECT_FALSE(survive("kms-a", "kms.group.in_force")) << "in force, and not answered";
}

TEST_F(CrashDuringAGroup, AtAMembersKmsTheOthersGoOn) {
  const auto interrupted = survive("kms-b", "kms.group.taken");
  ASSERT_TRUE(interrupted) << interrupted.error().message;
  EXPECT_EQ(interrupted->left_out, numbers({"B"})) << "its KMS did not say that it has the key";
}

}  // namespace
}  // namespace qanat::test
