// Step 9: the two KMSs derive the working key from quantum key shares and a hybrid exchange of ephemeral keys.
#pragma once

#include <vector>

#include "base/clock.hpp"
#include "crypto/hybrid_kem.hpp"
#include "wire/qfc2_header.hpp"

namespace qanat::wire {

inline constexpr std::size_t shares_max = 8;  // one bit each in ok_bitmap

/// One quantum key share: which path carried it, and its name at both ends.
struct ShareRef {
  PathId path_id;
  KeyId key_id;
  bool operator==(const ShareRef&) const = default;
};

/// 09, KMS-A → KMS-B, signed by KMS-A.
struct KmsOffer {
  static constexpr MessageType type = MessageType::kms_offer;
  static constexpr Closing closing = Closing::signature;
  SidWk sid_wk;
  SidCall sid_call;
  ElementName kms_a;
  ElementName kms_b;
  Bytes h_grant;  // message hash of the SessionGrant
  Bytes nonce;    // 32
  UnixMs ts_ms = 0;
  std::vector<ShareRef> shares;  // 0 … shares_max, every key_id once
  crypto::EncapsulationKey ephemeral;
  Fingerprints fps;
  bool operator==(const KmsOffer&) const = default;
};

/// 19, KMS-B → KMS-A, signed by KMS-B, then kc_b.
struct KmsAccept {
  static constexpr MessageType type = MessageType::kms_accept;
  static constexpr Closing closing = Closing::signature_and_confirmation;
  SidWk sid_wk;
  Bytes h_offer;       // message hash of the offer
  Bytes nonce;         // 32
  Bytes ct_classical;  // suite.point octets
  Bytes ct_ml_kem;
  std::uint8_t ok_bitmap = 0;  // bit j: KMS-B holds share j; only those enter K_Q
  Fingerprints fps;
  bool operator==(const KmsAccept&) const = default;
};

/// 29, KMS-A → KMS-B; kc_a authenticates it.
struct KmsConfirm {
  static constexpr MessageType type = MessageType::kms_confirm;
  static constexpr Closing closing = Closing::none;
  SidWk sid_wk;
  Bytes h_accept;  // message hash of the accept (without kc_b)
  Bytes kc_a;      // digest
  bool operator==(const KmsConfirm&) const = default;
};

}  // namespace qanat::wire
