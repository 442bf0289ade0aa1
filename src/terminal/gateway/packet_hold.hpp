// Packets of the far end held back for the moment in which an IKE SA is made, so that none comes before the SA that it is for.
//
// Who answers IKE_AUTH (RFC 7296 §1.2) installs its SA before it answers, and sends on it at once; until the answer is worked off here, which takes about a
// millisecond, what it sends is unknown here and lost. The kernel keeps such packets in a queue of netfilter (NFQUEUE) meanwhile. A rule of the operator leads
// them there; with `bypass` it does nothing while nobody listens, that is: whenever no key is changed (docs/operations/gateway.md).
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>

#include "base/result.hpp"

namespace qanat::terminal::gateway {

struct HoldSettings {
  std::uint16_t queue = 0;                  // its number; 0: nothing is held
  std::filesystem::path network_namespace;  // where the gateway's daemon runs, "/run/netns/NAME"; empty: here
};

class PacketHold {
 public:
  /// From now on packets wait, at most `longest`: whatever becomes of the SA, traffic goes on then. Needs CAP_NET_ADMIN (and CAP_SYS_ADMIN for another
  /// namespace); denied without, unavailable if somebody else has the queue.
  static Result<std::unique_ptr<PacketHold>> begin(const HoldSettings& settings, std::chrono::milliseconds longest);
  /// All that waited goes on, in its order.
  virtual ~PacketHold() = default;
};

}  // namespace qanat::terminal::gateway
