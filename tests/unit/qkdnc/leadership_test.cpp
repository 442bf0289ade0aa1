#include "quantum/qkdnc/leadership.hpp"

#include <gtest/gtest.h>

namespace qanat::qkdnc {
namespace {

const ElementName one("qkdnc");
const ElementName two("qkdnc-2");

Leadership of(const ElementName& self, const ElementName& other, std::uint64_t term, UnixMs now) {
  return Leadership({.self = self, .other = other, .silence_ms = 3000}, term, now);
}

TEST(LeadershipTest, AControllerAloneLeadsAtOnceUnderANewTerm) {
  Leadership alone({.self = one, .other = std::nullopt, .silence_ms = 3000}, 7, 1000);
  EXPECT_FALSE(alone.leads());
  alone.tick(1000);
  EXPECT_TRUE(alone.leads());
  EXPECT_EQ(alone.term(), 8U);
}

TEST(LeadershipTest, OfTwoThatStartTogetherTheFirstByNameLeads) {
  Leadership first = of(one, two, 0, 1000);
  Leadership second = of(two, one, 0, 1000);
  for (UnixMs now = 1000; now <= 20000; now += 250) {
    first.heard(second.claim(), now);
    second.heard(first.claim(), now);
    first.tick(now);
    second.tick(now);
    EXPECT_FALSE(second.leads());
  }
  EXPECT_TRUE(first.leads());
  EXPECT_EQ(second.term(), first.term());
}

TEST(LeadershipTest, TheOtherTakesOverWhenTheLeaderFallsSilentAndKeepsTheLead) {
  Leadership second = of(two, one, 0, 1000);
  second.heard({.name = one, .term = 3, .leads = true}, 2000);
  second.tick(7999);
  EXPECT_FALSE(second.leads());
  second.tick(8000);
  EXPECT_TRUE(second.leads());
  EXPECT_EQ(second.term(), 4U);
  // The first restarts; it remembers its own term and follows the higher one.
  Leadership first = of(one, two, 3, 9000);
  first.heard(second.claim(), 9250);
  second.heard(first.claim(), 9250);
  first.tick(9300);
  EXPECT_FALSE(first.leads());
  EXPECT_TRUE(second.leads());
}

TEST(LeadershipTest, TwoLeadersThatMeetAgreeOnOne) {
  const auto leading = [](const ElementName& self, const ElementName& other, std::uint64_t term) {
    Leadership out = of(self, other, term - 1, 0);
    out.tick(100000);
    EXPECT_TRUE(out.leads());
    return out;
  };
  for (const auto& [term_one, term_two] : {std::pair{5, 5}, std::pair{5, 6}, std::pair{6, 5}}) {
    Leadership first = leading(one, two, static_cast<std::uint64_t>(term_one));
    Leadership second = leading(two, one, static_cast<std::uint64_t>(term_two));
    const Claim said = first.claim();
    first.heard(second.claim(), 100000);
    second.heard(said, 100000);
    EXPECT_NE(first.leads(), second.leads()) << term_one << " " << term_two;
    EXPECT_EQ(first.leads(), term_one >= term_two);
  }
}

TEST(LeadershipTest, AClaimOfSomebodyElseChangesNothing) {
  Leadership first = of(one, two, 0, 0);
  first.tick(3000);
  ASSERT_TRUE(first.leads());
  first.heard({.name = ElementName("stranger"), .term = 99, .leads = true}, 3100);
  EXPECT_TRUE(first.leads());
  EXPECT_EQ(first.term(), 1U);
}

}  // namespace
}  // namespace qanat::qkdnc
