// One agreement of two KMSs on keys for SAEs, ahead of demand (docs/protocol/qfc2.md, "Keys for SAEs"): what each says, and what both derive. No I/O.
#pragma once

#include "crypto/hybrid_kem.hpp"
#include "node/credentials.hpp"
#include "services/kms/kma/agreement.hpp"
#include "wire/supply_schedule.hpp"

namespace qanat::kms {

struct SupplyBatch {
  BatchId id;
  Secret keys;  // wire::supply_batch_keys × 32 octets
};
struct AgreedSupply {
  std::vector<SupplyBatch> batches;
  std::uint8_t paths = 0;  // of quantum key distribution; 0: agreed by public keys alone
};

/// How many separate paths the shares of `bitmap` came over; 0 for none, or if they are not of quantum grade.
std::uint8_t paths_of(const std::vector<wire::ShareRef>& offered, std::uint8_t bitmap, bool quantum_grade);

/// Who signs here, and under what.
struct SupplySigner {
  const crypto::Suite& suite;
  std::uint32_t policy_epoch = 0;
  const node::MessageSigner& own;
  crypto::Rng& rng;
};

/// KMS-A's side, from the offer to the answer.
class SupplyOffering {
 public:
  struct Wanted {
    ElementName kms_a;
    ElementName kms_b;
    std::uint8_t batches = 1;
    UnixMs now = 0;
  };
  static Result<SupplyOffering> make(const SupplySigner& signer, const Wanted& wanted, const wire::SupplyId& id, const QuantumShares& shares);

  /// The signed message.
  [[nodiscard]] const wire::Framed<wire::SupplyOffer>& offer() const noexcept { return offer_; }
  /// What the answer agrees on; its signature is the caller's to check, with `fps`. denied if it does not answer the offer, claims more paths than the shares
  /// have here, or its confirmation does not hold; exhausted if it uses none of the shares and `quantum` demands one.
  enum class Quantum : std::uint8_t { wished, demanded };
  Result<AgreedSupply> finish(const wire::Framed<wire::SupplyAccept>& accept, const wire::Fingerprints& fps, const QuantumShares& shares, Quantum quantum) const;

 private:
  SupplyOffering(const crypto::Suite& suite, crypto::Decapsulator ephemeral, wire::Framed<wire::SupplyOffer> offer)
      : suite_(&suite), ephemeral_(std::move(ephemeral)), offer_(std::move(offer)) {}
  const crypto::Suite* suite_;
  crypto::Decapsulator ephemeral_;
  wire::Framed<wire::SupplyOffer> offer_;
};

/// KMS-B's side: the answer, signed, with its confirmation behind it.
struct SupplyAnswer {
  Bytes octets;
  AgreedSupply agreed;
};
Result<SupplyAnswer> answer_supply(const SupplySigner& signer, const wire::Framed<wire::SupplyOffer>& offer, const QuantumShares& shares);

}  // namespace qanat::kms
