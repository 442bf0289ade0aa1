// Ahead of demand: two KMSs agree once, and derive many keys for SAEs of their domains from it (supply_schedule.hpp).
#pragma once

#include <vector>

#include "base/clock.hpp"
#include "base/key_run.hpp"
#include "crypto/hybrid_kem.hpp"
#include "wire/qfc2_header.hpp"
#include "wire/qfc2_kms.hpp"

namespace qanat::wire {

struct SupplyTag;
using SupplyId = Id<SupplyTag, 16>;  // drawn by the KMS that offers; the quantum keys are taken and fetched under it

inline constexpr std::uint8_t supply_batches_max = 16;
inline constexpr std::uint32_t supply_batch_keys = 256;  // of 32 octets

/// 69, KMS-A → KMS-B, signed by KMS-A, which alone chooses who gets the keys.
struct SupplyOffer {
  static constexpr MessageType type = MessageType::supply_offer;
  static constexpr Closing closing = Closing::signature;
  SupplyId supply_id;
  ElementName kms_a;
  ElementName kms_b;
  std::uint8_t batches = 1;  // 1 … supply_batches_max
  Bytes nonce;               // 32
  UnixMs ts_ms = 0;
  bool quantum_grade = false;    // of the shares, as KMS-A had them: none rested on public-key secrecy on its way
  std::vector<ShareRef> shares;  // 0 … shares_max, every key_id once
  crypto::EncapsulationKey ephemeral;
  Fingerprints fps;
  bool operator==(const SupplyOffer&) const = default;
};

/// 79, KMS-B → KMS-A, signed by KMS-B, then kc_b. KMS-B has the keys by then.
struct SupplyAccept {
  static constexpr MessageType type = MessageType::supply_accept;
  static constexpr Closing closing = Closing::signature_and_confirmation;
  SupplyId supply_id;
  Bytes h_offer;       // message hash of the offer
  Bytes nonce;         // 32
  Bytes ct_classical;  // suite.point octets
  Bytes ct_ml_kem;
  std::uint8_t ok_bitmap = 0;  // bit j: KMS-B holds share j; only those enter K_Q
  std::uint8_t paths = 0;      // separate paths of quantum key distribution that the keys rest on; 0: none
  Fingerprints fps;
  bool operator==(const SupplyAccept&) const = default;
};

}  // namespace qanat::wire
