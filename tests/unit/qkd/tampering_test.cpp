// A man in the middle of the classical channel: whatever he does to the messages, no two ends deliver different keys under one id.
#include <gtest/gtest.h>

#include "harness.hpp"
#include "quantum/qkd/session/message.hpp"
#include "sanitized.hpp"

namespace qanat::qkd {
namespace {

using test::InFlight;
using test::Link;

enum class Attack : std::uint8_t { alter, drop, replay, reorder, reflect, truncate, fail_block, redirect_nonce };
constexpr std::array all_attacks{Attack::alter,   Attack::drop,     Attack::replay,     Attack::reorder,
                                 Attack::reflect, Attack::truncate, Attack::fail_block, Attack::redirect_nonce};

class Middleman {
 public:
  Middleman(std::uint64_t seed, Attack attack, std::size_t at) : random_(seed), attack_(attack), at_(at) {}

  bool operator()(InFlight& flight, std::deque<InFlight>& network) {
    const bool now = seen_++ == at_;
    const bool forward = !now || strike(flight, network);
    history_.push_back(flight);
    return forward;
  }

 private:
  bool strike(InFlight& flight, std::deque<InFlight>& network) {
    Bytes& frame = flight.frame;
    switch (attack_) {
      case Attack::alter:
        frame[random_.below(frame.size())] ^= static_cast<std::uint8_t>(1U << random_.below(8));
        return true;
      case Attack::drop:
        return false;
      case Attack::replay:
        if (!history_.empty()) network.push_back(history_[random_.below(history_.size())]);
        return true;
      case Attack::reorder:
        network.push_back(flight);
        return false;
      case Attack::reflect:
        network.push_back({.to = flight.to == test::Side::alice ? test::Side::bob : test::Side::alice, .frame = frame});
        return true;
      case Attack::truncate:
        frame.resize(random_.below(frame.size()));
        return true;
      case Attack::fail_block:
        replace(frame, MessageType::block_failed, Reason{.code = ErrorCode::denied, .text = "forged"}.write());
        return true;
      case Attack::redirect_nonce:
        alter_body(frame);
        return true;
    }
    return true;
  }
  static void replace(Bytes& octets, MessageType type, const Bytes& body) {
    const auto frame = parse_frame(octets);
    if (frame) octets = write_frame(type, frame->block_id, frame->sequence, body, 0);
  }
  /// A change that parses: several octets of the body; without one, the tag.
  void alter_body(Bytes& octets) {
    const auto frame = parse_frame(octets);
    if (!frame) return;
    if (frame->body.empty()) {
      octets.back() ^= 1;
      return;
    }
    for (int i = 0; i < 3; ++i) octets[frame_header_size + random_.below(frame->body.size())] ^= static_cast<std::uint8_t>(1 + random_.below(255));
  }

  test::SeededRng random_;
  Attack attack_;
  std::size_t at_;
  std::size_t seen_ = 0;
  std::vector<InFlight> history_;
};

class TamperingTest : public testing::TestWithParam<ReconciliationMethod> {
 protected:
  /// What a session with one block takes.
  [[nodiscard]] std::size_t messages() const {
    Link link(test::quick_settings(GetParam()));
    link.connect();
    link.run();
    link.begin_block();
    link.run();
    EXPECT_EQ(link.alice_store.delivered.size(), 1U);
    return link.moved;
  }
};

TEST_P(TamperingTest, NoInterferenceEverLeadsToDifferentKeys) {
  test::SeededRng random(20);
  const std::size_t all_messages = messages();
  std::size_t thwarted = 0;
  std::size_t completed = 0;
  const int rounds = GetParam() == ReconciliationMethod::cascade ? 240 : 120;
  for (int round = 0; round < rounds; ++round) {
    Link link(test::quick_settings(GetParam()), static_cast<std::uint64_t>(round) + 1);
    const Attack attack = all_attacks[static_cast<std::size_t>(round) % all_attacks.size()];
    // The first messages and the last ones decide most: half of the attacks fall on the first ten, and a cut run follows each.
    const std::size_t at = random.below(2) == 0 ? random.below(10) : random.below(all_messages + 2);
    Middleman middleman(random.word(), attack, at);
    const Link::Alter alter = [&middleman](InFlight& flight, std::deque<InFlight>& network) { return middleman(flight, network); };
    link.connect();
    bool begun = false;
    while (true) {
      const bool moved = link.move_one(alter);
      if (!begun && link.alice->idle()) {
        link.begin_block();
        begun = true;
      } else if (!moved) {
        break;
      }
    }
    ASSERT_TRUE(link.no_block_differs()) << round;
    for (const auto& [id, block] : link.bob_store.delivered) ASSERT_TRUE(link.alice_store.delivered.contains(id)) << round;
    (link.bob_store.delivered.empty() ? thwarted : completed) += 1;
    // Left alone, the ends come together again and settle what was open.
    link.connect();
    link.run();
    ASSERT_TRUE(link.alice->idle() && link.bob->idle()) << round;
    ASSERT_TRUE(link.ends_agree()) << round;
    link.begin_block();
    link.run();
    ASSERT_TRUE(link.ends_agree()) << round;
  }
  EXPECT_GT(thwarted, 50U);
  EXPECT_GT(completed, 0U);
}

/// Every message of a session, one by one and in every way: the types that the method of error correction has are all among them.
TEST_P(TamperingTest, NoSingleMessageCanBeMeddledWith) {
  const std::size_t all_messages = messages();
  test::SeededRng random(21);
  for (std::size_t at = 0; at < all_messages; ++at) {
    if (at % ::qanat::test::case_step != 0 && at + 4 < all_messages) continue;
    for (const Attack attack : {Attack::alter, Attack::redirect_nonce, Attack::truncate, Attack::drop}) {
      Link link(test::quick_settings(GetParam()));
      Middleman middleman(random.word(), attack, at);
      const Link::Alter alter = [&middleman](InFlight& flight, std::deque<InFlight>& network) { return middleman(flight, network); };
      link.connect();
      link.run(alter);
      if (link.alice->idle()) link.begin_block();
      link.run(alter);
      ASSERT_TRUE(link.no_block_differs()) << "message " << at;
      // Only the confirmation comes after Alice's decision; whatever is done to a message before it, nobody has a key of that block.
      const bool is_confirmation = at + 1 == all_messages;
      ASSERT_EQ(link.alice_store.delivered.size(), is_confirmation ? 1U : 0U) << "message " << at << ", attack " << static_cast<int>(attack);
      ASSERT_TRUE(link.bob_store.delivered.empty()) << "message " << at;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, TamperingTest, testing::Values(ReconciliationMethod::cascade, ReconciliationMethod::ldpc), test::method_name);

/// The messages that decide, one by one: close, ack and confirm.
TEST(TamperedDecisionTest, AlteringAnyOctetOfTheDecidingMessagesReleasesNothingWrong) {
  for (const MessageType target : {MessageType::ack, MessageType::confirm}) {
    const std::size_t size = frame_header_size + frame_trailer_size;
    for (std::size_t octet = 0; octet < size; octet += 5) {
      Link link(test::quick_settings());
      link.connect();
      link.run();
      link.begin_block();
      link.run([&](InFlight& flight, std::deque<InFlight>&) {
        const auto frame = parse_frame(flight.frame);
        if (frame && frame->type == target) flight.frame[octet] ^= 0x10;
        return true;
      });
      EXPECT_TRUE(link.bob_store.delivered.empty());
      EXPECT_EQ(link.alice_store.delivered.size(), target == MessageType::confirm ? 1U : 0U);
      link.connect();
      link.run();
      EXPECT_TRUE(link.ends_agree());
    }
  }
}

TEST(TamperedDecisionTest, AForgedBlockNumberDoesNotBlockLaterBlocks) {
  Link link(test::quick_settings());
  link.connect();
  link.run();
  link.begin_block();
  link.run([](InFlight& flight, std::deque<InFlight>&) {
    const auto frame = parse_frame(flight.frame);
    if (frame && frame->type == MessageType::begin) flight.frame = write_frame(MessageType::begin, ~std::uint64_t{0}, frame->sequence, Bytes(nonce_size), 0);
    return true;
  });
  EXPECT_TRUE(link.alice_store.delivered.empty());
  link.connect();
  link.run();
  link.begin_block();
  link.run();
  EXPECT_TRUE(link.ends_agree());
  EXPECT_EQ(link.bob_store.delivered.size(), 1U);
}

TEST(TamperedDecisionTest, AGreetingHeldBackFromAnOldConnectionIsWorthless) {
  Link link(test::quick_settings());
  link.connect();
  Bytes held;
  link.run([&held](InFlight& flight, std::deque<InFlight>&) {
    if (flight.to == test::Side::alice) return true;
    held = flight.frame;  // Alice's greeting never arrives
    return false;
  });
  ASSERT_FALSE(held.empty());
  link.connect();
  link.run([&held](InFlight& flight, std::deque<InFlight>&) {
    if (flight.to == test::Side::bob) flight.frame = held;
    return true;
  });
  EXPECT_FALSE(link.bob->idle());
  EXPECT_EQ(link.bob_store.ended.size(), 1U);
}

}  // namespace
}  // namespace qanat::qkd
