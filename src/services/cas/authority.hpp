// The two issuing CAs that CAS signs with: one hierarchy for ML-DSA keys (TLS and messages), one for the suite's classical keys (messages).
#pragma once

#include <array>

#include "crypto/x509.hpp"

namespace qanat::cas {

/// Which of the two hierarchies; the names stand in the database.
enum class Branch : std::uint8_t { ml_dsa, classical };
inline constexpr std::array all_branches{Branch::ml_dsa, Branch::classical};
constexpr std::string_view name(Branch branch) noexcept { return branch == Branch::ml_dsa ? "ml_dsa" : "classical"; }

struct Authority {
  crypto::Certificate certificate;
  crypto::PrivateKey key;
};

struct Authorities {
  Authority ml_dsa;
  Authority classical;
  [[nodiscard]] const Authority& of(Branch branch) const noexcept { return branch == Branch::ml_dsa ? ml_dsa : classical; }
};

inline crypto::KeyAlgorithm key_algorithm(const crypto::Suite& suite, Branch branch) noexcept {
  return branch == Branch::ml_dsa ? crypto::ml_dsa_key(suite) : crypto::classical_key(suite);
}

}  // namespace qanat::cas
