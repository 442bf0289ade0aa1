// An element's keys and certificates: made by itself, enrolled at CAS with a one-time secret, renewed with new keys, kept sealed in its own store.
#pragma once

#include <memory>
#include <optional>

#include "audit/checkpoint.hpp"
#include "crypto/device.hpp"
#include "crypto/hybrid_sign.hpp"
#include "crypto/x509.hpp"
#include "net/tls.hpp"
#include "store/store.hpp"
#include "wire/qfc2_header.hpp"
#include "wire/succession.hpp"

namespace qanat::node {

/// A hybrid message-signing pair with its two certificates. Elements whose messages others verify have one (KMS, CMSP, IAM); its ML-DSA
/// half is also the TLS key: handshakes sign 64 spaces and a TLS label first, messages start with "QFC2", so neither can pass for the other.
struct MessageSigner {
  crypto::Signer signer;
  crypto::Certificate classical;
  crypto::Certificate ml_dsa;
  wire::Fingerprints fps;
};

/// In force at one moment. A renewal puts others in their place: who works with a signer longer than for one call keeps this, or the signer, while he does.
struct Credentials {
  std::shared_ptr<const net::TlsIdentity> tls;  // shared with the server and every client
  std::shared_ptr<const MessageSigner> messages;  // shared with the requests that run; nullptr for kinds that sign none
  /// How `messages` came to follow earlier ones: links in their order, the last wire::succession_links_max. Shared by the copies; never nullptr.
  std::shared_ptr<const std::vector<wire::Succession>> successions = std::make_shared<const std::vector<wire::Succession>>();
};

/// Whether elements of this kind sign messages, and so enrol a classical key too.
bool signs_messages(Kind kind) noexcept;

/// Keys that wait for, or have, their certificates, sealed. At a renewal the next ones stand beside those in force until both chains are there.
class CredentialStore {
 public:
  static Result<std::unique_ptr<CredentialStore>> open(const std::filesystem::path& file, crypto::CryptoDevice& device, const crypto::Suite& suite);

  /// Shared by the processes of one element, which have the same master key. Who changes what is in force holds a lock of store() meanwhile.
  static Result<std::unique_ptr<CredentialStore>> open(const store::PostgresqlPlace& place, crypto::CryptoDevice& device, const crypto::Suite& suite);
  [[nodiscard]] store::Store& store() noexcept { return *store_; }

  /// The finished credentials, or nothing if there are none yet.
  Result<std::optional<Credentials>> load();
  /// What to send to CAS: requests over keys that are durable before this returns. Called again after a crash it gives the same requests.
  struct Requests {
    Bytes ml_dsa;     // PKCS#10
    Bytes classical;  // empty if this kind signs no messages
  };
  Result<Requests> prepare(const crypto::SubjectNames& names, bool with_classical);
  /// Chains as CAS gave them, leaf first. `spent` is the secret that they were got by; who has no use for unrecorded_enrolment() leaves it out.
  Result<void> finish(const std::vector<crypto::Certificate>& ml_dsa_chain, const std::vector<crypto::Certificate>& classical_chain,
                      const Secret* spent = nullptr);
  /// The secret that an enrolment spent since which enrolment_recorded() has not been called.
  Result<std::optional<Secret>> unrecorded_enrolment();
  Result<void> enrolment_recorded();

  /// The same for a renewal: requests over new keys, which are durable before this returns; the keys in force stay as they are. Called again: the same.
  Result<Requests> prepare_next(const crypto::SubjectNames& names, bool with_classical);
  /// In one transaction: the next keys are in force, the former ones are gone, and (for who signs messages) they have signed their successors.
  Result<void> finish_next(const std::vector<crypto::Certificate>& ml_dsa_chain, const std::vector<crypto::Certificate>& classical_chain);
  /// Nothing is left of keys, certificates and successions (the audit record's keys stay): the element enrols anew.
  Result<void> start_over();
  /// The next keys are given up: CAS will give no certificate for them.
  Result<void> drop_next();

  /// The two keys that sign the checkpoints of this element's audit record, under that name: made at first use, sealed like the others.
  Result<audit::CheckpointSigner> audit_signer(std::string name);

 private:
  enum class Slot : std::uint8_t;
  struct Stored;
  CredentialStore(std::unique_ptr<store::Store> store, crypto::CryptoDevice& device, const crypto::Suite& suite);
  Result<std::optional<Stored>> read(Slot slot, bool classical);
  Result<Bytes> prepare_one(Slot slot, bool classical, const crypto::PrivateKey& key, const crypto::SubjectNames& names);
  Result<Requests> prepare(Slot slot, const crypto::SubjectNames& names, bool with_classical);
  Result<std::vector<wire::Succession>> successions();
  Result<Bytes> succession(const std::vector<crypto::Certificate>& classical_chain, const std::vector<crypto::Certificate>& ml_dsa_chain);
  std::unique_ptr<store::Store> store_;
  crypto::CryptoDevice& device_;
  const crypto::Suite& suite_;
};

}  // namespace qanat::node
