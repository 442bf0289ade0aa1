#include "quantum/qkdnc/routing.hpp"

#include <gtest/gtest.h>

namespace qanat::qkdnc {
namespace {

// Computed with Python's hashlib; tests/unit/qkm/relay_message_test.cpp holds the QKM to the same value.
TEST(RoutingTest, PathIdIsTheStartOfADigestOverTheNames) {
  const std::vector<ElementName> path{ElementName("qkm-a"), ElementName("qkm-r"), ElementName("qkm-b")};
  EXPECT_EQ(path_id_of(path).hex(), "8f3d2b69c05aeb72");
}

TEST(RoutingTest, MoreKeysNeverMakeALinkDearerAndADeadOneIsDearer) {
  LinkState link{.stock = 0, .alive = true};
  std::int64_t last = cost_of(link);
  for (link.stock = 1; link.stock < 200; ++link.stock) {
    EXPECT_LE(cost_of(link), last);
    last = cost_of(link);
    LinkState dead = link;
    dead.alive = false;
    EXPECT_GT(cost_of(dead), cost_of(link));
  }
}

TEST(RoutingTest, ALinkWithoutKeysForOneRelayIsDearerThanAnyPathOfOthers) {
  const std::int64_t dear = cost_of({.stock = 1, .alive = true});
  EXPECT_GT(dear, static_cast<std::int64_t>(path_nodes_max) * cost_of({.stock = 2, .alive = false}));
}

TEST(RoutingTest, ARateSustainsOneRelayPer512Bits) { EXPECT_DOUBLE_EQ(relays_per_second({.rate_bps = 5120.0}), 10.0); }

TEST(RoutingTest, PrioritiesHaveNamesAndOthersAreRefused) {
  for (const Priority priority : {Priority::background, Priority::normal, Priority::urgent}) EXPECT_EQ(*priority_from_name(name(priority)), priority);
  EXPECT_EQ(priority_from_name("high").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(priority_from_name("").error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace qanat::qkdnc
