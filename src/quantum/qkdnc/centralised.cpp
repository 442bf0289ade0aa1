#include "quantum/qkdnc/centralised.hpp"

namespace qanat::qkdnc {

Result<const crypto::SiteKey*> Centralised::key_of(const ElementName& qkm) const {
  const auto found = keys_.find(qkm);
  if (found == keys_.end()) return fail(ErrorCode::unavailable, "no controller key is shared with " + qkm.text());
  return &found->second;
}

Result<Bytes> Centralised::relay(const ElementName& caller, const points::CentralHandover& order, Deadline deadline, const std::string& request_id) {
  const points::CentralRelay& relay = order.relay;
  const std::string name = "relay " + relay.relay_id.hex();
  if (relay.path.front() != caller) return fail(ErrorCode::denied, name + ": its path does not begin at " + caller.text());
  // Before a link key is used up for nothing.
  for (const ElementName& node : relay.path) TRY(key_of(node));
  const auto last = static_cast<std::uint8_t>(relay.path.size() - 1);
  const auto unwrap = [&](std::uint8_t hop, std::span<const KeyRun> runs, ByteView sealed) -> Result<Secret> {
    ASSIGN_OR_RETURN(const crypto::SiteKey* const key, key_of(relay.path[hop]));
    auto x = key->unwrap(points::central_context(relay, hop, runs), sealed);
    if (!x) return fail_in(name + ": the report of " + relay.path[hop].text(), x.error());
    if (x->size() != relay.keys * points::central_key_size)
      return fail(ErrorCode::invalid_argument, name + ": the report of " + relay.path[hop].text() + " has not the size of its keys");
    return x;
  };
  ASSIGN_OR_RETURN(Secret x, unwrap(0, order.runs, order.x));
  std::vector<KeyRun> runs = order.runs;
  for (std::uint8_t hop = 1; hop < last; ++hop) {
    auto report = ports_.report(relay.path[hop], {.relay = relay, .hop = hop, .runs = runs}, deadline, request_id);
    if (!report) return fail_in(relay.path[hop].text(), report.error());
    ASSIGN_OR_RETURN(const Secret reported, unwrap(hop, report->runs, report->x));
    x.xor_with(reported);
    runs = std::move(report->runs);
  }
  ASSIGN_OR_RETURN(const crypto::SiteKey* const far, key_of(relay.path[last]));
  const points::CentralHandover delivery{.relay = relay, .runs = runs, .x = far->wrap(points::central_context(relay, last, runs), x, rng_)};
  auto confirmation = ports_.deliver(relay.path[last], delivery, deadline, request_id);
  if (!confirmation) return fail_in(relay.path[last].text(), confirmation.error());
  return confirmation;
}

}  // namespace qanat::qkdnc
