// What a KMS keeps of a group: at the owner's KMS all of it, at those of the members the last epoch that they were told of. No key is in it.
#pragma once

#include <optional>

#include "base/clock.hpp"
#include "store/store.hpp"
#include "wire/group_schedule.hpp"

namespace qanat::kms {

struct GroupRow {
  wire::GroupId group;
  Uid owner_uid;
  Number owner;
  ElementName owner_kms;
  std::uint32_t begun = 0;  // the last epoch that was begun; a number is never used twice
  std::uint32_t epoch = 0;  // in force; 0: none yet
  wire::GroupNonce nonce;   // of the epoch in force, as is
  wire::Roster roster;
  Bytes h_req;  // the last order that was carried out, and what it was answered
  Bytes answer;
  UnixMs changed_ms = 0;

  [[nodiscard]] wire::GroupEpoch in_force() const { return {.group = group, .epoch = epoch, .nonce = nonce}; }
};

Result<std::optional<GroupRow>> find_group(store::Transaction& transaction, const wire::GroupId& group);
/// `conflict` if there is one of this id; `exhausted` if the owner has as many as it may.
Result<void> add_group(store::Transaction& transaction, const GroupRow& row);
/// The next epoch's number, used from now on.
Result<void> begin_epoch(store::Transaction& transaction, const GroupRow& before, UnixMs now);
/// `next` instead of `before`, if that is still what is in force and `next.epoch` the last that was begun; `conflict` otherwise.
Result<void> put_epoch_in_force(store::Transaction& transaction, const GroupRow& before, const GroupRow& next);
/// If no epoch of it has ever been in force.
Result<void> forget_unborn_group(store::Transaction& transaction, const wire::GroupId& group);
Result<void> forget_idle_groups(store::Transaction& transaction, UnixMs changed_before);

}  // namespace qanat::kms
