// What is read from the counters of the two kinds of software: when a tunnel is down, when a key has acted, what a key has carried.
#include "terminal/gateway/peer_watch.hpp"

#include <gtest/gtest.h>

#include "terminal/gateway/carried_octets.hpp"

namespace qanat::terminal::gateway {
namespace {

constexpr std::uint64_t at_second(std::uint64_t seconds) { return seconds * 1'000'000'000; }

/// Looks, with times in seconds.
class PeerWatchTest : public testing::Test {
 protected:
  void look(std::uint64_t now, std::uint64_t handshake, std::uint64_t sent) {
    UapiPeer peer;
    peer.handshake_ns = at_second(handshake);
    peer.tx_octets = sent;
    watch_.look(peer, at_second(now));
  }
  PeerWatch watch_;
};

TEST_F(PeerWatchTest, AnIdleTunnelIsUp) {
  look(1010, 1000, 500);
  EXPECT_TRUE(watch_.up());
  look(1179, 1000, 900);
  look(1180, 1000, 900);
  EXPECT_TRUE(watch_.up()) << "its session is over, and nobody wants another";
  look(9000, 1000, 900);
  EXPECT_TRUE(watch_.up());
  look(9001, 1000, 1048);
  EXPECT_TRUE(watch_.up()) << "the first packet since asks for a handshake";
  look(9002, 9001, 1200);
  EXPECT_TRUE(watch_.up());
  look(9100, 9001, 1200);
  EXPECT_TRUE(watch_.up());
}

TEST_F(PeerWatchTest, ATunnelThatAsksForAHandshakeInVainIsDown) {
  look(1170, 1000, 900);
  look(1200, 1000, 900);
  look(1300, 1000, 1048);
  look(1314, 1000, 1344);
  EXPECT_TRUE(watch_.up());
  look(1315, 1000, 1344);
  EXPECT_FALSE(watch_.up());
  look(1900, 1000, 1344);
  EXPECT_FALSE(watch_.up()) << "WireGuard has given up asking";
  look(1901, 1901, 1500);
  EXPECT_TRUE(watch_.up());
}

TEST_F(PeerWatchTest, WhatWasSentBeforeTheSessionsEndAsksForNothing) {
  look(1179, 1000, 900);
  look(1180, 1000, 1000);
  look(1300, 1000, 1000);
  EXPECT_TRUE(watch_.up());
}

TEST_F(PeerWatchTest, BeforeTheFirstHandshakeATunnelIsDown) {
  look(1000, 0, 0);
  EXPECT_FALSE(watch_.up());
}

TEST_F(PeerWatchTest, AHandshakeIsNearWhereSomethingIsSent) {
  look(1100, 1000, 1);
  EXPECT_FALSE(watch_.shakes_soon()) << "it is not known whether anything is sent";
  look(1101, 1000, 2);
  EXPECT_TRUE(watch_.shakes_soon());
  look(1115, 1000, 2);
  EXPECT_TRUE(watch_.shakes_soon());
  look(1116, 1000, 2);
  EXPECT_FALSE(watch_.shakes_soon()) << "nothing for 15 s";
  look(1130, 1000, 3);
  EXPECT_TRUE(watch_.shakes_soon());
  look(1131, 1000, 4);
  EXPECT_FALSE(watch_.shakes_soon()) << "it did not come when it should have";
  look(1180, 1000, 5);
  EXPECT_TRUE(watch_.shakes_soon()) << "asked for again and again";
  look(1200, 1190, 6);
  EXPECT_FALSE(watch_.shakes_soon()) << "it was there just now";
  look(1279, 1190, 7);
  EXPECT_FALSE(watch_.shakes_soon());
  look(1280, 1190, 8);
  EXPECT_TRUE(watch_.shakes_soon());
}

TEST(WireGuardTimesTest, AHandshakeIsAwaitedForAsLongAsTheSessionAllows) {
  const auto wait = [](std::uint64_t handshake, std::uint64_t now) { return handshake_wait(at_second(handshake), at_second(now)); };
  EXPECT_EQ(wait(1000, 1090), std::chrono::seconds(65));
  EXPECT_EQ(wait(1000, 1155), std::chrono::seconds(0));
  EXPECT_EQ(wait(1000, 1179), std::chrono::seconds(0));
  EXPECT_EQ(wait(1000, 1180), std::chrono::seconds(30));
  EXPECT_EQ(wait(0, 1180), std::chrono::seconds(30));
  EXPECT_EQ(wait(1001, 1000), std::chrono::seconds(155)) << "a clock that was set back";
}

TEST(WireGuardTimesTest, AKeyActsWithTheNextHandshakeOrIsOverdue) {
  const UnprovenKey key{.handshake_ns = at_second(1000), .set_ns = at_second(1100)};
  const auto proof = [&](std::uint64_t handshake, std::uint64_t now) { return proof_of(key, at_second(handshake), at_second(now)); };
  EXPECT_EQ(proof(1000, 1100), Proof::open);
  EXPECT_EQ(proof(1101, 1102), Proof::acts);
  EXPECT_EQ(proof(1000, 1164), Proof::open) << "the session lasts";
  EXPECT_EQ(proof(1000, 1165), Proof::overdue);
  EXPECT_EQ(proof(1000, 5000), Proof::overdue);
  const UnprovenKey late{.handshake_ns = at_second(1000), .set_ns = at_second(1160)};
  EXPECT_EQ(proof_of(late, at_second(1000), at_second(1205)), Proof::open) << "the initiator may be about to set it";
  EXPECT_EQ(proof_of(late, at_second(1000), at_second(1206)), Proof::overdue);
  const UnprovenKey first{.handshake_ns = 0, .set_ns = at_second(1100)};
  EXPECT_EQ(proof_of(first, 0, at_second(1146)), Proof::overdue);
}

TEST(CarriedOctetsTest, AreTheKeysNotTheChildSas) {
  CarriedOctets carried;
  EXPECT_EQ(carried.look({}), 0U);
  EXPECT_EQ(carried.look({{"net-1", 100}}), 100U);
  EXPECT_EQ(carried.look({{"net-1", 150}, {"net-2", 10}}), 160U) << "a rekeying: both are there";
  EXPECT_EQ(carried.look({{"net-2", 40}}), 190U);
  EXPECT_EQ(carried.look({{"net-2", 40}}), 190U);
  EXPECT_EQ(carried.look({}), 190U);
  EXPECT_EQ(carried.look({{"net-3", 1}}), 191U);
  carried.clear();
  EXPECT_EQ(carried.look({{"net-4", 5}}), 5U) << "another key";
}

}  // namespace
}  // namespace qanat::terminal::gateway
