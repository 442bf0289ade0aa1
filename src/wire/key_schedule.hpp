// Every derivation of profile v2 for steps 1–2, 9 and 11, under the labels of docs/protocol/qfc2.md. Step 12 has ax_schedule.hpp.
//
// A terminal's view of step 11:
//   ASSIGN_OR_RETURN(auto s, static_key.decapsulate(KemForm::to_static, m.ct_classical, m.ct_ml_kem));
//   Secret ss = hybrid_secret(suite, {s.classical, s.ml_kem, m.ct_classical, m.ct_ml_kem, static_key.encapsulation_key()}, deliver_context(h_req));
//   if F_EPH: ss = mix_ephemeral(suite, ss, {… the ephemeral exchange …});
//   ASSIGN_OR_RETURN(auto payload, open_key_deliver(framed, ss));
#pragma once

#include <span>

#include "base/bytes.hpp"
#include "base/id.hpp"
#include "base/secret.hpp"
#include "crypto/hybrid_kem.hpp"
#include "crypto/suite.hpp"
#include "wire/qfc2.hpp"

namespace qanat::wire {

/// One hybrid encapsulation as either end sees it. References: lives no longer than what it names.
struct KemTranscript {
  const Secret& ss_classical;
  const Secret& ss_ml_kem;
  ByteView ct_classical;
  ByteView ct_ml_kem;
  const crypto::EncapsulationKey& key;
};
inline KemTranscript transcript(const crypto::Encapsulation& made, const crypto::EncapsulationKey& key) {
  return {.ss_classical = made.ss_classical, .ss_ml_kem = made.ss_ml_kem, .ct_classical = made.ct_classical, .ct_ml_kem = made.ct_ml_kem, .key = key};
}

/// ss_H, 32 octets: bound to the suite, both ciphertexts, both public keys and `context`.
Secret hybrid_secret(const crypto::Suite& suite, const KemTranscript& kem, ByteView context);
/// F_EPH: the ephemeral exchange mixed into ss_H.
Secret mix_ephemeral(const crypto::Suite& suite, const Secret& ss_h, const KemTranscript& ephemeral);
/// F_INJ: the charged key `index` mixed into ss_H (after F_EPH). The caller erases the key.
Secret mix_injected(const crypto::Suite& suite, const Secret& ss_h, const Secret& injected_key, std::uint32_t index, ByteView h_req);
/// F_INJ: the MAC in extension 1 of a KeyRequest, over header‖body of the same message encoded without that extension and its flag.
Bytes injected_request_mac(const crypto::Suite& suite, const Secret& injected_key, ByteView header_and_body_without);

/// A key that seals one message, and the nonce derived with it (safe because the key is used once).
struct SealingKey {
  Secret key;  // suite.aead_key octets
  Bytes iv;    // 12
};

// Steps 1 and 2.

/// `context` of hybrid_secret for EnrolDeliver.
Bytes enrol_context(ByteView h_enrol);
/// The message with its `mac` under the one-time enrolment secret.
Result<Framed<Enrol>> make_enrol(const crypto::Suite& suite, std::uint32_t policy_epoch, Enrol message, const Secret& enrolment_secret);
/// `unauthenticated` if the MAC does not hold.
Result<void> verify_enrol(const Framed<Enrol>& message, const Secret& enrolment_secret);
/// `message` with `sealed` filled in; everything else must be final.
Result<EnrolDeliver> seal_enrol(const crypto::Suite& suite, std::uint32_t policy_epoch, EnrolDeliver message, const Secret& ss_h, const EnrolPayload& payload);
Result<EnrolPayload> open_enrol(const Framed<EnrolDeliver>& message, const Secret& ss_h);

// Step 9.

/// TH9 over both messages with their signatures (of the accept without kc_b).
Bytes th9_of(const crypto::Suite& suite, ByteView offer, ByteView accept_without_confirmation);
/// K_Q: XOR of the 32-octet shares; 32 zero octets if there is none.
Secret combine_shares(std::span<const Secret* const> shares);
struct KmsKeys {
  Secret wk;   // 32
  Bytes kc_a;  // digest; sent by KMS-A in KmsConfirm
  Bytes kc_b;  // digest; sent by KMS-B after KmsAccept
};
KmsKeys derive_kms_keys(const crypto::Suite& suite, ByteView th9, const Secret& k_q, const Secret& ss_classical, const Secret& ss_ml_kem, const SidWk& sid_wk,
                        const SidCall& sid_call);
/// TH9 where there was no step 9 (same domain): zero octets of digest size.
Bytes no_th9(const crypto::Suite& suite);

// Step 11.

/// `context` of hybrid_secret for KeyDeliver.
Bytes deliver_context(ByteView h_req);
SealingKey step11_key(const crypto::Suite& suite, const Secret& ss_h, ByteView h_req);
/// `message` with `sealed` filled in; everything else must be final.
Result<KeyDeliver> seal_key_deliver(const crypto::Suite& suite, std::uint32_t policy_epoch, KeyDeliver message, const Secret& ss_h,
                                    const KeyDeliverPayload& payload);
/// `denied` if the seal does not hold.
Result<KeyDeliverPayload> open_key_deliver(const Framed<KeyDeliver>& message, const Secret& ss_h);

/// What people compare and logs may show: 16 hexadecimal digits that do not help to find WK.
std::string wk_fingerprint(const crypto::Suite& suite, const Secret& wk);

/// SID_CALL: SM3, in every suite, over the length-prefixed label, both numbers and the caller's 16-octet nonce.
SidCall make_sid_call(const Number& caller, const Number& callee, ByteView nonce);

}  // namespace qanat::wire
