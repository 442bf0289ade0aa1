#include "wire/supply_schedule.hpp"

#include "base/check.hpp"
#include "crypto/kdf.hpp"
#include "wire/labels.hpp"
#include "wire/writer.hpp"

namespace qanat::wire {
namespace {

constexpr std::size_t stock_key_octets = 32;
constexpr Bounds sae_name_bounds{1, 256};

}  // namespace

Bytes supply_transcript(const crypto::Suite& suite, ByteView offer, ByteView accept_without_confirmation) {
  return crypto::digest(suite.hash, {offer, accept_without_confirmation});
}

SupplyKeys::SupplyKeys(const crypto::Suite& suite, ByteView transcript, const Secret& k_q, const Secret& ss_classical, const Secret& ss_ml_kem,
                       const SupplyId& id)
    : suite_(suite), id_(id), transcript_(to_bytes(transcript)) {
  CHECK(k_q.size() == stock_key_octets);
  prk_ = crypto::hkdf_extract(suite.hash, transcript, Secret::concat({&k_q, &ss_ml_kem, &ss_classical}));
}

BatchId SupplyKeys::batch(std::uint8_t index) const {
  const Bytes name = crypto::digest(suite_.hash, {labels::supply_batch, id_.view(), std::array<std::uint8_t, 1>{index}});
  return BatchId(ByteView(name).first(BatchId::size));
}

Secret SupplyKeys::keys(const BatchId& batch) const {
  Secret out(std::size_t{supply_batch_keys} * stock_key_octets);
  for (std::uint32_t i = 0; i < supply_batch_keys; ++i) {
    const Secret key = crypto::hkdf_expand(suite_.hash, prk_, {labels::supply_key, id_.view(), key_id(batch, i).view()}, stock_key_octets);
    std::ranges::copy(key.reveal(), out.writable().begin() + static_cast<std::ptrdiff_t>(i * stock_key_octets));
  }
  return out;
}

Bytes SupplyKeys::confirmation() const {
  const Secret key = crypto::hkdf_expand(suite_.hash, prk_, {labels::supply_kc, id_.view()}, stock_key_octets);
  return crypto::hmac(suite_.hash, key, {std::array<std::uint8_t, 1>{2}, transcript_});
}

Secret sae_key(const crypto::Suite& suite, const Secret& stock_octets, const KeyId& id, std::string_view master, std::span<const std::string_view> slaves,
               std::size_t size) {
  Writer names;
  names.opaque("master", master, sae_name_bounds);
  CHECK(!slaves.empty() && slaves.size() <= 255);
  names.u8(static_cast<std::uint8_t>(slaves.size()));
  for (const std::string_view slave : slaves) names.opaque("slave", slave, sae_name_bounds);
  const auto octets = std::move(names).finish();
  CHECK(octets.has_value());  // names are bounded where they come in
  return crypto::hkdf_expand(suite.hash, stock_octets, {labels::sae_key, id.view(), *octets}, size);
}

}  // namespace qanat::wire
