#include "terminal/sip.hpp"

#include <gtest/gtest.h>

#include <deque>

#include "fixed_rng.hpp"

namespace qanat::terminal {
namespace {

using namespace std::chrono_literals;

const Number alice_number("+861001");
const Number bob_number("+861002");
const net::Endpoint alice_at{.host = "127.0.0.1", .port = 5060};
const net::Endpoint bob_at{.host = "127.0.0.1", .port = 5062};

SessionDescription offer_for(const Number& caller, const Number& callee, std::uint8_t nonce_fill = 9) {
  const CallNonce nonce(Bytes(CallNonce::size, nonce_fill));
  return {.media = {.host = "127.0.0.1", .port = 40'000},
          .sid_call = make_sid_call(caller, callee, nonce),
          .sid_wk = SidWk(Bytes(16, 7)),
          .kms = ElementName("kms-a"),
          .nonce = nonce};
}

/// Two agents, a wire that can lose datagrams, and a clock that moves only when told.
class SipTest : public testing::Test {
 protected:
  SipTest() : alice_(alice_number, alice_at, rng_), bob_(bob_number, bob_at, rng_) {}

  void take(SipAgent& from, SipOutput out) {
    for (SipEvent& event : out.events) (&from == &alice_ ? alice_events_ : bob_events_).push_back(std::move(event));
    for (SipDatagram& datagram : out.send) {
      sent_.push_back(first_line(datagram.octets));
      wire_.push_back({&from == &alice_ ? alice_at : bob_at, std::move(datagram)});
    }
  }
  static std::string first_line(ByteView octets) { return std::string(as_text(octets).substr(0, as_text(octets).find("\r\n"))); }

  /// Carries what is on the wire until it is quiet.
  void run() {
    while (!wire_.empty()) {
      auto [from, datagram] = std::move(wire_.front());
      wire_.pop_front();
      SipAgent& to = datagram.to == alice_at ? alice_ : bob_;
      take(to, to.receive(from, datagram.octets, now_));
    }
  }
  void lose_all() { wire_.clear(); }
  /// Lets time pass up to the next timer of either.
  bool wait() {
    const auto a = alice_.next_timer();
    const auto b = bob_.next_timer();
    if (!a && !b) return false;
    now_ = std::min(a.value_or(SipTime::max()), b.value_or(SipTime::max()));
    take(alice_, alice_.tick(now_));
    take(bob_, bob_.tick(now_));
    return true;
  }
  void call() { take(alice_, alice_.invite(bob_number, bob_at, offer_, now_).value()); }
  void answer() {
    SessionDescription answer = offer_;
    answer.media.port = 50'000;
    answer.kms = ElementName("kms-b");
    take(bob_, bob_.answer(answer, now_).value());
  }
  void establish() {
    call();
    run();
    answer();
    run();
    ASSERT_NE(last<CallAnswered>(alice_events_), nullptr);
    ASSERT_NE(last<CallConfirmed>(bob_events_), nullptr);
  }
  template <class Event>
  static const Event* last(const std::vector<SipEvent>& events) {
    return events.empty() ? nullptr : std::get_if<Event>(&events.back());
  }
  std::size_t sent(std::string_view beginning) const {
    return static_cast<std::size_t>(std::ranges::count_if(sent_, [&](const std::string& line) { return line.starts_with(beginning); }));
  }
  /// The first datagram on the wire with `from` replaced by `to` in it.
  void alter(std::string_view from, std::string_view to) {
    std::string text(as_text(wire_.front().second.octets));
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << text;
    wire_.front().second.octets = to_bytes(text.replace(at, from.size(), to));
  }

  FixedRng rng_{3261};
  SipAgent alice_;
  SipAgent bob_;
  SessionDescription offer_ = offer_for(alice_number, bob_number);
  SipTime now_{};
  std::deque<std::pair<net::Endpoint, SipDatagram>> wire_;
  std::vector<std::string> sent_;
  std::vector<SipEvent> alice_events_;
  std::vector<SipEvent> bob_events_;
};

TEST_F(SipTest, ACallIsSetUpAndEndedWithTheMessagesOfRfc3261) {
  call();
  run();
  const auto* incoming = last<IncomingCall>(bob_events_);
  ASSERT_NE(incoming, nullptr);
  EXPECT_EQ(incoming->caller, alice_number);
  EXPECT_EQ(incoming->offer, offer_);
  EXPECT_NE(last<CallRings>(alice_events_), nullptr);
  answer();
  run();
  const auto* answered = last<CallAnswered>(alice_events_);
  ASSERT_NE(answered, nullptr);
  EXPECT_EQ(answered->answer.media.port, 50'000);
  EXPECT_EQ(answered->answer.kms.text(), "kms-b");
  EXPECT_NE(last<CallConfirmed>(bob_events_), nullptr);
  EXPECT_FALSE(alice_.next_timer());
  EXPECT_FALSE(bob_.next_timer());

  take(alice_, alice_.hang_up(now_).value());
  run();
  ASSERT_NE(last<CallEnded>(alice_events_), nullptr);
  EXPECT_EQ(last<CallEnded>(alice_events_)->reason, CallEnd::local_hang_up);
  EXPECT_EQ(last<CallEnded>(bob_events_)->reason, CallEnd::remote_hang_up);
  EXPECT_TRUE(alice_.idle());
  EXPECT_TRUE(bob_.idle());
  EXPECT_EQ(sent_, (std::vector<std::string>{"INVITE sip:+861002@127.0.0.1:5062 SIP/2.0", "SIP/2.0 100 Trying", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK",
                                             "ACK sip:+861002@127.0.0.1:5062 SIP/2.0", "BYE sip:+861002@127.0.0.1:5062 SIP/2.0", "SIP/2.0 200 OK"}));
}

TEST_F(SipTest, TheCalleeMayHangUpToo) {
  establish();
  take(bob_, bob_.hang_up(now_).value());
  run();
  EXPECT_EQ(last<CallEnded>(alice_events_)->reason, CallEnd::remote_hang_up);
  EXPECT_EQ(last<CallEnded>(bob_events_)->reason, CallEnd::local_hang_up);
}

TEST_F(SipTest, TheInviteCarriesSessionIdAndAttributeButNoKey) {
  call();
  const std::string text(as_text(wire_.front().second.octets));
  EXPECT_NE(text.find("Session-ID: " + session_id_of(offer_.sid_call)), std::string::npos);
  EXPECT_NE(text.find("a=qanat:1 sid_call=" + offer_.sid_call.hex()), std::string::npos);
  EXPECT_EQ(text.find("a=crypto"), std::string::npos);
}

TEST_F(SipTest, EveryMessageMayBeLostOnce) {
  const auto lose_then_repeat = [this] {
    lose_all();
    ASSERT_TRUE(wait());
    run();
  };
  call();
  lose_then_repeat();
  ASSERT_NE(last<IncomingCall>(bob_events_), nullptr);
  answer();
  lose_then_repeat();
  ASSERT_NE(last<CallAnswered>(alice_events_), nullptr);
  ASSERT_NE(last<CallConfirmed>(bob_events_), nullptr);
  take(alice_, alice_.hang_up(now_).value());
  lose_then_repeat();
  EXPECT_TRUE(alice_.idle());
  EXPECT_TRUE(bob_.idle());
}

TEST_F(SipTest, ALostAckIsSentAgainForTheRepeated200) {
  call();
  run();
  answer();
  auto [from, ok] = std::move(wire_.front());
  lose_all();
  take(alice_, alice_.receive(from, ok.octets, now_));
  lose_all();  // the ACK
  EXPECT_EQ(last<CallConfirmed>(bob_events_), nullptr);
  ASSERT_TRUE(wait());
  run();
  EXPECT_NE(last<CallConfirmed>(bob_events_), nullptr);
  EXPECT_EQ(sent("ACK"), 2U);
  EXPECT_EQ(alice_events_.size(), 2U);  // rings and answered, each once
}

TEST_F(SipTest, ALostResponseToByeIsSentAgain) {
  establish();
  take(alice_, alice_.hang_up(now_).value());
  auto [from, bye] = std::move(wire_.front());
  lose_all();
  take(bob_, bob_.receive(from, bye.octets, now_));
  lose_all();  // the 200
  ASSERT_TRUE(wait());
  run();
  EXPECT_TRUE(alice_.idle());
  EXPECT_EQ(sent("BYE"), 2U);
  EXPECT_EQ(bob_events_.size(), 3U);  // the end is reported once
}

TEST_F(SipTest, AnUnansweredInviteIsRepeatedSixTimesAndGivenUpAfter64T1) {
  const SipTime start = now_;
  call();
  std::vector<std::int64_t> times;
  while (alice_events_.empty()) {
    lose_all();
    ASSERT_TRUE(wait());
    if (!wire_.empty()) times.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(now_ - start).count());
  }
  EXPECT_EQ(times, (std::vector<std::int64_t>{500, 1500, 3500, 7500, 15'500, 31'500}));
  EXPECT_EQ(now_ - start, sip_give_up);
  EXPECT_EQ(last<CallEnded>(alice_events_)->reason, CallEnd::timed_out);
  EXPECT_TRUE(alice_.idle());
}

TEST_F(SipTest, RingingStopsTheRepetitionOfTheInviteButNotForEver) {
  call();
  run();
  const SipTime start = now_;
  ASSERT_TRUE(wait());
  EXPECT_EQ(now_ - start, sip_ringing_max);
  EXPECT_EQ(sent("INVITE"), 1U);
  EXPECT_EQ(last<CallEnded>(alice_events_)->reason, CallEnd::timed_out);
}

TEST_F(SipTest, ACalleeWithoutAckEndsTheCall) {
  call();
  run();
  answer();
  const SipTime start = now_;
  while (sent("BYE") == 0) {
    lose_all();
    ASSERT_TRUE(wait());
  }
  EXPECT_EQ(now_ - start, sip_give_up);
  while (!bob_.idle()) {
    lose_all();
    ASSERT_TRUE(wait());
  }
  EXPECT_EQ(last<CallEnded>(bob_events_)->reason, CallEnd::timed_out);
}

TEST_F(SipTest, ARejectedCallIsAcknowledged) {
  call();
  run();
  take(bob_, bob_.reject(480, "No working key", now_).value());
  lose_all();
  ASSERT_TRUE(wait());
  run();
  EXPECT_EQ(last<CallEnded>(alice_events_)->reason, CallEnd::refused);
  EXPECT_EQ(last<CallEnded>(alice_events_)->status, 480);
  EXPECT_EQ(last<CallEnded>(alice_events_)->text, "No working key");
  EXPECT_EQ(sent("ACK"), 1U);
  EXPECT_TRUE(bob_.idle());
  EXPECT_FALSE(bob_.next_timer());
}

TEST_F(SipTest, TheCalleeRefusesASidCallThatIsNotOfTheseNumbers) {
  call();
  alter("From: <sip:+861001", "From: <sip:+861003");
  run();
  EXPECT_EQ(sent("SIP/2.0 403"), 1U);
  ASSERT_NE(last<InviteRefused>(bob_events_), nullptr);
  EXPECT_EQ(last<CallEnded>(alice_events_)->status, 403);
  EXPECT_TRUE(bob_.idle());
}

TEST_F(SipTest, TheCalleeRefusesAnotherNonceAndAnotherSessionId) {
  call();
  alter("nonce=09", "nonce=0a");
  run();
  EXPECT_EQ(last<CallEnded>(alice_events_)->status, 403);
  call();
  alter("Session-ID: " + session_id_of(offer_.sid_call).substr(0, 2), "Session-ID: zz");
  run();
  EXPECT_EQ(last<CallEnded>(alice_events_)->status, 400);
}

TEST_F(SipTest, TheCalleeRefusesACallWithoutProtection) {
  call();
  alter("a=qanat:1", "a=plain:1");
  run();
  EXPECT_EQ(last<CallEnded>(alice_events_)->status, 488);
  call();
  alter("application/sdp", "text/plain");
  run();
  EXPECT_EQ(last<CallEnded>(alice_events_)->status, 415);
}

TEST_F(SipTest, TheCalleeRefusesAnotherCalledNumber) {
  const Number other("+861009");
  take(alice_, alice_.invite(other, bob_at, offer_for(alice_number, other), now_).value());
  run();
  EXPECT_EQ(last<CallEnded>(alice_events_)->status, 404);
}

TEST_F(SipTest, TheCallerEndsACallThatIsAnsweredForAnotherSession) {
  for (const auto& [from, to] : {std::pair{"sid_wk=07", "sid_wk=08"}, std::pair{"sid_call=", "sid_call=0"}, std::pair{"nonce=09", "nonce=0a"}}) {
    call();
    run();
    answer();
    alter(from, to);
    run();
    EXPECT_EQ(last<CallEnded>(alice_events_)->reason, CallEnd::mismatch) << from;
    EXPECT_EQ(last<CallEnded>(bob_events_)->reason, CallEnd::remote_hang_up) << from;
    EXPECT_TRUE(alice_.idle());
  }
}

TEST_F(SipTest, ASecondCallerFindsTheLineBusy) {
  establish();
  SipAgent carol(Number("+861003"), {.host = "127.0.0.1", .port = 5064}, rng_);
  const auto invite = carol.invite(bob_number, bob_at, offer_for(Number("+861003"), bob_number), now_).value();
  const auto out = bob_.receive({.host = "127.0.0.1", .port = 5064}, invite.send.at(0).octets, now_);
  ASSERT_EQ(out.send.size(), 1U);
  EXPECT_EQ(first_line(out.send[0].octets), "SIP/2.0 486 Busy Here");
  const auto refused = carol.receive(bob_at, out.send[0].octets, now_);
  EXPECT_EQ(first_line(refused.send.at(0).octets).substr(0, 3), "ACK");
  EXPECT_TRUE(carol.idle());
  EXPECT_FALSE(bob_.idle());
}

TEST_F(SipTest, ACallerThatGivesUpEarlyEndsTheLateAnswer) {
  call();
  run();
  take(alice_, alice_.hang_up(now_).value());
  EXPECT_TRUE(alice_.idle());
  answer();
  run();
  EXPECT_EQ(sent("ACK"), 1U);
  EXPECT_EQ(sent("BYE"), 1U);
  EXPECT_EQ(last<CallEnded>(bob_events_)->reason, CallEnd::remote_hang_up);
  EXPECT_TRUE(alice_.idle());
  EXPECT_EQ(alice_events_.size(), 2U);  // rings, ended
}

TEST_F(SipTest, HangingUpBeforeTheAckWaitsForIt) {
  call();
  run();
  answer();
  take(bob_, bob_.hang_up(now_).value());
  EXPECT_EQ(sent("BYE"), 0U);
  run();
  EXPECT_EQ(sent("BYE"), 1U);
  EXPECT_EQ(last<CallEnded>(bob_events_)->reason, CallEnd::local_hang_up);
  EXPECT_EQ(last<CallEnded>(alice_events_)->reason, CallEnd::remote_hang_up);
}

TEST_F(SipTest, UnknownMethodsAndCallsGetTheirErrors) {
  establish();
  take(alice_, alice_.hang_up(now_).value());
  alter("BYE sip", "PRACK sip");
  alter("2 BYE", "2 PRACK");
  run();
  EXPECT_EQ(sent("SIP/2.0 405"), 1U);
  ASSERT_TRUE(wait());
  alter("Call-ID: ", "Call-ID: x");
  run();
  EXPECT_EQ(sent("SIP/2.0 481"), 1U);
  EXPECT_FALSE(bob_.idle());
}

TEST_F(SipTest, StrangersCannotEndTheCall) {
  establish();
  take(alice_, alice_.hang_up(now_).value());
  alter("From: <sip:+861001@127.0.0.1:5060>;tag=", "From: <sip:+861001@127.0.0.1:5060>;tag=f");
  run();
  EXPECT_FALSE(bob_.idle());
  EXPECT_EQ(sent("SIP/2.0 481"), 1U);
}

TEST_F(SipTest, ChangingARunningCallIsRefused) {
  call();
  const std::string invite(as_text(wire_.front().second.octets));
  run();
  answer();
  const std::string ok(as_text(wire_.front().second.octets));
  run();
  const std::size_t tag = ok.find(";tag=", ok.find("\r\nTo: "));
  std::string again = invite;
  again.insert(again.find("\r\n", again.find("\r\nTo: ") + 2), ok.substr(tag, ok.find("\r\n", tag) - tag));
  again.replace(again.find("1 INVITE"), 1, "2");
  again.replace(again.find("branch=z9hG4bK") + 14, 1, "x");
  take(bob_, bob_.receive(alice_at, as_bytes(again), now_));
  EXPECT_EQ(sent("SIP/2.0 488"), 1U);
  EXPECT_FALSE(bob_.idle());
}

TEST_F(SipTest, WhatIsNotSipIsIgnoredAndCounted) {
  take(bob_, bob_.receive(alice_at, as_bytes("hello"), now_));
  take(bob_, bob_.receive(alice_at, as_bytes("SIP/2.0 200 OK\r\n\r\n"), now_));
  EXPECT_EQ(bob_.ignored(), 2U);
  EXPECT_TRUE(wire_.empty());
}

TEST_F(SipTest, WishesThatDoNotFitTheStateAreConflicts) {
  EXPECT_EQ(bob_.answer(offer_, now_).error().code, ErrorCode::conflict);
  EXPECT_EQ(bob_.reject(486, "Busy Here", now_).error().code, ErrorCode::conflict);
  EXPECT_EQ(alice_.hang_up(now_).error().code, ErrorCode::conflict);
  EXPECT_EQ(alice_.invite(bob_number, bob_at, offer_for(bob_number, alice_number), now_).error().code, ErrorCode::invalid_argument);
  call();
  EXPECT_EQ(alice_.invite(bob_number, bob_at, offer_, now_).error().code, ErrorCode::conflict);
  run();
  SessionDescription other = offer_;
  other.sid_wk = SidWk(Bytes(16, 0));
  EXPECT_EQ(bob_.answer(other, now_).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(bob_.reject(200, "OK", now_).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace qanat::terminal
