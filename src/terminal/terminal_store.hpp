// What a terminal remembers besides its signing keys (node::CredentialStore): how far its enrolment has come, the key pair that its KMS
// encapsulates to, the KMS's pinned certificates, and the digest of its access token. Secrets are sealed by the crypto device.
#pragma once

#include <memory>
#include <optional>
#include <set>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "crypto/device.hpp"
#include "crypto/hybrid_kem.hpp"
#include "store/store.hpp"

namespace qanat::terminal {

enum class EnrolmentStage : std::uint8_t {
  none,
  asked,      // the Enrol message is fixed and may have been sent
  delivered,  // the answer was accepted: keys and pinned certificates are here
  confirmed,  // the KMS has the receipt
};

class TerminalStore {
 public:
  static Result<std::unique_ptr<TerminalStore>> open(const std::filesystem::path& file, crypto::CryptoDevice& device);

  Result<EnrolmentStage> stage();

  /// Step 1: the message as it is sent and the secret that its answer is sealed to. An earlier one is forgotten.
  struct Asked {
    Bytes message;
    crypto::DecapsulationSecret ephemeral;
  };
  Result<void> save_asked(const Asked& asked);
  /// not_found unless at stage `asked`.
  Result<Asked> asked();

  /// Step 2: what the answer brought; the ephemeral secret is forgotten with the same stroke.
  struct Delivered {
    Bytes answer;  // 02 as it came
    crypto::DecapsulationSecret encryption;
    Bytes kms_classical;  // DER
    Bytes kms_ml_dsa;     // DER
  };
  Result<void> save_delivered(const Delivered& delivered);
  /// not_found before stage `delivered`.
  Result<Delivered> delivered();
  Result<void> save_confirmed();

  /// The KMS's certificates that take the place of those that were pinned.
  Result<void> save_kms(ByteView classical, ByteView ml_dsa);
  /// SHA-256 of each public key that this terminal has ever made or been given; none is forgotten.
  Result<void> remember_own_keys(const std::vector<Bytes>& digests);
  Result<std::set<Bytes>> own_keys();

  /// SHA-256 of the ML-DSA certificate that a renewal has brought and that the KMS and CAS have not been told of yet; nothing if there is none.
  Result<std::optional<Bytes>> renewal();
  Result<void> begin_renewal(ByteView fingerprint);
  Result<void> end_renewal();

  /// What a subscriber showed at the last call that was held with him: his ML-DSA certificate.
  struct PeerSeen {
    Bytes fingerprint;  // SHA-256
    UnixMs not_before = 0;
    UnixMs not_after = 0;
    UnixMs last_ms = 0;  // when that was
  };
  Result<std::optional<PeerSeen>> peer_seen(const Uid& uid);
  Result<void> save_peer_seen(const Uid& uid, const PeerSeen& seen);

  /// The receipt of a charge that is in the medium, until the KMS has it; of several the oldest.
  struct ChargeReceipt {
    Bytes charge;   // its id
    Bytes message;  // 25, signed
  };
  Result<std::optional<ChargeReceipt>> charge_receipt();
  Result<void> save_charge_receipt(const ChargeReceipt& receipt);
  Result<void> forget_charge_receipt(ByteView charge);

  /// Digest of the access token that came last; nothing if none did.
  Result<std::optional<Bytes>> token_ref();
  Result<void> save_token_ref(ByteView digest);

 private:
  TerminalStore(std::unique_ptr<store::Store> store, crypto::CryptoDevice& device) : store_(std::move(store)), device_(device) {}
  std::unique_ptr<store::Store> store_;
  crypto::CryptoDevice& device_;
};

}  // namespace qanat::terminal
