#include "services/cmsp/cso/kms_policies.hpp"

namespace qanat::cmsp {
namespace {

Result<std::optional<points::KmsPolicy>> latest_policy(store::Transaction& transaction) {
  std::string text;
  TRY(transaction.query("SELECT policy FROM kms_policy ORDER BY version DESC LIMIT 1", {}, [&](const store::Row& row) { text = row.text(0); }));
  if (text.empty()) return std::optional<points::KmsPolicy>();
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(text));
  ASSIGN_OR_RETURN(const points::KmsPolicy policy, points::read_kms_policy(json));
  return std::optional(policy);
}

}  // namespace

Result<void> KmsPolicies::put(const points::KmsPolicy& policy, const std::string& by, UnixMs now) {
  const std::string text = points::to_json(policy).dump();
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::optional<points::KmsPolicy> last, latest_policy(transaction));
    if (last && policy.version <= last->version) {
      return fail(ErrorCode::conflict, "the policy in force is of version " + std::to_string(last->version) + ": a new one must have a later version");
    }
    TRY(transaction.run("INSERT INTO kms_policy (version, policy, given_by, given_ms) VALUES (?, ?, ?, ?)",
                        {policy.version, std::string_view(text), std::string_view(by), store::column(now)}));
    return {};
  });
}

Result<std::optional<points::KmsPolicy>> KmsPolicies::latest() { return store_.transact(latest_policy); }

Result<void> KmsPolicies::take_state(const ElementName& kms, const points::KmsState& state, UnixMs now) {
  const std::string text = points::to_json(state).dump();
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.run(
        "INSERT INTO kms_state (kms, state, at_ms) VALUES (?, ?, ?) ON CONFLICT (kms) DO UPDATE SET state = excluded.state, at_ms = excluded.at_ms",
        {std::string_view(kms.text()), std::string_view(text), store::column(now)});
  }));
  return {};
}

Result<std::vector<KmsPolicies::Said>> KmsPolicies::states() {
  std::vector<std::pair<std::string, std::pair<std::string, UnixMs>>> rows;
  TRY(store_.transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT kms, state, at_ms FROM kms_state ORDER BY kms", {}, [&](const store::Row& row) {
      rows.push_back({row.text(0), {row.text(1), static_cast<UnixMs>(row.integer(2))}});
    });
  }));
  std::vector<Said> out;
  for (const auto& [kms, said] : rows) {
    ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(said.first));
    ASSIGN_OR_RETURN(points::KmsState state, points::read_kms_state(json));
    out.push_back({.kms = kms, .state = std::move(state), .at_ms = said.second});
  }
  return out;
}

}  // namespace qanat::cmsp
