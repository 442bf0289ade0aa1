#include "wire/qfc2_kms.hpp"

#include "wire/qfc2_codec.hpp"

namespace qanat::wire {
namespace {

bool each_key_once(const std::vector<ShareRef>& shares) {
  for (std::size_t i = 0; i < shares.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (shares[i].key_id == shares[j].key_id) return false;
    }
  }
  return true;
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, KmsOffer>
void fields(Codec& c, M& m) {
  c.id("sid_wk", m.sid_wk);
  c.id("sid_call", m.sid_call);
  c.name("kms_a", m.kms_a, kms_bounds);
  c.name("kms_b", m.kms_b, kms_bounds);
  c.digest("h_grant", m.h_grant);
  c.fixed("nonce", m.nonce, nonce_size);
  c.u64("ts_ms", m.ts_ms);
  c.list("shares", m.shares, shares_max, [](Codec& codec, auto& share) {
    codec.id("path_id", share.path_id);
    codec.id("key_id", share.key_id);
  });
  // Two equal shares would cancel in K_Q.
  c.require(each_key_once(m.shares), "shares", "a key_id twice");
  key_fields(c, "ek", m.ephemeral);
  fingerprint_fields(c, "fp", m.fps);
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, KmsAccept>
void fields(Codec& c, M& m) {
  c.id("sid_wk", m.sid_wk);
  c.digest("h_offer", m.h_offer);
  c.fixed("nonce", m.nonce, nonce_size);
  c.fixed("ct_T", m.ct_classical, c.suite().point);
  c.fixed("ct_PQ", m.ct_ml_kem, c.suite().ml_kem_ct);
  c.u8("ok_bitmap", m.ok_bitmap);
  fingerprint_fields(c, "fp", m.fps);
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, KmsConfirm>
void fields(Codec& c, M& m) {
  c.id("sid_wk", m.sid_wk);
  c.digest("h_accept", m.h_accept);
  c.digest("kc_a", m.kc_a);
}

}  // namespace

QANAT_WIRE_MESSAGE(KmsOffer);
QANAT_WIRE_MESSAGE(KmsAccept);
QANAT_WIRE_MESSAGE(KmsConfirm);

}  // namespace qanat::wire
