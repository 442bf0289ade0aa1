// Group calls at a terminal (docs/protocol/group.md): the owner's orders, what any member is told, and the epoch's key. The KMSs of all members can read what
// is protected by it: whoever shows a group to people says so.
#pragma once

#include "terminal/key_client.hpp"
#include "terminal/srtp_keys.hpp"
#include "wire/group_schedule.hpp"

namespace qanat::terminal {

/// A group in one epoch, as this terminal's KMS says.
struct GroupView {
  wire::GroupEpoch which;
  Number owner;
  wire::Roster roster;
  std::vector<Number> left_out;  // who should be in it and has no key of this epoch

  /// Who can read the group: every KMS that serves a member.
  [[nodiscard]] std::vector<std::string> readers() const;
};

/// What the member's key of that epoch is asked for with.
KeyWanted group_key_wanted(const crypto::Suite& suite, const GroupView& view, const Number& own);

/// The epoch's keys of all senders.
class GroupKeys {
 public:
  GroupKeys(const crypto::Suite& suite, GroupView view, WorkingKey key) : suite_(suite), view_(std::move(view)), key_(std::move(key)) {}
  /// `denied` for who is not in the group.
  Result<MediaKeys> of(const Number& sender) const;
  [[nodiscard]] Mki mki() const { return mki_of(wire::group_epoch_name(suite_, view_.which)); }
  [[nodiscard]] const GroupView& view() const { return view_; }
  /// What members compare.
  [[nodiscard]] std::string fingerprint() const { return wire::wk_fingerprint(suite_, key_.wk); }
  /// What it rests on, as the KMS vouches: that of the weakest of the ways to the other domains.
  [[nodiscard]] wire::Assurance assurance() const { return key_.assurance; }

 private:
  const crypto::Suite& suite_;
  GroupView view_;
  WorkingKey key_;
};

class GroupClient {
 public:
  struct Parts {
    const Applicant& applicant;
    const Number& number;
    Bytes token_ref;  // digest of the access token that the KMS gave last, or zero
    const Clock& clock;
    crypto::Rng& rng;
    SendToKms send;
    CheckKms check_kms;
  };
  explicit GroupClient(Parts parts) : parts_(std::move(parts)) {}

  /// A new group of this terminal and `members`.
  Result<GroupView> open(std::vector<Number> members, Deadline deadline);
  /// Order join or leave, after `present`, which must be in force. Where the answer may have been lost, the same order is sent again and gets the same answer.
  Result<GroupView> change(wire::GroupOrder order, const wire::GroupEpoch& present, std::vector<Number> members, Deadline deadline);
  Result<GroupView> show(const wire::GroupId& group, Deadline deadline);
  /// The key of that epoch, acknowledged: the KMS has destroyed its own, and gives it to nobody else.
  Result<GroupKeys> keys(const GroupView& view, KeySource& source, Deadline deadline, const std::stop_token& stop);

 private:
  Result<GroupView> ask(wire::GroupOrder order, const wire::GroupEpoch& present, std::vector<Number> members, Deadline deadline);
  Result<GroupView> judge(const wire::Framed<wire::GroupRequest>& asked, ByteView answer, const node::Sender& kms);

  Parts parts_;
};

}  // namespace qanat::terminal
