#include "wire/ax_schedule.hpp"

#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "wire/labels.hpp"

namespace qanat::wire {
namespace {

constexpr std::size_t tag_key_size = 32;
constexpr std::size_t zero_size = 32;        // 0^32 in every suite; as HMAC's key shorter zeros are the same, as its message not
constexpr std::size_t media_salt_size = 12;  // RFC 7714 §8.1

SealingKey sealing_key(const crypto::Suite& suite, const Secret& handshake, ByteView key_label, ByteView iv_label, ByteView transcript_hash) {
  const Secret iv = crypto::hkdf_expand(suite.hash, handshake, {iv_label, transcript_hash}, crypto::aead_iv);
  return {.key = crypto::hkdf_expand(suite.hash, handshake, {key_label, transcript_hash}, suite.aead_key), .iv = to_bytes(iv.reveal())};
}

// RFC 8446 §7.1's Derive-Secret(…, "derived", …) between two extractions.
Secret derived(const crypto::Suite& suite, const Secret& from, ByteView transcript_hash) {
  return crypto::hkdf_expand(suite.hash, from, {labels::derived, transcript_hash}, suite.digest);
}

}  // namespace

Bytes ax1_tag(const crypto::Suite& suite, const Secret& wk, ByteView header_and_body) {
  const Secret key = crypto::hkdf_expand(suite.hash, ax_early_secret(suite, wk), {labels::ax1}, tag_key_size);
  return crypto::hmac(suite.hash, key, {crypto::digest(suite.hash, header_and_body)});
}

Result<void> verify_ax1(const Framed<Ax1>& message, const Secret& wk) {
  if (!equal_constant_time(ax1_tag(*message.suite, wk, message.header_and_body()), message.confirmation())) {
    return fail(ErrorCode::denied, "AX1: the tag does not hold: the other end has another working key");
  }
  return {};
}

Bytes th2_of(const crypto::Suite& suite, ByteView ax1, ByteView ax2_before_sealed) { return crypto::digest(suite.hash, {ax1, ax2_before_sealed}); }

Bytes th3_of(const crypto::Suite& suite, ByteView th2, ByteView ax2_sealed) { return crypto::digest(suite.hash, {th2, ax2_sealed}); }

Secret ax_early_secret(const crypto::Suite& suite, const Secret& wk) { return crypto::hkdf_extract(suite.hash, Bytes(suite.digest), wk); }

Secret ax_handshake_secret(const crypto::Suite& suite, const Secret& early, const Secret& ss_classical, const Secret& ss_ml_kem) {
  const Secret ikm = Secret::concat({&ss_ml_kem, &ss_classical});
  return crypto::hkdf_extract(suite.hash, derived(suite, early, crypto::digest(suite.hash, ByteView{})), ikm);
}

SealingKey ax_responder_key(const crypto::Suite& suite, const Secret& handshake, ByteView th2) {
  return sealing_key(suite, handshake, labels::hs_r_key, labels::hs_r_iv, th2);
}

SealingKey ax_initiator_key(const crypto::Suite& suite, const Secret& handshake, ByteView th3) {
  return sealing_key(suite, handshake, labels::hs_i_key, labels::hs_i_iv, th3);
}

Secret ax_master_secret(const crypto::Suite& suite, const Secret& handshake, ByteView th3) {
  return crypto::hkdf_extract(suite.hash, derived(suite, handshake, th3), Secret(zero_size));
}

Bytes seal_proof(const crypto::Suite& suite, const SealingKey& key, ByteView associated, ByteView proof) {
  return crypto::seal(suite.aead, key.key, key.iv, associated, proof);  // the key seals one proof: it depends on the transcript
}

Result<AxProof> open_proof(const crypto::Suite& suite, const SealingKey& key, ByteView associated, ByteView sealed) {
  ASSIGN_OR_RETURN(const Secret proof, crypto::open(suite.aead, key.key, key.iv, associated, sealed));
  return parse_proof(suite, proof.reveal());
}

Bytes ax3_associated(const crypto::Suite& suite, std::uint32_t policy_epoch, ByteView th3) {
  const auto body_len = static_cast<std::uint32_t>(ax_sealed_bounds.prefix() + sealed_proof_size(suite));
  return concat({th3, encode_header({.type = MessageType::ax3, .suite = suite.id, .body_len = body_len, .policy_epoch = policy_epoch})});
}

MediaKeys media_keys(const crypto::Suite& suite, const Secret& master, const SidWk& sid_wk, const SidCall& sid_call) {
  const auto expand = [&](ByteView label, std::size_t size) { return crypto::hkdf_expand(suite.hash, master, {label, sid_wk.view(), sid_call.view()}, size); };
  return {.initiator = {.key = expand(labels::media_i_key, suite.aead_key), .salt = expand(labels::media_i_salt, media_salt_size)},
          .responder = {.key = expand(labels::media_r_key, suite.aead_key), .salt = expand(labels::media_r_salt, media_salt_size)}};
}

MediaKeys escrow_media_keys(const crypto::Suite& suite, const Secret& early, const SidWk& sid_wk, const SidCall& sid_call, ByteView nonce_i, ByteView nonce_r) {
  const auto expand = [&](ByteView label, std::size_t size) {
    return crypto::hkdf_expand(suite.hash, early, {label, sid_wk.view(), sid_call.view(), nonce_i, nonce_r}, size);
  };
  return {.initiator = {.key = expand(labels::escrow_i_key, suite.aead_key), .salt = expand(labels::escrow_i_salt, media_salt_size)},
          .responder = {.key = expand(labels::escrow_r_key, suite.aead_key), .salt = expand(labels::escrow_r_salt, media_salt_size)}};
}

std::array<std::uint8_t, 4> short_authentication_string(const crypto::Suite& suite, const Secret& master) {
  const Secret shown = crypto::hkdf_expand(suite.hash, master, {labels::sas}, 4);
  std::array<std::uint8_t, 4> out{};
  std::ranges::copy(shown.reveal(), out.begin());
  return out;
}

}  // namespace qanat::wire
