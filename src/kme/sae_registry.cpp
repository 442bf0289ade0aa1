#include "kme/sae_registry.hpp"

#include <algorithm>

#include "base/utf8.hpp"
#include "kme/glob.hpp"

namespace qanat::kme {
namespace {

constexpr std::size_t name_octets_max = 256;
constexpr UnixMs second_ms = 1000;

}  // namespace

Result<SaeRegistry> SaeRegistry::make(std::vector<Sae> saes) {
  SaeRegistry out;
  std::size_t patterns = 0;
  for (Sae& sae : saes) {
    const SaeId id = sae.id;
    if (sae.pattern && ++patterns > sae_patterns_max) return fail(ErrorCode::invalid_argument, "SAE: more than 64 patterns");
    if (id.empty() || id.text().size() > name_octets_max) return fail(ErrorCode::invalid_argument, "SAE: a name must have 1 to 256 octets");
    if (!out.saes_.emplace(id, std::move(sae)).second) return fail(ErrorCode::invalid_argument, "SAE " + id.text() + ": stands twice in the configuration");
  }
  return out;
}

const Sae* SaeRegistry::find(const SaeId& id) const {
  const auto found = saes_.find(id);
  if (found != saes_.end() && !found->second.pattern) return &found->second;
  // What a client calls itself or others: no more is taken for a name here than a configuration may write.
  const bool plain = std::ranges::none_of(id.text(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }) && is_utf8(id.text());
  if (!plain || id.empty() || id.text().size() > name_octets_max || is_glob(id.text())) return nullptr;
  for (const auto& [pattern, sae] : saes_) {
    if (sae.pattern && glob_matches(pattern.text(), id.text())) return &sae;
  }
  return nullptr;
}

std::optional<SaeId> SaeRegistry::identify(const std::vector<std::string>& names) const {
  for (const std::string& name : names) {
    const Sae* const sae = find(SaeId(name));
    if (sae != nullptr && sae->here) return SaeId(name);
  }
  return std::nullopt;
}

std::vector<SaeId> SaeRegistry::matching(std::string_view pattern) const {
  std::vector<SaeId> out;
  for (const auto& [id, sae] : saes_) {
    if (!sae.pattern && glob_matches(pattern, id.text())) out.push_back(id);
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
