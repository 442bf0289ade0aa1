// The two issuing CAs that CAS signs with: one hierarchy for ML-DSA keys (TLS and messages), one for the suite's classical keys (messages). And those that they
// have succeeded, which sign nothing new but the status of what they issued. Beside the hierarchy: the device CA, which no element trusts (docs/adr/0017).
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "crypto/x509.hpp"

namespace qanat::cas {

/// Which of the two hierarchies, or the device CA; the names stand in the database.
enum class Branch : std::uint8_t { ml_dsa, classical, devices };
/// Those with roots that the network trusts.
inline constexpr std::array all_branches{Branch::ml_dsa, Branch::classical};
inline constexpr std::size_t branch_count = 3;
constexpr std::string_view name(Branch branch) noexcept {
  switch (branch) {
    case Branch::ml_dsa:
      return "ml_dsa";
    case Branch::classical:
      return "classical";
    case Branch::devices:
      return "devices";
  }
  return {};
}
/// Of a name from the database, whose tables hold no others.
constexpr Branch branch_named(std::string_view text) noexcept {
  if (text == name(Branch::devices)) return Branch::devices;
  return text == name(Branch::ml_dsa) ? Branch::ml_dsa : Branch::classical;
}

struct Authority {
  crypto::Certificate certificate;
  crypto::PrivateKey key;
  std::int64_t generation = 1;  // 1 from the ceremony, one more with each rollover
};

/// From one device CA to the next (RFC 9810 §4.4): the new one, and the certificates by which those who trust either of them know the other. Both CAs have one
/// name. The links are absent where the old one had expired.
struct DeviceSuccession {
  std::int64_t generation = 0;  // of the new one
  crypto::Certificate new_with_new;
  std::optional<crypto::Certificate> new_with_old = {};
  std::optional<crypto::Certificate> old_with_new = {};
  bool installed = false;  // until then the new one is published and issues nothing: its key stays sealed in cas.db
};

struct Authorities {
  Authority ml_dsa;
  Authority classical;
  std::vector<Authority> earlier_ml_dsa = {};  // the latest first
  std::vector<Authority> earlier_classical = {};
  std::optional<Authority> devices = {};  // from CAS's first start on
  std::vector<Authority> earlier_devices = {};
  std::vector<DeviceSuccession> device_successions = {};  // the latest first
  [[nodiscard]] const std::vector<Authority>& earlier(Branch branch) const noexcept;
  /// Whose name and key identifier the certificate bears, whichever generation: nullptr if none.
  [[nodiscard]] const Authority* issuer_of(Branch branch, const crypto::Certificate& certificate) const;
  [[nodiscard]] const Authority& of(Branch branch) const noexcept;
  /// The device CA that is to come; nullptr if none is.
  [[nodiscard]] const DeviceSuccession* next_devices() const noexcept;
  /// How the device CA in force came after the one before; nullptr if it is the first.
  [[nodiscard]] const DeviceSuccession* last_devices() const noexcept;
  /// Those whose certificates CAS answers for: the hierarchy's, and the device CA's where there is one.
  [[nodiscard]] std::span<const Branch> branches() const noexcept;
};

inline crypto::KeyAlgorithm key_algorithm(const crypto::Suite& suite, Branch branch) noexcept {
  if (branch == Branch::devices) return crypto::KeyAlgorithm::ecdsa_p384;
  return branch == Branch::ml_dsa ? crypto::ml_dsa_key(suite) : crypto::classical_key(suite);
}

}  // namespace qanat::cas
