// Steps 1 and 2: enrolment of a terminal through its KMS.
#pragma once

#include <vector>

#include "base/clock.hpp"
#include "base/identity.hpp"
#include "base/secret.hpp"
#include "crypto/hybrid_kem.hpp"
#include "wire/qfc2_header.hpp"

namespace qanat::wire {

inline constexpr Bounds csr_classical_bounds{1, 4096};
inline constexpr Bounds csr_pq_bounds{1, 16384};
inline constexpr Bounds chain_classical_bounds{4, 16384};
inline constexpr Bounds chain_pq_bounds{4, 65535};
inline constexpr Bounds enrol_sealed_bounds{16, 512};
inline constexpr std::size_t chain_certificates_max = 8;

/// Who makes the terminal's encryption key pair: policy, and what the medium can do.
enum class EncryptionKeys : std::uint8_t { kms_made = 1, terminal_made = 2 };

/// 01, terminal → KMS, authenticated by `mac` under the one-time enrolment secret (enrol_mac in key_schedule.hpp).
struct Enrol {
  static constexpr MessageType type = MessageType::enrol;
  static constexpr Closing closing = Closing::none;
  Uid uid;
  Number number;
  ElementName kms_id;
  Kind device_kind{};  // app1, app2, app3, dev1, dev2
  EncryptionKeys encryption_keys = EncryptionKeys::kms_made;
  Bytes nonce;                          // 32
  Bytes csr_classical;                  // PKCS#10 DER
  Bytes csr_pq;                         // PKCS#10 DER
  crypto::EncapsulationKey ephemeral;   // the answer is sealed to it
  crypto::EncapsulationKey encryption;  // terminal_made: the static key that steps 11 encapsulate to; kms_made: both empty
  Bytes mac;                            // digest
  bool operator==(const Enrol&) const = default;
};

/// 02, KMS → terminal, signed by the KMS. A chain is the leaf first, then its issuers, without the root (encode_chain).
struct EnrolDeliver {
  static constexpr MessageType type = MessageType::enrol_deliver;
  static constexpr Closing closing = Closing::signature;
  Bytes h_enrol;  // digest of 01: header‖body
  Uid uid;
  Bytes chain_classical;
  Bytes chain_pq;
  EncryptionKeys encryption_keys = EncryptionKeys::kms_made;
  Bytes ct_classical;  // to the ephemeral key: suite.point octets
  Bytes ct_ml_kem;
  Bytes enc_kid;  // key_id_of the encryption key from now on
  UnixMs ts_ms = 0;
  Bytes sealed;  // EnrolPayload (seal_enrol in key_schedule.hpp)
  bool operator==(const EnrolDeliver&) const = default;
};

/// Header and body up to (without) `sealed`: the seal's associated data. `sealed` must have its final size already.
Result<Bytes> octets_before_sealed(const crypto::Suite& suite, std::uint32_t policy_epoch, const EnrolDeliver& message);

/// What EnrolDeliver seals.
struct EnrolPayload {
  crypto::DecapsulationSecret encryption;  // kms_made: the key pair's secret; terminal_made: both empty
  Fingerprints kms;                        // the KMS's own certificates, from now on pinned
};

/// 03, terminal → KMS, signed with the terminal's new keys; on `ok` the KMS wipes the private keys that it made.
struct EnrolReceipt {
  static constexpr MessageType type = MessageType::enrol_receipt;
  static constexpr Closing closing = Closing::signature;
  Bytes h_deliver;  // message hash of 02
  Uid uid;
  bool ok = false;
  bool operator==(const EnrolReceipt&) const = default;
};

/// Certificates as concatenated `<1..65535>` DER.
Result<Bytes> encode_chain(const std::vector<Bytes>& der);
Result<std::vector<Bytes>> parse_chain(ByteView octets);

}  // namespace qanat::wire
