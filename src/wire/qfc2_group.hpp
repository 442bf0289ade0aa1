// Group calls: what an owner orders of its KMS and is answered, and how an epoch's key gets to another domain's KMS (docs/protocol/group.md).
#pragma once

#include <vector>

#include "base/clock.hpp"
#include "wire/qfc2_header.hpp"

namespace qanat::wire {

struct GroupTag;
using GroupId = Id<GroupTag, 32>;  // drawn by the owner, once
struct GroupNonceTag;
using GroupNonce = Id<GroupNonceTag, 16>;  // drawn by the owner's KMS for each epoch, and told to nobody before that is in force

inline constexpr std::size_t group_members_max = 64;
inline constexpr std::size_t group_members_min = 2;
inline constexpr std::size_t group_sealed_size = 48;  // WK and a tag

enum class GroupOrder : std::uint8_t { open = 1, join = 2, leave = 3, show = 4 };
constexpr std::string_view name(GroupOrder order) noexcept {
  switch (order) {
    case GroupOrder::open:
      return "open";
    case GroupOrder::join:
      return "join";
    case GroupOrder::leave:
      return "leave";
    case GroupOrder::show:
      return "show";
  }
  return "?";
}

struct GroupMember {
  Number number;
  ElementName kms;  // that serves it, and can read the group
  bool operator==(const GroupMember&) const = default;
};
/// Who is in the group in one epoch: ascending by number, the owner among them.
using Roster = std::vector<GroupMember>;
[[nodiscard]] bool has(const Roster& roster, const Number& number);

/// 34, terminal → its KMS, signed by the terminal.
struct GroupRequest {
  static constexpr MessageType type = MessageType::group_request;
  static constexpr Closing closing = Closing::signature;
  GroupId group;
  GroupOrder order{};
  std::uint32_t epoch = 0;  // that is in force; 0 for open and show
  Uid uid;
  Number number;
  ElementName kms_id;
  Bytes nonce;  // 32
  UnixMs ts_ms = 0;
  Assurance min_assurance = Assurance::local_rng;
  Bytes token_ref;  // digest of the access token; zero: none
  Fingerprints fps;
  std::vector<Number> members;  // whom the order is about, ascending; none for show
  bool operator==(const GroupRequest&) const = default;
};

/// 3B, KMS → terminal, signed by the KMS.
struct GroupState {
  static constexpr MessageType type = MessageType::group_state;
  static constexpr Closing closing = Closing::signature;
  Bytes h_req;  // message hash of the GroupRequest
  GroupId group;
  std::uint32_t epoch = 0;  // in force
  GroupNonce nonce;         // its own
  Uid uid;
  ElementName kms_id;
  UnixMs ts_ms = 0;
  Number owner;
  Roster roster;
  std::vector<Number> left_out;  // who should be in and has no key of this epoch, ascending; always none for show
  Fingerprints fps;
  bool operator==(const GroupState&) const = default;
};

/// 39, KMS-A → KMS-B; kc_a and the seal authenticate it.
struct GroupKey {
  static constexpr MessageType type = MessageType::group_key;
  static constexpr Closing closing = Closing::none;
  SidWk sid_wk;    // of the carrier
  Bytes h_accept;  // message hash of the carrier's accept
  Bytes kc_a;      // digest
  GroupId group;
  std::uint32_t epoch = 0;
  GroupNonce nonce;
  Number owner;
  Roster roster;
  Assurance assurance{};  // of the epoch's key: that of its weakest carrier
  std::uint8_t n_paths = 0;
  std::uint8_t path_min = 0;
  Bytes sealed;  // group_sealed_size (seal_group_key in group_schedule.hpp)
  bool operator==(const GroupKey&) const = default;
};

/// Header and body up to (without) `sealed`: the seal's associated data.
Result<Bytes> octets_before_sealed(const crypto::Suite& suite, std::uint32_t policy_epoch, const GroupKey& message);

/// Owner and roster in one encoding, as the schedule has them; `invalid_argument` for a roster that no message could carry.
Result<Bytes> encode_roster(const crypto::Suite& suite, const Number& owner, const Roster& roster);

}  // namespace qanat::wire
