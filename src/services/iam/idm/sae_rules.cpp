#include "services/iam/idm/sae_rules.hpp"

#include <algorithm>

#include "base/identity.hpp"

namespace qanat::iam {
namespace {

constexpr char between_domains = ' ';

Result<void> check_peer_domain(const std::string& text) {
  if (text == any_domain) return {};
  const auto named = Identity::parse_uri(Identity{.domain = text, .kind = Kind::kms, .name = "x"}.uri());
  if (!named) return fail(ErrorCode::invalid_argument, "peer_domains: '" + text + "' is no domain");
  return {};
}

}  // namespace

Result<SaeRules> read_sae_rules(const wire::Json& json, SaeRules rules) {
  if (json.has("keys_per_second")) {
    ASSIGN_OR_RETURN(rules.keys_per_second, json.integer("keys_per_second", 0, keys_per_second_max));
  }
  if (json.has("keys_per_day")) {
    ASSIGN_OR_RETURN(rules.keys_per_day, json.integer("keys_per_day", 0, keys_per_day_max));
  }
  if (!json.has("peer_domains")) return rules;
  ASSIGN_OR_RETURN(rules.peer_domains, json.texts("peer_domains"));
  for (const std::string& domain : rules.peer_domains) TRY(check_peer_domain(domain));
  std::ranges::sort(rules.peer_domains);
  const bool twice = std::ranges::adjacent_find(rules.peer_domains) != rules.peer_domains.end();
  const bool any_and_more = rules.peer_domains.size() > 1 && std::ranges::find(rules.peer_domains, any_domain) != rules.peer_domains.end();
  if (twice || any_and_more || rules.peer_domains.size() > peer_domains_max)
    return fail(ErrorCode::invalid_argument, "peer_domains: at most " + std::to_string(peer_domains_max) + ", each once; or '*' alone");
  return rules;
}

void put_sae_rules(wire::Json& json, const SaeRules& rules) {
  if (rules.keys_per_second != 0) json.set("keys_per_second", rules.keys_per_second);
  if (rules.keys_per_day != 0) json.set("keys_per_day", rules.keys_per_day);
  if (rules.peer_domains.empty()) return;
  wire::Json list = wire::Json::array();
  for (const std::string& one : rules.peer_domains) list.push(one);
  json.set("peer_domains", std::move(list));
}

std::string joined_domains(const std::vector<std::string>& domains) {
  std::string out;
  for (const std::string& one : domains) out.append(out.empty() ? "" : std::string(1, between_domains)).append(one);
  return out;
}

std::vector<std::string> split_domains(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = text.find(between_domains);
    out.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return out;
}

}  // namespace qanat::iam
