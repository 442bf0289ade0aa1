#include <algorithm>

#include "kme/stream_provider.hpp"

namespace qanat::kme {
namespace {

/// `asked` within the bounds; zero is no wish.
std::uint32_t within(std::uint32_t asked, std::uint32_t least, std::uint32_t most, std::uint32_t otherwise) {
  return asked == 0 ? otherwise : std::clamp(asked, least, most);
}

bool keeps(std::uint32_t asked, std::uint32_t granted) { return asked == 0 || asked == granted; }

bool keeps(const StreamQos& asked, const StreamQos& granted) {
  return keeps(asked.chunk_octets, granted.chunk_octets) && keeps(asked.max_bps, granted.max_bps) && keeps(asked.min_bps, granted.min_bps) &&
         keeps(asked.priority, granted.priority) && keeps(asked.timeout_ms, granted.timeout_ms) && keeps(asked.ttl_s, granted.ttl_s) &&
         (asked.mimetype.empty() || asked.mimetype == granted.mimetype);
}

}  // namespace

GrantedQos grant(const StreamQos& asked, const StreamBounds& bounds, std::uint64_t bps_committed) {
  const auto bps_left = static_cast<std::uint32_t>(bounds.bps_max - std::min<std::uint64_t>(bounds.bps_max, bps_committed));
  StreamQos out{.chunk_octets = within(asked.chunk_octets, bounds.chunk_octets_min, bounds.chunk_octets_max, bounds.chunk_octets_default),
                .max_bps = within(asked.max_bps, 1, bounds.bps_max, bounds.bps_max),
                .min_bps = 0,
                .jitter_bps = asked.jitter_bps,  // keys come when they are asked for: nothing is promised, nothing refused
                .priority = within(asked.priority, 0, bounds.priority_max, 0),
                .timeout_ms = within(asked.timeout_ms, 1, bounds.timeout_ms_max, bounds.timeout_ms_default),
                .ttl_s = within(asked.ttl_s, 1, bounds.ttl_s_max, bounds.ttl_s_max),
                .mimetype = asked.mimetype.empty() ? std::string() : std::string(metadata_mimetype)};
  out.min_bps = std::min({asked.min_bps, out.max_bps, bps_left});
  const bool as_asked = keeps(asked, out);
  return {.qos = std::move(out), .as_asked = as_asked};
}

GrantedQos grant_joining(const StreamQos& asked, const StreamQos& of_stream, const StreamBounds& bounds) {
  StreamQos out = of_stream;
  out.jitter_bps = asked.jitter_bps;
  out.priority = within(asked.priority, 0, bounds.priority_max, 0);
  out.timeout_ms = within(asked.timeout_ms, 1, bounds.timeout_ms_max, bounds.timeout_ms_default);
  out.mimetype = asked.mimetype.empty() ? std::string() : std::string(metadata_mimetype);
  const bool as_asked = keeps(asked, out);
  return {.qos = std::move(out), .as_asked = as_asked};
}

}  // namespace qanat::kme
