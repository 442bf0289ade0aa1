#include "services/cmsp/compliance/evidence.hpp"

#include <algorithm>

#include "services/cmsp/compliance/demands.hpp"
#include "services/cmsp/known_kms.hpp"

namespace qanat::cmsp {
namespace {

constexpr std::int64_t evidence_kept = 16;  // per KMS

wire::Json findings_json(const std::vector<std::string>& findings) {
  wire::Json out = wire::Json::array();
  for (const std::string& finding : findings) out.push(finding);
  return out;
}

}  // namespace

Result<Evidence::Last> Evidence::last_of(store::Transaction& transaction, const std::string& kms) {
  std::string text;
  std::string findings;
  Last out;
  TRY(transaction.query("SELECT evidence, findings, received_ms FROM kms_evidence WHERE kms = ? ORDER BY number DESC LIMIT 1", {std::string_view(kms)},
                        [&](const store::Row& row) {
                          text = row.text(0);
                          findings = row.text(1);
                          out.received_ms = static_cast<UnixMs>(row.integer(2));
                        }));
  if (text.empty()) return Result<Last>(std::move(out));
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(text));
  ASSIGN_OR_RETURN(out.evidence, points::read_kms_evidence(json));
  ASSIGN_OR_RETURN(const wire::Json list, wire::Json::parse(findings));
  ASSIGN_OR_RETURN(out.findings, list.texts("findings"));
  return Result<Last>(std::move(out));
}

Result<net::Response> Evidence::take(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const ElementName kms, known_kms(node_, *request.peer.identity));
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const points::KmsEvidence evidence, points::read_kms_evidence(json));
  const UnixMs now = node_.clock().now_ms();
  ASSIGN_OR_RETURN(const Last before, store_.transact([&](store::Transaction& transaction) { return last_of(transaction, kms.text()); }));
  const std::vector<std::string> findings =
      judge_evidence(evidence, before.evidence, {.suite = std::string(node_.suite().name), .epoch = node_.settings().policy_epoch, .now = now});
  deed.object = kms.text() + " " + std::to_string(findings.size()) + " findings";
  for (const std::string& finding : findings) {
    if (std::ranges::find(before.findings, finding) != before.findings.end()) continue;
    TRY(node_.record({.action = "mc-2.finding",
                      .outcome = audit::Outcome::failure,
                      .subject = request.peer.identity->uri(),
                      .object = kms.text(),
                      .reason = finding,
                      .request_id = request.request_id}));
  }
  const wire::Json answer = wire::Json::object({{"findings", findings_json(findings)}});
  const std::string text = points::to_json(evidence).dump();
  const std::string found = answer.dump();
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(
        transaction.run("INSERT INTO kms_evidence (kms, number, evidence, findings, received_ms) "
                        "VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM kms_evidence WHERE kms = ?1), ?2, ?3, ?4)",
                        {std::string_view(kms.text()), std::string_view(text), std::string_view(found), store::column(now)}));
    TRY(transaction.run("DELETE FROM kms_evidence WHERE kms = ?1 AND number <= (SELECT max(number) FROM kms_evidence WHERE kms = ?1) - ?2",
                        {std::string_view(kms.text()), evidence_kept}));
    return {};
  }));
  return node::json_response(answer);
}

void Evidence::describe(wire::Json& health) {
  const UnixMs now = node_.clock().now_ms();
  wire::Json out = wire::Json::array();
  for (const auto& [name, peer] : node_.settings().peers) {
    if (peer.expected.kind != Kind::kms) continue;
    const auto last = store_.transact([&, &kms = name](store::Transaction& transaction) { return last_of(transaction, kms); });
    if (!last) continue;
    wire::Json one = wire::Json::object({{"kms", name}});
    std::vector<std::string> findings = last->findings;
    // Until it could have come, nothing is missing.
    if (now - std::min(now, std::max(last->received_ms, opened_ms_)) > evidence_age_max_ms) findings.emplace_back("no evidence for more than two hours");
    if (last->evidence) one.set("received_ms", last->received_ms).set("device", last->evidence->device);
    one.set("findings", findings_json(findings));
    out.push(one);
  }
  health.set("compliance", out);
}

}  // namespace qanat::cmsp
