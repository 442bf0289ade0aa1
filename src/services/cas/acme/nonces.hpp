// Anti-replay nonces (RFC 8555 §6.5): numbered and authenticated under a key that lives as long as the process, so that a restart leaves none of the old ones
// good; which of the last numbers were used is a bit each. Giving one out costs no memory, however many ask.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "base/secret.hpp"
#include "crypto/random.hpp"

namespace qanat::cas {

/// So many nonces can be outstanding; the next one given out ends the oldest.
inline constexpr std::uint64_t nonces_outstanding_max = 1U << 20U;

class Nonces {
 public:
  explicit Nonces(crypto::Rng& rng, std::uint64_t outstanding_max = nonces_outstanding_max);

  /// base64url, 32 characters.
  std::string give();
  /// True if it was given out by this process, is not too old and was not used; from now on it is.
  [[nodiscard]] bool spend(std::string_view nonce);

 private:
  [[nodiscard]] std::string text(std::uint64_t number) const;

  const Secret key_;
  std::mutex mutex_;
  std::uint64_t next_ = 0;
  std::vector<bool> used_;  // by number modulo its size
};

}  // namespace qanat::cas
