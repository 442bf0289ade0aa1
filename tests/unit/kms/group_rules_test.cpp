// Who is in a group after an order.
#include "services/kms/kma/group_rules.hpp"

#include <gtest/gtest.h>

namespace qanat::kms {
namespace {

using wire::GroupOrder;

const Number owner_number("+1001");
const Number second("+1002");
const Number third("+1003");
const Number fourth("+1004");

ErrorCode refused(const std::vector<Number>& present, GroupOrder order, const std::vector<Number>& named, const GroupLimits& limits = {}) {
  const auto out = members_after(present, owner_number, order, named, limits);
  EXPECT_FALSE(out.has_value());
  return out ? ErrorCode{} : out.error().code;
}

TEST(GroupRulesTest, OpenJoinAndLeaveGiveTheMembersInOrderWithTheOwner) {
  EXPECT_EQ(members_after({}, owner_number, GroupOrder::open, {second, third}, {}).value(), (std::vector{owner_number, second, third}));
  EXPECT_EQ(members_after({owner_number, third}, owner_number, GroupOrder::join, {second, fourth}, {}).value(),
            (std::vector{owner_number, second, third, fourth}));
  EXPECT_EQ(members_after({owner_number, second, third, fourth}, owner_number, GroupOrder::leave, {second, fourth}, {}).value(),
            (std::vector{owner_number, third}));
}

TEST(GroupRulesTest, TheOwnerIsInFromBeginningToEnd) {
  for (const GroupOrder order : {GroupOrder::open, GroupOrder::join, GroupOrder::leave})
    EXPECT_EQ(refused({owner_number, second}, order, {owner_number}), ErrorCode::denied);
  EXPECT_EQ(refused({owner_number, second}, GroupOrder::leave, {second}), ErrorCode::denied) << "nobody but the owner would be left";
}

TEST(GroupRulesTest, WhoIsInCannotJoinAndWhoIsNotCannotLeave) {
  EXPECT_EQ(refused({owner_number, second}, GroupOrder::join, {second}), ErrorCode::conflict);
  EXPECT_EQ(refused({owner_number, second, third}, GroupOrder::leave, {fourth}), ErrorCode::not_found);
}

TEST(GroupRulesTest, PolicyLimitsMembersAndDomains) {
  const GroupLimits three{.members = 3, .domains = 2};
  EXPECT_TRUE(members_after({}, owner_number, GroupOrder::open, {second, third}, three));
  EXPECT_EQ(refused({}, GroupOrder::open, {second, third, fourth}, three), ErrorCode::denied);
  EXPECT_EQ(refused({owner_number, second, third}, GroupOrder::join, {fourth}, three), ErrorCode::denied);
  EXPECT_EQ(refused({}, GroupOrder::open, {second}, {.members = 0, .domains = 2}), ErrorCode::denied) << "no groups at all";
  EXPECT_TRUE(check_domains(2, three));
  EXPECT_FALSE(check_domains(3, three));
}

}  // namespace
}  // namespace qanat::kms
