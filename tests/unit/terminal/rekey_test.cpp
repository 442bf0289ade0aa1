// Calls that take another working key while they talk, over loopback.
#include <gtest/gtest.h>

#include <future>
#include <set>

#include "small_network.hpp"
#include "spoilt_path.hpp"
#include "terminal/call.hpp"
#include "terminal/quality.hpp"
#include "terminal/wav.hpp"

namespace qanat::terminal {
namespace {

using namespace test;
using namespace std::chrono_literals;

constexpr double rekey_pace = 4.0;
constexpr std::uint8_t app_packet = 204;

/// An SRTCP packet's first octets are in clear.
bool is_rekey_refusal(ByteView datagram) {
  return is_rtcp(datagram) && datagram[1] == app_packet && (datagram[0] & 0x1F) == static_cast<int>(RekeyWord::refused);
}

/// A working key for each session, the same for both ends; what the later ones are like can be changed.
class KeyPerSession final : public KeySource {
 public:
  KeyPerSession(std::string peer_uid, Number peer_number, std::string peer_kms, const crypto::Suite& suite)
      : peer_uid_(std::move(peer_uid)), peer_number_(std::move(peer_number)), peer_kms_(std::move(peer_kms)), suite_(suite) {}

  Result<WorkingKey> fetch(const KeyWanted& wanted, Deadline /*deadline*/, const std::stop_token& /*stop*/) override {
    wanted_.push_back(wanted);
    wanted_at_.push_back(std::chrono::steady_clock::now());
    WorkingKey key{.wk = Secret::copy_of(concat({wanted.sid_wk.view(), wanted.sid_wk.view()})),
                   .assurance = wire::Assurance::one_qkd_path,
                   .n_paths = 1,
                   .path_min = 1,
                   .peer_uid = Uid(peer_uid_),
                   .peer_number = peer_number_,
                   .peer_kms = ElementName(peer_kms_),
                   .peer_fps = wire::no_fingerprints(suite_),
                   .h_deliver = to_bytes(wanted.sid_wk.view())};
    if (wanted_.size() > 1 && refuse_later) return fail(*refuse_later);
    if (wanted_.size() > 1 && change_later) change_later(key);
    return Result<WorkingKey>(std::move(key));
  }
  void acknowledge(const Bytes& h_deliver, Deadline /*deadline*/) override {
    acknowledged_.push_back(h_deliver);
    if (acknowledged_.size() == 2 && second_acknowledged) second_acknowledged();
  }

  std::optional<Error> refuse_later;
  std::function<void(WorkingKey&)> change_later;
  std::function<void()> second_acknowledged;
  void forget() {
    wanted_.clear();
    wanted_at_.clear();
    acknowledged_.clear();
    change_later = {};
    second_acknowledged = {};
  }
  /// After the call: what was applied for, what was acknowledged.
  [[nodiscard]] const std::vector<KeyWanted>& wanted() const { return wanted_; }
  [[nodiscard]] const std::vector<std::chrono::steady_clock::time_point>& wanted_at() const { return wanted_at_; }
  [[nodiscard]] const std::vector<Bytes>& acknowledged() const { return acknowledged_; }

 private:
  std::string peer_uid_;
  Number peer_number_;
  std::string peer_kms_;
  const crypto::Suite& suite_;
  std::vector<KeyWanted> wanted_;  // by the key thread alone, of which there is one at a time
  std::vector<std::chrono::steady_clock::time_point> wanted_at_;
  std::vector<Bytes> acknowledged_;
};

struct RekeyingEnd {
  RekeyingEnd(SmallNetwork& net, const std::string& uid, const Number& own, const std::string& kms, const std::string& peer, const Number& other,
              const std::string& peer_kms)
      : signer(net.signer(Kind::app1, uid, own)),
        keys(peer, other, peer_kms, net.suite()),
        party{.number = own,
              .kms = ElementName(kms),
              .ax = {.suite = net.suite(), .policy_epoch = 1, .signer = signer, .check_peer = net.check_peer(), .rng = *rng},
              .keys = keys,
              .observe = [this](const CallEvent& event) { events.emplace_back(event.event, event.what); },
              .begun = [this](const SidWk& session) { talked_under.push_back(session); }} {
    settings.wait_max = 10s;
  }
  [[nodiscard]] std::size_t times(std::string_view event, std::string_view what = "") const {
    return static_cast<std::size_t>(std::ranges::count_if(events, [&](const auto& one) { return one.first == event && one.second.contains(what); }));
  }

  std::unique_ptr<crypto::Rng> rng = crypto::open_rng().value();  // the call and the thread of its later exchanges share it
  node::MessageSigner signer;
  KeyPerSession keys;
  std::vector<std::pair<std::string, std::string>> events;  // of the call's own thread
  std::vector<SidWk> talked_under;
  CallParty party;
  CallSettings settings{.sip = {.host = "127.0.0.1", .port = 0}, .pace = rekey_pace};
};

class RekeyTest : public testing::TestWithParam<crypto::SuiteId> {
 protected:
  struct Outcome {
    Result<CallReport> alice;
    Result<CallReport> bob;
  };
  [[nodiscard]] std::vector<std::int16_t> speech(const std::string& who) const {
    const std::vector<std::int16_t> once = read_wav(QANAT_SOURCE_DIR "/assets/voice/" + who + ".wav").value();
    std::vector<std::int16_t> out;
    for (std::size_t i = 0; i < repeats_; ++i) out.insert(out.end(), once.begin(), once.end());
    return out;
  }
  Outcome hold() {
    auto alice_call = Call::open(alice_.party, alice_.settings, speech("caller")).value();
    auto bob_call = Call::open(bob_.party, bob_.settings, speech("callee")).value();
    const auto path = passes_ ? std::make_unique<SpoiltPath>(bob_call->sip_endpoint(), passes_) : nullptr;
    auto bob = std::async(std::launch::async, [&] { return bob_call->answer(); });
    auto alice = alice_call->place(bob_number, path ? path->sip() : bob_call->sip_endpoint());
    return {.alice = std::move(alice), .bob = bob.get()};
  }
  /// Everything was heard, whatever keys it went under.
  void expect_whole(const Outcome& call) const {
    ASSERT_TRUE(call.alice) << call.alice.error().message;
    ASSERT_TRUE(call.bob) << call.bob.error().message;
    const std::size_t packets = speech("caller").size() / samples_per_packet;
    for (const CallReport* report : {&*call.alice, &*call.bob}) {
      EXPECT_EQ(report->packets_sent, packets);
      EXPECT_EQ(report->packets_received, packets);
      EXPECT_EQ(report->packets_lost, 0U);
      EXPECT_EQ(report->srtp.dropped_total(), 0U);
      std::uint64_t sent = 0;
      std::uint64_t received = 0;
      for (const KeyEpoch& epoch : report->epochs) {
        sent += epoch.packets_sent;
        received += epoch.packets_received;
      }
      EXPECT_EQ(sent, packets);
      EXPECT_EQ(received, packets);
    }
    EXPECT_EQ(call.bob->heard, alaw_decode(ByteView(alaw_encode(speech("caller")))));
    EXPECT_EQ(call.alice->heard, alaw_decode(ByteView(alaw_encode(speech("callee")))));
  }
  /// Both ends had at least so many keys, the same ones (the last may have been on its way when they hung up), each another one.
  static void expect_keys(const Outcome& call, std::size_t at_least) {
    ASSERT_TRUE(call.alice && call.bob);
    const auto& near = call.alice->epochs;
    const auto& far = call.bob->epochs;
    EXPECT_GE(near.size(), at_least);
    EXPECT_GE(far.size(), at_least);
    std::set<std::string> fingerprints;
    for (std::size_t i = 0; i < std::min(near.size(), far.size()); ++i) {
      EXPECT_EQ(near[i].sid_wk, far[i].sid_wk) << i;
      EXPECT_EQ(near[i].wk_fingerprint, far[i].wk_fingerprint) << i;
      EXPECT_EQ(near[i].sas, far[i].sas) << i;
      EXPECT_EQ(near[i].packets_sent, far[i].packets_received) << i;
      EXPECT_EQ(far[i].packets_sent, near[i].packets_received) << i;
      EXPECT_TRUE(fingerprints.insert(near[i].wk_fingerprint).second) << "the key of period " << i << " was in use before";
    }
  }
  /// The first key carried it all, and the caller or callee said why.
  void expect_first_key_alone(const Outcome& call, std::string_view why) {
    expect_whole(call);
    ASSERT_TRUE(call.alice && call.bob);
    EXPECT_EQ(call.alice->epochs.size(), 1U);
    EXPECT_EQ(call.bob->epochs.size(), 1U);
    EXPECT_GE(alice_.times("rekey_failed") + bob_.times("rekey_failed"), 2U) << "both ends know";
    EXPECT_GE(alice_.times("rekey_failed", why) + bob_.times("rekey_failed", why), 1U) << why;
  }

  std::size_t repeats_ = 2;  // of three seconds of speech
  SpoiltPath::Passes passes_;
  SmallNetwork& net_ = network(GetParam());
  RekeyingEnd alice_{net_, "alice", alice_number, "kms-a", "bob", bob_number, "kms-b"};
  RekeyingEnd bob_{net_, "bob", bob_number, "kms-b", "alice", alice_number, "kms-a"};
};
INSTANTIATE_TEST_SUITE_P(Suites, RekeyTest, testing::ValuesIn(both_suites), suite_name);

TEST_P(RekeyTest, ARunningCallTakesAnotherKeySeveralTimesAndLosesNothing) {
  repeats_ = 5;
  alice_.settings.rekey.after = 700ms;
  const Outcome call = hold();
  expect_whole(call);
  expect_keys(call, 3);
  ASSERT_TRUE(call.alice && call.bob);
  ASSERT_GE(alice_.keys.wanted().size(), 3U);
  for (const KeyWanted& wanted : alice_.keys.wanted()) {
    EXPECT_EQ(wanted.sid_call, call.alice->sid_call) << "one call, whatever its keys";
    EXPECT_EQ(wanted.role, wire::Role::caller);
  }
  EXPECT_EQ(bob_.keys.wanted().back().role, wire::Role::callee);
  EXPECT_GE(alice_.keys.acknowledged().size(), call.alice->epochs.size()) << "the KMS destroys its copy of each";
  EXPECT_GE(alice_.times("rekeyed"), 2U);
  ASSERT_EQ(alice_.talked_under.size(), call.alice->epochs.size());
  for (std::size_t i = 0; i < alice_.talked_under.size(); ++i) EXPECT_EQ(alice_.talked_under[i], call.alice->epochs[i].sid_wk);
}

TEST_P(RekeyTest, TheCallIsAsStrongAsTheWeakestOfItsKeys) {
  alice_.settings.rekey.after = 300ms;
  for (RekeyingEnd* end : {&alice_, &bob_}) {
    end->keys.change_later = [](WorkingKey& key) {
      key.assurance = wire::Assurance::pqc;
      key.n_paths = 0;
      key.path_min = 0;
    };
  }
  const Outcome call = hold();
  expect_whole(call);
  expect_keys(call, 2);
  ASSERT_TRUE(call.alice && call.bob);
  for (const CallReport* report : {&*call.alice, &*call.bob}) {
    ASSERT_GE(report->epochs.size(), 2U);
    EXPECT_EQ(report->epochs[0].assurance, wire::Assurance::one_qkd_path);
    EXPECT_EQ(report->epochs[0].path_min, 1);
    EXPECT_EQ(report->epochs[1].assurance, wire::Assurance::pqc);
    EXPECT_EQ(report->assurance, wire::Assurance::pqc) << "and not what it began with";
    EXPECT_EQ(report->n_paths, 0);
    EXPECT_EQ(report->path_min, 0);
  }
}

TEST_P(RekeyTest, TheEndWhoseKeyComesFirstWaitsForTheOther) {
  for (const auto& [first, second] : {std::pair(&alice_, &bob_), std::pair(&bob_, &alice_)}) {
    SCOPED_TRACE(first == &alice_ ? "the caller's comes first" : "the callee's comes first");
    std::promise<void> there;
    first->keys.second_acknowledged = [&] { there.set_value(); };
    second->keys.change_later = [is_there = there.get_future().share()](WorkingKey&) { EXPECT_EQ(is_there.wait_for(5s), std::future_status::ready); };
    alice_.settings.rekey.after = 300ms;
    const Outcome call = hold();
    expect_whole(call);
    expect_keys(call, 2);
    for (RekeyingEnd* end : {&alice_, &bob_}) end->keys.forget();
  }
}

TEST_P(RekeyTest, SoManyPacketsUnderOneKeyAreEnoughToo) {
  repeats_ = 5;
  alice_.settings.rekey.after_packets = 200;
  const Outcome call = hold();
  expect_whole(call);
  expect_keys(call, 3);
}

TEST_P(RekeyTest, TheCalleeMayAskForAnotherKey) {
  bob_.settings.rekey.after = 300ms;
  alice_.settings.rekey.asked_min = 100ms;
  const Outcome call = hold();
  expect_whole(call);
  expect_keys(call, 2);
}

TEST_P(RekeyTest, ACalleesNextWishIsFollowedLater) {
  bob_.settings.rekey.after = 600ms;
  alice_.settings.rekey.asked_min = 400ms;  // and twice as much for the second wish, which comes when the second key is 600 ms old
  const Outcome call = hold();
  expect_whole(call);
  expect_keys(call, 2);
  EXPECT_EQ(alice_.keys.wanted().size(), 2U);
}

TEST_P(RekeyTest, ACalleeGivesUpASessionThatItsCallerNoLongerGoesOnWith) {
  bob_.settings.rekey = {.after = 300ms, .attempt_max = 300ms};
  alice_.settings.rekey.asked_min = 100ms;
  alice_.keys.refuse_later = Error{ErrorCode::denied, "the subscriber is suspended"};
  passes_ = [](const Bytes& datagram) { return !is_rekey_refusal(datagram); };
  expect_first_key_alone(hold(), "the other end does not go on with it");
  EXPECT_EQ(bob_.times("rekey_failed"), 1U);
}

TEST_P(RekeyTest, ALostRefusalIsSaidAgainToWhoGoesOn) {
  alice_.settings.rekey.after = 300ms;
  for (const std::uint8_t spoilt : {std::uint8_t{2}, std::uint8_t{3}}) {
    SCOPED_TRACE(spoilt == 2 ? "the caller refuses AX2" : "the callee refuses AX3");
    std::optional<Bytes> first;  // session of the call's first exchange, in its fragments
    bool lost = false;
    passes_ = [&](Bytes& datagram) {
      if (is_rekey_refusal(datagram)) return std::exchange(lost, true);
      if (!is_ax_datagram(datagram)) return true;
      const Bytes session(datagram.begin() + 4, datagram.begin() + 12);
      if (!first) first = session;
      if (session != *first && datagram[12] == spoilt && !lost) datagram.back() ^= 1;
      return true;
    };
    expect_first_key_alone(hold(), "the other end could not get the key");
    EXPECT_TRUE(lost);
    for (RekeyingEnd* end : {&alice_, &bob_}) {
      end->keys.forget();
      end->events.clear();
    }
  }
}

TEST_P(RekeyTest, ACalleeAppliesNoMoreOftenThanItsOwnPauseWhateverTheCallerBegins) {
  repeats_ = 5;
  alice_.settings.rekey.after = 50ms;
  const Outcome call = hold();
  expect_whole(call);
  expect_keys(call, 3);
  constexpr auto jitter = 200ms;  // of the threads that fetch; without the pause a key follows half a second after the other, when that is erased
  const auto& at = bob_.keys.wanted_at();
  for (std::size_t i = 2; i < at.size(); ++i) EXPECT_GE(at[i] - at[i - 1], rekey_begins_every - jitter) << "key " << i;
}

TEST_P(RekeyTest, ACallerWhoseKmsGivesNoOtherKeyGoesOnUnderTheFirst) {
  alice_.settings.rekey.after = 300ms;
  alice_.keys.refuse_later = Error{ErrorCode::denied, "the subscriber is suspended"};
  expect_first_key_alone(hold(), "no working key: the subscriber is suspended");
}

TEST_P(RekeyTest, ACalleeWhoseKmsGivesNoOtherKeySaysSo) {
  alice_.settings.rekey.after = 300ms;
  bob_.keys.refuse_later = Error{ErrorCode::denied, "no such session"};
  expect_first_key_alone(hold(), "the other end could not get the key");
}

TEST_P(RekeyTest, OfTwoDifferentLaterKeysNoneIsUsed) {
  alice_.settings.rekey.after = 300ms;
  bob_.keys.change_later = [](WorkingKey& key) { key.wk = Secret::copy_of(Bytes(32, 0x5A)); };
  expect_first_key_alone(hold(), "another working key");
}

TEST_P(RekeyTest, ALaterKeyForSomebodyElseIsNotUsed) {
  alice_.settings.rekey.after = 300ms;
  alice_.keys.change_later = [](WorkingKey& key) { key.peer_uid = Uid("mallory"); };
  expect_first_key_alone(hold(), "was agreed with mallory");
}

TEST_P(RekeyTest, CertificatesOtherThanThoseThatTheCallBeganWithAreNotTaken) {
  alice_.settings.rekey.after = 300ms;
  const wire::Fingerprints others = net_.signer(Kind::app1, "bob", bob_number).fps;
  alice_.keys.change_later = [&](WorkingKey& key) { key.peer_fps = others; };
  expect_first_key_alone(hold(), "than those that the call began with");
}

TEST_P(RekeyTest, WhoTakesTheCallOverWithOtherCertificatesOfTheSameSubscriberIsRefused) {
  alice_.settings.rekey.after = 300ms;
  // Good ones, and the KMS names none: only the beginning of the call tells the two apart.
  std::optional<node::MessageSigner> other = net_.signer(Kind::app1, "bob", bob_number);
  bob_.keys.change_later = [&](WorkingKey&) {
    if (other) bob_.signer = *std::exchange(other, std::nullopt);
  };
  expect_first_key_alone(hold(), "that the call began with");
}

TEST_P(RekeyTest, WithoutAnotherKeyTheCallEndsAtItsLimitWithTheReason) {
  alice_.settings.rekey = {.after = 300ms, .limit = 900ms};
  alice_.keys.refuse_later = Error{ErrorCode::unavailable, "Km-1 to kms-a: nobody there"};
  const Outcome call = hold();
  ASSERT_FALSE(call.alice);
  EXPECT_EQ(call.alice.error().code, ErrorCode::unavailable);
  EXPECT_EQ(call.alice.error().message,
            "the call's key has been in use for 900 ms, as long as it may, and no other took its place: no working key: Km-1 to kms-a: nobody there");
  ASSERT_TRUE(call.bob) << call.bob.error().message;
  EXPECT_EQ(call.bob->ended, CallEnd::remote_hang_up);
  EXPECT_LT(call.bob->packets_received, speech("caller").size() / samples_per_packet) << "it ended before all was said";
  EXPECT_GT(call.bob->packets_received, 60U) << "and went on under the first key until then";
}

TEST_P(RekeyTest, AnExchangeThatHasNotBegunTakesNothing) {
  for (const AxEnd end : {AxEnd::initiator, AxEnd::responder}) {
    AxExchange exchange(alice_.party.ax, AxSession(), Secret::copy_of(Bytes(32, 1)), end);
    const auto refused = exchange.take(Bytes(8, 1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::conflict);
  }
}

TEST_P(RekeyTest, ACalleeEndsTheCallAtItsOwnLimit) {
  bob_.settings.rekey = {.after = 0ms, .limit = 600ms};
  const Outcome call = hold();
  ASSERT_FALSE(call.bob);
  EXPECT_TRUE(call.bob.error().message.ends_with("the other end began none")) << call.bob.error().message;
  ASSERT_TRUE(call.alice) << call.alice.error().message;
  EXPECT_EQ(call.alice->ended, CallEnd::remote_hang_up);
}

}  // namespace
}  // namespace qanat::terminal
