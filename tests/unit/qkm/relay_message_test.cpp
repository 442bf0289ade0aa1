#include "quantum/qkm/relay_message.hpp"

#include <gtest/gtest.h>

namespace qanat::qkm {
namespace {

Secret secret_of(std::uint8_t octet) { return Secret::copy_of(Bytes(relay_secret_size, octet)); }

RelayHeader header() {
  return {.relay_id = KeyId(Bytes(16, 1)),
          .origin_domain = "a",
          .destination_domain = "b",
          .path = {ElementName("qkm-a"), ElementName("qkm-r"), ElementName("qkm-b")},
          .hop = 1,
          .pad_id = KeyId(Bytes(16, 2)),
          .mac_id = KeyId(Bytes(16, 3))};
}

TEST(RelayMessageTest, TheReceiverReadsTheHeaderAndTheSecret) {
  const auto octets = protect(header(), secret_of(9), secret_of(4), secret_of(5));
  ASSERT_TRUE(octets);
  const auto message = parse_relay(*octets);
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(message->header, header());
  EXPECT_EQ(message->header.sender(), ElementName("qkm-a"));
  EXPECT_EQ(message->header.receiver(), ElementName("qkm-r"));
  EXPECT_EQ(message->header.relays(), 1);
  const auto secret = unprotect(*octets, *message, secret_of(4), secret_of(5));
  ASSERT_TRUE(secret);
  EXPECT_TRUE(equal_secret(*secret, secret_of(9)));
}

TEST(RelayMessageTest, TheCiphertextIsTheSecretUnderTheOneTimePad) {
  const auto octets = protect(header(), secret_of(0x0f), secret_of(0x33), secret_of(5));
  ASSERT_TRUE(octets);
  EXPECT_EQ(parse_relay(*octets)->ciphertext, Bytes(relay_secret_size, 0x0f ^ 0x33));
}

TEST(RelayMessageTest, EveryAlteredOctetIsRefused) {
  const auto octets = protect(header(), secret_of(9), secret_of(4), secret_of(5));
  ASSERT_TRUE(octets);
  for (std::size_t i = 0; i < octets->size(); ++i) {
    Bytes altered = *octets;
    altered[i] ^= 0x20;
    const auto message = parse_relay(altered);
    if (message) EXPECT_FALSE(unprotect(altered, *message, secret_of(4), secret_of(5))) << "octet " << i;
  }
}

TEST(RelayMessageTest, EveryCutOrLengthenedMessageIsRefused) {
  const auto octets = protect(header(), secret_of(9), secret_of(4), secret_of(5));
  ASSERT_TRUE(octets);
  for (std::size_t size = 0; size < octets->size(); ++size) EXPECT_FALSE(parse_relay(ByteView(*octets).first(size)));
  Bytes longer = *octets;
  longer.push_back(0);
  EXPECT_FALSE(parse_relay(longer));
}

TEST(RelayMessageTest, ADifferentKeyOpensNothing) {
  const auto octets = protect(header(), secret_of(9), secret_of(4), secret_of(5));
  ASSERT_TRUE(octets);
  const auto refused = unprotect(*octets, *parse_relay(*octets), secret_of(4), secret_of(6));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
}

TEST(RelayMessageTest, HeadersThatMakeNoSenseAreNotWritten) {
  const auto refused = [](const std::function<void(RelayHeader&)>& spoil) {
    RelayHeader spoilt = header();
    spoil(spoilt);
    return !protect(spoilt, secret_of(9), secret_of(4), secret_of(5));
  };
  EXPECT_TRUE(refused([](RelayHeader& h) { h.hop = 0; }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.hop = 3; }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.path.resize(1); }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.path[2] = h.path[0]; }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.path.resize(17, ElementName("x")); }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.path[1] = ElementName("two words"); }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.origin_domain = ""; }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.destination_domain = "B!"; }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.mac_id = h.pad_id; }));
  EXPECT_FALSE(protect(header(), Secret(31), secret_of(4), secret_of(5)));
  EXPECT_FALSE(protect(header(), secret_of(9), Secret(16), secret_of(5)));
}

// Computed with Python's hashlib; tests/unit/qkdnc/routing_test.cpp holds the controller to the same value.
TEST(RelayMessageTest, PathIdIsTheStartOfADigestOverTheNames) {
  EXPECT_EQ(path_id_of(header().path).hex(), "8f3d2b69c05aeb72");
  const std::vector<ElementName> shifted{ElementName("qkm-aq"), ElementName("km-r"), ElementName("qkm-b")};
  EXPECT_NE(path_id_of(shifted), path_id_of(header().path));
}

TEST(RelayMessageTest, KeyAndConfirmationAreNeitherEqualNorTheSecret) {
  const Secret secret = secret_of(9);
  const Secret key = relayed_key(secret);
  EXPECT_EQ(key.size(), 32U);
  EXPECT_FALSE(equal_secret(key, secret));
  EXPECT_NE(relay_confirmation(secret, KeyId(Bytes(16, 1))), relay_confirmation(secret, KeyId(Bytes(16, 2))));
  EXPECT_NE(relay_confirmation(secret, KeyId(Bytes(16, 1))), relay_confirmation(secret_of(8), KeyId(Bytes(16, 1))));
}

TEST(RelayMessageTest, AnAnswerToAnotherRelayIsRefused) {
  const KeyId id(Bytes(16, 1));
  const Bytes answer = write_relay_answer(id, Bytes(relay_confirmation_size, 4));
  EXPECT_EQ(parse_relay_answer(answer, id).value(), Bytes(relay_confirmation_size, 4));
  EXPECT_EQ(parse_relay_answer(answer, KeyId(Bytes(16, 2))).error().code, ErrorCode::denied);
  EXPECT_FALSE(parse_relay_answer(ByteView(answer).first(answer.size() - 1), id));
  Bytes later = answer;
  later[0] = 2;
  EXPECT_FALSE(parse_relay_answer(later, id));
}

}  // namespace
}  // namespace qanat::qkm
