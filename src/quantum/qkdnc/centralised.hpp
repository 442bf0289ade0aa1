// The controller's part in centralised relays (points/central_relay.hpp): it asks the relays of the path in their order for what they report,
// and hands the sum to the far end. It never holds a link key or a secret: every x that it sees is one under a key that it has not got.
#pragma once

#include <functional>
#include <map>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "crypto/random.hpp"
#include "crypto/site_key.hpp"
#include "points/central_relay.hpp"

namespace qanat::qkdnc {

class Centralised {
 public:
  struct Ports {
    std::function<Result<points::CentralReport>(const ElementName& qkm, const points::CentralReportOrder& order, Deadline deadline, const std::string& id)>
        report;
    std::function<Result<points::CentralAnswer>(const ElementName& qkm, const points::CentralHandover& delivery, Deadline deadline, const std::string& id)>
        deliver;
    /// Tells a relay that the next node lacks chunks.
    std::function<Result<void>(const ElementName& qkm, const points::CentralNotice& notice, Deadline deadline, const std::string& id)> missing;
  };
  /// `keys`: shared with each QKM, charged by file like site keys.
  Centralised(std::map<ElementName, crypto::SiteKey> keys, crypto::Rng& rng, Ports ports) : keys_(std::move(keys)), rng_(rng), ports_(std::move(ports)) {}

  /// The relay that `caller` orders: the far end's confirmation, which only the caller can check. Or, if a node has not got a block that the node
  /// before it used: which; that node has been told then, and the caller may order anew. denied if it is not the first of the path; unavailable for a
  /// node that this controller shares no key with. After a failure the link keys that were named are used up all the same.
  Result<points::CentralAnswer> relay(const ElementName& caller, const points::CentralHandover& order, Deadline deadline, const std::string& request_id);

 private:
  Result<const crypto::SiteKey*> key_of(const ElementName& qkm) const;
  Result<points::CentralAnswer> lacking(const points::CentralRelay& relay, std::uint8_t hop, std::span<const KeyRun> runs, std::vector<BatchId> missing,
                                        Deadline deadline, const std::string& request_id);

  const std::map<ElementName, crypto::SiteKey> keys_;
  crypto::Rng& rng_;
  const Ports ports_;
};

}  // namespace qanat::qkdnc
