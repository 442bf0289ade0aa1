#include "services/kms/kma/policy_in_force.hpp"

namespace qanat::kms {
namespace {

Result<std::optional<points::KmsPolicy>> taken_policy(store::Transaction& transaction) {
  std::string text;
  TRY(transaction.query("SELECT policy FROM orchestration WHERE id = 1", {}, [&](const store::Row& row) { text = row.text(0); }));
  if (text.empty()) return std::optional<points::KmsPolicy>();
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(text));
  ASSIGN_OR_RETURN(const points::KmsPolicy policy, points::read_kms_policy(json));
  return std::optional(policy);
}

Result<PolicyInForce::News> judge_policy(store::Transaction& transaction, const points::KmsPolicy& policy, std::uint32_t epoch, std::int64_t asked) {
  const std::string which = "policy " + std::to_string(policy.version);
  if (policy.epoch != epoch)
    return fail(ErrorCode::denied, which + ": is for epoch " + std::to_string(policy.epoch) + ", this KMS is in epoch " + std::to_string(epoch));
  ASSIGN_OR_RETURN(const std::optional<points::KmsPolicy> last, taken_policy(transaction));
  if (!last || policy.version > last->version) return PolicyInForce::News::later;
  if (policy.version < last->version && policy.version > asked) return PolicyInForce::News::overtaken;
  if (policy.version < last->version) return fail(ErrorCode::denied, which + ": is earlier than " + std::to_string(last->version) + ", which was taken before");
  if (policy != *last) return fail(ErrorCode::denied, which + ": is not what was taken under that version");
  return PolicyInForce::News::same;
}

}  // namespace

Terms terms_under(const KmsSettings& settings, const std::optional<points::KmsPolicy>& policy) {
  Terms out{.version = 0,
            .wk_lifetime = settings.wk_lifetime,
            .quantum_paths = settings.quantum_paths,
            .quantum_shares = settings.quantum_shares,
            .quantum_reserve = settings.policy.quantum_reserve,
            .pqc_fallback = settings.pqc_fallback,
            .directory_fallback = settings.directory_fallback,
            .history = settings.history};
  if (!policy) return out;
  out.version = policy->version;
  if (policy->wk_lifetime_ms) out.wk_lifetime = std::chrono::milliseconds(*policy->wk_lifetime_ms);
  out.quantum_paths = policy->quantum_paths.value_or(out.quantum_paths);
  out.quantum_shares = policy->quantum_shares.value_or(out.quantum_shares);
  out.quantum_reserve = policy->quantum_reserve.value_or(out.quantum_reserve);
  out.pqc_fallback = out.pqc_fallback && policy->pqc_fallback.value_or(true);
  out.directory_fallback = out.directory_fallback && policy->directory_fallback.value_or(true);
  if (!policy->history.value_or(true)) out.history = HistoryPolicy::none;
  out.pool_low = policy->pool_low;
  out.pool_high = policy->pool_high;
  return out;
}

std::shared_ptr<const Terms> PolicyInForce::terms() const {
  const std::lock_guard lock(mutex_);
  return terms_;
}

void PolicyInForce::set(const points::KmsPolicy& policy) {
  auto terms = std::make_shared<const Terms>(terms_under(settings_, policy));
  const std::lock_guard lock(mutex_);
  terms_ = std::move(terms);
}

Result<void> PolicyInForce::take_up(store::Store& store, std::uint32_t epoch) {
  ASSIGN_OR_RETURN(const std::optional<points::KmsPolicy> taken, store.transact(taken_policy));
  if (taken && taken->epoch == epoch) set(*taken);
  return {};
}

Result<std::int64_t> PolicyInForce::last_version(store::Store& store) {
  ASSIGN_OR_RETURN(const std::optional<points::KmsPolicy> taken, store.transact(taken_policy));
  return taken ? taken->version : 0;
}

Result<PolicyInForce::News> PolicyInForce::judge(store::Store& store, const points::KmsPolicy& policy, std::uint32_t epoch, std::int64_t asked) {
  return store.transact([&](store::Transaction& transaction) { return judge_policy(transaction, policy, epoch, asked); });
}

Result<PolicyInForce::News> PolicyInForce::put_in_force(store::Store& store, const points::KmsPolicy& policy, std::uint32_t epoch, std::int64_t asked,
                                                        UnixMs now) {
  const std::string text = points::to_json(policy).dump();
  ASSIGN_OR_RETURN(const News news, store.transact([&](store::Transaction& transaction) -> Result<News> {
    ASSIGN_OR_RETURN(const News judged, judge_policy(transaction, policy, epoch, asked));
    if (judged != News::later) return judged;
    ASSIGN_OR_RETURN(const std::int64_t changed,
                     transaction.run("UPDATE orchestration SET policy = ?, taken_ms = ? WHERE id = 1", {std::string_view(text), store::column(now)}));
    if (changed == 0) {
      TRY(transaction.run("INSERT INTO orchestration (id, policy, taken_ms) VALUES (1, ?, ?)", {std::string_view(text), store::column(now)}));
    }
    return judged;
  }));
  if (news != News::overtaken) set(policy);
  return news;
}

}  // namespace qanat::kms
