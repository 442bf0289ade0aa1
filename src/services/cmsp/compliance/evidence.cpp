#include "services/cmsp/compliance/evidence.hpp"

#include <algorithm>

#include "services/cmsp/compliance/demands.hpp"
#include "services/cmsp/known_kms.hpp"

namespace qanat::cmsp {
namespace {

constexpr std::int64_t evidence_kept = 16;  // per front end of a KMS

wire::Json findings_json(const std::vector<std::string>& findings) {
  wire::Json out = wire::Json::array();
  for (const std::string& finding : findings) out.push(finding);
  return out;
}

}  // namespace

Result<std::vector<Evidence::Last>> Evidence::last_of(store::Transaction& transaction, const std::string& kms) {
  struct Stored {
    std::string evidence;
    std::string findings;
    UnixMs received_ms = 0;
  };
  std::vector<Stored> rows;
  TRY(
      transaction.query("SELECT evidence, findings, received_ms FROM kms_evidence AS one WHERE kms = ? AND number = "
                        "(SELECT max(number) FROM kms_evidence WHERE kms = one.kms AND front_end = one.front_end) ORDER BY front_end",
                        {std::string_view(kms)}, [&](const store::Row& row) {
                          rows.push_back({.evidence = row.text(0), .findings = row.text(1), .received_ms = static_cast<UnixMs>(row.integer(2))});
                        }));
  std::vector<Last> out;
  for (const Stored& row : rows) {
    Last last{.evidence = {}, .findings = {}, .received_ms = row.received_ms};
    ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(row.evidence));
    ASSIGN_OR_RETURN(last.evidence, points::read_kms_evidence(json));
    ASSIGN_OR_RETURN(const wire::Json list, wire::Json::parse(row.findings));
    ASSIGN_OR_RETURN(last.findings, list.texts("findings"));
    out.push_back(std::move(last));
  }
  return Result<std::vector<Last>>(std::move(out));
}

Result<net::Response> Evidence::take(const net::Request& request, node::Deed& deed) {
  ASSIGN_OR_RETURN(const ElementName kms, known_kms(node_, *request.peer.identity));
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(request.body));
  ASSIGN_OR_RETURN(const points::KmsEvidence evidence, points::read_kms_evidence(json));
  const UnixMs now = node_.clock().now_ms();
  ASSIGN_OR_RETURN(const std::vector<Last> lasts, store_.transact([&](store::Transaction& transaction) { return last_of(transaction, kms.text()); }));
  const auto last = std::ranges::find(lasts, evidence.front_end, [](const Last& one) { return one.evidence.front_end; });
  const std::optional<points::KmsEvidence> before = last == lasts.end() ? std::nullopt : std::optional(last->evidence);
  const std::string who = kms.text() + (evidence.front_end > 0 ? " " + std::to_string(evidence.front_end) : "");
  const std::vector<std::string> findings =
      judge_evidence(evidence, before, {.suite = std::string(node_.suite().name), .epoch = node_.settings().policy_epoch, .now = now});
  deed.object = who + " " + std::to_string(findings.size()) + " findings";
  for (const std::string& finding : findings) {
    if (last != lasts.end() && std::ranges::find(last->findings, finding) != last->findings.end()) continue;
    TRY(node_.record({.action = "mc-2.finding",
                      .outcome = audit::Outcome::failure,
                      .subject = request.peer.identity->uri(),
                      .object = who,
                      .reason = finding,
                      .request_id = request.request_id}));
  }
  const wire::Json answer = wire::Json::object({{"findings", findings_json(findings)}});
  const std::string text = points::to_json(evidence).dump();
  const std::string found = answer.dump();
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(
        transaction.run("INSERT INTO kms_evidence (kms, front_end, number, evidence, findings, received_ms) "
                        "VALUES (?1, ?2, (SELECT coalesce(max(number), 0) + 1 FROM kms_evidence WHERE kms = ?1 AND front_end = ?2), ?3, ?4, ?5)",
                        {std::string_view(kms.text()), evidence.front_end, std::string_view(text), std::string_view(found), store::column(now)}));
    TRY(
        transaction.run("DELETE FROM kms_evidence WHERE kms = ?1 AND front_end = ?2 AND number <= "
                        "(SELECT max(number) FROM kms_evidence WHERE kms = ?1 AND front_end = ?2) - ?3",
                        {std::string_view(kms.text()), evidence.front_end, evidence_kept}));
    return {};
  }));
  return node::json_response(answer);
}

void Evidence::describe(wire::Json& health) {
  const UnixMs now = node_.clock().now_ms();
  wire::Json out = wire::Json::array();
  for (const auto& [name, peer] : node_.settings().peers) {
    if (peer.expected.kind != Kind::kms) continue;
    const auto lasts = store_.transact([&, &kms = name](store::Transaction& transaction) { return last_of(transaction, kms); });
    if (!lasts) continue;
    wire::Json one = wire::Json::object({{"kms", name}});
    const auto newest = std::ranges::max_element(*lasts, {}, &Last::received_ms);
    const UnixMs received_ms = newest == lasts->end() ? 0 : newest->received_ms;
    std::vector<std::string> findings;
    for (const Last& last : *lasts) {
      if (received_ms - last.received_ms > evidence_age_max_ms) continue;  // a front end that is gone
      const std::string of = last.evidence.front_end > 0 ? "front end " + std::to_string(last.evidence.front_end) + ": " : "";
      for (const std::string& finding : last.findings) findings.push_back(of + finding);
    }
    // Until it could have come, nothing is missing.
    if (now - std::min(now, std::max(received_ms, opened_ms_)) > evidence_age_max_ms) findings.emplace_back("no evidence for more than two hours");
    if (newest != lasts->end()) one.set("received_ms", received_ms).set("device", newest->evidence.device);
    one.set("findings", findings_json(findings));
    out.push(one);
  }
  health.set("compliance", out);
}

}  // namespace qanat::cmsp
