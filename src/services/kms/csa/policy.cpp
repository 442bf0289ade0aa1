#include "services/kms/csa/policy.hpp"

#include <algorithm>

#include "wire/base64.hpp"

namespace qanat::kms::csa {
namespace {

constexpr UnixMs minute_ms = 60'000;
constexpr std::size_t windows_max = 65536;
constexpr std::int64_t time_ms_max = 1LL << 52;

Result<void> check_caller(const wire::Json& at, const std::string& caller) {
  if (caller.size() > caller_octets_max) return fail(ErrorCode::invalid_argument, at.path() + ".caller: is too long");
  if (caller.starts_with(foreign_caller)) {
    if (caller.size() == foreign_caller.size()) return fail(ErrorCode::invalid_argument, at.path() + ".caller: names nobody");
    return {};
  }
  const auto identity = Identity::parse_uri(caller);
  if (!identity || !apps.has(identity->kind)) {
    return fail(ErrorCode::invalid_argument, at.path() + ".caller: must be an application's identity, qanat://DOMAIN/app3/NAME, or foreign:NAME");
  }
  return {};
}

Result<Grant> read_grant(const wire::Json& json, Usage usage) {
  TRY(json.only({"caller", "operations", "not_before_ms", "not_after_ms", "per_minute", "total"}));
  Grant out;
  ASSIGN_OR_RETURN(out.caller, json.text("caller"));
  TRY(check_caller(json, out.caller));
  ASSIGN_OR_RETURN(const std::vector<std::string> operations, json.texts("operations"));
  if (operations.empty()) return fail(ErrorCode::invalid_argument, json.path() + ".operations: is empty");
  for (const std::string& operation : operations) {
    ASSIGN_OR_RETURN(const OperationRow* line, find_operation(operation));
    if (!all_grantable(usage).has(line->operation)) {
      return fail(ErrorCode::invalid_argument, json.path() + ".operations: " + operation + " cannot be granted of a key for " + std::string(name(usage)));
    }
    out.operations.add(line->operation);
  }
  ASSIGN_OR_RETURN(const auto not_before, json.optional_integer("not_before_ms", 0, time_ms_max));
  ASSIGN_OR_RETURN(const auto not_after, json.optional_integer("not_after_ms", 0, time_ms_max));
  ASSIGN_OR_RETURN(const auto per_minute, json.optional_integer("per_minute", 0, per_minute_max));
  ASSIGN_OR_RETURN(const auto total, json.optional_integer("total", 0, total_max));
  out.not_before_ms = static_cast<UnixMs>(not_before.value_or(0));
  out.not_after_ms = static_cast<UnixMs>(not_after.value_or(0));
  out.per_minute = per_minute.value_or(0);
  out.total = total.value_or(0);
  if (out.not_after_ms != 0 && out.not_after_ms <= out.not_before_ms) return fail(ErrorCode::invalid_argument, json.path() + ": ends before it begins");
  return out;
}

Result<ExportTarget> read_target(const wire::Json& json) {
  TRY(json.only({"algorithm", "public_key"}));
  ASSIGN_OR_RETURN(const std::string algorithm, json.text("algorithm"));
  ASSIGN_OR_RETURN(const Algorithm* kem, find_algorithm(algorithm));
  if (kem->family != Family::kem) return fail(ErrorCode::invalid_argument, json.path() + ".algorithm: " + algorithm + " is no KEM");
  ExportTarget out{.kem = kem, .public_key = {}};
  ASSIGN_OR_RETURN(out.public_key, json.base64("public_key"));
  if (out.public_key.size() != kem->public_key) return fail(ErrorCode::invalid_argument, json.path() + ".public_key: has the wrong length for " + algorithm);
  return out;
}

template <class T, class Read>
Result<std::vector<T>> read_list(const wire::Json& json, std::string_view name, std::size_t max, const Read& read) {
  std::vector<T> out;
  ASSIGN_OR_RETURN(const auto elements, json.optional_array(name));
  if (!elements) return out;
  if (elements->size() > max) return fail(ErrorCode::invalid_argument, json.path() + "." + std::string(name) + ": more than " + std::to_string(max));
  for (const wire::Json& element : *elements) {
    ASSIGN_OR_RETURN(T one, read(element));
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

Result<Policy> read_policy(const wire::Json& json, Usage usage) {
  TRY(json.only({"grants", "export_under"}));
  Policy out;
  ASSIGN_OR_RETURN(out.grants, read_list<Grant>(json, "grants", grants_max, [usage](const wire::Json& one) { return read_grant(one, usage); }));
  for (std::size_t i = 0; i < out.grants.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (out.grants[i].caller == out.grants[k].caller) return fail(ErrorCode::invalid_argument, json.path() + ".grants: " + out.grants[i].caller + " has two");
    }
  }
  ASSIGN_OR_RETURN(out.export_under, read_list<ExportTarget>(json, "export_under", export_targets_max, read_target));
  return out;
}

wire::Json to_json(const Grant& grant) {
  wire::Json out = wire::Json::object({{"caller", grant.caller}});
  wire::Json operations = wire::Json::array();
  for (const OperationRow& line : all_operations()) {
    if (grant.operations.has(line.operation)) operations.push(line.name);
  }
  out.set("operations", operations);
  if (grant.not_before_ms != 0) out.set("not_before_ms", grant.not_before_ms);
  if (grant.not_after_ms != 0) out.set("not_after_ms", grant.not_after_ms);
  if (grant.per_minute != 0) out.set("per_minute", grant.per_minute);
  if (grant.total != 0) out.set("total", grant.total);
  return out;
}

wire::Json to_json(const Policy& policy) {
  wire::Json grants = wire::Json::array();
  for (const Grant& grant : policy.grants) grants.push(to_json(grant));
  wire::Json targets = wire::Json::array();
  for (const ExportTarget& target : policy.export_under) {
    targets.push(wire::Json::object({{"algorithm", target.kem->name}, {"public_key", wire::to_base64(target.public_key)}}));
  }
  return wire::Json::object({{"grants", grants}, {"export_under", targets}});
}

Result<const Grant*> permit(const Policy& policy, std::string_view caller, Operation operation, UnixMs now) {
  const auto found = std::ranges::find(policy.grants, caller, &Grant::caller);
  if (found == policy.grants.end()) return fail(ErrorCode::denied, "the key's policy grants " + std::string(caller) + " nothing");
  if (!found->operations.has(operation)) {
    return fail(ErrorCode::denied, "the key's policy does not grant " + std::string(row(operation).name) + " to " + std::string(caller));
  }
  if (now < found->not_before_ms) return fail(ErrorCode::denied, "the grant of " + std::string(caller) + " has not begun");
  if (found->not_after_ms != 0 && now >= found->not_after_ms) return fail(ErrorCode::denied, "the grant of " + std::string(caller) + " is over");
  return &*found;
}

Result<void> Rates::spend(const std::string& name, std::int64_t per_minute, UnixMs now) {
  if (per_minute == 0) return {};
  const UnixMs minute = now / minute_ms;
  const std::lock_guard lock(mutex_);
  if (windows_.size() >= windows_max) std::erase_if(windows_, [minute](const auto& one) { return one.second.minute != minute; });
  if (windows_.size() >= windows_max && !windows_.contains(name)) return fail(ErrorCode::exhausted, "too many callers in one minute");
  Window& window = windows_[name];
  if (window.minute != minute) window = {.minute = minute, .spent = 0};
  if (window.spent >= per_minute) return fail(ErrorCode::exhausted, "more than " + std::to_string(per_minute) + " in a minute");
  ++window.spent;
  return {};
}

}  // namespace qanat::kms::csa
