// The two issuing CAs that CAS signs with: one hierarchy for ML-DSA keys (TLS and messages), one for the suite's classical keys (messages). And those that they
// have succeeded, which sign nothing new but the status of what they issued.
#pragma once

#include <array>
#include <vector>

#include "crypto/x509.hpp"

namespace qanat::cas {

/// Which of the two hierarchies; the names stand in the database.
enum class Branch : std::uint8_t { ml_dsa, classical };
inline constexpr std::array all_branches{Branch::ml_dsa, Branch::classical};
constexpr std::string_view name(Branch branch) noexcept { return branch == Branch::ml_dsa ? "ml_dsa" : "classical"; }

struct Authority {
  crypto::Certificate certificate;
  crypto::PrivateKey key;
  std::int64_t generation = 1;  // 1 from the ceremony, one more with each rollover
};

struct Authorities {
  Authority ml_dsa;
  Authority classical;
  std::vector<Authority> earlier_ml_dsa = {};  // the latest first
  std::vector<Authority> earlier_classical = {};
  [[nodiscard]] const std::vector<Authority>& earlier(Branch branch) const noexcept { return branch == Branch::ml_dsa ? earlier_ml_dsa : earlier_classical; }
  /// Whose name and key identifier the certificate bears, whichever generation: nullptr if none.
  [[nodiscard]] const Authority* issuer_of(Branch branch, const crypto::Certificate& certificate) const;
  [[nodiscard]] const Authority& of(Branch branch) const noexcept { return branch == Branch::ml_dsa ? ml_dsa : classical; }
};

inline crypto::KeyAlgorithm key_algorithm(const crypto::Suite& suite, Branch branch) noexcept {
  return branch == Branch::ml_dsa ? crypto::ml_dsa_key(suite) : crypto::classical_key(suite);
}

}  // namespace qanat::cas
