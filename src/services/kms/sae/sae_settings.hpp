// What a KMS's configuration says of software that others wrote and that gets keys from it: [sae], [sae.chains.<name>]. Off when absent. Who the SAEs are says IAM.
#pragma once

#include <optional>

#include "kme/listener_settings.hpp"
#include "services/kms/sae/supply_settings.hpp"

namespace qanat::kms {

enum class SaeStandard : std::uint8_t { etsi014, skip };

struct SaeSettings {
  net::ForeignSettings listener;
  std::vector<SaeStandard> served;
  std::chrono::milliseconds lifetime{3600000};      // of a key that nobody fetches
  std::int64_t max_key_count = 10000000;            // what ETSI GS QKD 014's status tells
  std::chrono::milliseconds iam_refresh{60000};     // IAM says at once what has changed; asked anyway after so long
  std::chrono::milliseconds iam_lifetime{600000};   // what it said counts for so long, then no SAE is served until it answers
  SupplySettings supply;

  /// Nothing if there is no table [sae].
  static std::optional<SaeSettings> read(node::Config& config);
};

}  // namespace qanat::kms
