#include "quantum/qkm/relay_message.hpp"

#include <gtest/gtest.h>

#include "crypto/kdf.hpp"
#include "points/points.hpp"

namespace qanat::qkm {
namespace {

const BatchId chunk(Bytes(BatchId::size, 2));
const BatchId next_chunk(Bytes(BatchId::size, 3));
constexpr points::KeyProof proof_sent{.bounds = 8, .photons = 2, .eps = 2.5e-10};  // Wiesemann et al.

Secret secrets_of(std::uint8_t octet, std::size_t count = 3) { return Secret::copy_of(Bytes(count * relay_secret_size, octet)); }

RelayHeader header() {
  return {.relay_id = BatchId(Bytes(BatchId::size, 1)),
          .origin_domain = "a",
          .destination_domain = "b",
          .path = {ElementName("qkm-a"), ElementName("qkm-r"), ElementName("qkm-b")},
          .hop = 1,
          .demand = {.bounds = 24, .photons = 2, .eps_max = 1e-9},
          .proof = proof_sent,
          .secrets = 3,
          .runs = {{chunk, 5, 1}, {chunk, 7, 1}, {next_chunk, 0, 2}}};
}
HopKeys keys(std::uint8_t mac = 5) { return {.runs = header().runs, .mac = secrets_of(mac, 1), .pads = secrets_of(4)}; }

TEST(RelayMessageTest, TheReceiverReadsTheHeaderAndTheSecrets) {
  const auto octets = protect(header(), secrets_of(9), keys());
  ASSERT_TRUE(octets) << octets.error().message;
  const auto message = parse_relay(*octets);
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(message->header, header());
  EXPECT_EQ(message->header.sender(), ElementName("qkm-a"));
  EXPECT_EQ(message->header.receiver(), ElementName("qkm-r"));
  EXPECT_EQ(message->header.relays(), 1);
  const auto secrets = unprotect(*octets, *message, keys());
  ASSERT_TRUE(secrets);
  EXPECT_TRUE(equal_secret(*secrets, secrets_of(9)));
}

TEST(RelayMessageTest, TheCiphertextIsTheSecretsUnderTheOneTimePads) {
  const auto octets = protect(header(), secrets_of(0x0f), keys());
  ASSERT_TRUE(octets);
  EXPECT_EQ(parse_relay(*octets)->ciphertext, Bytes(3 * relay_secret_size, 0x0f ^ 4));
}

TEST(RelayMessageTest, ABatchOf256IsOneMessage) {
  RelayHeader full = header();
  full.secrets = 256;
  full.runs = {{chunk, 0, 256}, {next_chunk, 9, 1}};
  const HopKeys many{.runs = full.runs, .mac = secrets_of(5, 1), .pads = secrets_of(4, 256)};
  const auto octets = protect(full, secrets_of(9, 256), many);
  ASSERT_TRUE(octets) << octets.error().message;
  EXPECT_LT(octets->size(), 32U * 256 + 128) << "what a batch adds to its keys";
  EXPECT_TRUE(equal_secret(*unprotect(*octets, *parse_relay(*octets), many), secrets_of(9, 256)));
}

TEST(RelayMessageTest, EveryAlteredOctetIsRefused) {
  const auto octets = protect(header(), secrets_of(9), keys());
  ASSERT_TRUE(octets);
  for (std::size_t i = 0; i < octets->size(); ++i) {
    Bytes altered = *octets;
    altered[i] ^= 0x20;
    const auto message = parse_relay(altered);
    if (message && message->header.secrets == 3) EXPECT_FALSE(unprotect(altered, *message, keys())) << "octet " << i;
  }
}

TEST(RelayMessageTest, EveryCutOrLengthenedMessageIsRefused) {
  const auto octets = protect(header(), secrets_of(9), keys());
  ASSERT_TRUE(octets);
  for (std::size_t size = 0; size < octets->size(); ++size) EXPECT_FALSE(parse_relay(ByteView(*octets).first(size)));
  Bytes longer = *octets;
  longer.push_back(0);
  EXPECT_FALSE(parse_relay(longer));
}

TEST(RelayMessageTest, ADifferentKeyOpensNothing) {
  const auto octets = protect(header(), secrets_of(9), keys());
  ASSERT_TRUE(octets);
  const auto refused = unprotect(*octets, *parse_relay(*octets), keys(6));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
}

TEST(RelayMessageTest, HeadersThatMakeNoSenseAreNotWritten) {
  const auto refused = [](const std::function<void(RelayHeader&)>& spoil) {
    RelayHeader spoilt = header();
    spoil(spoilt);
    HopKeys with = keys();
    with.runs = spoilt.runs;
    return !protect(spoilt, secrets_of(9), with);
  };
  EXPECT_FALSE(refused([](RelayHeader&) {}));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.hop = 0; }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.hop = 3; }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.path.resize(1); }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.path[2] = h.path[0]; }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.path.resize(relay_nodes_max + 1, ElementName("x")); }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.path[1] = ElementName("two words"); }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.origin_domain = ""; }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.destination_domain = "B!"; }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.demand.bounds = 0; }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.proof.eps = 0.0; })) << "nothing is certain";
  EXPECT_TRUE(refused([](RelayHeader& h) { h.proof.photons = 64; }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.secrets = 0; }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.runs.clear(); }));
  EXPECT_TRUE(refused([](RelayHeader& h) { h.runs[2].count = 3; })) << "a key too many";
  EXPECT_TRUE(refused([](RelayHeader& h) { h.runs[2].first = 255; })) << "beyond the chunk";
  EXPECT_TRUE(refused([](RelayHeader& h) { h.runs[1].first = 5; })) << "one key as MAC key and pad";
  EXPECT_TRUE(refused([](RelayHeader& h) { h.runs[2] = {chunk, 6, 2}; })) << "one key as pad twice";
  EXPECT_FALSE(protect(header(), secrets_of(9, 2), keys()));
  EXPECT_FALSE(protect(header(), secrets_of(9), {.runs = header().runs, .mac = secrets_of(5, 1), .pads = secrets_of(4, 2)}));
  EXPECT_FALSE(protect(header(), secrets_of(9), {.runs = {{chunk, 0, 4}}, .mac = secrets_of(5, 1), .pads = secrets_of(4)}));
}

// Put together by a Python script of its own: struct, hashlib, hmac, and Poly1305 from RFC 8439's text.
TEST(RelayMessageTest, KnownOctets) {
  const auto octets = protect(header(), secrets_of(9), keys());
  ASSERT_TRUE(octets);
  EXPECT_EQ(octets->size(), 228U);
  EXPECT_EQ(to_hex(ByteView(*octets).last(relay_tag_size)), "b2d3ebdc07435025b955a18dd450c52a");
  EXPECT_EQ(to_hex(crypto::digest(crypto::Hash::sha256, *octets)), "e8247794f70a58fa3a0920d03eec7f0fec3f5b71ef0027846b9deca9ce386598");
  EXPECT_EQ(to_hex(relay_confirmation(secrets_of(9, 2), header().relay_id, proof_sent)), "a163d7be51b7afd37336d86c04e16a32a642d7324ad6bc6e655246151fc1c8a8");
}

TEST(RelayMessageTest, APathUnderAnotherPathsIdIsRefused) {
  Bytes octets = *protect(header(), secrets_of(9), keys());
  octets[1 + BatchId::size] ^= 1;
  EXPECT_EQ(parse_relay(octets).error().message, "relay.path_id: is not that of the path");
}

TEST(RelayMessageTest, AnEarlierVersionIsRefusedByItsNumber) {
  Bytes octets = *protect(header(), secrets_of(9), keys());
  octets[0] = 2;
  EXPECT_EQ(parse_relay(octets).error().message, "relay.version = 2: must be 3");
}

TEST(RelayMessageTest, APathOfTheLongestKindFitsIntoOneMessage) {
  RelayHeader longest = header();
  longest.path.clear();
  for (std::size_t i = 0; i < relay_nodes_max; ++i) longest.path.emplace_back(std::to_string(1000 + i) + std::string(60, 'n'));
  longest.hop = static_cast<std::uint8_t>(relay_nodes_max - 1);
  longest.secrets = 256;
  longest.runs.clear();
  for (std::size_t i = 0; i < relay_runs_max; ++i) longest.runs.push_back({BatchId(Bytes(BatchId::size, static_cast<std::uint8_t>(i))), 0, i < 127 ? 2U : 3U});
  const HopKeys many{.runs = longest.runs, .mac = secrets_of(5, 1), .pads = secrets_of(4, 256)};
  const auto octets = protect(longest, secrets_of(9, 256), many);
  ASSERT_TRUE(octets) << octets.error().message;
  EXPECT_EQ(parse_relay(*octets)->header, longest);
  EXPECT_LE(octets->size(), points::row(points::Endpoint::x1_relay).body_max);
}

// Computed with Python's hashlib; tests/unit/qkdnc/routing_test.cpp holds the controller to the same value.
TEST(RelayMessageTest, PathIdIsTheStartOfADigestOverTheNames) {
  EXPECT_EQ(path_id_of(header().path).hex(), "8f3d2b69c05aeb72");
  const std::vector<ElementName> shifted{ElementName("qkm-aq"), ElementName("km-r"), ElementName("qkm-b")};
  EXPECT_NE(path_id_of(shifted), path_id_of(header().path));
}

TEST(RelayMessageTest, KeysAndConfirmationAreNeitherEqualNorTheSecrets) {
  Secret secrets = secrets_of(9, 2);
  put_keys(secrets, 1, secrets_of(8, 1));
  const Secret out = relayed_keys(secrets);
  EXPECT_EQ(out.size(), 64U);
  EXPECT_FALSE(equal_secret(slice_keys(out, 0, 1), slice_keys(out, 1, 1)));
  EXPECT_FALSE(equal_secret(slice_keys(out, 0, 1), slice_keys(secrets, 0, 1)));
  EXPECT_TRUE(equal_secret(slice_keys(out, 0, 1), relayed_keys(secrets_of(9, 1)))) << "each key is of its own secret alone";
  const BatchId one(Bytes(12, 1));
  EXPECT_NE(relay_confirmation(secrets, one, proof_sent), relay_confirmation(secrets, BatchId(Bytes(12, 2)), proof_sent));
  EXPECT_NE(relay_confirmation(secrets, one, proof_sent), relay_confirmation(secrets, one, {.bounds = 8, .photons = 8, .eps = 2.5e-10})) << "worth more";
  for (std::size_t i = 0; i < 64; ++i) {
    Secret other = secrets.duplicate();
    other.writable()[i] ^= 1;
    EXPECT_NE(relay_confirmation(secrets, one, proof_sent), relay_confirmation(other, one, proof_sent)) << "octet " << i;
  }
}

TEST(RelayMessageTest, AnAnswerToAnotherRelayIsRefused) {
  const BatchId id(Bytes(12, 1));
  const Bytes answer = write_relay_answer(id, proof_sent, Bytes(relay_confirmation_size, 4));
  EXPECT_EQ(parse_relay_answer(answer, id)->confirmation, Bytes(relay_confirmation_size, 4));
  EXPECT_EQ(parse_relay_answer(answer, id)->proof, proof_sent);
  EXPECT_EQ(parse_relay_answer(answer, BatchId(Bytes(12, 2))).error().code, ErrorCode::denied);
  EXPECT_FALSE(parse_relay_answer(ByteView(answer).first(answer.size() - 1), id));
  for (const std::size_t at : {0U, 1U}) {
    Bytes other = answer;
    other[at] = 7;
    EXPECT_FALSE(parse_relay_answer(other, id));
  }
}

TEST(RelayMessageTest, AnAnswerNamesTheChunksThatAreMissing) {
  const BatchId id(Bytes(12, 1));
  const std::vector<BatchId> missing{chunk, next_chunk};
  const Bytes answer = write_relay_missing(id, missing);
  const auto read = parse_relay_answer(answer, id);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->confirmation.empty());
  EXPECT_EQ(read->missing, missing);
  EXPECT_FALSE(parse_relay_answer(ByteView(answer).first(answer.size() - 1), id));
  EXPECT_FALSE(parse_relay_answer(write_relay_missing(id, {}), id));
}

}  // namespace
}  // namespace qanat::qkm
