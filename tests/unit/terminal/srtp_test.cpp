#include "terminal/srtp.hpp"

#include <gtest/gtest.h>

#include "terminal/rtp.hpp"

namespace qanat::terminal {
namespace {

using crypto::Aead;

Bytes hex(std::string_view text) { return from_hex(text).value(); }
Secret secret(std::string_view text) { return Secret::copy_of(hex(text)); }

MediaKeys keys_of(Aead aead, std::uint8_t fill = 0x11) {
  return {.key = Secret::copy_of(Bytes(crypto::key_size(aead), fill)), .salt = Secret::copy_of(Bytes(srtp_salt_octets, static_cast<std::uint8_t>(fill + 1)))};
}

const Mki mki(hex("a1b2c3d4"));
constexpr std::uint32_t ssrc = 0xCAFEBABE;
const Bytes speech(samples_per_packet, 0xD5);

Bytes rtp(std::uint16_t sequence) {
  return encode_rtp({.marker = false, .payload_type = rtp_pcma, .sequence = sequence, .timestamp = 160U * sequence, .ssrc = ssrc}, speech);
}
const Bytes rtcp = hex("80c90001cafebabe");  // an empty receiver report

// RFC 7714 §16.2 and §17.2, §17.4: session key and salt given directly, ROC 0, SRTCP index 0x5d4.
constexpr std::string_view rfc_key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
constexpr std::string_view rfc_salt = "517569642070726f2071756f";
constexpr std::string_view rfc_rtp = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";
constexpr std::string_view rfc_srtp =
    "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13";
constexpr std::string_view rfc_rtcp = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
constexpr std::string_view rfc_srtcp =
    "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4";
constexpr std::string_view rfc_srtcp_clear =
    "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef91db4afbfeee5a978fab4393ed2615fe000005d4";

TEST(SrtpTransformTest, SealsTheRtpPacketOfRfc7714) {
  SrtpTransform transform(Aead::aes_256_gcm, secret(rfc_key), secret(rfc_salt));
  EXPECT_EQ(to_hex(transform.seal_rtp(0x5501a0b2, 0xf17b, hex(rfc_rtp), rtp_header_octets)), rfc_srtp);
  EXPECT_EQ(to_hex(transform.open_rtp(0x5501a0b2, 0xf17b, hex(rfc_srtp), rtp_header_octets).value()), rfc_rtp);
  EXPECT_FALSE(transform.open_rtp(0x5501a0b2, 0x1f17b, hex(rfc_srtp), rtp_header_octets));
}

TEST(SrtpTransformTest, SealsAndOpensTheRtcpPacketsOfRfc7714) {
  SrtpTransform transform(Aead::aes_256_gcm, secret(rfc_key), secret(rfc_salt));
  EXPECT_EQ(to_hex(transform.seal_rtcp(0x4d617273, 0x5d4, hex(rfc_rtcp))), rfc_srtcp);
  EXPECT_EQ(to_hex(transform.open_rtcp(0x4d617273, hex(rfc_srtcp)).value()), rfc_rtcp);
  EXPECT_EQ(to_hex(transform.open_rtcp(0x4d617273, hex(rfc_srtcp_clear)).value()), rfc_rtcp);
}

TEST(ReplayWindowTest, TakesEachIndexOnceWithinTheWindow) {
  ReplayWindow window;
  using Verdict = ReplayWindow::Verdict;
  EXPECT_EQ(window.judge(5), Verdict::fresh);
  window.take(1000);
  EXPECT_EQ(window.judge(1000), Verdict::replayed);
  EXPECT_EQ(window.judge(1000 - replay_window_packets), Verdict::too_old);
  EXPECT_EQ(window.judge(1001 - replay_window_packets), Verdict::fresh);
  window.take(1001 - replay_window_packets);
  window.take(1001);
  EXPECT_EQ(window.judge(1000), Verdict::replayed);
  EXPECT_EQ(window.judge(1001 - replay_window_packets), Verdict::too_old);
  window.take(5000);
  EXPECT_EQ(window.judge(4999), Verdict::fresh);
  EXPECT_EQ(window.judge(1001), Verdict::too_old);
}

class SrtpSuiteTest : public testing::TestWithParam<Aead> {
 protected:
  SrtpSender sender(std::uint32_t roc = 0) { return SrtpSender::create(GetParam(), keys_of(GetParam()), mki, ssrc, roc).value(); }
  SrtpReceiver receiver(std::uint32_t roc = 0) { return SrtpReceiver::create(GetParam(), keys_of(GetParam()), mki, roc).value(); }
};
INSTANTIATE_TEST_SUITE_P(Suites, SrtpSuiteTest, testing::Values(Aead::sm4_gcm, Aead::aes_256_gcm),
                         [](const auto& suite) { return suite.param == Aead::sm4_gcm ? "Sm4Gcm" : "Aes256Gcm"; });

TEST_P(SrtpSuiteTest, PacketIsHeaderCiphertextTagAndMki) {
  auto from = sender();
  const Bytes packet = from.protect(rtp(7)).value();
  EXPECT_EQ(packet.size(), rtp(7).size() + srtp_tag_octets + mki_octets);
  EXPECT_TRUE(equal(ByteView(packet).first(rtp_header_octets), ByteView(rtp(7)).first(rtp_header_octets)));
  EXPECT_TRUE(equal(ByteView(packet).last(mki_octets), mki.view()));
  EXPECT_FALSE(equal(ByteView(packet).subspan(rtp_header_octets, speech.size()), speech));
}

TEST_P(SrtpSuiteTest, OpensAcrossManyWrapsOfTheSequenceNumber) {
  auto from = sender();
  auto to = receiver();
  for (std::uint32_t n = 65'000; n < 65'000 + 3 * 65'536; n += 97) {
    const auto sequence = static_cast<std::uint16_t>(n);
    const auto opened = to.unprotect(from.protect(rtp(sequence)).value());
    ASSERT_TRUE(opened) << n << ": " << name(opened.error());
    ASSERT_EQ(*opened, rtp(sequence));
  }
  EXPECT_EQ(to.counts().dropped_total(), 0U);
}

TEST_P(SrtpSuiteTest, OpensPacketsThatChangedPlacesAroundAWrap) {
  auto from = sender();
  auto to = receiver();
  std::vector<Bytes> packets;
  for (const std::uint16_t sequence : std::initializer_list<std::uint16_t>{0xFFFD, 0xFFFE, 0xFFFF, 0x0000, 0x0001})
    packets.push_back(from.protect(rtp(sequence)).value());
  for (const std::size_t place : {0U, 3U, 1U, 4U, 2U}) EXPECT_TRUE(to.unprotect(packets[place])) << place;
}

TEST_P(SrtpSuiteTest, DropsAReplayAndWhatIsBehindTheWindow) {
  auto from = sender();
  auto to = receiver();
  const Bytes first = from.protect(rtp(1)).value();
  const Bytes second = from.protect(rtp(2)).value();
  EXPECT_TRUE(to.unprotect(second));
  EXPECT_EQ(to.unprotect(second).error(), SrtpDrop::replayed);
  EXPECT_TRUE(to.unprotect(from.protect(rtp(2 + replay_window_packets)).value()));
  EXPECT_EQ(to.unprotect(first).error(), SrtpDrop::too_old);
  EXPECT_EQ(to.counts().of(SrtpDrop::replayed), 1U);
  EXPECT_EQ(to.counts().of(SrtpDrop::too_old), 1U);
  EXPECT_EQ(to.counts().accepted, 2U);
}

TEST_P(SrtpSuiteTest, AnAlteredOctetAnywhereIsDroppedAndChangesNothing) {
  auto from = sender();
  auto to = receiver();
  const Bytes packet = from.protect(rtp(100)).value();
  for (std::size_t at = 0; at < packet.size(); ++at) {
    Bytes altered = packet;
    altered[at] ^= 0x01;
    ASSERT_FALSE(to.unprotect(altered)) << at;
  }
  EXPECT_EQ(to.counts().of(SrtpDrop::wrong_mki), mki_octets);
  EXPECT_TRUE(to.unprotect(packet));
}

TEST_P(SrtpSuiteTest, ATruncatedPacketIsDropped) {
  auto from = sender();
  auto to = receiver();
  const Bytes packet = from.protect(rtp(100)).value();
  for (std::size_t size = 0; size < packet.size(); ++size) {
    // The MKI stays at the end, so that the cut is what is noticed.
    const Bytes cut = concat({ByteView(packet).first(size), mki.view()});
    if (cut != packet) ASSERT_FALSE(to.unprotect(cut)) << size;
  }
}

TEST_P(SrtpSuiteTest, AnotherKeyOpensNothing) {
  auto from = sender();
  auto to = SrtpReceiver::create(GetParam(), keys_of(GetParam(), 0x33), mki).value();
  for (std::uint16_t n = 0; n < 50; ++n) EXPECT_EQ(to.unprotect(from.protect(rtp(n)).value()).error(), SrtpDrop::bad_tag);
  EXPECT_EQ(to.counts().of(SrtpDrop::bad_tag), 50U);
  EXPECT_EQ(to.counts().accepted, 0U);
}

TEST_P(SrtpSuiteTest, AnotherMkiIsDroppedBeforeAnyDecryption) {
  auto from = SrtpSender::create(GetParam(), keys_of(GetParam()), Mki(hex("00000001")), ssrc).value();
  auto to = receiver();
  EXPECT_EQ(to.unprotect(from.protect(rtp(1)).value()).error(), SrtpDrop::wrong_mki);
}

TEST_P(SrtpSuiteTest, AfterTheFirstPacketAnotherSourceIsDropped) {
  auto from = sender();
  auto other = SrtpSender::create(GetParam(), keys_of(GetParam()), mki, 99).value();
  auto to = receiver();
  ASSERT_TRUE(to.unprotect(from.protect(rtp(1)).value()));
  const Bytes foreign = encode_rtp({.marker = false, .payload_type = rtp_pcma, .sequence = 2, .timestamp = 0, .ssrc = 99}, speech);
  EXPECT_EQ(to.unprotect(other.protect(foreign).value()).error(), SrtpDrop::wrong_ssrc);
}

TEST_P(SrtpSuiteTest, SenderRefusesToUseANonceTwice) {
  auto from = sender();
  ASSERT_TRUE(from.protect(rtp(10)));
  EXPECT_EQ(from.protect(rtp(10)).error().code, ErrorCode::conflict);
  EXPECT_EQ(from.protect(rtp(9)).error().code, ErrorCode::conflict);
  EXPECT_TRUE(from.protect(rtp(11)));
  const Bytes foreign = encode_rtp({.marker = false, .payload_type = rtp_pcma, .sequence = 12, .timestamp = 0, .ssrc = 99}, speech);
  EXPECT_EQ(from.protect(foreign).error().code, ErrorCode::conflict);
}

TEST_P(SrtpSuiteTest, SenderRefusesForEverOnceTheIndexesAreUsedUp) {
  auto from = sender(0xFFFF'FFFF);
  auto to = receiver(0xFFFF'FFFF);
  EXPECT_TRUE(to.unprotect(from.protect(rtp(0xFFFE)).value()));
  EXPECT_TRUE(to.unprotect(from.protect(rtp(0xFFFF)).value()));
  for (std::uint16_t sequence = 0; sequence < 10; ++sequence) EXPECT_EQ(from.protect(rtp(sequence)).error().code, ErrorCode::exhausted);
  // And a receiver at the end of the space takes no packet from behind it.
  auto restarted = sender(0);
  EXPECT_FALSE(to.unprotect(restarted.protect(rtp(0)).value()));
}

// RFC 3711 §3.3.1: after a re-keying the rollover counter keeps its sequence of values; §3.4: the SRTCP index is not reset either.
TEST_P(SrtpSuiteTest, TheNumberingGoesOnUnderAnotherKey) {
  const Mki next(hex("0badcafe"));
  auto from = sender();
  auto to = receiver();
  auto knows_the_next_alone = SrtpReceiver::create(GetParam(), keys_of(GetParam(), 0x33), next).value();
  ASSERT_TRUE(to.add_key(GetParam(), keys_of(GetParam(), 0x33), next));
  for (const std::uint16_t sequence : std::initializer_list<std::uint16_t>{0xFFFE, 0xFFFF}) EXPECT_TRUE(to.unprotect(from.protect(rtp(sequence)).value()));
  EXPECT_TRUE(to.unprotect_rtcp(from.protect_rtcp(rtcp).value()));
  ASSERT_TRUE(from.rekey(GetParam(), keys_of(GetParam(), 0x33), next));
  EXPECT_EQ(from.protect(rtp(0xFFFF)).error().code, ErrorCode::conflict) << "not even under the new key is a number used twice";
  const Bytes wrapped = from.protect(rtp(0)).value();
  EXPECT_TRUE(equal(ByteView(wrapped).last(mki_octets), next.view()));
  EXPECT_TRUE(to.unprotect(wrapped));
  EXPECT_EQ(knows_the_next_alone.unprotect(wrapped).error(), SrtpDrop::bad_tag) << "it is at ROC 0, the packet is of ROC 1";
  const Bytes second = from.protect_rtcp(rtcp).value();
  EXPECT_EQ(to_hex(ByteView(second).last(8)), "800000010badcafe");
  EXPECT_TRUE(to.unprotect_rtcp(second));
}

TEST_P(SrtpSuiteTest, TwoKeysAreHeldAtMostAndOneAlways) {
  auto to = receiver();
  auto from = sender();
  const Mki next(hex("0badcafe"));
  EXPECT_EQ(to.add_key(GetParam(), keys_of(GetParam(), 0x33), mki).error().code, ErrorCode::conflict);
  ASSERT_TRUE(to.add_key(GetParam(), keys_of(GetParam(), 0x33), next));
  EXPECT_EQ(to.add_key(GetParam(), keys_of(GetParam(), 0x44), Mki(hex("00000001"))).error().code, ErrorCode::conflict);
  EXPECT_EQ(from.rekey(GetParam(), keys_of(GetParam(), 0x33), mki).error().code, ErrorCode::conflict);
  const Aead other = GetParam() == Aead::sm4_gcm ? Aead::aes_256_gcm : Aead::sm4_gcm;
  EXPECT_EQ(from.rekey(GetParam(), keys_of(other), next).error().code, ErrorCode::invalid_argument);
  EXPECT_TRUE(to.unprotect(from.protect(rtp(1)).value())) << "a refused key changes nothing";
  to.drop_key(mki);
  EXPECT_EQ(to.unprotect(from.protect(rtp(2)).value()).error(), SrtpDrop::wrong_mki);
  to.drop_key(next);
  ASSERT_TRUE(from.rekey(GetParam(), keys_of(GetParam(), 0x33), next));
  EXPECT_TRUE(to.unprotect(from.protect(rtp(3)).value())) << "the last key stays";
}

TEST_P(SrtpSuiteTest, RtcpIsEncryptedNumberedAndKeyedApart) {
  auto from = sender();
  auto to = receiver();
  const Bytes report = concat({rtcp, hex("81cb0001cafebabe")});
  const Bytes first = from.protect_rtcp(report).value();
  const Bytes second = from.protect_rtcp(report).value();
  EXPECT_EQ(first.size(), report.size() + srtp_tag_octets + 4 + mki_octets);
  EXPECT_EQ(to_hex(ByteView(first).last(8)), "80000000a1b2c3d4");
  EXPECT_EQ(to_hex(ByteView(second).last(8)), "80000001a1b2c3d4");
  EXPECT_EQ(to.unprotect_rtcp(second).value(), report);
  EXPECT_EQ(to.unprotect_rtcp(first).value(), report);
  EXPECT_EQ(to.unprotect_rtcp(first).error(), SrtpDrop::replayed);
  for (std::size_t at = 0; at < first.size(); ++at) {
    Bytes altered = from.protect_rtcp(report).value();
    altered[at] ^= 0x40;
    EXPECT_FALSE(to.unprotect_rtcp(altered)) << at;
  }
  EXPECT_EQ(to.rtcp_counts().accepted, 2U);
  EXPECT_EQ(to.counts().accepted, 0U);
}

TEST_P(SrtpSuiteTest, TheFourDerivedKeysDiffer) {
  const MediaKeys master = keys_of(GetParam());
  std::vector<Secret> derived;
  for (const auto label : {SrtpLabel::rtp_key, SrtpLabel::rtp_salt, SrtpLabel::rtcp_key, SrtpLabel::rtcp_salt}) {
    derived.push_back(derive_srtp(GetParam(), master, label, 12));
    for (std::size_t i = 0; i + 1 < derived.size(); ++i) EXPECT_FALSE(equal_secret(derived[i], derived.back()));
  }
}

TEST_P(SrtpSuiteTest, RefusesKeysOfTheWrongLength) {
  MediaKeys keys = keys_of(GetParam());
  keys.salt = Secret(14);
  EXPECT_EQ(SrtpSender::create(GetParam(), keys, mki, ssrc).error().code, ErrorCode::invalid_argument);
  keys = keys_of(GetParam());
  keys.key = Secret(24);
  EXPECT_EQ(SrtpReceiver::create(GetParam(), keys, mki).error().code, ErrorCode::invalid_argument);
}

TEST(MkiTest, IsTheBeginningOfSidWk) { EXPECT_EQ(mki_of(SidWk(hex("0102030405060708090a0b0c0d0e0f10"))).hex(), "01020304"); }

}  // namespace
}  // namespace qanat::terminal
