#include "terminal/media_session.hpp"

#include <gtest/gtest.h>

#include <type_traits>

#include "fixed_rng.hpp"
#include "terminal/quality.hpp"

namespace qanat::terminal {
namespace {

using crypto::Aead;

struct Ends {
  MediaSession a;
  MediaSession b;
};

std::vector<std::int16_t> caller_speech() { return read_wav(QANAT_SOURCE_DIR "/assets/voice/caller.wav").value(); }
std::vector<std::int16_t> callee_speech() { return read_wav(QANAT_SOURCE_DIR "/assets/voice/callee.wav").value(); }

MediaKeys keys(Aead aead, std::uint64_t seed) {
  FixedRng rng(seed);
  return {.key = rng.secret(crypto::key_size(aead)), .salt = rng.secret(srtp_salt_octets)};
}

Ends armed(Aead aead) {
  FixedRng rng(1);
  const SidWk sid_wk(Bytes(16, 5));
  return {.a = MediaSession::arm(aead, keys(aead, 10), keys(aead, 20), sid_wk, caller_speech(), rng).value(),
          .b = MediaSession::arm(aead, keys(aead, 20), keys(aead, 10), sid_wk, callee_speech(), rng).value()};
}

class MediaSessionTest : public testing::TestWithParam<Aead> {};
INSTANTIATE_TEST_SUITE_P(Suites, MediaSessionTest, testing::Values(Aead::sm4_gcm, Aead::aes_256_gcm),
                         [](const auto& suite) { return suite.param == Aead::sm4_gcm ? "Sm4Gcm" : "Aes256Gcm"; });

TEST_P(MediaSessionTest, EachHearsTheOtherWithNothingButTheNoiseOfALaw) {
  Ends ends = armed(GetParam());
  while (const auto due = ends.a.sender.due()) {
    EXPECT_EQ(*due, packet_time * static_cast<int>(ends.a.sender.packets_sent()));
    ends.b.receiver.receive(ends.a.sender.next().value());
    ends.a.receiver.receive(ends.b.sender.next().value());
  }
  EXPECT_EQ(ends.a.sender.packets_sent(), 150U);
  EXPECT_EQ(ends.b.receiver.packets_heard(), 150U);
  const auto heard = ends.b.receiver.finish();
  EXPECT_EQ(heard, alaw_decode(ByteView(alaw_encode(caller_speech()))));
  const auto quality = compare_quality(callee_speech(), ends.a.receiver.finish()).value();
  EXPECT_EQ(quality.offset_samples, 0);
  EXPECT_GT(quality.snr_db, 33.0);
  EXPECT_EQ(ends.a.receiver.reorder_counts().lost, 0U);
}

TEST_P(MediaSessionTest, PacketsThatChangedPlacesAreHeardInOrder) {
  Ends ends = armed(GetParam());
  std::vector<Bytes> packets;
  while (ends.a.sender.due()) packets.push_back(ends.a.sender.next().value());
  for (std::size_t i = 0; i + 3 < packets.size(); i += 4) std::swap(packets[i], packets[i + 3]);
  for (const Bytes& packet : packets) ends.b.receiver.receive(packet);
  EXPECT_EQ(ends.b.receiver.finish(), alaw_decode(ByteView(alaw_encode(caller_speech()))));
}

TEST_P(MediaSessionTest, LossesAreCountedAndHeardAsSilenceInTheirPlace) {
  Ends ends = armed(GetParam());
  for (std::size_t k = 0; ends.a.sender.due(); ++k) {
    const Bytes packet = ends.a.sender.next().value();
    if (k != 50 && k != 51 && k != 90) ends.b.receiver.receive(packet);
  }
  auto expected = alaw_decode(ByteView(alaw_encode(caller_speech())));
  std::fill_n(expected.begin() + 50 * 160, 320, std::int16_t{0});
  std::fill_n(expected.begin() + 90 * 160, 160, std::int16_t{0});
  EXPECT_EQ(ends.b.receiver.finish(), expected);
  EXPECT_EQ(ends.b.receiver.reorder_counts().lost, 3U);
}

TEST_P(MediaSessionTest, WithAnotherKeyNothingIsHeard) {
  FixedRng rng(1);
  Ends ends = armed(GetParam());
  auto eve = MediaSession::arm(GetParam(), keys(GetParam(), 1), keys(GetParam(), 2), SidWk(Bytes(16, 5)), {}, rng).value();
  while (ends.a.sender.due()) eve.receiver.receive(ends.a.sender.next().value());
  EXPECT_TRUE(eve.receiver.finish().empty());
  EXPECT_EQ(eve.receiver.srtp_counts().of(SrtpDrop::bad_tag), 150U);
}

TEST_P(MediaSessionTest, OurOwnPacketsDoNotComeBackAsThePeers) {
  Ends ends = armed(GetParam());
  ends.a.receiver.receive(ends.a.sender.next().value());
  EXPECT_EQ(ends.a.receiver.srtp_counts().of(SrtpDrop::bad_tag), 1U);
  EXPECT_TRUE(ends.a.receiver.finish().empty());
}

TEST_P(MediaSessionTest, ClearRtpIsNotHeard) {
  Ends ends = armed(GetParam());
  ends.b.receiver.receive(encode_rtp({.marker = true, .payload_type = rtp_pcma, .sequence = 1, .timestamp = 0, .ssrc = 1}, Bytes(samples_per_packet, 0xD5)));
  EXPECT_EQ(ends.b.receiver.srtp_counts().of(SrtpDrop::wrong_mki), 1U);
  EXPECT_TRUE(ends.b.receiver.finish().empty());
}

TEST_P(MediaSessionTest, ThePayloadOnTheWireIsNotTheSound) {
  Ends ends = armed(GetParam());
  const Bytes sound = alaw_encode(caller_speech());
  for (std::size_t k = 0; ends.a.sender.due(); ++k) {
    const Bytes packet = ends.a.sender.next().value();
    const ByteView cipher = ByteView(packet).subspan(rtp_header_octets, samples_per_packet);
    EXPECT_FALSE(equal(cipher, ByteView(sound).subspan(k * samples_per_packet, samples_per_packet)));
  }
}

TEST_P(MediaSessionTest, RefusesOneKeyForBothDirectionsAndKeysOfAnotherSuite) {
  FixedRng rng(1);
  const SidWk sid_wk(Bytes(16, 5));
  EXPECT_EQ(MediaSession::arm(GetParam(), keys(GetParam(), 1), keys(GetParam(), 1), sid_wk, {}, rng).error().code, ErrorCode::invalid_argument);
  const Aead other = GetParam() == Aead::sm4_gcm ? Aead::aes_256_gcm : Aead::sm4_gcm;
  EXPECT_EQ(MediaSession::arm(GetParam(), keys(other, 1), keys(other, 2), sid_wk, {}, rng).error().code, ErrorCode::invalid_argument);
}

TEST(MediaSenderTest, FillsTheLastPacketWithSilenceAndThenEnds) {
  FixedRng rng(1);
  const Aead aead = Aead::sm4_gcm;
  auto session = MediaSession::arm(aead, keys(aead, 1), keys(aead, 2), SidWk(Bytes(16, 5)), std::vector<std::int16_t>(161, 1000), rng).value();
  MediaReceiver receiver(SrtpReceiver::create(aead, keys(aead, 1), mki_of(SidWk(Bytes(16, 5)))).value());
  EXPECT_EQ(session.sender.packets_total(), 2U);
  while (session.sender.due()) receiver.receive(session.sender.next().value());
  EXPECT_EQ(session.sender.next().error().code, ErrorCode::exhausted);
  const auto heard = receiver.finish();
  ASSERT_EQ(heard.size(), 320U);
  EXPECT_GT(heard[160], 900);
  EXPECT_EQ(heard[161], 8);  // A-law has no zero
}

// Media flows only when armed: there is no session without keys.
static_assert(!std::is_default_constructible_v<MediaSession>);
static_assert(!std::is_default_constructible_v<MediaSender> && !std::is_default_constructible_v<MediaReceiver>);
static_assert(!std::is_default_constructible_v<SrtpSender> && !std::is_default_constructible_v<SrtpReceiver>);
static_assert(!std::is_copy_constructible_v<SrtpSender>, "a copy would use nonces twice");

}  // namespace
}  // namespace qanat::terminal
