#include "services/kms/compliance/evidence.hpp"

#include "crypto/self_test.hpp"
#include "store/lifecycle.hpp"

namespace qanat::kms {

static_assert(node::front_ends_max == points::evidence_front_end_max);

Result<points::KmsEvidence> gather_evidence(node::Node& node, store::Store& store, Ledger& ledger) {
  points::KmsEvidence out;
  out.at_ms = node.clock().now_ms();
  out.front_end = node.settings().store ? std::int64_t{node.settings().store->front_end} : 0;
  const Result<void> tested = crypto::power_on_self_test();
  TRY(node.record({.action = "self-test",
                   .outcome = tested ? audit::Outcome::success : audit::Outcome::failure,
                   .subject = node.identity().uri(),
                   .object = "",
                   .reason = tested ? "" : tested.error().message,
                   .request_id = ""}));
  if (tested) {
    for (const std::string_view primitive : crypto::self_tested_primitives()) out.self_tests.emplace_back(primitive);
  } else {
    out.self_test_failure = tested.error().message;
  }
  out.suite = node.suite().name;
  out.epoch = node.settings().policy_epoch;
  out.algorithms = points::algorithms_of(node.suite());
  out.sizes = points::sizes_of(node.suite());
  ASSIGN_OR_RETURN(out.random, crypto::sample_random(node.device()));
  out.device = node.device().kind();
  out.device_state = crypto::name(node.device().health().state);
  ASSIGN_OR_RETURN(const std::vector<std::int64_t> census, store.transact([&](store::Transaction& transaction) { return ledger.census(transaction); }));
  for (std::size_t i = 0; i < census.size(); ++i) out.working_keys.emplace_back(store::name(store::all_key_states[i]), census[i]);
  TRY(node.checkpoints().make());
  const audit::TreeHead head = node.checkpoints().latest().head;
  out.audit_size = static_cast<std::int64_t>(head.size);
  out.audit_root = Bytes(head.root.begin(), head.root.end());
  return out;
}

Result<std::vector<std::string>> show_evidence(node::Node& node, store::Store& store, Ledger& ledger, Deadline deadline) {
  ASSIGN_OR_RETURN(const std::string cmsp, node.peer_of(Kind::cmsp));
  ASSIGN_OR_RETURN(const points::KmsEvidence evidence, gather_evidence(node, store, ledger));
  ASSIGN_OR_RETURN(const wire::Json answer, node.call_json(points::Endpoint::mc2_evidence, cmsp, points::to_json(evidence), deadline, node.new_request_id()));
  return answer.texts("findings");
}

}  // namespace qanat::kms
