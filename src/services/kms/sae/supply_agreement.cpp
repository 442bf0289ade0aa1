#include "services/kms/sae/supply_agreement.hpp"

#include <algorithm>
#include <bit>
#include <set>

namespace qanat::kms {
namespace {

/// Those of `shares` that the bitmap names, in the order of the offer.
std::vector<const Secret*> used_of(const wire::SupplyOffer& offer, std::uint8_t bitmap, const QuantumShares& shares) {
  std::vector<const Secret*> out;
  for (std::size_t i = 0; i < offer.shares.size(); ++i) {
    if ((bitmap >> i & 1U) == 0) continue;
    for (std::size_t j = 0; j < shares.refs.size(); ++j) {
      if (shares.refs[j] == offer.shares[i]) out.push_back(&shares.keys[j]);
    }
  }
  return out;
}

AgreedSupply derived(const wire::SupplyKeys& keys, std::uint8_t batches, std::uint8_t paths) {
  AgreedSupply out{.batches = {}, .paths = paths};
  for (std::uint8_t i = 0; i < batches; ++i) {
    const BatchId id = keys.batch(i);
    out.batches.push_back({.id = id, .keys = keys.keys(id)});
  }
  return out;
}

}  // namespace

std::uint8_t paths_of(const std::vector<wire::ShareRef>& offered, std::uint8_t bitmap, bool quantum_grade) {
  if (!quantum_grade) return 0;
  std::set<PathId> paths;
  for (std::size_t i = 0; i < offered.size(); ++i) {
    if ((bitmap >> i & 1U) != 0) paths.insert(offered[i].path_id);
  }
  const int used = std::popcount(bitmap);
  return static_cast<std::uint8_t>(static_cast<int>(paths.size()) == used ? used : 1);
}

Result<SupplyOffering> SupplyOffering::make(const SupplySigner& signer, const Wanted& wanted, const wire::SupplyId& id, const QuantumShares& shares) {
  ASSIGN_OR_RETURN(crypto::Decapsulator ephemeral, crypto::Decapsulator::generate(signer.suite, signer.rng));
  const wire::SupplyOffer offer{.supply_id = id,
                                .kms_a = wanted.kms_a,
                                .kms_b = wanted.kms_b,
                                .batches = wanted.batches,
                                .nonce = signer.rng.bytes(wire::nonce_size),
                                .ts_ms = wanted.now,
                                .quantum_grade = !shares.refs.empty() && shares.quantum_grade,
                                .shares = shares.refs,
                                .ephemeral = ephemeral.encapsulation_key(),
                                .fps = signer.own.fps};
  ASSIGN_OR_RETURN(auto framed, wire::sign_message(signer.suite, signer.policy_epoch, offer, signer.own.signer, signer.own.fps, signer.rng));
  return SupplyOffering(signer.suite, std::move(ephemeral), std::move(framed));
}

Result<AgreedSupply> SupplyOffering::finish(const wire::Framed<wire::SupplyAccept>& accept, const wire::Fingerprints& fps, const QuantumShares& shares,
                                            Quantum quantum) const {
  const wire::SupplyOffer& offer = offer_.message;
  const wire::SupplyAccept& said = accept.message;
  const bool names_shares_not_offered = said.ok_bitmap >> offer.shares.size() != 0;
  if (said.supply_id != offer.supply_id || said.h_offer != offer_.hash || said.fps != fps || names_shares_not_offered)
    return fail(ErrorCode::denied, "SupplyAccept: does not answer the offer that was made");
  if (said.paths > paths_of(offer.shares, said.ok_bitmap, offer.quantum_grade))
    return fail(ErrorCode::denied, "SupplyAccept: claims more quantum paths than the keys came over");
  if (said.ok_bitmap == 0 && quantum == Quantum::demanded)
    return fail(ErrorCode::exhausted, offer.kms_b.text() + " holds none of the quantum keys, and policy allows no fallback");
  ASSIGN_OR_RETURN(const crypto::SharedSecrets secrets, ephemeral_.decapsulate(crypto::KemForm::to_ephemeral, said.ct_classical, said.ct_ml_kem));
  const Secret k_q = wire::combine_shares(used_of(offer, said.ok_bitmap, shares));
  const Bytes transcript = wire::supply_transcript(*suite_, offer_.octets, accept.without_confirmation());
  const wire::SupplyKeys keys(*suite_, transcript, k_q, secrets.classical, secrets.ml_kem, offer.supply_id);
  if (!equal_constant_time(keys.confirmation(), accept.confirmation()))
    return fail(ErrorCode::denied, "SupplyAccept: key confirmation does not hold: the two KMSs have different keys");
  return derived(keys, offer.batches, said.paths);
}

Result<SupplyAnswer> answer_supply(const SupplySigner& signer, const wire::Framed<wire::SupplyOffer>& offer, const QuantumShares& shares) {
  const wire::SupplyOffer& asked = offer.message;
  ASSIGN_OR_RETURN(const crypto::Encapsulation made, crypto::encapsulate(signer.suite, crypto::KemForm::to_ephemeral, asked.ephemeral, signer.rng));
  std::uint8_t bitmap = 0;
  for (std::size_t i = 0; i < asked.shares.size(); ++i) {
    if (std::ranges::find(shares.refs, asked.shares[i]) != shares.refs.end()) bitmap = static_cast<std::uint8_t>(bitmap | 1U << i);
  }
  const wire::SupplyAccept accept{.supply_id = asked.supply_id,
                                  .h_offer = offer.hash,
                                  .nonce = signer.rng.bytes(wire::nonce_size),
                                  .ct_classical = made.ct_classical,
                                  .ct_ml_kem = made.ct_ml_kem,
                                  .ok_bitmap = bitmap,
                                  .paths = paths_of(asked.shares, bitmap, asked.quantum_grade && shares.quantum_grade),
                                  .fps = signer.own.fps};
  ASSIGN_OR_RETURN(auto answer, wire::sign_message(signer.suite, signer.policy_epoch, accept, signer.own.signer, signer.own.fps, signer.rng));
  const Secret k_q = wire::combine_shares(used_of(asked, bitmap, shares));
  const Bytes transcript = wire::supply_transcript(signer.suite, offer.octets, answer.octets);
  const wire::SupplyKeys keys(signer.suite, transcript, k_q, made.ss_classical, made.ss_ml_kem, asked.supply_id);
  wire::append_confirmation(answer, keys.confirmation());
  return SupplyAnswer{.octets = std::move(answer.octets), .agreed = derived(keys, asked.batches, accept.paths)};
}

}  // namespace qanat::kms
