// What two KMSs derive from one agreement ahead of demand, and what an SAE's key is made from (docs/protocol/qfc2.md, "Keys for SAEs"). Own design: the shape of
// step 9, under labels of its own.
#pragma once

#include <string_view>

#include "base/secret.hpp"
#include "crypto/suite.hpp"
#include "wire/qfc2_supply.hpp"

namespace qanat::wire {

/// TH_S over both messages with their signatures (of the accept without kc_b).
Bytes supply_transcript(const crypto::Suite& suite, ByteView offer, ByteView accept_without_confirmation);

/// One agreement's keys. What it is derived from leaves no trace in it but the extracted secret: keep it no longer than for deriving the batches.
class SupplyKeys {
 public:
  SupplyKeys(const crypto::Suite& suite, ByteView transcript, const Secret& k_q, const Secret& ss_classical, const Secret& ss_ml_kem, const SupplyId& id);

  /// The id of the keys that come together; `index` < supply_batches_max.
  [[nodiscard]] BatchId batch(std::uint8_t index) const;
  /// supply_batch_keys keys of 32 octets, one after the other.
  [[nodiscard]] Secret keys(const BatchId& batch) const;
  /// KMS-B's proof that it has them; digest.
  [[nodiscard]] Bytes confirmation() const;

 private:
  const crypto::Suite& suite_;
  SupplyId id_;
  Bytes transcript_;
  Secret prk_;
};

/// The key that SAEs get, `size` octets, from the stock's octets that are its turn: bound to its id, to the SAE that ordered it and to those of the other domain
/// that it is for, in their order. Names have 1 to 256 octets.
Secret sae_key(const crypto::Suite& suite, const Secret& stock_octets, const KeyId& id, std::string_view master, std::span<const std::string_view> slaves,
               std::size_t size);

}  // namespace qanat::wire
