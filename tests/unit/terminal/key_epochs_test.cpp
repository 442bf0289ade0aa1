#include "terminal/key_epochs.hpp"

#include <gtest/gtest.h>

#include "fixed_rng.hpp"
#include "terminal/rekey_plan.hpp"
#include "terminal/wav.hpp"

namespace qanat::terminal {
namespace {

using namespace std::chrono_literals;
using EpochTime = KeyEpochs::Time;

constexpr crypto::Aead epoch_aead = crypto::Aead::sm4_gcm;
const EpochTime epoch_start{std::chrono::hours(1)};

SidWk epoch_sid(std::uint8_t n) { return SidWk(Bytes(16, n)); }
/// One direction's key of the n-th epoch.
MediaKeys epoch_key(const char* direction, std::uint8_t n) {
  FixedRng rng(1000ULL * static_cast<std::uint8_t>(direction[0]) + n);
  return {.key = rng.secret(crypto::key_size(epoch_aead)), .salt = rng.secret(srtp_salt_octets)};
}
std::vector<std::int16_t> epoch_speech() { return read_wav(QANAT_SOURCE_DIR "/assets/voice/caller.wav").value(); }

/// One end of a running call, under the first key.
struct TalkingEnd {
  TalkingEnd(const char* sends, const char* receives) : sends_by(sends), receives_by(receives) {}
  const char* sends_by;
  const char* receives_by;
  FixedRng rng{static_cast<std::uint64_t>(sends_by[0])};
  MediaSession media = MediaSession::arm(epoch_aead, epoch_key(sends_by, 1), epoch_key(receives_by, 1), epoch_sid(1), epoch_speech(), rng).value();
  MediaControl control = MediaControl::arm(epoch_aead, epoch_key(sends_by, 1), epoch_key(receives_by, 1), epoch_sid(1), rng).value();
  KeyEpochs epochs{epoch_aead, media, control, KeyEpoch{.sid_wk = epoch_sid(1), .wk_fingerprint = "1"}};

  Result<void> hold(std::uint8_t n) {
    return epochs.hold(KeyEpoch{.sid_wk = epoch_sid(n), .wk_fingerprint = std::to_string(n)}, epoch_key(sends_by, n), epoch_key(receives_by, n));
  }
  Bytes say() { return media.sender.next().value(); }
  /// What it means that this packet came; nothing if it was not taken.
  std::optional<KeyEpochs::Heard> hear(ByteView packet, EpochTime now = epoch_start) {
    const std::uint64_t before = media.receiver.srtp_counts().accepted;
    media.receiver.receive(packet);
    if (media.receiver.srtp_counts().accepted == before) return std::nullopt;
    return epochs.heard(Mki(packet.last(mki_octets)), KeyEpochs::Stream::rtp, now).value();
  }
  [[nodiscard]] std::uint64_t dropped(SrtpDrop why) const { return media.receiver.srtp_counts().of(why); }
};

bool is_under(ByteView packet, std::uint8_t n) { return equal(packet.last(mki_octets), mki_of(epoch_sid(n)).view()); }

class KeyEpochsTest : public testing::Test {
 protected:
  /// As Ax does it: the caller holds, the callee holds and goes over, the caller hears of it and goes over.
  void rekey(std::uint8_t n, EpochTime now = epoch_start) {
    ASSERT_TRUE(caller_.hold(n));
    ASSERT_TRUE(callee_.hold(n));
    ASSERT_TRUE(callee_.epochs.switch_over());
    ASSERT_EQ(caller_.hear(callee_.say(), now), KeyEpochs::Heard::peer_switched);
  }
  TalkingEnd caller_{"a", "b"};
  TalkingEnd callee_{"b", "a"};
};

TEST_F(KeyEpochsTest, NoPacketIsLostOrHeardTwiceAcrossTwoChangesOfKey) {
  std::uint8_t next = 2;
  for (int k = 0; k < 150; ++k) {
    const EpochTime now = epoch_start + k * packet_time;
    for (TalkingEnd* end : {&caller_, &callee_}) end->epochs.tick(now);
    if (k == 40 || k == 90) ASSERT_TRUE(caller_.hold(next));
    if (k == 42 || k == 92) {
      ASSERT_TRUE(callee_.hold(next));
      ASSERT_TRUE(callee_.epochs.switch_over());
      ++next;
    }
    // Both are on their way at once: what the caller says has not heard the callee's packet of the same moment.
    const Bytes from_caller = caller_.say();
    const Bytes from_callee = callee_.say();
    EXPECT_TRUE(callee_.hear(from_caller, now)) << k;
    EXPECT_TRUE(caller_.hear(from_callee, now)) << k;
  }
  for (const TalkingEnd* end : {&caller_, &callee_}) {
    EXPECT_EQ(end->media.receiver.srtp_counts().accepted, 150U);
    EXPECT_EQ(end->media.receiver.srtp_counts().dropped_total(), 0U);
    EXPECT_EQ(end->media.receiver.reorder_counts().duplicated, 0U);
    ASSERT_EQ(end->epochs.report().size(), 3U);
    EXPECT_FALSE(end->epochs.holds_next());
    EXPECT_FALSE(end->epochs.overlaps()) << "the last overlap was over a second ago";
  }
  EXPECT_EQ(callee_.media.receiver.finish(), alaw_decode(ByteView(alaw_encode(epoch_speech()))));
  const auto by_caller = caller_.epochs.report();
  const auto by_callee = callee_.epochs.report();
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(by_caller[i].sid_wk, by_callee[i].sid_wk);
    EXPECT_EQ(by_caller[i].packets_sent, by_callee[i].packets_received) << i;
    EXPECT_EQ(by_callee[i].packets_sent, by_caller[i].packets_received) << i;
  }
  // Packets 0 to 42 of the caller, 0 to 41 of the callee, went under the first key.
  EXPECT_EQ(by_caller[0].packets_sent, 43U);
  EXPECT_EQ(by_callee[0].packets_sent, 42U);
  EXPECT_EQ(by_caller[2].packets_sent, 57U);
  EXPECT_EQ(by_callee[2].packets_sent, 58U);
}

TEST_F(KeyEpochsTest, TheSenderStaysOnItsKeyUntilTheOtherEndHasShownTheNext) {
  ASSERT_TRUE(caller_.hold(2));
  for (int k = 0; k < 100; ++k) {
    const Bytes packet = caller_.say();
    ASSERT_TRUE(is_under(packet, 1));
    ASSERT_EQ(callee_.hear(packet), KeyEpochs::Heard::in_order);
    ASSERT_EQ(caller_.hear(callee_.say()), KeyEpochs::Heard::in_order);
    caller_.epochs.tick(epoch_start + k * 10s);
  }
  EXPECT_TRUE(caller_.epochs.holds_next());
  EXPECT_EQ(caller_.epochs.in_force(), epoch_sid(1));
  EXPECT_EQ(caller_.epochs.report().size(), 1U);
}

TEST_F(KeyEpochsTest, AnEndThatHasGoneOverTakesBothKeysForAsLongAsTheOtherHasNot) {
  ASSERT_TRUE(callee_.hold(2));
  ASSERT_TRUE(callee_.epochs.switch_over());
  for (int k = 0; k < 100; ++k) {
    callee_.epochs.tick(epoch_start + k * 10s);
    ASSERT_EQ(callee_.hear(caller_.say()), KeyEpochs::Heard::in_order) << k;
  }
  EXPECT_TRUE(callee_.epochs.awaits_peer());
}

TEST_F(KeyEpochsTest, LossReorderingAndRepetitionAroundTheChangeCostNothingMore) {
  std::vector<Bytes> said;
  for (int k = 0; k < 76; ++k) said.push_back(caller_.say());
  rekey(2);
  while (caller_.media.sender.due()) said.push_back(caller_.say());
  ASSERT_TRUE(is_under(said[75], 1));
  ASSERT_TRUE(is_under(said[76], 2));
  std::swap(said[75], said[76]);  // the first one under the new key comes before the last one under the former
  for (std::size_t k = 0; k < said.size(); ++k) {
    if (k == 74 || k == 77) continue;  // lost
    EXPECT_EQ(callee_.hear(said[k]), k == 75 ? KeyEpochs::Heard::peer_switched : KeyEpochs::Heard::in_order) << k;
    if (k == 75 || k == 76) EXPECT_FALSE(callee_.hear(said[k])) << "a second time: " << k;
  }
  EXPECT_EQ(callee_.media.receiver.srtp_counts().accepted, 148U);
  EXPECT_EQ(callee_.dropped(SrtpDrop::replayed), 2U);
  EXPECT_EQ(callee_.media.receiver.srtp_counts().dropped_total(), 2U);
  auto expected = alaw_decode(ByteView(alaw_encode(epoch_speech())));
  for (const int lost : {74, 77}) std::fill_n(expected.begin() + lost * 160, 160, std::int16_t{0});
  EXPECT_EQ(callee_.media.receiver.finish(), expected);
  EXPECT_EQ(callee_.media.receiver.reorder_counts().lost, 2U);
}

TEST_F(KeyEpochsTest, APacketOfTheFormerKeyIsRefusedOnceThatIsErasedHeardBeforeOrNot) {
  const Bytes heard_before = caller_.say();
  ASSERT_TRUE(callee_.hear(heard_before));
  const Bytes late = caller_.say();
  const Bytes too_late = caller_.say();
  const Bytes control_before = caller_.control.farewell(3).value();
  rekey(2);
  ASSERT_EQ(callee_.hear(caller_.say(), epoch_start), KeyEpochs::Heard::peer_switched);
  callee_.epochs.tick(epoch_start + rekey_overlap - 1ms);
  EXPECT_TRUE(callee_.hear(late)) << "still within the overlap";
  EXPECT_FALSE(callee_.hear(heard_before));
  EXPECT_EQ(callee_.dropped(SrtpDrop::replayed), 1U);
  callee_.epochs.tick(epoch_start + rekey_overlap);
  EXPECT_FALSE(callee_.epochs.overlaps());
  EXPECT_FALSE(callee_.hear(too_late));
  EXPECT_FALSE(callee_.hear(heard_before));
  EXPECT_EQ(callee_.dropped(SrtpDrop::wrong_mki), 2U);
  EXPECT_EQ(callee_.control.receive(control_before), MediaControl::Heard::nothing);
  EXPECT_TRUE(callee_.hear(caller_.say())) << "the new key goes on";
}

TEST_F(KeyEpochsTest, ControlPacketsGoOverToo) {
  rekey(2);
  const Bytes word = caller_.control.rekey(RekeyWord::begins, epoch_sid(3)).value();
  EXPECT_TRUE(is_under(word, 2));
  EXPECT_EQ(callee_.control.receive(word), MediaControl::Heard::rekey);
  EXPECT_EQ(callee_.epochs.heard(mki_of(epoch_sid(2)), KeyEpochs::Stream::rtcp, epoch_start).value(), KeyEpochs::Heard::peer_switched)
      << "control packets show it as well";
  EXPECT_EQ(callee_.epochs.report().back().packets_received, 0U) << "and are no media";
}

TEST_F(KeyEpochsTest, RefusesASecondKeyAUsedOneAndKeysThatDoNotFit) {
  const auto code = [](const Result<void>& done) { return done ? std::optional<ErrorCode>() : std::optional(done.error().code); };
  EXPECT_EQ(code(caller_.epochs.switch_over()), ErrorCode::conflict) << "nothing is held";
  EXPECT_EQ(code(caller_.hold(1)), ErrorCode::conflict) << "the key in force again";
  EXPECT_EQ(code(caller_.epochs.hold({.sid_wk = epoch_sid(2), .wk_fingerprint = "2"}, epoch_key("a", 2), epoch_key("a", 2))), ErrorCode::invalid_argument);
  MediaKeys longer = epoch_key("b", 2);
  longer.key = Secret::copy_of(Bytes(32, 7));
  EXPECT_EQ(code(caller_.epochs.hold({.sid_wk = epoch_sid(2), .wk_fingerprint = "2"}, epoch_key("a", 2), longer)), ErrorCode::invalid_argument);
  ASSERT_TRUE(caller_.hold(2));
  EXPECT_EQ(code(caller_.hold(3)), ErrorCode::conflict) << "two keys beside the one in force";
  ASSERT_TRUE(callee_.hold(2));
  ASSERT_TRUE(callee_.epochs.switch_over());
  EXPECT_EQ(code(callee_.hold(3)), ErrorCode::conflict) << "the caller still uses the first";
  ASSERT_EQ(caller_.hear(callee_.say()), KeyEpochs::Heard::peer_switched);
  ASSERT_EQ(callee_.hear(caller_.say()), KeyEpochs::Heard::peer_switched) << "what was refused has changed nothing";
  EXPECT_EQ(code(callee_.hold(1)), ErrorCode::conflict) << "a former key again";
  EXPECT_TRUE(callee_.hold(3)) << "a key to follow does not wait for the end of the overlap";
}

TEST_F(KeyEpochsTest, AKeyThatIsReleasedOpensNothingAndAnotherOneMayFollow) {
  ASSERT_TRUE(caller_.hold(2));
  ASSERT_TRUE(callee_.hold(2));
  ASSERT_TRUE(callee_.epochs.switch_over());
  caller_.epochs.release();
  EXPECT_FALSE(caller_.hear(callee_.say()));
  EXPECT_EQ(caller_.dropped(SrtpDrop::wrong_mki), 1U);
  EXPECT_TRUE(is_under(caller_.say(), 1));
  EXPECT_TRUE(caller_.hold(3));
}

TEST(RekeyPlanTest, AKeyIsDueByTimeOrPacketsOrNever) {
  RekeyPlan never({});
  RekeyPlan by_time({.after = 10s});
  RekeyPlan by_packets({.after_packets = 100});
  for (RekeyPlan* plan : {&never, &by_time, &by_packets}) plan->in_force(epoch_start);
  EXPECT_FALSE(never.due(epoch_start + 1000h, 1'000'000'000));
  EXPECT_FALSE(never.spent(epoch_start + 1000h, 1'000'000'000, ""));
  EXPECT_FALSE(by_time.due(epoch_start + 10s - 1ms, 1'000'000));
  EXPECT_TRUE(by_time.due(epoch_start + 10s, 0));
  EXPECT_FALSE(by_packets.due(epoch_start + 1000h, 99));
  EXPECT_TRUE(by_packets.due(epoch_start, 100));
  by_time.in_force(epoch_start + 10s);
  EXPECT_FALSE(by_time.due(epoch_start + 11s, 0)) << "the next one begins anew";
}

TEST(RekeyPlanTest, AnAttemptThatFailedAndAWishThatWasSaidAreNotRepeatedAtOnce) {
  RekeyPlan plan({.after = 10s});
  plan.in_force(epoch_start);
  plan.failed(epoch_start + 12s, "the KMS is away");
  EXPECT_FALSE(plan.due(epoch_start + 12s + rekey_retry - 1ms, 0));
  EXPECT_TRUE(plan.due(epoch_start + 12s + rekey_retry, 0));
  plan.failed(epoch_start + 20s, "still away");
  EXPECT_FALSE(plan.due(epoch_start + 20s + 2 * rekey_retry - 1ms, 0)) << "each attempt may cost a quantum key";
  EXPECT_TRUE(plan.due(epoch_start + 20s + 2 * rekey_retry, 0));
  for (int i = 0; i < 20; ++i) plan.failed(epoch_start + 40s, "still away");
  EXPECT_TRUE(plan.due(epoch_start + 40s + rekey_retry_longest, 0));
  plan.in_force(epoch_start + 1h);
  plan.failed(epoch_start + 2h, "away again");
  EXPECT_TRUE(plan.due(epoch_start + 2h + rekey_retry, 0)) << "a key that came in between begins anew";
  plan.asked(epoch_start + 3h);
  EXPECT_FALSE(plan.due(epoch_start + 3h + rekey_wish_every - 1ms, 0));
  EXPECT_TRUE(plan.due(epoch_start + 3h + rekey_wish_every, 0));
}

TEST(RekeyPlanTest, AWishIsFollowedOnlyWhenTheKeyIsNotFresh) {
  RekeyPlan plan({.asked_min = 3s});
  plan.in_force(epoch_start);
  EXPECT_FALSE(plan.follows_wish(epoch_start + 3s - 1ms));
  EXPECT_TRUE(plan.follows_wish(epoch_start + 3s));
  plan.failed(epoch_start + 4s, "no key");
  EXPECT_FALSE(plan.follows_wish(epoch_start + 5s));
}

TEST(RekeyPlanTest, WishesAreFollowedEverMoreSeldomDownToAPartOfTheOwnTime) {
  using Span = std::chrono::milliseconds;
  const std::pair<Span, Span> cases[] = {{400s, 100s}, {0s, rekey_asked_longest}, {8s, 10s}};
  for (const auto& [after, longest] : cases) {
    RekeyPlan plan({.after = after});
    Span wait = 10s;
    for (int i = 0; i < 12; ++i) {
      plan.in_force(epoch_start);
      EXPECT_FALSE(plan.follows_wish(epoch_start + wait - 1ms)) << i;
      EXPECT_TRUE(plan.follows_wish(epoch_start + wait)) << i;
      plan.wish_followed();
      wait = std::min<Span>(2 * wait, longest);
    }
  }
}

TEST(RekeyPlanTest, WhatTheOtherEndBeginsIsFollowedEverMoreSeldomUntilItBringsAKey) {
  RekeyPlan plan({});
  plan.in_force(epoch_start);
  EXPECT_TRUE(plan.follows_begin(epoch_start)) << "the first one";
  KeyEpochs::Time now = epoch_start;
  for (const auto pause : {1s, 2s, 4s, 8s, 16s, 32s, 64s, 128s, 150s, 150s}) {
    ASSERT_TRUE(plan.follows_begin(now));
    plan.followed(now);
    EXPECT_FALSE(plan.follows_begin(now + pause - 1ms)) << pause.count();
    now += pause;
  }
  plan.followed(now);
  plan.in_force(now + 100ms);
  EXPECT_FALSE(plan.follows_begin(now + 1s)) << "what brought keys is not followed as often as it is said either";
  EXPECT_TRUE(plan.follows_begin(now + 1100ms));
  plan.followed(now + 1100ms);
  EXPECT_TRUE(plan.follows_begin(now + 2100ms)) << "after a key the pauses are short again";
}

TEST(RekeyPlanTest, TheLimitSaysWhatTheCallWaitedFor) {
  RekeyPlan plan({.after = 10s, .after_packets = 100, .limit = 20s});
  plan.in_force(epoch_start);
  EXPECT_FALSE(plan.spent(epoch_start + 20s - 1ms, 199, ""));
  EXPECT_TRUE(plan.spent(epoch_start + 20s, 0, "").value().ends_with("the other end began none"));
  plan.failed(epoch_start + 12s, "the KMS is away");
  EXPECT_EQ(plan.spent(epoch_start + 20s, 0, "").value(),
            "the call's key has been in use for 20000 ms, as long as it may, and no other took its place: the KMS is away");
  EXPECT_TRUE(plan.spent(epoch_start, 200, "it is on its way")
                  .value()
                  .ends_with("in use for 200 packets, as long as it may, and no other took its place: it is on its way"));
}

}  // namespace
}  // namespace qanat::terminal
