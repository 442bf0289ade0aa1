// Names and keys of a group call (docs/protocol/group.md). Own design.
#pragma once

#include <span>

#include "wire/ax_schedule.hpp"
#include "wire/qfc2_group.hpp"

namespace qanat::wire {

/// One epoch of one group.
struct GroupEpoch {
  GroupId group;
  std::uint32_t epoch = 0;
  GroupNonce nonce = {};
  bool operator==(const GroupEpoch&) const = default;
};

/// The session of one member's key, used once. No secret, but nobody can use it up who is not told of the epoch: a leaver does not stand in its way.
SidWk group_sid_wk(const crypto::Suite& suite, const GroupEpoch& which, const Number& member);
/// What the member's key protects.
SidCall group_sid_call(const crypto::Suite& suite, const GroupEpoch& which, const Number& owner, const Number& member);
/// Names the epoch; SRTP's MKI is its beginning.
SidWk group_epoch_name(const crypto::Suite& suite, const GroupEpoch& which);

/// What a carrier's key gives to the epoch's, 32 octets.
Secret group_mix(const crypto::Suite& suite, const Secret& carrier_wk, const SidWk& carrier);
/// The epoch's WK, 32 octets. `drawn` 32 octets from the crypto device; `mixes` of all carriers, in the order of their KMSs' names.
Secret group_wk(const crypto::Suite& suite, const GroupEpoch& which, const Secret& drawn, std::span<const Secret> mixes);

/// `message` with `sealed` filled in; everything else must be final.
Result<GroupKey> seal_group_key(const crypto::Suite& suite, std::uint32_t policy_epoch, GroupKey message, const Secret& carrier_wk, const Secret& wk);
/// `denied` if the seal does not hold.
Result<Secret> open_group_key(const Framed<GroupKey>& message, const Secret& carrier_wk);

/// SRTP master key and salt of all that one member sends in the epoch. `roster` as it was told: who was told another has other keys.
Result<MediaKey> group_media_key(const crypto::Suite& suite, const Secret& wk, const GroupEpoch& which, const Number& owner, const Roster& roster,
                                 const Number& sender);

}  // namespace qanat::wire
