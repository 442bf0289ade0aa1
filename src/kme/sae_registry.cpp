#include "kme/sae_registry.hpp"

#include <algorithm>

#include "base/utf8.hpp"
#include "kme/glob.hpp"

namespace qanat::kme {
namespace {

constexpr UnixMs second_ms = 1000;

}  // namespace

SaeRegistry& SaeRegistry::operator=(const SaeRegistry& other) {
  if (this == &other) return *this;
  std::shared_ptr<const Known> theirs = other.known();
  const std::lock_guard lock(mutex_);
  known_ = std::move(theirs);
  return *this;
}

std::shared_ptr<const SaeRegistry::Known> SaeRegistry::known() const {
  const std::lock_guard lock(mutex_);
  return known_;
}

std::shared_ptr<const SaeRegistry::Entries> SaeRegistry::all() const {
  const std::shared_ptr<const Known> all = known();
  return {all, &all->entries};
}

Result<SaeRegistry> SaeRegistry::make(std::vector<Sae> saes) {
  auto known = std::make_shared<Known>();
  std::size_t patterns = 0;
  for (Sae& sae : saes) {
    const SaeId id = sae.id;
    if (sae.pattern && ++patterns > sae_patterns_max) return fail(ErrorCode::invalid_argument, "SAE: more than 64 patterns");
    if (id.empty() || id.text().size() > sae_id_size_max) return fail(ErrorCode::invalid_argument, "SAE: a name must have 1 to 256 octets");
    const bool added = known->entries.emplace(id, std::move(sae)).second;
    if (!added) return fail(ErrorCode::invalid_argument, "SAE " + id.text() + ": stands twice in the configuration");
  }
  for (const auto& [id, sae] : known->entries) {
    if (sae.pattern) known->patterns.push_back(&sae);
  }
  SaeRegistry out;
  out.known_ = std::move(known);
  return out;
}

std::shared_ptr<const Sae> SaeRegistry::find(const SaeId& id) const {
  const std::shared_ptr<const Known> all = known();
  const auto found = all->entries.find(id);
  if (found != all->entries.end() && !found->second.pattern) return {all, &found->second};
  // What a client calls itself or others: no more is taken for a name here than a configuration may write.
  const bool plain = std::ranges::none_of(id.text(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }) && is_utf8(id.text());
  if (!plain || id.empty() || id.text().size() > sae_id_size_max || is_glob(id.text())) return nullptr;
  for (const Sae* const sae : all->patterns) {
    if (glob_matches(sae->id.text(), id.text())) return {all, sae};
  }
  return nullptr;
}

std::optional<SaeId> SaeRegistry::identify(const std::vector<std::string>& names) const {
  for (const std::string& name : names) {
    const auto sae = find(SaeId(name));
    if (sae != nullptr && sae->here) return SaeId(name);
  }
  return std::nullopt;
}

Result<std::vector<SaeId>> SaeRegistry::matching(std::string_view pattern, const Sae& who) const {
  const std::string begin(pattern.substr(0, pattern.find_first_of("*?")));
  const std::shared_ptr<const Known> all = known();
  std::vector<SaeId> out;
  std::size_t looked_at = 0;
  for (auto at = all->entries.lower_bound(SaeId(begin)); at != all->entries.end() && at->first.text().starts_with(begin); ++at) {
    if (++looked_at > saes_looked_at_max) {
      const std::string most = std::to_string(saes_looked_at_max);
      return fail(ErrorCode::invalid_argument, "more than " + most + " names begin as the pattern does before its first '*' or '?'");
    }
    const auto& [id, sae] = *at;
    if (!sae.pattern && sae.shares_with(who) && glob_matches(pattern, id.text())) out.push_back(id);
  }
  return out;
}

Result<void> Quotas::spend(const Sae& sae, std::uint32_t keys, UnixMs now) {
  if (sae.keys_per_second == 0) return {};
  const std::lock_guard lock(mutex_);
  Window& window = windows_[sae.id];
  if (window.second != now / second_ms) window = {.second = now / second_ms, .spent = 0};
  if (window.spent + keys > sae.keys_per_second) {
    return fail(ErrorCode::exhausted, "SAE " + sae.id.text() + " may order " + std::to_string(sae.keys_per_second) + " keys a second");
  }
  window.spent += keys;
  return {};
}

}  // namespace qanat::kme
