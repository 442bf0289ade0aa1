#include "terminal/ax_carrier.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "fixed_rng.hpp"

namespace qanat::terminal {
namespace {

using namespace std::chrono_literals;
using Arrival = AxCarrier::Arrival;

const SidWk session(Bytes(16, 7));

std::uint64_t draw(FixedRng& rng, std::uint64_t below) {
  const Bytes octets = rng.bytes(4);
  return (std::uint64_t{octets[0]} << 16 | std::uint64_t{octets[1]} << 8 | octets[2]) % below;
}

TEST(AxCarrierTest, NoFragmentCanBeTakenForRtpAndEachFitsItsBound) {
  FixedRng rng(1);
  const auto fragments = make_fragments(1, rng.bytes(9000), session).value();
  EXPECT_EQ(fragments.size(), 8U);
  for (const Bytes& fragment : fragments) {
    EXPECT_TRUE(fragment.front() < 128 || fragment.front() > 191);
    EXPECT_LE(fragment.size(), fragment_octets_max);
    EXPECT_TRUE(is_ax_datagram(fragment));
  }
  EXPECT_FALSE(make_fragments(1, rng.bytes(ax_message_octets_max + 1), session));
  EXPECT_FALSE(make_fragments(1, {}, session));
}

TEST(AxCarrierTest, MessagesAreRepeatedAtDoublingIntervalsUntilTheLimit) {
  AxCarrier a(AxEnd::initiator, session);
  AxTime now{};
  ASSERT_TRUE(a.send(Bytes(10, 1), now));
  std::vector<std::chrono::milliseconds> at;
  while (const auto timer = a.next_timer()) {
    now = *timer;
    if (!a.tick(now).empty()) at.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(now - AxTime{}));
  }
  EXPECT_TRUE(a.gave_up());
  EXPECT_EQ(now - AxTime{}, ax_give_up);
  EXPECT_EQ((std::vector(at.begin(), at.begin() + 6)), (std::vector<std::chrono::milliseconds>{100ms, 300ms, 700ms, 1500ms, 3100ms, 4700ms}));
}

TEST(AxCarrierTest, AnAnswerStopsTheRepetition) {
  AxCarrier a(AxEnd::initiator, session);
  AxCarrier b(AxEnd::responder, session);
  for (const Bytes& fragment : a.send(Bytes(10, 1), {}).value()) EXPECT_EQ(b.receive(fragment), Arrival::message);
  EXPECT_EQ(b.take_message(), Bytes(10, 1));
  for (const Bytes& fragment : b.send(Bytes(20, 2), {}).value()) EXPECT_EQ(a.receive(fragment), Arrival::message);
  EXPECT_EQ(a.take_message(), Bytes(20, 2));
  EXPECT_FALSE(a.next_timer());
}

TEST(AxCarrierTest, ARepeatedLastMessageIsReportedOnceForEachRepetition) {
  AxCarrier a(AxEnd::initiator, session);
  AxCarrier b(AxEnd::responder, session);
  for (const Bytes& fragment : a.send(Bytes(10, 1), {}).value()) (void)b.receive(fragment);
  (void)b.take_message();
  for (const Bytes& fragment : b.send(Bytes(20, 2), {}).value()) (void)a.receive(fragment);
  (void)a.take_message();
  const auto last = a.send(Bytes(3000, 3), {}).value();
  for (const Bytes& fragment : last) (void)b.receive(fragment);
  (void)b.take_message();
  EXPECT_EQ(std::ranges::count_if(last, [&](const Bytes& fragment) { return b.receive(fragment) == Arrival::repeated; }), 1);
}

TEST(AxCarrierTest, FragmentsOfOthersAreIgnored) {
  AxCarrier b(AxEnd::responder, session);
  const auto foreign = make_fragments(1, Bytes(10, 1), SidWk(Bytes(16, 8))).value();
  EXPECT_EQ(b.receive(foreign.front()), Arrival::ignored);
  EXPECT_EQ(b.receive(make_fragments(2, Bytes(10, 1), session).value().front()), Arrival::ignored) << "its own number, reflected";
  EXPECT_EQ(b.receive(make_fragments(3, Bytes(10, 1), session).value().front()), Arrival::ignored) << "AX3 before AX1";
  Bytes rtp(40, 0);
  rtp.front() = 0x80;
  EXPECT_EQ(b.receive(rtp), Arrival::ignored);
  EXPECT_EQ(b.receive({}), Arrival::ignored);
}

TEST(AxCarrierTest, FragmentsThatContradictTheFirstOnesChangeNothing) {
  AxCarrier b(AxEnd::responder, session);
  FixedRng rng(2);
  const Bytes message = rng.bytes(2000);
  const auto fragments = make_fragments(1, message, session).value();
  EXPECT_EQ(b.receive(fragments[0]), Arrival::fragment);
  EXPECT_EQ(b.receive(make_fragments(1, rng.bytes(5000), session).value()[1]), Arrival::ignored) << "another count";
  EXPECT_EQ(b.receive(make_fragments(1, rng.bytes(2000), session).value()[0]), Arrival::fragment) << "another content: the first stays";
  EXPECT_EQ(b.receive(fragments[1]), Arrival::message);
  EXPECT_EQ(b.take_message(), message);
}

TEST(AxCarrierTest, MalformedFragmentsAreRefused) {
  const Bytes good = make_fragments(1, Bytes(3000, 1), session).value()[0];
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes out = good;
    out[at] = value;
    return out;
  };
  EXPECT_TRUE(parse_fragment(good, session));
  EXPECT_FALSE(parse_fragment(with(3, 2), session)) << "version";
  EXPECT_FALSE(parse_fragment(with(12, 0), session)) << "message";
  EXPECT_FALSE(parse_fragment(with(12, 4), session)) << "message";
  EXPECT_FALSE(parse_fragment(with(13, 3), session)) << "index";
  EXPECT_FALSE(parse_fragment(with(14, 0), session)) << "count";
  EXPECT_FALSE(parse_fragment(with(14, 255), session)) << "count";
  EXPECT_FALSE(parse_fragment(ByteView(good).first(good.size() - 1), session)) << "a part in the middle that is not full";
  EXPECT_FALSE(parse_fragment(ByteView(good).first(fragment_header_octets), session)) << "empty part";
}

// Property: whatever a network loses (up to half), repeats and reorders, all three messages arrive as they were sent.
TEST(AxCarrierTest, AllThreeMessagesArriveOverANetworkThatLosesRepeatsAndReorders) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    FixedRng rng(seed);
    AxCarrier a(AxEnd::initiator, session);
    AxCarrier b(AxEnd::responder, session);
    const std::vector<Bytes> messages{rng.bytes(1 + draw(rng, 12'000)), rng.bytes(1 + draw(rng, 30'000)), rng.bytes(1 + draw(rng, 5'000))};
    std::vector<Bytes> got;
    std::vector<std::pair<AxCarrier*, Bytes>> wire;
    AxTime now{};
    const auto put = [&](AxCarrier& to, const std::vector<Bytes>& fragments) {
      for (const Bytes& fragment : fragments) {
        if (draw(rng, 100) < 30) continue;
        wire.emplace_back(&to, fragment);
        if (draw(rng, 100) < 20) wire.emplace_back(&to, fragment);
      }
    };
    put(b, a.send(messages[0], now).value());
    while (got.size() < 3) {
      for (std::size_t i = wire.size(); i > 1; --i) std::swap(wire[i - 1], wire[draw(rng, i)]);
      auto carried = std::move(wire);
      wire.clear();
      for (auto& [to, fragment] : carried) {
        if (to->receive(fragment) != Arrival::message) continue;
        got.push_back(to->take_message());
        if (got.size() < 3) put(to == &a ? b : a, to->send(messages[got.size()], now).value());
      }
      if (!wire.empty()) continue;
      const auto next_a = a.next_timer();
      const auto next_b = b.next_timer();
      ASSERT_TRUE(next_a || next_b || got.size() == 3) << "seed " << seed;
      if (got.size() == 3) break;
      now = std::min(next_a.value_or(AxTime::max()), next_b.value_or(AxTime::max()));
      put(b, a.tick(now));
      put(a, b.tick(now));
      ASSERT_FALSE(a.gave_up() || b.gave_up()) << "seed " << seed;
    }
    EXPECT_EQ(got, messages) << "seed " << seed;
  }
}

}  // namespace
}  // namespace qanat::terminal
