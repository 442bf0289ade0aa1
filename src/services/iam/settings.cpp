#include "services/iam/settings.hpp"

namespace qanat::iam {
namespace {

/// A gateway enrols as an element does, though devices of its kind may have keys as terminals do.
bool may_found(Kind kind) { return kind == Kind::dev1 || (!apps.has(kind) && kind != Kind::sae); }

/// A list of identities; what is none, or of another kind, is complained of and left out.
std::vector<Identity> identities(node::Config& table, std::string_view key, bool people) {
  std::vector<Identity> out;
  for (const std::string& text : table.texts(key)) {
    auto identity = Identity::parse_uri(text);
    if (!identity) {
      table.reject(key, identity.error().message);
    } else if ((identity->kind == Kind::op) != people || !may_found(identity->kind)) {
      table.reject(key, text + (people ? ": is no operator" : ": is no element"));
    } else {
      out.push_back(*std::move(identity));
    }
  }
  return out;
}

}  // namespace

IamSettings IamSettings::read(node::Config& config) {
  IamSettings out;
  node::Config table = config.table("iam");
  constexpr auto lifetime_max_s = static_cast<std::int64_t>(wire::token_lifetime_max_ms / 1000);
  out.token.lifetime = std::chrono::seconds(table.integer("token_lifetime_s", 1, lifetime_max_s, out.token.lifetime.count()));
  constexpr auto weakest = static_cast<std::int64_t>(wire::Assurance::local_rng);
  constexpr auto strongest = static_cast<std::int64_t>(wire::Assurance::disjoint_qkd_paths);
  out.token.level_max = static_cast<wire::Assurance>(table.integer("token_level_max", weakest, strongest, static_cast<std::int64_t>(out.token.level_max)));
  out.access.lifetime =
      std::chrono::seconds(table.integer("access_lifetime_s", wire::access_lifetime_min_s, wire::access_lifetime_max_s, out.access.lifetime.count()));
  out.access.es256 = table.flag("access_es256", out.access.es256);
  out.web = WebSettings::read(table);
  out.founders.security_administrators = identities(table, "security_administrators", true);
  out.founders.auditors = identities(table, "auditors", true);
  out.founders.operators = identities(table, "operators", true);
  out.founders.elements = identities(table, "elements", false);
  return out;
}

}  // namespace qanat::iam
