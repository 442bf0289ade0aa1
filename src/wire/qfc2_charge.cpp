#include "wire/qfc2_charge.hpp"

#include "crypto/aead.hpp"
#include "wire/injection.hpp"
#include "wire/key_schedule.hpp"
#include "wire/labels.hpp"
#include "wire/qfc2_codec.hpp"

namespace qanat::wire {
namespace {

constexpr std::size_t mac_key_octets = 32;

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, ChargeRequest>
void fields(Codec& c, M& m) {
  c.name("uid", m.uid, uid_bounds);
  c.name("kms_id", m.kms_id, kms_bounds);
  c.id("medium", m.medium);
  c.fixed("nonce", m.nonce, nonce_size);
  c.u64("ts_ms", m.ts_ms);
  for (auto& wanted : m.wanted) {
    c.u16("wanted", wanted);
    c.require(wanted <= charge_keys_max, "wanted", "more keys than a charge has");
  }
  c.flags("flags", m.flags, flag_inj);
  key_fields(c, "eph", m.ephemeral);
  c.extensions("ext", m.ext);
  c.require(extensions_are(m.ext, m.flags), "ext", "extension 1 exactly if flags say so");
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, ChargeDeliver>
void fields(Codec& c, M& m) {
  c.digest("h_req", m.h_req);
  c.name("uid", m.uid, uid_bounds);
  c.id("medium", m.medium);
  c.id("charge", m.charge);
  c.u64("ts_ms", m.ts_ms);
  c.choice("order", m.order, {MediumOrder::none, MediumOrder::charge, MediumOrder::lock, MediumOrder::wipe});
  c.flags("flags", m.flags, flag_inj);
  // Present or absent as `order` says, hence without a length of their own.
  const bool charge = m.order == MediumOrder::charge;
  c.fixed("ct_T", m.ct_classical, charge ? c.suite().point : 0);
  c.fixed("ct_PQ", m.ct_ml_kem, charge ? c.suite().ml_kem_ct : 0);
  c.mark();
  c.opaque("sealed", m.sealed, charge_sealed_bounds);
  c.require(m.sealed.empty() != charge, "sealed", "present exactly if the order is to charge");
}

template <class Codec, class M>
requires std::same_as<std::remove_const_t<M>, ChargeReceipt>
void fields(Codec& c, M& m) {
  c.name("uid", m.uid, uid_bounds);
  c.id("medium", m.medium);
  c.id("charge", m.charge);
  c.digest("h_deliver", m.h_deliver);
  c.boolean("ok", m.ok);
}

SealingKey sealing_key(const crypto::Suite& suite, const Secret& ss_h, ByteView h_req) {
  Secret iv = crypto::hkdf_expand(suite.hash, ss_h, {labels::charge_iv, h_req}, crypto::aead_iv);
  return {.key = crypto::hkdf_expand(suite.hash, ss_h, {labels::charge_key, h_req}, suite.aead_key), .iv = to_bytes(iv.reveal())};
}

Result<Bytes> octets_before_charge(const crypto::Suite& suite, std::uint32_t policy_epoch, const ChargeDeliver& message) {
  Encoder codec(suite);
  fields(codec, message);
  return octets_before_mark(policy_epoch, message.type, std::move(codec));
}

}  // namespace

QANAT_WIRE_MESSAGE(ChargeRequest);
QANAT_WIRE_MESSAGE(ChargeDeliver);
QANAT_WIRE_MESSAGE(ChargeReceipt);

std::string_view name(MediumOrder order) noexcept {
  switch (order) {
    case MediumOrder::none:
      return "none";
    case MediumOrder::charge:
      return "charge";
    case MediumOrder::lock:
      return "lock";
    case MediumOrder::wipe:
      return "wipe";
  }
  return "?";
}

Bytes charge_request_mac(const crypto::Suite& suite, const Secret& distribution_key, ByteView header_and_body_without) {
  const Secret prk = crypto::hkdf_extract(suite.hash, Bytes(suite.digest), distribution_key);
  return crypto::hmac(suite.hash, crypto::hkdf_expand(suite.hash, prk, {labels::charge_req}, mac_key_octets), {header_and_body_without});
}

Result<Bytes> without_injection(const Framed<ChargeRequest>& request) {
  ChargeRequest bare = request.message;
  bare.ext.clear();
  bare.flags &= static_cast<std::uint8_t>(~flag_inj);
  return encode(*request.suite, request.header.policy_epoch, bare);
}

Bytes charge_context(ByteView h_req) { return concat({labels::context_charge, h_req}); }

Secret mix_distribution(const crypto::Suite& suite, const Secret& ss_h, const Secret& distribution_key, std::uint32_t index, ByteView h_req) {
  return crypto::hkdf_expand(suite.hash, crypto::hkdf_extract(suite.hash, distribution_key, ss_h), {labels::charge_inj, index_octets(index), h_req},
                             mac_key_octets);
}

Result<ChargeDeliver> seal_charge(const crypto::Suite& suite, std::uint32_t policy_epoch, ChargeDeliver message, const Secret& ss_h,
                                  const ChargePayload& payload) {
  ASSIGN_OR_RETURN(const Secret plaintext, encode_charge(payload));
  message.sealed.assign(plaintext.size() + crypto::aead_tag, 0);
  ASSIGN_OR_RETURN(const Bytes associated, octets_before_charge(suite, policy_epoch, message));
  const SealingKey key = sealing_key(suite, ss_h, message.h_req);
  message.sealed = crypto::seal(suite.aead, key.key, key.iv, associated, plaintext.reveal());  // the key seals this message alone
  return message;
}

Result<ChargePayload> open_charge(const Framed<ChargeDeliver>& message, const Secret& ss_h) {
  const crypto::Suite& suite = *message.suite;
  ASSIGN_OR_RETURN(const Bytes associated, octets_before_charge(suite, message.header.policy_epoch, message.message));
  const SealingKey key = sealing_key(suite, ss_h, message.message.h_req);
  ASSIGN_OR_RETURN(const Secret plaintext, crypto::open(suite.aead, key.key, key.iv, associated, message.message.sealed));
  return parse_charge(plaintext);
}

}  // namespace qanat::wire
