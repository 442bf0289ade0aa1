// How much of the keys for SAEs a KMS keeps ahead of demand: part of [sae].
#pragma once

#include <chrono>
#include <cstdint>

namespace qanat::kms {

struct SupplySettings {
  std::int64_t low = 512;      // own keys for a domain: below it more are agreed on …
  std::int64_t high = 2048;    // … up to this
  std::int64_t peer_max = 1 << 20;  // keys that the other KMS may have offered and not used
  std::chrono::milliseconds lifetime{24 * 3600 * 1000};  // of a key in stock
  bool pqc_fallback = true;
};

}  // namespace qanat::kms
