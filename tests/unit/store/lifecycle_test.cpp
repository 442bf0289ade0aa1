#include "store/lifecycle.hpp"

#include <gtest/gtest.h>

#include <set>

namespace qanat::store {
namespace {

using enum KeyState;

// Written out a second time, by hand: row = from, column = to, in the order of all_key_states.
constexpr std::array<std::array<bool, 5>, 5> expected{{
    {false, true, false, false, true},   // generated
    {false, false, true, false, true},   // reserved
    {false, false, false, true, true},   // delivered
    {false, false, false, false, true},  // confirmed
    {false, false, false, false, false}  // destroyed
}};

TEST(KeyLifecycleTest, AllowsExactlyTheTransitionsOfTheTable) {
  for (std::size_t from = 0; from < all_key_states.size(); ++from) {
    for (std::size_t to = 0; to < all_key_states.size(); ++to) {
      EXPECT_EQ(may(all_key_states.at(from), all_key_states.at(to)), expected.at(from).at(to))
          << name(all_key_states.at(from)) << " -> " << name(all_key_states.at(to));
    }
  }
}

TEST(KeyLifecycleTest, NoPathEntersDeliveredTwice) {
  std::set<KeyState> reached{delivered};
  for (std::size_t round = 0; round < all_key_states.size(); ++round) {
    for (const KeyTransition& row : key_transitions) {
      if (reached.contains(row.from) && row.from != row.to) {
        EXPECT_NE(row.to, delivered);
        reached.insert(row.to);
      }
    }
  }
  EXPECT_EQ(reached, (std::set{delivered, confirmed, destroyed}));
}

TEST(KeyLifecycleTest, RefusalIsAConflictThatNamesTheKeyAndBothStates) {
  EXPECT_TRUE(check_transition(reserved, delivered, "link key 01"));
  const Result<void> again = check_transition(delivered, delivered, "link key 01");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error(), (Error{ErrorCode::conflict, "link key 01: is delivered, cannot become delivered"}));
  const Result<void> revived = check_transition(destroyed, generated, "link key 02");
  ASSERT_FALSE(revived);
  EXPECT_EQ(revived.error(), (Error{ErrorCode::conflict, "link key 02: is destroyed, cannot become generated"}));
}

TEST(KeyLifecycleTest, StoredNamesLeadBackToTheirStatesAndOthersToNone) {
  std::set<std::string_view> names;
  for (const KeyState state : all_key_states) {
    EXPECT_EQ(key_state_from_name(name(state)), state);
    names.insert(name(state));
  }
  EXPECT_EQ(names, (std::set<std::string_view>{"generated", "reserved", "delivered", "confirmed", "destroyed"}));
  EXPECT_FALSE(key_state_from_name("Delivered"));
  EXPECT_FALSE(key_state_from_name(""));
  EXPECT_FALSE(key_state_from_name("?"));
}

}  // namespace
}  // namespace qanat::store
