#include "wire/qfc2_supply.hpp"

#include "wire/qfc2_codec.hpp"

namespace qanat::wire {
namespace {

bool no_share_twice(const std::vector<ShareRef>& shares) {
  for (std::size_t i = 0; i < shares.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (shares[i].key_id == shares[j].key_id) return false;
    }
  }
  return true;
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, SupplyOffer>
void fields(Codec& c, M& m) {
  c.id("supply_id", m.supply_id);
  c.name("kms_a", m.kms_a, kms_bounds);
  c.name("kms_b", m.kms_b, kms_bounds);
  c.u8("batches", m.batches);
  c.require(m.batches >= 1 && m.batches <= supply_batches_max, "batches", "must be 1 to 16");
  c.fixed("nonce", m.nonce, nonce_size);
  c.u64("ts_ms", m.ts_ms);
  c.boolean("quantum_grade", m.quantum_grade);
  c.list("shares", m.shares, shares_max, [](Codec& codec, auto& share) {
    codec.id("path_id", share.path_id);
    codec.id("key_id", share.key_id);
  });
  // Two equal shares would cancel in K_Q.
  c.require(no_share_twice(m.shares), "shares", "a key_id twice");
  key_fields(c, "ek", m.ephemeral);
  fingerprint_fields(c, "fp", m.fps);
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, SupplyAccept>
void fields(Codec& c, M& m) {
  c.id("supply_id", m.supply_id);
  c.digest("h_offer", m.h_offer);
  c.fixed("nonce", m.nonce, nonce_size);
  c.fixed("ct_T", m.ct_classical, c.suite().point);
  c.fixed("ct_PQ", m.ct_ml_kem, c.suite().ml_kem_ct);
  c.u8("ok_bitmap", m.ok_bitmap);
  c.u8("paths", m.paths);
  c.require(m.paths <= shares_max, "paths", "more than there can be shares");
  fingerprint_fields(c, "fp", m.fps);
}

}  // namespace

QANAT_WIRE_MESSAGE(SupplyOffer);
QANAT_WIRE_MESSAGE(SupplyAccept);

}  // namespace qanat::wire
