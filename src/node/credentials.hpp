// An element's keys and certificates: made by itself, enrolled once at CAS with a one-time secret, kept sealed in its own store.
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

namespace qanat::node {

/// A hybrid message-signing pair with its two certificates. Elements whose messages others verify have one (KMS, CMSP, IAM); its ML-DSA
/// half is also the TLS key: handshakes sign 64 spaces and a TLS label first, messages start with "QFC2", so neither can pass for the other.
struct MessageSigner {
  crypto::Signer signer;
  crypto::Certificate classical;
  crypto::Certificate ml_dsa;
  wire::Fingerprints fps;
};

struct Credentials {
  std::shared_ptr<const net::TlsIdentity> tls;  // shared with the server and every client
  std::optional<MessageSigner> messages;
};

/// Whether elements of this kind sign messages, and so enrol a classical key too.
bool signs_messages(Kind kind) noexcept;

/// Keys that wait for, or have, their certificates; all in one row of the store, sealed.
class CredentialStore {
 public:
  static Result<std::unique_ptr<CredentialStore>> open(const std::filesystem::path& file, crypto::CryptoDevice& device, const crypto::Suite& suite);

  /// The finished credentials, or nothing if there are none yet.
  Result<std::optional<Credentials>> load();
  /// What to send to CAS: requests over keys that are durable before this returns. Called again after a crash it gives the same requests.
  struct Requests {
    Bytes ml_dsa;     // PKCS#10
    Bytes classical;  // empty if this kind signs no messages
  };
  Result<Requests> prepare(const crypto::SubjectNames& names, bool with_classical);
  /// Chains as CAS gave them, leaf first.
  Result<void> finish(const std::vector<crypto::Certificate>& ml_dsa_chain, const std::vector<crypto::Certificate>& classical_chain);

  /// The two keys that sign the checkpoints of this element's audit record, under that name: made at first use, sealed like the others.
  Result<audit::CheckpointSigner> audit_signer(std::string name);

 private:
  CredentialStore(std::unique_ptr<store::Store> store, crypto::CryptoDevice& device, const crypto::Suite& suite);
  std::unique_ptr<store::Store> store_;
  crypto::CryptoDevice& device_;
  const crypto::Suite& suite_;
};

}  // namespace qanat::node
