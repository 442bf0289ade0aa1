#include "store/lifecycle.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace qanat::store {
namespace {

using enum KeyState;

// Written out a second time, by hand: to which states a key of the kind goes from each.
using Life = std::map<KeyState, std::set<KeyState>>;
const Life link_life{
    {generated, {reserved, destroyed}}, {reserved, {delivered, destroyed}}, {delivered, {confirmed, destroyed}}, {confirmed, {destroyed}}, {destroyed, {}},
};
const Life working_life{
    {generated, {reserved, destroyed}},  {reserved, {delivered, suspended, destroyed}},
    {delivered, {confirmed, destroyed}}, {confirmed, {destroyed}},
    {suspended, {reserved, destroyed}},  {destroyed, {}},
};
const Life master_life{
    {generated, {active, destroyed}},
    {active, {used_up, superseded, suspended, expired, destroyed}},
    {suspended, {active, expired, destroyed}},
    {used_up, {superseded, expired, destroyed}},
    {superseded, {expired, destroyed}},
    {expired, {destroyed}},
    {destroyed, {}},
};
const Life data_life{
    {generated, {active, destroyed}},
    {active, {used_up, superseded, suspended, expired, destroyed}},
    {suspended, {active, expired, destroyed}},
    {used_up, {superseded, expired, archived, destroyed}},
    {superseded, {expired, archived, destroyed}},
    {expired, {archived, destroyed}},
    {archived, {destroyed}},
    {destroyed, {}},
};
const Life encryption_life{
    {generated, {active, delivered, destroyed}},
    {delivered, {confirmed, destroyed}},
    {confirmed, {active, destroyed}},
    {active, {used_up, superseded, suspended, expired, destroyed}},
    {suspended, {active, expired, destroyed}},
    {used_up, {superseded, expired, archived, destroyed}},
    {superseded, {expired, archived, destroyed}},
    {expired, {archived, destroyed}},
    {archived, {destroyed}},
    {destroyed, {}},
};
const std::map<KeyKind, Life> lives{
    {KeyKind::working, working_life}, {KeyKind::link, link_life}, {KeyKind::data, data_life}, {KeyKind::terminal_encryption, encryption_life},
    {KeyKind::master, master_life},
};

TEST(KeyLifecycleTest, EachKindHasExactlyTheTransitionsOfItsLife) {
  for (const auto& [kind, life] : lives) {
    for (const KeyState from : all_key_states) {
      for (const KeyState to : all_key_states) {
        const auto row = life.find(from);
        EXPECT_EQ(may(kind, from, to), row != life.end() && row->second.contains(to)) << name(kind) << ": " << name(from) << " -> " << name(to);
      }
    }
  }
}

TEST(KeyLifecycleTest, AnEventLeadsToOneStateOrIsAConflictThatNamesIt) {
  EXPECT_EQ(after(KeyKind::working, reserved, KeyEvent::deliver), delivered);
  EXPECT_EQ(after(KeyKind::working, suspended, KeyEvent::recover), reserved);
  EXPECT_EQ(after(KeyKind::working, delivered, KeyEvent::update), destroyed) << "its successor is confirmed";
  EXPECT_EQ(after(KeyKind::data, active, KeyEvent::update), superseded) << "it still opens what it sealed";
  EXPECT_EQ(after(KeyKind::data, suspended, KeyEvent::recover), active);
  EXPECT_EQ(after(KeyKind::working, delivered, KeyEvent::suspend), std::nullopt) << "a key that has left cannot be held back";
  EXPECT_EQ(after(KeyKind::link, reserved, KeyEvent::suspend), std::nullopt);
  EXPECT_EQ(after(KeyKind::master, expired, KeyEvent::archive), std::nullopt);
  EXPECT_EQ(advance(KeyKind::data, used_up, KeyEvent::expire, "data key 1"), expired);
  const auto refused = advance(KeyKind::working, destroyed, KeyEvent::recover, "working key 01");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), (Error{ErrorCode::conflict, "working key 01: is destroyed, there is no 'recover' of such a key"}));
}

TEST(KeyLifecycleTest, EveryEventLeadsSomewhereForSomeKind) {
  for (const KeyEvent event : all_key_events) {
    EXPECT_TRUE(std::ranges::any_of(key_transitions, [&](const KeyTransition& row) { return row.event == event; })) << name(event);
  }
}

TEST(KeyLifecycleTest, NoPathEntersDeliveredTwice) {
  for (const KeyKind kind : all_key_kinds) {
    std::set<KeyState> reached{delivered};
    for (std::size_t round = 0; round < all_key_states.size(); ++round) {
      for (const KeyTransition& row : key_transitions) {
        if (!row.kinds.has(kind) || !reached.contains(row.from)) continue;
        EXPECT_NE(row.to, delivered) << name(kind);
        reached.insert(row.to);
      }
    }
    if (kind == KeyKind::working || kind == KeyKind::link) EXPECT_EQ(reached, (std::set{delivered, confirmed, destroyed})) << name(kind);
  }
}

TEST(KeyLifecycleTest, RefusalIsAConflictThatNamesTheKeyAndBothStates) {
  EXPECT_TRUE(check_transition(KeyKind::link, reserved, delivered, "link key 01"));
  const Result<void> again = check_transition(KeyKind::link, delivered, delivered, "link key 01");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error(), (Error{ErrorCode::conflict, "link key 01: is delivered, cannot become delivered"}));
  const Result<void> revived = check_transition(KeyKind::working, destroyed, generated, "working key 02");
  ASSERT_FALSE(revived);
  EXPECT_EQ(revived.error(), (Error{ErrorCode::conflict, "working key 02: is destroyed, cannot become generated"}));
}

TEST(KeyLifecycleTest, StoredNamesLeadBackToTheirStatesAndOthersToNone) {
  std::set<std::string_view> names;
  for (const KeyState state : all_key_states) {
    EXPECT_EQ(key_state_from_name(name(state)), state);
    names.insert(name(state));
  }
  EXPECT_EQ(names, (std::set<std::string_view>{"generated", "reserved", "active", "delivered", "confirmed", "suspended", "used_up", "superseded", "expired",
                                               "archived", "destroyed"}));
  EXPECT_FALSE(key_state_from_name("Delivered"));
  EXPECT_FALSE(key_state_from_name(""));
  EXPECT_FALSE(key_state_from_name("?"));
}

}  // namespace
}  // namespace qanat::store
