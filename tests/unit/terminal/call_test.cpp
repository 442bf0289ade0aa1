#include "terminal/call.hpp"

#include <future>

#include "small_network.hpp"
#include "terminal/quality.hpp"
#include "terminal/wav.hpp"

namespace qanat::terminal {
namespace {

using namespace test;
using namespace std::chrono_literals;

constexpr double fast = 8.0;  // the samples are three seconds long
constexpr std::size_t udp_payload_at = 28;  // behind IPv4 and UDP headers
constexpr std::size_t source_port_at = 20;

/// Gives the key that it was made with, or the error.
class GivenKey final : public KeySource {
 public:
  GivenKey(std::uint8_t fill, std::string peer_uid, Number peer_number, std::string peer_kms, const crypto::Suite& suite)
      : fill_(fill), peer_uid_(std::move(peer_uid)), peer_number_(std::move(peer_number)), peer_kms_(std::move(peer_kms)), suite_(suite) {}
  Result<WorkingKey> fetch(const KeyWanted& wanted, Deadline /*deadline*/, const std::stop_token& /*stop*/) override {
    wanted_ = wanted;
    if (failure) return fail(*failure);
    return Result<WorkingKey>(WorkingKey{.wk = Secret::copy_of(Bytes(32, fill_)), .assurance = wire::Assurance::one_qkd_path, .injected = false, .n_paths = 1,
                                         .path_min = 1, .peer_uid = Uid(peer_uid_), .peer_number = peer_number_, .peer_kms = ElementName(peer_kms_),
                                         .peer_fps = wire::no_fingerprints(suite_), .h_deliver = Bytes(32, 1)});
  }
  void acknowledge(const Bytes& /*h_deliver*/, Deadline /*deadline*/) override { ++acknowledged; }

  std::optional<Error> failure;
  std::atomic<int> acknowledged = 0;
  [[nodiscard]] const KeyWanted& wanted() const { return wanted_; }

 private:
  std::uint8_t fill_;
  std::string peer_uid_;
  Number peer_number_;
  std::string peer_kms_;
  const crypto::Suite& suite_;
  KeyWanted wanted_;
};

struct End {
  End(SmallNetwork& net, const std::string& uid, const Number& own, const std::string& kms, const std::string& peer, const Number& other,
      const std::string& peer_kms, std::uint8_t key)
      : rng(key + uid.size()),
        signer(net.signer(Kind::app1, uid, own)),
        keys(key, peer, other, peer_kms, net.suite()),
        party{.number = own,
              .kms = ElementName(kms),
              .ax = {.suite = net.suite(), .policy_epoch = 1, .signer = signer, .check_peer = net.check_peer(), .rng = rng},
              .keys = keys,
              .observe = {}} {}
  FixedRng rng;
  node::MessageSigner signer;
  GivenKey keys;
  CallParty party;
};

using Ports = std::pair<std::uint16_t, std::uint16_t>;  // source, destination

struct Seen {
  Ports ports;
  Bytes payload;
};
std::vector<Seen> datagrams(const Call& call) {
  std::vector<Seen> out;
  for (const CapturedPacket& packet : parse_capture(call.capture().octets()).value().packets) {
    const Bytes& octets = packet.octets;
    const auto port = [&](std::size_t at) { return static_cast<std::uint16_t>(octets[at] << 8 | octets[at + 1]); };
    out.push_back({.ports = {port(source_port_at), port(source_port_at + 2)}, .payload = Bytes(octets.begin() + udp_payload_at, octets.end())});
  }
  return out;
}

class CallTest : public testing::TestWithParam<crypto::SuiteId> {
 protected:
  struct Outcome {
    Result<CallReport> alice;
    Result<CallReport> bob;
  };
  static std::vector<std::int16_t> speech(const std::string& who) { return read_wav(QANAT_SOURCE_DIR "/assets/voice/" + who + ".wav").value(); }
  static CallSettings settings() {
    CallSettings out{.sip = {.host = "127.0.0.1", .port = 0}, .pace = fast};
    out.wait_max = 10s;
    return out;
  }

  /// Alice calls Bob in this process, over loopback.
  Outcome hold() {
    alice_call_ = Call::open(alice_->party, settings(), speech("caller")).value();
    bob_call_ = Call::open(bob_->party, settings(), speech("callee")).value();
    auto bob = std::async(std::launch::async, [this] { return bob_call_->answer(); });
    auto alice = alice_call_->place(bob_number, bob_call_->sip_endpoint());
    return {.alice = std::move(alice), .bob = bob.get()};
  }
  void make_ends(std::uint8_t alice_key, std::uint8_t bob_key) {
    alice_.emplace(net_, "alice", alice_number, "kms-a", "bob", bob_number, "kms-b", alice_key);
    bob_.emplace(net_, "bob", bob_number, "kms-b", "alice", alice_number, "kms-a", bob_key);
  }
  void expect_no_speech() {
    for (const Call* call : {alice_call_.get(), bob_call_.get()}) {
      for (const Seen& seen : datagrams(*call)) EXPECT_FALSE(is_media(seen.payload)) << "RTP or RTCP from port " << seen.ports.first;
    }
  }

  SmallNetwork& net_ = network(GetParam());
  std::optional<End> alice_;
  std::optional<End> bob_;
  std::unique_ptr<Call> alice_call_;
  std::unique_ptr<Call> bob_call_;
};
INSTANTIATE_TEST_SUITE_P(Suites, CallTest, testing::ValuesIn(both_suites), suite_name);

TEST_P(CallTest, EachHearsTheOtherAndBothHaveTheSameKey) {
  make_ends(1, 1);
  const Outcome call = hold();
  ASSERT_TRUE(call.alice) << call.alice.error().message;
  ASSERT_TRUE(call.bob) << call.bob.error().message;
  EXPECT_EQ(call.alice->wk_fingerprint, call.bob->wk_fingerprint);
  EXPECT_EQ(call.alice->sas, call.bob->sas);
  EXPECT_EQ(call.alice->sid_call, call.bob->sid_call);
  EXPECT_EQ(call.alice->ended, CallEnd::local_hang_up);
  EXPECT_EQ(call.bob->ended, CallEnd::remote_hang_up);
  for (const CallReport* report : {&*call.alice, &*call.bob}) {
    EXPECT_EQ(report->packets_sent, 150U);
    EXPECT_EQ(report->packets_received, 150U);
    EXPECT_EQ(report->packets_lost, 0U);
    EXPECT_EQ(report->srtp.dropped_total(), 0U);
    EXPECT_GT(report->setup_ms, 0.0);
    EXPECT_GE(report->setup_ms, report->invite_to_wk_ms);
  }
  EXPECT_GT(compare_quality(speech("caller"), call.bob->heard).value().correlation, 0.99);
  EXPECT_GT(compare_quality(speech("callee"), call.alice->heard).value().correlation, 0.99);
  EXPECT_EQ(alice_->keys.acknowledged, 1);
  EXPECT_EQ(alice_->keys.wanted().sid_wk, bob_->keys.wanted().sid_wk);
  EXPECT_EQ(bob_->keys.wanted().role, wire::Role::callee);
}

TEST_P(CallTest, NoSpeechLeavesBeforeAxIsConfirmed) {
  make_ends(1, 1);
  const Outcome call = hold();
  ASSERT_TRUE(call.alice && call.bob);
  const auto first = [](const std::vector<Seen>& seen, auto is) { return std::ranges::find_if(seen, is) - seen.begin(); };
  const auto last = [](const std::vector<Seen>& seen, auto is) {
    return static_cast<std::ptrdiff_t>(seen.size()) - 1 - (std::find_if(seen.rbegin(), seen.rend(), is) - seen.rbegin());
  };
  const auto is_ax3 = [](const Seen& seen) { return is_ax_datagram(seen.payload) && seen.payload[12] == 3; };
  {
    const auto seen = datagrams(*alice_call_);
    const std::uint16_t own = seen[static_cast<std::size_t>(first(seen, is_ax3))].ports.first;
    const auto from_bob = first(seen, [&](const Seen& one) { return is_media(one.payload) && one.ports.second == own; });
    const auto from_alice = first(seen, [&](const Seen& one) { return is_media(one.payload) && one.ports.first == own; });
    EXPECT_LT(first(seen, is_ax3), from_bob);
    EXPECT_LT(from_bob, from_alice) << "the caller spoke before the callee had shown that it has the keys";
  }
  const auto seen = datagrams(*bob_call_);
  EXPECT_LT(last(seen, is_ax3), first(seen, [](const Seen& one) { return is_media(one.payload); })) << "the callee spoke before AX3 was complete";
}

TEST_P(CallTest, NeitherTheKeyNorTheSpeechCanBeSeenOnTheWire) {
  make_ends(0xA7, 0xA7);
  const Outcome call = hold();
  ASSERT_TRUE(call.alice && call.bob);
  const Bytes key(16, 0xA7);
  const std::vector<std::int16_t> said = speech("caller");
  const Bytes spoken = alaw_encode(std::span(said).subspan(8000, samples_per_packet));
  for (const Seen& seen : datagrams(*alice_call_)) {
    EXPECT_EQ(std::ranges::search(seen.payload, key).size(), 0U);
    EXPECT_EQ(std::ranges::search(seen.payload, std::span(spoken).first(40)).size(), 0U);
  }
}

TEST_P(CallTest, WithDifferentWorkingKeysThereIsNoSpeechButAReason) {
  make_ends(1, 2);
  const Outcome call = hold();
  ASSERT_FALSE(call.alice);
  ASSERT_FALSE(call.bob);
  EXPECT_EQ(call.bob.error().code, ErrorCode::denied);
  EXPECT_NE(call.bob.error().message.find("another working key"), std::string::npos) << call.bob.error().message;
  EXPECT_NE(call.alice.error().message.find("nothing was said"), std::string::npos) << call.alice.error().message;
  expect_no_speech();
}

TEST_P(CallTest, ACallerWithoutAWorkingKeySaysNothing) {
  make_ends(1, 1);
  alice_->keys.failure = Error{ErrorCode::denied, "the subscriber is suspended"};
  const Outcome call = hold();
  ASSERT_FALSE(call.alice);
  EXPECT_EQ(call.alice.error().code, ErrorCode::denied);
  EXPECT_NE(call.alice.error().message.find("suspended"), std::string::npos);
  EXPECT_FALSE(call.bob);
  expect_no_speech();
}

TEST_P(CallTest, ACalleeWithoutAWorkingKeyRefusesTheCall) {
  make_ends(1, 1);
  bob_->keys.failure = Error{ErrorCode::exhausted, "no quantum key left"};
  const Outcome call = hold();
  ASSERT_FALSE(call.bob);
  EXPECT_EQ(call.bob.error().code, ErrorCode::exhausted);
  ASSERT_FALSE(call.alice);
  EXPECT_NE(call.alice.error().message.find("480"), std::string::npos) << call.alice.error().message;
  expect_no_speech();
}

TEST_P(CallTest, AKeyForAnotherPeerThanSipNamesIsRefused) {
  alice_.emplace(net_, "alice", alice_number, "kms-a", "bob", bob_number, "kms-c", std::uint8_t{1});  // Bob says in SIP that he is served by kms-b
  bob_.emplace(net_, "bob", bob_number, "kms-b", "alice", alice_number, "kms-a", std::uint8_t{1});
  const Outcome call = hold();
  ASSERT_FALSE(call.alice);
  EXPECT_EQ(call.alice.error().code, ErrorCode::denied);
  EXPECT_FALSE(call.bob);
  expect_no_speech();
}

TEST_P(CallTest, NobodyAtTheOtherEndIsAClearError) {
  make_ends(1, 1);
  CallSettings impatient = settings();
  impatient.setup_max = 300ms;
  const auto nobody = net::UdpSocket::bind({.host = "127.0.0.1", .port = 0}).value();
  alice_call_ = Call::open(alice_->party, impatient, speech("caller")).value();
  const auto report = alice_call_->place(bob_number, nobody->local());
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::deadline_exceeded);
}

TEST_P(CallTest, ACalleeThatNobodyCallsStopsWaiting) {
  make_ends(1, 1);
  CallSettings impatient = settings();
  impatient.wait_max = 100ms;
  bob_call_ = Call::open(bob_->party, impatient, speech("callee")).value();
  const auto report = bob_call_->answer();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::deadline_exceeded);
}

}  // namespace
}  // namespace qanat::terminal
