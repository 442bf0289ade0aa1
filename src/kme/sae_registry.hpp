// Which SAEs there are, and which key management entity serves each: from the configuration (QKM), or as IAM says from time to time (KMS).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "kme/provider.hpp"

namespace qanat::kme {

struct Sae {
  SaeId id;                            // a name; or, of an entry for many, the pattern that their names have (kme/glob.hpp)
  std::string domain;                  // whose key management entity serves it
  std::string kme;                     // that entity's name
  bool here = false;                   // this entity serves it
  std::uint32_t keys_per_second = 0;   // that it may order; 0: no limit. SAEs of one pattern share it
  bool pattern = false;
  std::uint64_t keys_per_day = 0;                    // (UTC) that it may order; 0: no limit
  std::optional<std::set<std::string>> peer_domains{};  // of the SAEs that it may share keys with, besides its own; nothing: any

  [[nodiscard]] bool may_share_with(const std::string& other) const { return other == domain || !peer_domains || peer_domains->contains(other); }
  /// Each may share keys with SAEs of the other's domain.
  [[nodiscard]] bool shares_with(const Sae& other) const { return may_share_with(other.domain) && other.may_share_with(domain); }
};

inline constexpr std::size_t sae_patterns_max = 64;
/// How many entries one request may have the registry look through, which it does on the listener's thread.
inline constexpr std::size_t saes_looked_at_max = 4096;

/// Thread-safe: who has found an SAE keeps it as it was, whatever comes later.
class SaeRegistry {
 public:
  using Entries = std::map<SaeId, Sae>;

  SaeRegistry() : known_(std::make_shared<const Known>()) {}
  SaeRegistry(const SaeRegistry& other) : known_(other.known()) {}
  SaeRegistry& operator=(const SaeRegistry& other);

  /// invalid_argument for a name twice, one that is empty or over 256 octets, or more than sae_patterns_max patterns.
  static Result<SaeRegistry> make(std::vector<Sae> saes);

  /// The entry of this name, else the first pattern that it has; nullptr if there is none. A name with '*', '?' or a control character,
  /// or that is no UTF-8, has no pattern. However many entries there are, at most sae_patterns_max are looked at. Owners: the registry and whoever looks at the
  /// entry.
  [[nodiscard]] std::shared_ptr<const Sae> find(const SaeId& id) const;
  /// The first of a certificate's names that is an SAE served here.
  [[nodiscard]] std::optional<SaeId> identify(const std::vector<std::string>& names) const;
  /// The names, not patterns, that `pattern` stands for, of SAEs that share keys with `who`. invalid_argument if more than saes_looked_at_max begin as it does, up
  /// to its first '*' or '?'.
  [[nodiscard]] Result<std::vector<SaeId>> matching(std::string_view pattern, const Sae& who) const;
  /// Owners: the registry, until it is another's copy, and whoever goes through it.
  [[nodiscard]] std::shared_ptr<const Entries> all() const;

 private:
  struct Known {
    Entries entries;
    std::vector<const Sae*> patterns;  // of the entries, in their order
  };
  [[nodiscard]] std::shared_ptr<const Known> known() const;

  mutable std::mutex mutex_;
  std::shared_ptr<const Known> known_;
};

/// How much each SAE ordered in the present second. Thread-safe.
class Quotas {
 public:
  /// exhausted if `keys` more would be over the SAE's limit; counts them otherwise.
  Result<void> spend(const Sae& sae, std::uint32_t keys, UnixMs now);

 private:
  struct Window {
    UnixMs second = 0;
    std::uint64_t spent = 0;
  };
  std::mutex mutex_;
  std::map<SaeId, Window> windows_;
};

}  // namespace qanat::kme
