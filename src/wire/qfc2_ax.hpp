// Step 12: the terminals' own exchange, keyed by WK: three messages, after which both ends hold media keys that no KMS can derive.
#pragma once

#include "crypto/hybrid_kem.hpp"
#include "wire/qfc2_header.hpp"

namespace qanat::wire {

inline constexpr Bounds ax_sealed_bounds{16, 8192};

/// 0C, initiator (the caller) → responder; then a tag under WK (ax1_tag in key_schedule.hpp).
struct Ax1 {
  static constexpr MessageType type = MessageType::ax1;
  static constexpr Closing closing = Closing::tag;
  SidWk sid_wk;
  SidCall sid_call;
  Number num_call;
  Number num_called;
  Bytes nonce_i;  // 32
  crypto::EncapsulationKey ephemeral;
  Fingerprints fps;  // of the initiator's certificates
  bool operator==(const Ax1&) const = default;
};

/// 1C, responder → initiator.
struct Ax2 {
  static constexpr MessageType type = MessageType::ax2;
  static constexpr Closing closing = Closing::none;
  Bytes nonce_r;       // 32
  Bytes ct_classical;  // the responder's ephemeral point
  Bytes ct_ml_kem;
  Bytes sealed;  // AxProof over TH2
  bool operator==(const Ax2&) const = default;
};

/// 2C, initiator → responder.
struct Ax3 {
  static constexpr MessageType type = MessageType::ax3;
  static constexpr Closing closing = Closing::none;
  Bytes sealed;  // AxProof over TH3
  bool operator==(const Ax3&) const = default;
};

/// What Ax2 and Ax3 seal: who signs, and the signature block over the transcript hash (ax_tbs in signed.hpp).
struct AxProof {
  Fingerprints fps;
  Bytes signature;
  bool operator==(const AxProof&) const = default;
};
Result<Bytes> encode_proof(const crypto::Suite& suite, const AxProof& proof);
Result<AxProof> parse_proof(const crypto::Suite& suite, ByteView octets);
/// Octets of a sealed proof.
std::size_t sealed_proof_size(const crypto::Suite& suite) noexcept;

/// Header and body of AX2 up to (without) `sealed`, which need not be there yet.
Result<Bytes> octets_before_sealed(const crypto::Suite& suite, std::uint32_t policy_epoch, const Ax2& message);

}  // namespace qanat::wire
