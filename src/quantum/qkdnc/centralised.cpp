#include "quantum/qkdnc/centralised.hpp"

namespace qanat::qkdnc {

Result<const crypto::SiteKey*> Centralised::key_of(const ElementName& qkm) const {
  const auto found = keys_.find(qkm);
  if (found == keys_.end()) return fail(ErrorCode::unavailable, "no controller key is shared with " + qkm.text());
  return &found->second;
}

/// Node `hop` has not got these chunks of the keys that the node before it has named. The first node learns it from the answer.
Result<points::CentralAnswer> Centralised::lacking(const points::CentralRelay& relay, std::uint8_t hop, std::span<const KeyRun> runs,
                                                   std::vector<BatchId> missing, Deadline deadline, const std::string& request_id) {
  if (!points::are_named(missing, runs))
    return fail(ErrorCode::denied, "relay " + relay.relay_id.hex() + ": " + relay.path[hop].text() + " misses chunks that nobody named");
  const auto before = static_cast<std::uint8_t>(hop - 1);
  if (before > 0) TRY(ports_.missing(relay.path[before], {.relay = relay, .hop = before, .missing = missing}, deadline, request_id));
  return points::CentralAnswer{.confirmation = {}, .proof = {}, .hop = hop, .missing = std::move(missing)};
}

Result<points::CentralAnswer> Centralised::relay(const ElementName& caller, const points::CentralHandover& order, Deadline deadline, const std::string& request_id) {
  const points::CentralRelay& relay = order.relay;
  const std::string name = "relay " + relay.relay_id.hex();
  if (relay.path.front() != caller) return fail(ErrorCode::denied, name + ": its path does not begin at " + caller.text());
  // Before a link key is used up for nothing.
  for (const ElementName& node : relay.path) TRY(key_of(node));
  const auto last = static_cast<std::uint8_t>(relay.path.size() - 1);
  const auto unwrap = [&](std::uint8_t hop, std::span<const KeyRun> runs, const points::KeyProof& proof, ByteView sealed) -> Result<Secret> {
    ASSIGN_OR_RETURN(const crypto::SiteKey* const key, key_of(relay.path[hop]));
    auto x = key->unwrap(points::central_context(relay, hop, runs, proof), sealed);
    if (!x) return fail_in(name + ": the report of " + relay.path[hop].text(), x.error());
    if (x->size() != relay.keys * points::central_key_size)
      return fail(ErrorCode::invalid_argument, name + ": the report of " + relay.path[hop].text() + " has not the size of its keys");
    return x;
  };
  ASSIGN_OR_RETURN(Secret x, unwrap(0, order.runs, order.proof, order.x));
  std::vector<KeyRun> runs = order.runs;
  points::KeyProof proof = order.proof;
  for (std::uint8_t hop = 1; hop < last; ++hop) {
    auto report = ports_.report(relay.path[hop], {.relay = relay, .hop = hop, .runs = runs, .proof = proof}, deadline, request_id);
    if (!report) return fail_in(relay.path[hop].text(), report.error());
    if (!report->missing.empty()) return lacking(relay, hop, runs, std::move(report->missing), deadline, request_id);
    ASSIGN_OR_RETURN(const Secret reported, unwrap(hop, report->runs, report->proof, report->x));
    if (points::weaker(proof, report->proof) != report->proof)
      return fail(ErrorCode::denied, name + ": " + relay.path[hop].text() + " says that the keys before it are worth more than they were");
    x.xor_with(reported);
    proof = report->proof;
    runs = std::move(report->runs);
  }
  ASSIGN_OR_RETURN(const crypto::SiteKey* const far, key_of(relay.path[last]));
  const points::CentralHandover delivery{.relay = relay, .runs = runs, .proof = proof, .x = far->wrap(points::central_context(relay, last, runs, proof), x, rng_)};
  auto answer = ports_.deliver(relay.path[last], delivery, deadline, request_id);
  if (!answer) return fail_in(relay.path[last].text(), answer.error());
  if (!answer->missing.empty()) return lacking(relay, last, runs, std::move(answer->missing), deadline, request_id);
  return answer;
}

}  // namespace qanat::qkdnc
