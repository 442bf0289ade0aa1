// What a link costs to relay over, and what a path is called: the policy behind the searches of graph.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/id.hpp"
#include "base/result.hpp"
#include "points/relay_path.hpp"

namespace qanat::qkdnc {

inline constexpr std::size_t path_nodes_max = points::relay_nodes_max;  // with both ends; longer than a relay may be is no path
inline constexpr std::size_t paths_max = 8;                             // node-disjoint, of one answer

/// How urgent a demand for keys is. background may not empty links; urgent goes before capacity that others were promised.
enum class Priority : std::uint8_t { background, normal, urgent };
std::string_view name(Priority priority) noexcept;
Result<Priority> priority_from_name(std::string_view text);

/// One direction of a link as its sender reported it.
struct LinkState {
  std::int64_t stock = 0;  // keys that the sender may still send with
  double rate_bps = 0.0;   // of new secret bits, over the optics' own time
  double qber = 0.0;
  double loss_db = 0.0;  // of the light, to be shown: a link that loses more has less key, and by that it is judged
  bool alive = false;  // its QKDs make new keys
};

/// A link whose QKDs rest can be relayed over while it has keys.
bool is_usable(const LinkState& link);
/// What an arc costs: a hop, more when keys run short, far more when there are not enough for one relay: such a link is taken only where there
/// is no other way.
std::int64_t cost_of(const LinkState& link);
/// Relayed keys of 256 bits that a link's rate sustains per second in one direction. Either direction owns half of the link's keys; a batch's
/// one authentication key is not counted.
double relays_per_second(const LinkState& link);

/// The first 8 octets of SHA-256 over the nodes' names, each behind its length (one octet). The QKMs compute the same.
PathId path_id_of(std::span<const ElementName> path);

}  // namespace qanat::qkdnc
