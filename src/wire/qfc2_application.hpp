// Steps 4 and 11: a terminal applies for a working key, and its KMS delivers it.
#pragma once

#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "base/secret.hpp"
#include "crypto/hybrid_kem.hpp"
#include "wire/qfc2_header.hpp"

namespace qanat::wire {

inline constexpr Bounds token_bounds{0, 6144};  // of INTL-hybrid, whose signatures are 4,723 octets
inline constexpr Bounds deliver_sealed_bounds{16, 8192};

/// 04, terminal → KMS, signed by the terminal.
struct KeyRequest {
  static constexpr MessageType type = MessageType::key_request;
  static constexpr Closing closing = Closing::signature;
  SidWk sid_wk;
  SidCall sid_call;
  Role role{};
  Uid uid;
  Number num_call;
  Number num_called;
  ElementName kms_id;
  Bytes nonce;  // 32
  UnixMs ts_ms = 0;
  Assurance min_assurance = Assurance::local_rng;
  std::uint8_t flags = 0;              // flag_eph exactly if `ephemeral` is there; flag_inj, flag_sym exactly if extension 1, 2 is
  Bytes token_ref;                     // digest of the access token; zero on first use
  Fingerprints fps;                    // of the signer's certificates
  Bytes enc_kid;                       // key_id_of the static key to encapsulate to
  crypto::EncapsulationKey ephemeral;  // F_EPH; both halves or neither
  std::vector<Extension> ext;
  bool operator==(const KeyRequest&) const = default;
};

/// 0B, KMS → terminal, signed by the KMS, by itself or together with others of the same moment.
struct KeyDeliver {
  static constexpr MessageType type = MessageType::key_deliver;
  static constexpr Closing closing = Closing::joint_signature;
  Bytes h_req;  // message hash of the KeyRequest that this answers
  SidWk sid_wk;
  SidCall sid_call;
  Uid uid;
  ElementName kms_id;
  Bytes nonce;  // 32
  UnixMs ts_ms = 0;
  UnixMs expiry_ms = 0;
  std::uint8_t flags = 0;  // flag_eph exactly if the eph_ct_* are there; flag_sym: no certificate of the terminal could be checked; flag_directory
  Bytes enc_kid;
  Bytes ct_classical;  // to the static key: suite.classical_ct octets
  Bytes ct_ml_kem;
  Bytes eph_ct_classical;  // F_EPH: suite.point octets, else empty
  Bytes eph_ct_ml_kem;
  Bytes sealed;  // KeyDeliverPayload (seal_key_deliver in key_schedule.hpp)
  Fingerprints fps;
  bool operator==(const KeyDeliver&) const = default;
};

/// What KeyDeliver seals: the working key and what the terminal must know about it.
struct KeyDeliverPayload {
  Secret wk;  // 32
  Assurance assurance{};
  bool injected = false;      // a charged key is mixed in (F_INJ) that never leaned on public keys (charge.hpp, counts)
  std::uint8_t n_paths = 0;   // QKD paths that the key rests on
  std::uint8_t path_min = 0;  // relays on the shortest of them
  Uid peer_uid;
  Number peer_num;
  ElementName peer_kms;
  Fingerprints peer_fps;  // no_fingerprints() if this KMS does not know them
  Bytes th9;              // digest; zero within one domain
  Bytes token;            // a new access token, or empty
};
/// The octets that are sealed, and back.
Result<Secret> encode_payload(const crypto::Suite& suite, const KeyDeliverPayload& payload);
Result<KeyDeliverPayload> parse_payload(const crypto::Suite& suite, const Secret& octets);

/// Header and body up to (without) `sealed`: the seal's associated data. `sealed` must have its final size already.
Result<Bytes> octets_before_sealed(const crypto::Suite& suite, std::uint32_t policy_epoch, const KeyDeliver& message);

/// 1B, terminal → KMS, signed by the terminal.
struct DeliverAck {
  static constexpr MessageType type = MessageType::deliver_ack;
  static constexpr Closing closing = Closing::signature;
  SidWk sid_wk;
  Uid uid;
  Bytes h_deliver;  // message hash of the KeyDeliver
  bool ok = false;  // false: it did not open, or something in it does not fit the request
  bool operator==(const DeliverAck&) const = default;
};

/// Names a static encapsulation key: digest("QFCI-v2 kid\0" ‖ ML-KEM key ‖ point).
Bytes key_id_of(const crypto::Suite& suite, const crypto::EncapsulationKey& key);

/// 0xEE: signed refusal of a message.
struct Reject {
  static constexpr MessageType type = MessageType::reject;
  static constexpr Closing closing = Closing::signature;
  Bytes h_offending;  // digest of all octets of the refused message
  ErrorCode code = ErrorCode::internal;
  std::string reason;  // for people; at most 512 octets, no control characters
  UnixMs ts_ms = 0;
  bool operator==(const Reject&) const = default;
};

}  // namespace qanat::wire
