// What a KMS keeps of its groups: on every database.
#include "services/kms/kma/group_rows.hpp"

#include "services/kms/kma/group_rules.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"
#include "trusted_network.hpp"

namespace qanat::kms {
namespace {

using test::must;
using test::refusal;

constexpr UnixMs group_time = 1'700'000'000'000;

class GroupRowsTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  template <class Work>
  auto in_transaction(Work&& work) {
    return store_->transact(std::forward<Work>(work));
  }
  static wire::GroupId id(std::uint8_t octet) { return wire::GroupId(Bytes(32, octet)); }
  static GroupRow row(std::uint8_t octet) {
    return {.group = id(octet),
            .owner_uid = Uid("alice"),
            .owner = Number("+8613800000001"),
            .owner_kms = ElementName("kms-a"),
            .begun = 1,
            .epoch = 0,
            .nonce = {},
            .roster = {},
            .h_req = {},
            .answer = {},
            .changed_ms = group_time};
  }
  static GroupRow next_of(const GroupRow& before) {
    GroupRow out = before;
    out.epoch = out.begun;
    out.nonce = wire::GroupNonce(Bytes(16, 9));
    out.roster = {{.number = Number("+8613800000001"), .kms = ElementName("kms-a")}, {.number = Number("+8613900000002"), .kms = ElementName("kms-b")}};
    out.h_req = Bytes(32, 1);
    out.answer = Bytes(100, 2);
    out.changed_ms = group_time + 1;
    return out;
  }
  Result<void> add(const GroupRow& what) {
    return in_transaction([&](store::Transaction& transaction) { return add_group(transaction, what); });
  }
  Result<void> begin(const GroupRow& before) {
    return in_transaction([&](store::Transaction& transaction) { return begin_epoch(transaction, before, group_time + 5); });
  }
  Result<void> put(const GroupRow& before, const GroupRow& next) {
    return in_transaction([&](store::Transaction& transaction) { return put_epoch_in_force(transaction, before, next); });
  }
  std::optional<GroupRow> find(const wire::GroupId& group) {
    return must(in_transaction([&](store::Transaction& transaction) { return find_group(transaction, group); }));
  }

  test::TemporaryDirectory folder_;
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_ = must(stores_.open(folder_ / "kms.db", migrations));
};
INSTANTIATE_TEST_SUITE_P(Stores, GroupRowsTest, test::every_store_kind, test::name_of);

TEST_P(GroupRowsTest, AnEpochThatIsInForceIsFoundAsItIs) {
  must(add(row(1)));
  must(put(row(1), next_of(row(1))));
  const auto found = find(id(1));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->in_force(), (wire::GroupEpoch{.group = id(1), .epoch = 1, .nonce = wire::GroupNonce(Bytes(16, 9))}));
  EXPECT_EQ(found->roster, next_of(row(1)).roster);
  EXPECT_EQ(found->h_req, Bytes(32, 1));
  EXPECT_EQ(found->answer, Bytes(100, 2));
  EXPECT_EQ(found->owner_uid, Uid("alice"));
  EXPECT_FALSE(find(id(2)));
}

TEST_P(GroupRowsTest, OfTwoOrdersThatMeetOneComesIntoForce) {
  must(add(row(1)));
  must(put(row(1), next_of(row(1))));
  const GroupRow before = *find(id(1));
  must(begin(before));
  EXPECT_EQ(refusal(begin(before)), ErrorCode::conflict) << "both had read epoch 1";
  GroupRow begun = before;
  begun.begun = 2;
  GroupRow stale = before;
  stale.epoch = 2;
  EXPECT_EQ(refusal(put(before, stale)), ErrorCode::conflict) << "another order has begun an epoch since";
  must(put(begun, next_of(begun)));
  EXPECT_EQ(refusal(put(begun, next_of(begun))), ErrorCode::conflict) << "once";
  EXPECT_EQ(find(id(1))->epoch, 2U);
}

TEST_P(GroupRowsTest, AnOwnerHasSoManyGroupsAndEachIdOnce) {
  must(add(row(1)));
  EXPECT_EQ(refusal(add(row(1))), ErrorCode::conflict);
  for (std::uint8_t i = 2; i <= groups_per_owner_max; ++i) must(add(row(i)));
  EXPECT_EQ(refusal(add(row(100))), ErrorCode::exhausted);
  GroupRow others = row(100);
  others.owner_uid = Uid("bob");
  must(add(others));
}

TEST_P(GroupRowsTest, WhatWasNeverInForceOrIsIdleOrOfAnotherLifeIsForgotten) {
  must(add(row(1)));
  must(add(row(2)));
  must(put(row(2), next_of(row(2))));
  must(in_transaction([&](store::Transaction& transaction) -> Result<void> {
    TRY(forget_unborn_group(transaction, id(1)));
    return forget_unborn_group(transaction, id(2));
  }));
  EXPECT_FALSE(find(id(1)));
  EXPECT_TRUE(find(id(2)));
  must(in_transaction([&](store::Transaction& transaction) { return forget_idle_groups(transaction, group_time + 1); }));
  EXPECT_TRUE(find(id(2)));
  must(in_transaction([&](store::Transaction& transaction) { return forget_idle_groups(transaction, group_time + 2); }));
  EXPECT_FALSE(find(id(2)));
  must(add(row(3)));
  must(in_transaction([&](store::Transaction& transaction) -> Result<void> {
    TRY(begin_life(transaction, group_time, group_time, NewLife::other_history));
    return {};
  }));
  EXPECT_FALSE(find(id(3)));
}

}  // namespace
}  // namespace qanat::kms
