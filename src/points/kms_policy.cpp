#include "points/kms_policy.hpp"

#include <algorithm>

namespace qanat::points {
namespace {

// The same bounds as of the KMS's own settings ([kms], [sae]).
constexpr std::int64_t wk_lifetime_max_ms = 3'600'000;
constexpr std::int64_t quantum_keys_max = 4;
constexpr std::int64_t reserve_max = 1'000'000'000;
constexpr std::int64_t pool_max = 10'000'000;
constexpr std::size_t counts_max = 256;
constexpr std::size_t count_name_max = 64;

Result<void> read_terms(const wire::Json& json, KmsPolicy& out) {
  ASSIGN_OR_RETURN(out.version, json.integer("version", 1, INT64_MAX));
  ASSIGN_OR_RETURN(out.wk_lifetime_ms, json.optional_integer("wk_lifetime_ms", 1, wk_lifetime_max_ms));
  ASSIGN_OR_RETURN(out.quantum_paths, json.optional_integer("quantum_paths", 1, quantum_keys_max));
  ASSIGN_OR_RETURN(out.quantum_shares, json.optional_integer("quantum_shares", 1, quantum_keys_max));
  ASSIGN_OR_RETURN(out.quantum_reserve, json.optional_integer("quantum_reserve", 0, reserve_max));
  ASSIGN_OR_RETURN(out.pqc_fallback, json.optional_boolean("pqc_fallback"));
  ASSIGN_OR_RETURN(out.directory_fallback, json.optional_boolean("directory_fallback"));
  ASSIGN_OR_RETURN(out.history, json.optional_boolean("history"));
  ASSIGN_OR_RETURN(out.pool_low, json.optional_integer("pool_low", 0, pool_max));
  ASSIGN_OR_RETURN(out.pool_high, json.optional_integer("pool_high", 1, pool_max));
  if (out.pool_low.has_value() != out.pool_high.has_value()) return fail(ErrorCode::invalid_argument, "pool_low and pool_high: both or neither");
  if (out.pool_low && *out.pool_high < *out.pool_low) return fail(ErrorCode::invalid_argument, "pool_high: must not be less than pool_low");
  return {};
}

Result<NamedCounts> read_counts(const wire::Json& json) {
  NamedCounts out;
  const std::vector<std::string> names = json.names();
  if (names.size() > counts_max) return fail(ErrorCode::invalid_argument, json.path() + ": more than " + std::to_string(counts_max) + " counts");
  for (const std::string& name : names) {
    if (name.size() > count_name_max) return fail(ErrorCode::invalid_argument, json.path() + ": a name is too long");
    ASSIGN_OR_RETURN(const std::int64_t count, json.integer(name, 0, INT64_MAX));
    out.emplace_back(name, count);
  }
  return out;
}

wire::Json counts_of(const NamedCounts& counts) {
  wire::Json out = wire::Json::object();
  for (const auto& [name, count] : counts) out.set(name, count);
  return out;
}

}  // namespace

Result<KmsPolicy> read_kms_policy(const wire::Json& json) {
  TRY(json.only({"version", "epoch", "wk_lifetime_ms", "quantum_paths", "quantum_shares", "quantum_reserve", "pqc_fallback", "directory_fallback", "history",
                 "pool_low", "pool_high"}));
  KmsPolicy out;
  ASSIGN_OR_RETURN(const std::int64_t epoch, json.integer("epoch", 0, UINT32_MAX));
  out.epoch = static_cast<std::uint32_t>(epoch);
  TRY(read_terms(json, out));
  return out;
}

Result<KmsPolicy> read_kms_policy_order(const wire::Json& json, std::uint32_t epoch) {
  TRY(json.only({"version", "wk_lifetime_ms", "quantum_paths", "quantum_shares", "quantum_reserve", "pqc_fallback", "directory_fallback", "history",
                 "pool_low", "pool_high"}));
  KmsPolicy out{.epoch = epoch};
  TRY(read_terms(json, out));
  return out;
}

wire::Json to_json(const KmsPolicy& policy) {
  wire::Json out = wire::Json::object({{"version", policy.version}, {"epoch", policy.epoch}});
  const std::pair<std::string_view, std::optional<std::int64_t>> amounts[] = {
      {"wk_lifetime_ms", policy.wk_lifetime_ms},   {"quantum_paths", policy.quantum_paths}, {"quantum_shares", policy.quantum_shares},
      {"quantum_reserve", policy.quantum_reserve}, {"pool_low", policy.pool_low},           {"pool_high", policy.pool_high}};
  for (const auto& [name, amount] : amounts) {
    if (amount) out.set(name, *amount);
  }
  if (policy.pqc_fallback) out.set("pqc_fallback", *policy.pqc_fallback);
  if (policy.directory_fallback) out.set("directory_fallback", *policy.directory_fallback);
  if (policy.history) out.set("history", *policy.history);
  return out;
}

Result<KmsState> read_kms_state(const wire::Json& json) {
  TRY(json.only({"policy", "epoch", "working_keys", "quantum", "stocks", "delivered_per_minute", "history_keys"}));
  KmsState out;
  ASSIGN_OR_RETURN(out.policy, json.integer("policy", 0, INT64_MAX));
  ASSIGN_OR_RETURN(const std::int64_t epoch, json.integer("epoch", 0, UINT32_MAX));
  out.epoch = static_cast<std::uint32_t>(epoch);
  ASSIGN_OR_RETURN(const wire::Json working_keys, json.object("working_keys"));
  ASSIGN_OR_RETURN(out.working_keys, read_counts(working_keys));
  ASSIGN_OR_RETURN(const std::optional<wire::Json> quantum, json.optional_object("quantum"));
  if (quantum) {
    ASSIGN_OR_RETURN(out.quantum, read_counts(*quantum));
  }
  ASSIGN_OR_RETURN(const wire::Json stocks, json.object("stocks"));
  ASSIGN_OR_RETURN(out.stocks, read_counts(stocks));
  ASSIGN_OR_RETURN(out.delivered_per_minute, json.integer("delivered_per_minute", 0, INT64_MAX));
  ASSIGN_OR_RETURN(const std::optional<std::int64_t> history_keys, json.optional_integer("history_keys", 0, INT64_MAX));
  out.history_keys = history_keys.value_or(0);
  return out;
}

wire::Json to_json(const KmsState& state) {
  wire::Json out = wire::Json::object({{"policy", state.policy}, {"epoch", state.epoch}, {"working_keys", counts_of(state.working_keys)}});
  if (state.quantum) out.set("quantum", counts_of(*state.quantum));
  out.set("stocks", counts_of(state.stocks)).set("delivered_per_minute", state.delivered_per_minute);
  if (state.history_keys > 0) out.set("history_keys", state.history_keys);
  return out;
}

}  // namespace qanat::points
