// WireGuard's configuration protocol.
#include "terminal/gateway/uapi_message.hpp"

#include <gtest/gtest.h>

namespace qanat::terminal::gateway {
namespace {

const std::string own_key = std::string(62, '1') + "0a";
const std::string peer_key = std::string(64, '2');
const std::string other_key = std::string(64, '3');
const std::string shared_key = "00" + std::string(60, '4') + "ff";

std::string whole_answer(const std::string& peers, const std::string& error = "0") {
  return "private_key=" + own_key + "\nlisten_port=51820\n" + peers + "errno=" + error + "\n\n";
}
std::string peer_lines(const std::string& key, const std::string& more = "") {
  return "public_key=" + key + "\npreshared_key=" + shared_key +
         "\nprotocol_version=1\nendpoint=192.0.2.2:51820\nlast_handshake_time_sec=17\n"
         "last_handshake_time_nsec=5\ntx_bytes=300\nrx_bytes=44\npersistent_keepalive_interval=25\nallowed_ip=10.0.0.0/8\n" +
         more;
}
Result<UapiPeer> read_whole(std::string text) {
  Bytes octets = to_bytes(text);
  return read_uapi_get(octets, peer_key);
}

TEST(WireGuardUapiTest, FindsThePeerAmongOthers) {
  Bytes answer = to_bytes(whole_answer(peer_lines(other_key) + peer_lines(peer_key) + peer_lines(std::string(64, '5'))));
  const auto peer = read_uapi_get(answer, peer_key);
  ASSERT_TRUE(peer) << peer.error().message;
  EXPECT_EQ(to_hex(peer->private_key.reveal()), own_key);
  EXPECT_EQ(to_hex(peer->preshared_key.reveal()), shared_key);
  EXPECT_EQ(peer->handshake_ns, 17'000'000'005U);
  EXPECT_EQ(peer->tx_octets, 300U);
  EXPECT_EQ(peer->rx_octets, 44U);
  EXPECT_EQ(peer->keepalive_s, 25U);
  EXPECT_FALSE(as_text(answer).contains(own_key)) << "keys are overwritten";
}

TEST(WireGuardUapiTest, APeerWithoutPresharedKeyHasZeros) {
  const auto peer = read_whole(whole_answer("public_key=" + peer_key + "\n"));
  ASSERT_TRUE(peer) << peer.error().message;
  EXPECT_TRUE(equal_secret(peer->preshared_key, Secret(wireguard_key_octets)));
  EXPECT_EQ(peer->handshake_ns, 0U);
}

TEST(WireGuardUapiTest, RefusesWhatIsNoAnswer) {
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string("errno=0\n"), whole_answer(peer_lines(peer_key)) + "x", std::string("errno\n\n"), std::string("=0\n\n"),
        "errno=0\nprivate_key=" + own_key + "\n\n", whole_answer(peer_lines(peer_key, "preshared_key=12\n")),
        whole_answer(peer_lines(peer_key, "preshared_key=" + std::string(64, 'G') + "\n")), whole_answer(peer_lines(peer_key, "rx_bytes=-1\n")),
        whole_answer(peer_lines(peer_key, "rx_bytes=99999999999999999999\n")), whole_answer(peer_lines(peer_key) + peer_lines(peer_key)),
        "private_key=" + own_key + "\n" + whole_answer(peer_lines(peer_key))}) {
    const auto got = read_whole(text);
    ASSERT_FALSE(got) << text;
    EXPECT_EQ(got.error().code, ErrorCode::invalid_argument) << text;
  }
  EXPECT_EQ(read_whole(whole_answer(peer_lines(other_key))).error().code, ErrorCode::not_found);
  EXPECT_EQ(read_whole(whole_answer(peer_lines(peer_key), "2")).error().message, "WireGuard answers errno=2");
}

TEST(WireGuardUapiTest, ReadsTheAnswerToASetting) {
  EXPECT_TRUE(read_uapi_set(as_bytes("errno=0\n\n")));
  EXPECT_EQ(read_uapi_set(as_bytes("errno=22\n\n")).error().message, "WireGuard answers errno=22");
  for (const char* text : {"", "errno=0\n", "errno=0\nx=y\n\n", "public_key=1\n\n"}) EXPECT_FALSE(read_uapi_set(as_bytes(text))) << text;
}

TEST(WireGuardUapiTest, WritesLinesAndKeys) {
  Bytes key(32, 0xaf);
  key[0] = 0x09;
  UapiRequest request("set");
  request.line("public_key", peer_key).line("preshared_key", Secret::copy_of(key));
  const Secret text = std::move(request).finish();
  EXPECT_EQ(as_text(text.reveal()), "set=1\npublic_key=" + peer_key + "\npreshared_key=" + to_hex(key) + "\n\n");
  EXPECT_TRUE(uapi_complete(text.reveal()));
}

TEST(WireGuardUapiTest, TakesPublicKeysAsTheToolsPrintThem) {
  EXPECT_EQ(wireguard_public_key("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=").value(), "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20");
  for (const char* text : {"", "AQID", "no base64", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAh"}) EXPECT_FALSE(wireguard_public_key(text)) << text;
}

}  // namespace
}  // namespace qanat::terminal::gateway
