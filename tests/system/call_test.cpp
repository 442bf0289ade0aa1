// Whole calls with voice, made by the real terminal processes.
#include <algorithm>
#include <fstream>

#include "point_test.hpp"
#include "terminal/g711.hpp"
#include "terminal/octet_file.hpp"
#include "terminal/pcapng.hpp"
#include "terminal/wav.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using wire::Json;

class CallOverTheWire : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.status_fresh_ms = 200;
    start();
  }
  static void start() {
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B", "C"}) net().enrol(uid);
    net().await_quantum_keys();
  }

  Result<Json> call(const std::string& from, const std::string& to) { return net().hold_call(from, to, folder_ / "call", 4); }
  /// Payloads of all datagrams of the last call.
  std::vector<Bytes> capture() const {
    const auto octets = terminal::read_file(folder_ / "call" / "call.pcapng", 64U << 20U);
    EXPECT_TRUE(octets) << (octets ? "" : octets.error().message);
    const auto parsed = terminal::parse_capture(*octets);
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
    constexpr std::size_t ipv4_and_udp = 20 + 8;
    std::vector<Bytes> out;
    for (const terminal::CapturedPacket& packet : parsed->packets) out.push_back(to_bytes(ByteView(packet.octets).subspan(ipv4_and_udp)));
    return out;
  }
  static bool is_rtp(const Bytes& payload) { return payload.size() > 12 && payload[0] >> 6U == 2; }

  TemporaryDirectory folder_;
};

/// The first second of the caller's voice as A-law, if it went in clear, would be found in the packets.
bool voice_is_readable(const std::vector<Bytes>& payloads) {
  const auto samples = terminal::read_wav(QANAT_SOURCE_DIR "/assets/voice/caller.wav").value();
  for (std::size_t start = 0; start + 160 <= samples.size(); start += 160) {
    const Bytes clear = terminal::alaw_encode(std::span(samples).subspan(start, 160));
    if (std::ranges::all_of(clear, [&](std::uint8_t octet) { return octet == clear.front(); })) continue;  // silence says nothing
    for (const Bytes& payload : payloads) {
      if (!std::ranges::search(payload, clear).empty()) return true;
    }
  }
  return false;
}

POINT_TEST(CallOverTheWire, Ax_1, accepts, BothHearEachOtherAndNobodyElseDoes) {
  const auto summary = call("A", "B");
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->text("wk_fingerprint_a").value(), summary->text("wk_fingerprint_b").value());
  EXPECT_GT(summary->number("correlation").value(), 0.999);
  EXPECT_GT(summary->number("correlation_back").value(), 0.999);
  EXPECT_GT(summary->number("snr_db").value(), 30);
  EXPECT_LT(summary->number("snr_db").value(), 45) << "A-law noise against the linear original must show";
  EXPECT_EQ(summary->integer("packets_lost").value(), 0);
  EXPECT_EQ(summary->object("caller")->integer("assurance").value(), 3);
  EXPECT_EQ(summary->object("caller")->text("sas").value(), summary->object("callee")->text("sas").value());
  const auto datagrams = capture();
  EXPECT_GT(std::ranges::count_if(datagrams, is_rtp), 250);
  EXPECT_FALSE(voice_is_readable(datagrams));
}

TEST_F(CallOverTheWire, SummaryHasTheTwelveStepsWithTheirTimes) {
  const auto summary = call("A", "B");
  ASSERT_TRUE(summary) << summary.error().message;
  const auto steps = summary->array("steps").value();
  ASSERT_EQ(steps.size(), 12U);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].integer("n").value(), static_cast<std::int64_t>(i + 1));
    EXPECT_FALSE(steps[i].text("name").value().empty());
    EXPECT_TRUE(steps[i].number("ms")) << "step " << i + 1 << " did not happen";
  }
  for (const char* path : {"wav_sent", "wav_heard", "capture"}) EXPECT_TRUE(std::filesystem::exists(summary->text(path).value())) << path;
}

TEST_F(CallOverTheWire, WithinOneDomainTheKeyComesFromTheCryptoDevice) {
  const auto summary = call("A", "C");
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->object("caller")->integer("assurance").value(), 1);
  EXPECT_EQ(summary->object("caller")->integer("n_paths").value(), 0);
  EXPECT_GT(summary->number("correlation").value(), 0.999);
}

TEST_F(CallOverTheWire, NoVoiceBeforeAxIsConfirmed) {
  ASSERT_TRUE(call("A", "B"));
  const auto datagrams = capture();
  const auto first_rtp = std::ranges::find_if(datagrams, is_rtp);
  ASSERT_NE(first_rtp, datagrams.end());
  // Everything that set the call up went before: the INVITE's answer, and all three Ax messages (anything that is neither SIP text nor RTP).
  std::size_t ax_before = 0;
  for (auto datagram = datagrams.begin(); datagram != first_rtp; ++datagram) {
    const bool text = !datagram->empty() && datagram->front() >= 'A' && datagram->front() <= 'Z' && as_text(*datagram).contains("SIP/2.0");
    if (!text) ++ax_before;
  }
  EXPECT_GE(ax_before, 3U);
}

POINT_TEST(CallOverTheWire, Ax_1, refuses, ARevokedPeerHearsNothing) {
  ASSERT_TRUE(net().op().revoke({.domain = "a", .kind = Kind::app1, .name = "C"}));
  // Elements ask again once what they know is older than status_fresh_ms.
  TestNetwork::await("the call to be refused", [&] { return !call("A", "C").has_value(); });
  EXPECT_EQ(std::ranges::count_if(capture(), is_rtp), 0);
}

class IntlCallOverTheWire : public CallOverTheWire {
 protected:
  static void SetUpTestSuite() {
    options_.suite = "INTL-hybrid";
    start();
  }
};

TEST_F(IntlCallOverTheWire, TheOtherSuiteCarriesACallToo) {
  const auto summary = call("A", "B");
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->text("wk_fingerprint_a").value(), summary->text("wk_fingerprint_b").value());
  EXPECT_GT(summary->number("correlation").value(), 0.999);
  EXPECT_EQ(summary->object("caller")->integer("assurance").value(), 3);
}

}  // namespace
}  // namespace qanat::test
