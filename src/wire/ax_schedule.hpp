// The key schedule of step 12 (Ax): TLS 1.3's psk_dhe_ke shape with WK as the PSK, a hybrid ephemeral exchange, and both ends' signatures.
#pragma once

#include <array>

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"
#include "wire/key_schedule.hpp"
#include "wire/qfc2_ax.hpp"

namespace qanat::wire {

/// Tag after AX1: HMAC(HKDF(WK, "QFCI-v2 ax1"), H(header‖body)).
Bytes ax1_tag(const crypto::Suite& suite, const Secret& wk, ByteView header_and_body);
/// `denied` if the tag does not hold.
Result<void> verify_ax1(const Framed<Ax1>& message, const Secret& wk);

/// TH2 = H(AX1 with its tag ‖ header and body of AX2 before `sealed`).
Bytes th2_of(const crypto::Suite& suite, ByteView ax1, ByteView ax2_before_sealed);
/// TH3 = H(TH2 ‖ `sealed` of AX2).
Bytes th3_of(const crypto::Suite& suite, ByteView th2, ByteView ax2_sealed);

/// ES = Extract(0, WK).
Secret ax_early_secret(const crypto::Suite& suite, const Secret& wk);
/// HS from ES and the ephemeral exchange.
Secret ax_handshake_secret(const crypto::Suite& suite, const Secret& early, const Secret& ss_classical, const Secret& ss_ml_kem);
/// Seals AX2 (transcript TH2) …
SealingKey ax_responder_key(const crypto::Suite& suite, const Secret& handshake, ByteView th2);
/// … and AX3 (transcript TH3).
SealingKey ax_initiator_key(const crypto::Suite& suite, const Secret& handshake, ByteView th3);
/// MS from HS and TH3.
Secret ax_master_secret(const crypto::Suite& suite, const Secret& handshake, ByteView th3);

/// Associated data: the transcript hash, and for AX3 its header too.
Bytes seal_proof(const crypto::Suite& suite, const SealingKey& key, ByteView associated, ByteView proof);
Result<AxProof> open_proof(const crypto::Suite& suite, const SealingKey& key, ByteView associated, ByteView sealed);
/// TH3 ‖ header of AX3.
Bytes ax3_associated(const crypto::Suite& suite, std::uint32_t policy_epoch, ByteView th3);

/// SRTP master key and salt of one direction.
struct MediaKey {
  Secret key;   // suite.aead_key octets
  Secret salt;  // 12
};
struct MediaKeys {
  MediaKey initiator;  // what the caller sends
  MediaKey responder;  // what the callee sends
};
MediaKeys media_keys(const crypto::Suite& suite, const Secret& master, const SidWk& sid_wk, const SidCall& sid_call);
/// Escrow policy: from WK, the session ids and both nonces alone, so that the KMS could derive them. Ax runs all the same.
MediaKeys escrow_media_keys(const crypto::Suite& suite, const Secret& early, const SidWk& sid_wk, const SidCall& sid_call, ByteView nonce_i, ByteView nonce_r);
/// Short authentication string, 32 bits.
std::array<std::uint8_t, 4> short_authentication_string(const crypto::Suite& suite, const Secret& master);

}  // namespace qanat::wire
