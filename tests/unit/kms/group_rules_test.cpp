// Who is in a group after an order.
#include "services/kms/kma/group_rules.hpp"

#include <gtest/gtest.h>

namespace qanat::kms {
namespace {

using wire::GroupOrder;

const Number group_owner("+1001");
const Number member_two("+1002");
const Number member_three("+1003");
const Number member_four("+1004");

ErrorCode refused_order(const std::vector<Number>& present, GroupOrder order, const std::vector<Number>& named, const GroupLimits& limits = {}) {
  const auto out = members_after(present, group_owner, order, named, limits);
  EXPECT_FALSE(out.has_value());
  return out ? ErrorCode{} : out.error().code;
}

TEST(GroupRulesTest, OpenJoinAndLeaveGiveTheMembersInOrderWithTheOwner) {
  EXPECT_EQ(members_after({}, group_owner, GroupOrder::open, {member_two, member_three}, {}).value(), (std::vector{group_owner, member_two, member_three}));
  EXPECT_EQ(members_after({group_owner, member_three}, group_owner, GroupOrder::join, {member_two, member_four}, {}).value(),
            (std::vector{group_owner, member_two, member_three, member_four}));
  EXPECT_EQ(members_after({group_owner, member_two, member_three, member_four}, group_owner, GroupOrder::leave, {member_two, member_four}, {}).value(),
            (std::vector{group_owner, member_three}));
}

TEST(GroupRulesTest, TheOwnerIsInFromBeginningToEnd) {
  for (const GroupOrder order : {GroupOrder::open, GroupOrder::join, GroupOrder::leave})
    EXPECT_EQ(refused_order({group_owner, member_two}, order, {group_owner}), ErrorCode::denied);
  EXPECT_EQ(refused_order({group_owner, member_two}, GroupOrder::leave, {member_two}), ErrorCode::denied) << "nobody but the owner would be left";
}

TEST(GroupRulesTest, WhoIsInMayJoinForANewKeyAndWhoIsNotCannotLeave) {
  EXPECT_EQ(members_after({group_owner, member_two}, group_owner, GroupOrder::join, {member_two}, {}).value(), (std::vector{group_owner, member_two}));
  EXPECT_EQ(refused_order({group_owner, member_two, member_three}, GroupOrder::leave, {member_four}), ErrorCode::not_found);
}

TEST(GroupRulesTest, PolicyLimitsMembersAndDomains) {
  const GroupLimits three{.members = 3, .domains = 2};
  EXPECT_TRUE(members_after({}, group_owner, GroupOrder::open, {member_two, member_three}, three));
  EXPECT_EQ(refused_order({}, GroupOrder::open, {member_two, member_three, member_four}, three), ErrorCode::denied);
  EXPECT_EQ(refused_order({group_owner, member_two, member_three}, GroupOrder::join, {member_four}, three), ErrorCode::denied);
  EXPECT_EQ(refused_order({}, GroupOrder::open, {member_two}, {.members = 0, .domains = 2}), ErrorCode::denied) << "no groups at all";
  EXPECT_TRUE(check_domains(2, three));
  EXPECT_FALSE(check_domains(3, three));
}

}  // namespace
}  // namespace qanat::kms
