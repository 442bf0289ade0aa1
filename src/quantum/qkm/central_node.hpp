// This QKM's part in centralised relays (points/central_relay.hpp): orders them, reports, takes delivery. No sockets: what goes to the
// controllers leaves through Ports.
//
// Each link key serves one relay and is used up, durably and on record, before its x leaves; whoever is left without an answer has nothing that
// could be used again. What comes out can be altered by whoever alters an x: the near end has the far end's confirmation before the keys count.
#pragma once

#include "crypto/site_key.hpp"
#include "points/central_relay.hpp"
#include "quantum/qkm/relay_node.hpp"

namespace qanat::qkm {

class CentralNode {
 public:
  struct Ports {
    /// Brings the order to the controller that leads: its answer.
    std::function<Result<points::CentralAnswer>(const points::CentralHandover& order, Deadline deadline, const std::string& request_id)> order;
    decltype(RelayPorts::record) record;
  };
  /// `controller_key`: shared with the controllers, charged by file like a site key.
  CentralNode(RelayPlace place, RelayNode::Parts parts, crypto::SiteKey controller_key, Ports ports)
      : place_(std::move(place)), parts_(parts), controller_key_(std::move(controller_key)), ports_(std::move(ports)) {}

  /// As RelayNode::relay().
  Result<BatchId> relay(const RelayOrder& order, Deadline deadline, const std::string& request_id);
  /// The controller's requests; the caller has made sure that it is one. A block that this end has not got is an answer, not a failure: the node
  /// that named it can then stop using it.
  Result<points::CentralReport> report(const points::CentralReportOrder& order, Deadline deadline, const std::string& request_id);
  Result<points::CentralAnswer> deliver(const points::CentralHandover& delivery, Deadline deadline, const std::string& request_id);

  /// The next node has not got these chunks: what is left of them is dropped.
  Result<void> missing(const points::CentralNotice& notice);

 private:
  struct Ordered {
    points::CentralHandover handover;
    points::CentralAnswer answer;
  };
  Result<Ordered> order_once(const RelayOrder& order, const Secret& secrets, Deadline deadline, const std::string& request_id);
  Result<Ordered> order_until_whole(const RelayOrder& order, const Secret& secrets, Deadline deadline, const std::string& request_id);
  Result<const LinkId*> link_to(const ElementName& neighbour) const;
  void await_blocks(std::span<const KeyRun> runs, Deadline deadline);
  Result<void> record(std::span<const KeyRun> runs, const ElementName& neighbour, const std::string& request_id);

  const RelayPlace place_;
  const RelayNode::Parts parts_;
  const crypto::SiteKey controller_key_;
  const Ports ports_;
};

}  // namespace qanat::qkm
