// Km-1, injection over a wire: a terminal asks for a charge of its medium, gets it sealed to a fresh key, and says that it is in the medium.
#pragma once

#include "crypto/hybrid_kem.hpp"
#include "wire/charge.hpp"
#include "wire/signed.hpp"

namespace qanat::wire {

/// 05, terminal → KMS, signed by the terminal.
struct ChargeRequest {
  static constexpr MessageType type = MessageType::charge_request;
  static constexpr Closing closing = Closing::signature;
  Uid uid;
  ElementName kms_id;
  MediumId medium;
  Bytes nonce;  // 32
  UnixMs ts_ms = 0;
  std::array<std::uint16_t, all_key_sets.size()> wanted{};  // keys of each set, by index_of; all zero: asks only what the medium is to do
  std::uint8_t flags = 0;                                   // flag_inj exactly if extension 1 is there: under a key of the distribution set
  crypto::EncapsulationKey ephemeral;                       // the answer is sealed to it
  std::vector<Extension> ext;
  bool operator==(const ChargeRequest&) const = default;
};

/// What the KMS wants of the medium.
enum class MediumOrder : std::uint8_t {
  none = 1,    // nothing is charged and nothing else is to be done
  charge = 2,  // `sealed` has the keys
  lock = 3,    // the medium gives no more keys
  wipe = 4,    // the medium's keys are to be destroyed
};
std::string_view name(MediumOrder order) noexcept;

/// 15, KMS → terminal, signed by the KMS.
struct ChargeDeliver {
  static constexpr MessageType type = MessageType::charge_deliver;
  static constexpr Closing closing = Closing::signature;
  Bytes h_req;  // message hash of the ChargeRequest
  Uid uid;
  MediumId medium;
  ChargeId charge;
  UnixMs ts_ms = 0;
  MediumOrder order = MediumOrder::none;
  std::uint8_t flags = 0;  // those of the request
  Bytes ct_classical;      // to the ephemeral key; these three exactly if the order is `charge`
  Bytes ct_ml_kem;
  Bytes sealed;  // ChargePayload (seal_charge)
  bool operator==(const ChargeDeliver&) const = default;
};

/// 25, terminal → KMS, signed by the terminal: the keys are in the medium (or the order was obeyed), durably.
struct ChargeReceipt {
  static constexpr MessageType type = MessageType::charge_receipt;
  static constexpr Closing closing = Closing::signature;
  Uid uid;
  MediumId medium;
  ChargeId charge;
  Bytes h_deliver;  // message hash of the ChargeDeliver
  bool ok = false;
  bool operator==(const ChargeReceipt&) const = default;
};

/// The MAC of extension 1 of a ChargeRequest, under a key of the distribution set.
Bytes charge_request_mac(const crypto::Suite& suite, const Secret& distribution_key, ByteView header_and_body_without);
/// What it is computed over: header‖body of the request without extension 1 and its flag.
Result<Bytes> without_injection(const Framed<ChargeRequest>& request);
/// `context` of hybrid_secret for ChargeDeliver.
Bytes charge_context(ByteView h_req);
/// A key of the distribution set mixed into ss_H.
Secret mix_distribution(const crypto::Suite& suite, const Secret& ss_h, const Secret& distribution_key, std::uint32_t index, ByteView h_req);
/// `message` with `sealed` filled in; everything else must be final.
Result<ChargeDeliver> seal_charge(const crypto::Suite& suite, std::uint32_t policy_epoch, ChargeDeliver message, const Secret& ss_h,
                                  const ChargePayload& payload);
/// `denied` if the seal does not hold.
Result<ChargePayload> open_charge(const Framed<ChargeDeliver>& message, const Secret& ss_h);

}  // namespace qanat::wire
