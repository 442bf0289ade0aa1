#include "wire/key_schedule.hpp"

#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "wire/injection.hpp"
#include "wire/labels.hpp"
#include "wire/reader.hpp"

namespace qanat::wire {
namespace {

constexpr std::size_t secret_size = 32;  // ss_H, WK, MAC keys

Bytes u16_octets(std::uint16_t value) { return {static_cast<std::uint8_t>(value >> 8U), static_cast<std::uint8_t>(value)}; }

// H(ct_PQ‖ct_T‖ek_PQ‖ek_T): no lengths needed, the suite fixes each.
Bytes kem_digest(const crypto::Suite& suite, const KemTranscript& kem) {
  return crypto::digest(suite.hash, {kem.ct_ml_kem, kem.ct_classical, kem.key.ml_kem, kem.key.point});
}

SealingKey enrol_key(const crypto::Suite& suite, const Secret& ss_h, ByteView h_enrol) {
  Secret iv = crypto::hkdf_expand(suite.hash, ss_h, {labels::enrol_iv, h_enrol}, crypto::aead_iv);
  return {.key = crypto::hkdf_expand(suite.hash, ss_h, {labels::enrol_key, h_enrol}, suite.aead_key), .iv = to_bytes(iv.reveal())};
}

Bytes context(ByteView label, ByteView hash) { return concat({label, hash}); }

// Of what EnrolDeliver seals: u8 1 ‖ scalar ‖ seed ‖ fingerprints, or u8 2 ‖ fingerprints.
Result<Secret> encode_enrol_payload(const crypto::Suite& suite, EncryptionKeys keys, const EnrolPayload& payload) {
  const bool made = keys == EncryptionKeys::kms_made;
  const std::size_t scalar = made ? suite.scalar : 0;
  const std::size_t seed = made ? crypto::seed_ml_kem : 0;
  if (payload.encryption.scalar.size() != scalar || payload.encryption.ml_kem_seed.size() != seed || payload.kms.classical.size() != suite.digest ||
      payload.kms.pq.size() != suite.digest) {
    return fail(ErrorCode::invalid_argument, "EnrolDeliver: payload has the wrong shape");
  }
  const Secret kind = Secret::copy_of(std::array{static_cast<std::uint8_t>(keys)});
  const Secret prints = Secret::copy_of(concat({payload.kms.classical, payload.kms.pq}));
  return Secret::concat({&kind, &payload.encryption.scalar, &payload.encryption.ml_kem_seed, &prints});
}

Result<EnrolPayload> parse_enrol_payload(const crypto::Suite& suite, EncryptionKeys keys, const Secret& octets) {
  Reader in(octets.reveal());
  ASSIGN_OR_RETURN(const std::uint8_t kind, in.u8("payload"));
  if (kind != static_cast<std::uint8_t>(keys)) return fail(ErrorCode::invalid_argument, "payload: of another kind than the message says");
  EnrolPayload out;
  if (keys == EncryptionKeys::kms_made) {
    ASSIGN_OR_RETURN(const ByteView scalar, in.fixed("scalar", suite.scalar));
    ASSIGN_OR_RETURN(const ByteView seed, in.fixed("ml_kem_seed", crypto::seed_ml_kem));
    out.encryption = {.scalar = Secret::copy_of(scalar), .ml_kem_seed = Secret::copy_of(seed)};
  }
  ASSIGN_OR_RETURN(const ByteView classical, in.fixed("kms_classical", suite.digest));
  ASSIGN_OR_RETURN(const ByteView pq, in.fixed("kms_pq", suite.digest));
  out.kms = {.classical = to_bytes(classical), .pq = to_bytes(pq)};
  TRY(in.finish());
  return Result<EnrolPayload>(std::move(out));
}

Bytes enrol_mac(const crypto::Suite& suite, const Secret& enrolment_secret, ByteView octets) {
  const Secret key = crypto::hkdf_expand(suite.hash, crypto::hkdf_extract(suite.hash, Bytes(suite.digest), enrolment_secret), {labels::enrol_mac}, secret_size);
  return crypto::hmac(suite.hash, key, {octets});
}

}  // namespace

Secret hybrid_secret(const crypto::Suite& suite, const KemTranscript& kem, ByteView context_octets) {
  const Bytes number = u16_octets(static_cast<std::uint16_t>(suite.id));
  const Secret ikm = Secret::concat({&kem.ss_ml_kem, &kem.ss_classical});
  const Secret prk = crypto::hkdf_extract(suite.hash, crypto::digest(suite.hash, {labels::hkem, number}), ikm);
  return crypto::hkdf_expand(suite.hash, prk, {labels::hkem_out, number, kem_digest(suite, kem), crypto::digest(suite.hash, context_octets)}, secret_size);
}

Secret mix_ephemeral(const crypto::Suite& suite, const Secret& ss_h, const KemTranscript& ephemeral) {
  const Secret ikm = Secret::concat({&ephemeral.ss_ml_kem, &ephemeral.ss_classical});
  return crypto::hkdf_expand(suite.hash, crypto::hkdf_extract(suite.hash, ss_h, ikm), {labels::hkem_eph, kem_digest(suite, ephemeral)}, secret_size);
}

Secret mix_injected(const crypto::Suite& suite, const Secret& ss_h, const Secret& injected_key, std::uint32_t index, ByteView h_req) {
  return crypto::hkdf_expand(suite.hash, crypto::hkdf_extract(suite.hash, injected_key, ss_h), {labels::hkem_inj, index_octets(index), h_req}, secret_size);
}

Bytes injected_request_mac(const crypto::Suite& suite, const Secret& injected_key, ByteView header_and_body_without) {
  const Secret key = crypto::hkdf_expand(suite.hash, crypto::hkdf_extract(suite.hash, Bytes(suite.digest), injected_key), {labels::inj_req}, secret_size);
  return crypto::hmac(suite.hash, key, {header_and_body_without});
}

Bytes enrol_context(ByteView h_enrol) { return context(labels::context_enrol, h_enrol); }

Result<Framed<Enrol>> make_enrol(const crypto::Suite& suite, std::uint32_t policy_epoch, Enrol message, const Secret& enrolment_secret) {
  message.mac.assign(suite.digest, 0);
  ASSIGN_OR_RETURN(const Bytes octets, encode(suite, policy_epoch, message));
  message.mac = enrol_mac(suite, enrolment_secret, ByteView(octets).first(octets.size() - suite.digest));
  return frame(suite, policy_epoch, message);
}

Result<void> verify_enrol(const Framed<Enrol>& message, const Secret& enrolment_secret) {
  const ByteView octets = message.octets;
  const Bytes wanted = enrol_mac(*message.suite, enrolment_secret, octets.first(octets.size() - message.suite->digest));
  if (!equal_constant_time(wanted, message.message.mac)) return fail(ErrorCode::unauthenticated, "Enrol: the enrolment secret does not fit");
  return {};
}

Result<EnrolDeliver> seal_enrol(const crypto::Suite& suite, std::uint32_t policy_epoch, EnrolDeliver message, const Secret& ss_h, const EnrolPayload& payload) {
  ASSIGN_OR_RETURN(const Secret plaintext, encode_enrol_payload(suite, message.encryption_keys, payload));
  message.sealed.assign(plaintext.size() + crypto::aead_tag, 0);
  ASSIGN_OR_RETURN(const Bytes associated, octets_before_sealed(suite, policy_epoch, message));
  const SealingKey key = enrol_key(suite, ss_h, message.h_enrol);
  message.sealed = crypto::seal(suite.aead, key.key, key.iv, associated, plaintext.reveal());  // the key seals this message alone
  return message;
}

Result<EnrolPayload> open_enrol(const Framed<EnrolDeliver>& message, const Secret& ss_h) {
  const crypto::Suite& suite = *message.suite;
  ASSIGN_OR_RETURN(const Bytes associated, octets_before_sealed(suite, message.header.policy_epoch, message.message));
  const SealingKey key = enrol_key(suite, ss_h, message.message.h_enrol);
  ASSIGN_OR_RETURN(const Secret plaintext, crypto::open(suite.aead, key.key, key.iv, associated, message.message.sealed));
  return parse_enrol_payload(suite, message.message.encryption_keys, plaintext);
}

Bytes th9_of(const crypto::Suite& suite, ByteView offer, ByteView accept_without_confirmation) {
  return crypto::digest(suite.hash, {offer, accept_without_confirmation});
}

Secret combine_shares(std::span<const Secret* const> shares) {
  Secret k_q(secret_size);
  for (const Secret* share : shares) k_q.xor_with(*share);
  return k_q;
}

KmsKeys derive_kms_keys(const crypto::Suite& suite, ByteView th9, const Secret& k_q, const Secret& ss_classical, const Secret& ss_ml_kem, const SidWk& sid_wk,
                        const SidCall& sid_call) {
  CHECK(k_q.size() == secret_size);
  const Secret ikm = Secret::concat({&k_q, &ss_ml_kem, &ss_classical});
  const Secret prk = crypto::hkdf_extract(suite.hash, th9, ikm);
  const Secret confirmation = crypto::hkdf_expand(suite.hash, prk, {labels::kc, sid_wk.view()}, secret_size);
  return {.wk = crypto::hkdf_expand(suite.hash, prk, {labels::wk, sid_wk.view(), sid_call.view()}, wk_size),
          .kc_a = crypto::hmac(suite.hash, confirmation, {std::array<std::uint8_t, 1>{1}, th9}),
          .kc_b = crypto::hmac(suite.hash, confirmation, {std::array<std::uint8_t, 1>{2}, th9})};
}

Bytes no_th9(const crypto::Suite& suite) { return Bytes(suite.digest); }

Bytes deliver_context(ByteView h_req) { return context(labels::context_deliver, h_req); }

SealingKey step11_key(const crypto::Suite& suite, const Secret& ss_h, ByteView h_req) {
  Secret iv = crypto::hkdf_expand(suite.hash, ss_h, {labels::step11_iv, h_req}, crypto::aead_iv);
  return {.key = crypto::hkdf_expand(suite.hash, ss_h, {labels::step11_key, h_req}, suite.aead_key), .iv = to_bytes(iv.reveal())};
}

Result<KeyDeliver> seal_key_deliver(const crypto::Suite& suite, std::uint32_t policy_epoch, KeyDeliver message, const Secret& ss_h,
                                    const KeyDeliverPayload& payload) {
  ASSIGN_OR_RETURN(const Secret plaintext, encode_payload(suite, payload));
  message.sealed.assign(plaintext.size() + crypto::aead_tag, 0);
  ASSIGN_OR_RETURN(const Bytes associated, octets_before_sealed(suite, policy_epoch, message));
  const SealingKey key = step11_key(suite, ss_h, message.h_req);
  message.sealed = crypto::seal(suite.aead, key.key, key.iv, associated, plaintext.reveal());  // the key seals this message alone
  return message;
}

Result<KeyDeliverPayload> open_key_deliver(const Framed<KeyDeliver>& message, const Secret& ss_h) {
  const crypto::Suite& suite = *message.suite;
  ASSIGN_OR_RETURN(const Bytes associated, octets_before_sealed(suite, message.header.policy_epoch, message.message));
  const SealingKey key = step11_key(suite, ss_h, message.message.h_req);
  ASSIGN_OR_RETURN(const Secret plaintext, crypto::open(suite.aead, key.key, key.iv, associated, message.message.sealed));
  return parse_payload(suite, plaintext);
}

std::string wk_fingerprint(const crypto::Suite& suite, const Secret& wk) {
  const Secret shown = crypto::hkdf_expand(suite.hash, crypto::hkdf_extract(suite.hash, Bytes(suite.digest), wk), {labels::fp_expand}, secret_size);
  return to_hex(ByteView(crypto::digest(suite.hash, {labels::fp, shown.reveal()})).first(8));
}

SidCall make_sid_call(const Number& caller, const Number& callee, ByteView nonce) {
  constexpr Bounds any{.min = 0, .max = 255};
  Writer out;
  out.opaque("label", labels::sid_call.text, any);
  out.opaque("caller", caller.text(), any);
  out.opaque("callee", callee.text(), any);
  out.opaque("nonce", nonce, any);
  const auto octets = std::move(out).finish();
  CHECK(octets.has_value());  // numbers and nonces are bounded where they come in
  return SidCall(crypto::digest(crypto::Hash::sm3, *octets));
}

}  // namespace qanat::wire
