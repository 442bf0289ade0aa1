// Group calls: one working key for n terminals in up to m domains, another for each epoch (docs/protocol/group.md). Members fetch it as the callee of a call
// does (application.hpp); here is who is in a group, what its owner orders, and how an epoch's key gets to the ledgers of all KMSs that serve a member.
#pragma once

#include <map>

#include "node/node.hpp"
#include "services/kms/kma/access.hpp"
#include "services/kms/kma/agreement.hpp"
#include "services/kms/kma/group_rows.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kp/owed_records.hpp"
#include "services/kms/kp/terminals.hpp"
#include "services/kms/settings.hpp"

namespace qanat::kms {

/// Why the key of an agreement that brought a group's key is destroyed.
inline constexpr std::string_view carried_why = "it carried a group's key";

class Groups {
 public:
  Groups(node::Node& node, store::Store& store, Ledger& ledger, Agreement& agreement, Access& access, const KmsSettings& settings)
      : node_(node), store_(store), ledger_(ledger), agreement_(agreement), access_(access), settings_(settings) {}

  /// km1_group: GroupRequest → GroupState. Every refusal is in the audit record before it is answered.
  Result<net::Response> answer(const net::Request& http);
  /// km2_group: the key of an epoch, from the KMS of a group's owner.
  Result<net::Response> take_key(const net::Request& http);

 private:
  using Request = wire::Framed<wire::GroupRequest>;
  /// What the order begins: the group as it is, with the number of the epoch that is begun, and who is to be in that.
  struct Plan {
    GroupRow before;
    std::vector<Number> members;
  };
  struct Making;  // one epoch while it is made, at the owner's KMS (group_epoch.cpp)
  /// Keys that are destroyed when an epoch comes into force.
  struct Gone {
    std::vector<Destroyed> retired;   // of the epoch before, that nobody has fetched
    std::vector<Destroyed> carriers;  // that brought the new one's
  };

  // groups.cpp
  /// `unborn`: the request has begun a group that did not come about.
  Result<net::Response> granted(const net::Request& http, const Request& request, bool& unborn);
  Result<Terminal> authenticate(const net::Request& http, const Request& request);
  Result<bool> is_first(const Request& request);
  Result<net::Response> show(const Request& request, const Terminal& terminal, const node::MessageSigner& own);
  Result<net::Response> repeated(const net::Request& http, const Request& request, const Terminal& terminal);
  Result<net::Response> order(const net::Request& http, const Request& request, const Terminal& owner, const node::MessageSigner& own, bool& unborn);
  Result<Plan> plan(store::Transaction& transaction, const Request& request, const Terminal& owner);
  Result<Bytes> state_of(const Request& request, const GroupRow& row, const Terminal& to, std::vector<Number> left_out, const node::MessageSigner& own);

  // group_epoch.cpp
  Result<net::Response> make_epoch(Making& making, const node::MessageSigner& own);
  Result<void> locate(Making& making);
  /// A session of the group's owner with one member.
  Asked session_with(const Making& making, const Number& number, const SidWk& sid_wk) const;
  Result<ElementName> announce(const Making& making, const Number& number);
  Result<void> agree(Making& making);
  Result<RestsOn> strength(const Making& making) const;
  Result<void> carry(Making& making, const GroupRow& next, const RestsOn& rests_on, const Secret& wk);
  Result<void> put_in_force(const Making& making, const GroupRow& next, const RestsOn& rests_on, const Secret& wk, const OwedId& owed);
  Result<void> record_epoch(const Making& making, const GroupRow& next, const RestsOn& rests_on, const OwedId& owed);
  void give_up(const Making& making);

  // group_key.cpp
  /// A member of this domain, and the session under which CMSP has announced it.
  struct Place {
    Number number;
    wire::SessionFields session;
  };
  Result<std::vector<Place>> places_of(const wire::GroupKey& said, const ElementName& from);
  struct Taken {
    std::vector<wire::ShareRef> shares;
    std::size_t members = 0;
  };
  Result<Taken> take(store::Transaction& transaction, const wire::Framed<wire::GroupKey>& message, const Identity& from, const std::vector<Place>& places,
                     const OwedId& owed);

  // Both sides.
  /// A leg for each: added, and reserved at once.
  Result<void> add_leg(store::Transaction& transaction, const wire::GroupEpoch& which, const Terminal& member, const WorkingKey& like);
  /// What nobody has fetched of the epoch that was in force, by the members that are served here.
  Result<std::vector<Destroyed>> retire(store::Transaction& transaction, const GroupRow& row, std::uint32_t next_epoch);
  /// Part of the transaction that ended them; whoever ran it pays (owed_records.hpp).
  Result<void> owe_gone(store::Transaction& transaction, const OwedId& id, const Gone& gone);
  [[nodiscard]] UnixMs expiry() const { return node_.clock().now_ms() + static_cast<UnixMs>(agreement_.terms()->wk_lifetime.count()); }
  [[nodiscard]] ElementName own_name() const { return ElementName(node_.identity().name); }

  node::Node& node_;
  store::Store& store_;
  Ledger& ledger_;
  Agreement& agreement_;
  Access& access_;
  const KmsSettings& settings_;
};

}  // namespace qanat::kms
