#include "terminal/media_control.hpp"

#include <gtest/gtest.h>

#include "fixed_rng.hpp"

namespace qanat::terminal {
namespace {

using Heard = MediaControl::Heard;

MediaKeys keys(std::uint64_t seed) {
  FixedRng rng(seed);
  return {.key = rng.secret(crypto::key_size(crypto::Aead::sm4_gcm)), .salt = rng.secret(srtp_salt_octets)};
}
MediaControl end(std::uint64_t send, std::uint64_t receive) {
  FixedRng rng(send);
  return MediaControl::arm(crypto::Aead::sm4_gcm, keys(send), keys(receive), SidWk(Bytes(16, 7)), rng).value();
}

TEST(MediaControlTest, TheConfirmationAndTheFarewellArriveOverTheMediaPort) {
  MediaControl a = end(1, 2);
  MediaControl b = end(2, 1);
  const Bytes confirmation = b.confirmation().value();
  EXPECT_TRUE(is_media(confirmation));
  EXPECT_TRUE(is_rtcp(confirmation));
  EXPECT_EQ(a.receive(confirmation), Heard::confirmation);
  EXPECT_FALSE(a.announced_packets());
  EXPECT_EQ(a.receive(b.farewell(150).value()), Heard::farewell);
  EXPECT_EQ(a.announced_packets(), 150U);
}

TEST(MediaControlTest, WordsAboutTheNextKeyArriveWithItsSession) {
  MediaControl a = end(1, 2);
  MediaControl b = end(2, 1);
  std::uint8_t n = 1;
  for (const RekeyWord word : {RekeyWord::begins, RekeyWord::refused, RekeyWord::wanted}) {
    const Bytes packet = b.rekey(word, SidWk(Bytes(16, ++n))).value();
    EXPECT_TRUE(is_rtcp(packet));
    EXPECT_EQ(packet[1], 204) << "APP, RFC 3550 §6.7";
    EXPECT_EQ(a.receive(packet), Heard::rekey);
    ASSERT_TRUE(a.rekeying());
    EXPECT_EQ(a.rekeying()->word, word);
    EXPECT_EQ(a.rekeying()->sid_wk, SidWk(Bytes(16, n)));
    EXPECT_EQ(a.receive(packet), Heard::nothing) << "replayed";
  }
  EXPECT_EQ(a.receive(b.rekey(static_cast<RekeyWord>(4), SidWk(Bytes(16, 9))).value()), Heard::nothing) << "a word that there is not";
  EXPECT_EQ(a.rekeying()->word, RekeyWord::wanted);
}

TEST(MediaControlTest, WhatIsNotAuthenticOrNotFreshIsNothing) {
  MediaControl a = end(1, 2);
  MediaControl b = end(2, 1);
  MediaControl stranger = end(3, 4);
  EXPECT_EQ(a.receive(stranger.confirmation().value()), Heard::nothing);
  EXPECT_EQ(b.receive(b.confirmation().value()), Heard::nothing) << "reflected";
  const Bytes good = b.confirmation().value();
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes altered = good;
    altered[at] ^= 1;
    EXPECT_EQ(a.receive(altered), Heard::nothing) << at;
  }
  EXPECT_EQ(a.receive(good), Heard::confirmation);
  EXPECT_EQ(a.receive(good), Heard::nothing) << "replayed";
  EXPECT_EQ(a.receive({}), Heard::nothing);
}

}  // namespace
}  // namespace qanat::terminal
