// Which SAEs there are, and which key management entity serves each: from the configuration.
#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "kme/provider.hpp"

namespace qanat::kme {

struct Sae {
  SaeId id;
  std::string domain;                  // whose key management entity serves it
  std::string kme;                     // that entity's name
  bool here = false;                   // this entity serves it
  std::uint32_t keys_per_second = 0;   // that it may order; 0: no limit
};

class SaeRegistry {
 public:
  /// invalid_argument for a name twice, or one that is empty or over 256 octets.
  static Result<SaeRegistry> make(std::vector<Sae> saes);

  [[nodiscard]] const Sae* find(const SaeId& id) const;
  /// The first of a certificate's names that is an SAE served here.
  [[nodiscard]] const Sae* identify(const std::vector<std::string>& names) const;
  [[nodiscard]] const std::map<SaeId, Sae>& all() const noexcept { return saes_; }

 private:
  std::map<SaeId, Sae> saes_;
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
