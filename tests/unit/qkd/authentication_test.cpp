#include <gtest/gtest.h>

#include "harness.hpp"
#include "quantum/qkd/session/channel.hpp"

namespace qanat::qkd {
namespace {

constexpr auto a2b = Direction::alice_to_bob;
constexpr auto b2a = Direction::bob_to_alice;

AuthenticationPool pool_of(std::size_t keys_per_direction) {
  return std::move(*AuthenticationPool::from_preshared(test::secret_of(64 * keys_per_direction, 4)));
}

TEST(AuthenticationPoolTest, HandsOutEachKeyOnceAndTheSameAtBothEnds) {
  AuthenticationPool alice = pool_of(4);
  const AuthenticationPool bob = pool_of(4);
  for (std::uint64_t position = 0; position < 4; ++position) {
    const auto key = alice.claim(a2b, TagPurpose::handshake, 0);
    ASSERT_TRUE(key);
    EXPECT_EQ(key->position, position);
    EXPECT_TRUE(equal_secret(key->key, **bob.expected(a2b, position)));
    EXPECT_FALSE(equal_secret(key->key, **bob.expected(b2a, position)));
  }
  EXPECT_EQ(alice.claim(a2b, TagPurpose::handshake, 0).error().code, ErrorCode::exhausted);
  EXPECT_EQ(alice.stock(b2a), 4U);
}

TEST(AuthenticationPoolTest, BlocksLeaveTheReserveForHandshakes) {
  AuthenticationPool pool = pool_of(3);
  EXPECT_TRUE(pool.claim(a2b, TagPurpose::block, 2));
  EXPECT_EQ(pool.claim(a2b, TagPurpose::block, 2).error().code, ErrorCode::exhausted);
  EXPECT_TRUE(pool.claim(a2b, TagPurpose::handshake, 2));
}

TEST(AuthenticationPoolTest, AnAcceptedPositionAndAllBeforeItAreOver) {
  AuthenticationPool pool = pool_of(5);
  pool.accept(a2b, 2);
  EXPECT_FALSE(pool.expected(a2b, 0));
  EXPECT_FALSE(pool.expected(a2b, 2));
  EXPECT_TRUE(pool.expected(a2b, 3));
  EXPECT_FALSE(pool.expected(a2b, 5));
  EXPECT_EQ(pool.stock(a2b), 2U);
  EXPECT_EQ(pool.end(a2b), 5U);
}

TEST(AuthenticationPoolTest, SurvivesAWriteAndARefill) {
  AuthenticationPool pool = pool_of(3);
  (void)pool.claim(a2b, TagPurpose::handshake, 0);
  ASSERT_TRUE(pool.refill(a2b, test::secret_of(64, 9).reveal()));
  OctetWriter out;
  pool.write(out);
  EXPECT_EQ(out.size(), pool.written_size());
  const Secret stored = out.take_secret();
  OctetReader in(stored.reveal());
  AuthenticationPool again = std::move(*AuthenticationPool::read(in));
  EXPECT_EQ(again.end(a2b), 5U);
  EXPECT_EQ(again.claim(a2b, TagPurpose::handshake, 0)->position, 1U);
  EXPECT_EQ(again.end(b2a), 3U);
}

TEST(AuthenticationPoolTest, RefusesOddSizesAndOverflow) {
  EXPECT_FALSE(AuthenticationPool::from_preshared(Secret(63)));
  EXPECT_FALSE(AuthenticationPool::from_preshared(Secret()));
  AuthenticationPool pool = pool_of(1);
  EXPECT_FALSE(pool.refill(a2b, Bytes(31)));
  EXPECT_FALSE(pool.refill(a2b, Bytes(one_time_key_size * pool_keys_max)));
}

struct Ends {
  AuthenticationPool alice_pool = pool_of(6);
  AuthenticationPool bob_pool = pool_of(6);
  Channel alice{a2b, 0};
  Channel bob{b2a, 0};

  void begin_block() {
    alice.restart_transcript();
    bob.restart_transcript();
  }
};

TEST(ChannelTest, OneTagCoversAllMessagesSinceTheLast) {
  Ends ends;
  const Bytes first = ends.alice.untagged(MessageType::verdict, 1, Bytes{1, 2, 3}, ends.alice_pool);
  ASSERT_TRUE(ends.bob.receive(first, ends.bob_pool));
  const Bytes reply = ends.bob.untagged(MessageType::question, 1, Bytes{4}, ends.bob_pool);
  ASSERT_TRUE(ends.alice.receive(reply, ends.alice_pool));
  const Bytes close = *ends.alice.tagged(MessageType::close, 1, Bytes{5}, ends.alice_pool);
  EXPECT_TRUE(ends.bob.receive(close, ends.bob_pool));
  EXPECT_EQ(ends.bob_pool.stock(a2b), 5U);
}

TEST(ChannelTest, AnAlteredUntaggedMessageShowsAtTheNextTag) {
  Ends ends;
  Bytes first = ends.alice.untagged(MessageType::verdict, 1, Bytes{1, 2, 3}, ends.alice_pool);
  first.back() ^= 1;
  ASSERT_TRUE(ends.bob.receive(first, ends.bob_pool));
  const Bytes close = *ends.alice.tagged(MessageType::close, 1, Bytes{5}, ends.alice_pool);
  const auto received = ends.bob.receive(close, ends.bob_pool);
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, ErrorCode::denied);
  EXPECT_EQ(ends.bob_pool.stock(a2b), 6U);  // a forgery uses no key up
}

/// Longer than what is buffered: hashed as it comes, under the key that is next.
TEST(ChannelTest, OneTagCoversLongTranscriptsToo) {
  for (const bool altered : {false, true}) {
    Ends ends;
    ends.begin_block();
    for (std::uint8_t i = 0; i < 5; ++i) {
      Bytes frame = ends.alice.untagged(MessageType::verdict, 1, Bytes(transcript_buffered_max / 3, i), ends.alice_pool);
      if (altered && i == 1) frame[100] ^= 1;
      ASSERT_TRUE(ends.bob.receive(frame, ends.bob_pool));
    }
    const Bytes close = *ends.alice.tagged(MessageType::close, 1, Bytes{5}, ends.alice_pool);
    EXPECT_EQ(ends.bob.receive(close, ends.bob_pool).has_value(), !altered);
    if (altered) continue;
    const Bytes ack = *ends.bob.tagged(MessageType::ack, 1, {}, ends.bob_pool);
    EXPECT_TRUE(ends.alice.receive(ack, ends.alice_pool));
    EXPECT_EQ(ends.alice_pool.stock(a2b), ends.bob_pool.stock(a2b));
    EXPECT_EQ(ends.alice_pool.stock(b2a), ends.bob_pool.stock(b2a));
  }
}

TEST(ChannelTest, ALongTranscriptIsTiedToTheKeyThatWasNext) {
  Ends ends;
  ends.begin_block();
  (void)ends.alice_pool.claim(a2b, TagPurpose::handshake, 0);  // a tag that was lost: the ends do not agree on what is next
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(ends.bob.receive(ends.alice.untagged(MessageType::verdict, 1, Bytes(transcript_buffered_max / 3), ends.alice_pool), ends.bob_pool));
  }
  const Bytes close = *ends.alice.tagged(MessageType::close, 1, Bytes{5}, ends.alice_pool);
  EXPECT_EQ(ends.bob.receive(close, ends.bob_pool).error().code, ErrorCode::denied);
}

TEST(ChannelTest, ALongTranscriptIsTiedToTheEndWhoseTurnItIs) {
  Ends ends;
  ends.begin_block();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(ends.bob.receive(ends.alice.untagged(MessageType::verdict, 1, Bytes(transcript_buffered_max / 3), ends.alice_pool), ends.bob_pool));
  }
  EXPECT_EQ(ends.bob.tagged(MessageType::ack, 1, {}, ends.bob_pool).error().code, ErrorCode::denied);
}

TEST(ChannelTest, ATagCoversTheTagBeforeIt) {
  Ends ends;
  AuthenticationPool other_pool = pool_of(6);
  Channel other_alice(a2b, 0);
  ends.begin_block();
  ASSERT_TRUE(ends.bob.receive(*ends.alice.tagged(MessageType::close, 1, Bytes{5}, ends.alice_pool), ends.bob_pool));
  (void)*other_alice.tagged(MessageType::close, 1, Bytes{6}, other_pool);  // another close under the same key: another tag
  const Bytes ack = *ends.bob.tagged(MessageType::ack, 1, {}, ends.bob_pool);
  EXPECT_EQ(other_alice.receive(ack, other_pool).error().code, ErrorCode::denied);
  EXPECT_TRUE(ends.alice.receive(ack, ends.alice_pool));
}

TEST(ChannelTest, ATagThatMayNotHaveItsKeyIsNotSent) {
  Ends ends;
  Channel frugal(a2b, 6);
  EXPECT_EQ(frugal.tagged(MessageType::close, 1, Bytes{5}, ends.alice_pool).error().code, ErrorCode::exhausted);
  EXPECT_EQ(ends.alice_pool.stock(a2b), 6U);
  // What it says instead is in order at the other end.
  EXPECT_TRUE(ends.bob.receive(frugal.untagged(MessageType::abort, 1, {}, ends.alice_pool), ends.bob_pool));
}

TEST(ChannelTest, RefusesReplayedReorderedAndReflectedMessages) {
  Ends ends;
  const Bytes one = *ends.alice.tagged(MessageType::hello, 0, Bytes{1}, ends.alice_pool);
  const Bytes two = *ends.alice.tagged(MessageType::hello, 0, Bytes{2}, ends.alice_pool);
  EXPECT_FALSE(ends.bob.receive(two, ends.bob_pool));
  EXPECT_TRUE(ends.bob.receive(one, ends.bob_pool));
  EXPECT_FALSE(ends.bob.receive(one, ends.bob_pool));
  Channel reconnected(b2a, 0);
  EXPECT_FALSE(reconnected.receive(one, ends.bob_pool));  // its key position is over
  Channel other_alice(a2b, 0);
  EXPECT_FALSE(other_alice.receive(one, ends.alice_pool));
}

}  // namespace
}  // namespace qanat::qkd
