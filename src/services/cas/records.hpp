// cas.db: the issuing keys (sealed), who may enrol, and every certificate from the moment it was meant to be issued.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crypto/device.hpp"
#include "services/cas/authority.hpp"
#include "store/store.hpp"

namespace qanat::cas {

/// An element that may enrol once: `proof_key` is SHA-256("qanat enrolment" ‖ the 64 hexadecimal digits of its one-time secret).
struct ExpectedElement {
  Identity identity;
  Secret proof_key;
};

/// A one-time secret as CAS knows it: it is good for one request of each branch. `used_for`: the requests that it was spent on, empty where none.
struct Expectation {
  std::int64_t id = 0;
  Secret proof_key;
  Bytes used_for_ml_dsa;
  Bytes used_for_classical;
  [[nodiscard]] const Bytes& used_for(Branch branch) const noexcept { return branch == Branch::ml_dsa ? used_for_ml_dsa : used_for_classical; }
};

/// What is about to be signed; durable before any signature exists, so that no certificate can leave CAS unrecorded.
struct Intention {
  Branch branch{};
  Bytes serial;  // 16 octets, first bit clear
  UnixMs not_before = 0;
  UnixMs not_after = 0;
  Bytes key_hash = {};  // key_hash_of() the public key
};
inline constexpr int key_compromise = 1;  // CRLReason, RFC 5280 §5.3.1
inline constexpr int superseded = 4;

/// By which one key is known in all certificates: SHA-256 over its octets (a point, FIPS 203 or 204's encoding, RSAPublicKey).
Bytes key_hash_of(ByteView public_key);

/// What stands as the identity of a certificate of a subject that is no element: "subject:" and its uid in IAM's register.
inline constexpr std::string_view subject_prefix = "subject:";
inline std::string subject_identity(const Uid& uid) { return std::string(subject_prefix) + uid.text(); }

/// Issuing CAs that are made and wait for the roots' signatures.
struct NextAuthority {
  Branch branch{};
  std::int64_t generation = 0;
  Bytes request;  // PKCS#10
};

enum class Overlap : std::uint8_t {
  refused,  // one live bundle per identity: the old one must have expired or been revoked
  renewal,  // one more of the branch beside the live one, which then expires: a third is refused until it has
  allowed,  // CAS's own certificate is replaced before it expires
};

/// Whether the key is the identity's own, or its and a CCS's together: certificates of both kinds live beside each other, and end together when the identity is
/// revoked.
enum class Held : std::uint8_t { alone, jointly };
/// What stands as the identity of a certificate.
inline constexpr std::string_view joint_prefix = "joint:";
inline std::string holder_text(const Identity& identity, Held held) {
  return (held == Held::jointly ? std::string(joint_prefix) : std::string()) + identity.uri();
}

struct Issuance {
  Identity identity;
  Held held = Held::alone;
  Bytes request_hash;                       // names the request: the same one again gets the same certificates
  std::optional<std::int64_t> expectation;  // the one-time secret that is spent on it; what was issued under the same one is of the same bundle
  Overlap overlap = Overlap::refused;
  std::vector<Intention> intentions;  // one or two, of different branches
};

/// A certificate of a request: intended (`der` empty) or issued.
struct Recorded {
  Intention intention;
  Bytes der;
};

class Records {
 public:
  static Result<std::unique_ptr<Records>> open(const std::filesystem::path& file, crypto::CryptoDevice& device);

  /// Both issuing CAs; `conflict` if there are some already.
  Result<void> keep_authorities(const Authorities& authorities);
  Result<Authorities> authorities(const crypto::Suite& suite);
  /// The CA beside the hierarchy (device_authority.hpp); `conflict` if there is one already.
  Result<void> keep_device_authority(const Authority& authority);

  // Rollover (rollover.hpp).
  /// Those that wait, in the order of all_branches; empty if none do.
  Result<std::vector<NextAuthority>> next_authorities();
  /// `key` is sealed; `conflict` if some wait already.
  Result<void> keep_next(std::span<const std::pair<NextAuthority, const crypto::PrivateKey*>> next);
  /// In one transaction: what waits issues from now on under these certificates (in the order of all_branches), what issued until now only answers. `conflict`
  /// if none wait.
  Result<void> succeed(std::span<const crypto::Certificate> certificates, UnixMs now);

  // Rollover of the device CA (device_rollover.hpp).
  /// `key` is sealed; `conflict` if one waits already. From now on the new one is published.
  Result<void> keep_next_devices(const DeviceSuccession& next, const crypto::PrivateKey& key);
  /// In one transaction: the one that waits issues from now on, the one that issued until now only answers. `conflict` if none waits.
  Result<void> succeed_devices(UnixMs now);

  Result<void> expect(std::span<const ExpectedElement> elements, UnixMs now);
  /// Every one-time secret of this identity, the latest first.
  Result<std::vector<Expectation>> expectations(const Identity& identity);

  /// Whether certificates were meant to be issued for this request.
  Result<bool> knows(ByteView request_hash);
  /// Records the intention, or gives back what is recorded for the same request (with the serials to go on with). `conflict`: the secret was
  /// spent on another request, the request was given up, or a live certificate stands in the way; `denied`: its certificates are no longer good, or the key is
  /// another's or was given away (check_key).
  Result<std::vector<Recorded>> intend(const Issuance& issuance, UnixMs now);
  /// Records signed certificates. Whoever comes first wins; the answer is what stands in the record.
  Result<std::vector<Recorded>> complete(ByteView request_hash, const std::vector<std::pair<Bytes, Bytes>>& serials_and_der);

  /// DER of the live certificates of the identity in a branch, the latest first.
  Result<std::vector<Bytes>> live(const Identity& identity, Held held, Branch branch, UnixMs now);
  /// Revokes every live certificate of the identity, jointly held ones too; their serials. `not_found` if it never had one.
  Result<std::vector<Bytes>> revoke(const Identity& identity, UnixMs now);
  /// Revokes one; false if it was revoked before, whose time and reason then stand. `reason`: CRLReason, 0: unspecified. `not_found` if it was not issued here.
  Result<bool> revoke_certificate(ByteView serial, int reason, UnixMs now);
  Result<crypto::CertStatus> status(Branch branch, ByteView serial);
  /// The same for those that this generation of the issuing CA signed; unknown for others.
  Result<crypto::CertStatus> status(Branch branch, std::int64_t generation, ByteView serial);
  /// good only if exactly this certificate was issued here and is not revoked.
  Result<crypto::CertStatus> status(const crypto::Certificate& certificate);

  /// Within the caller's transaction: `denied` if a live certificate of another identity has the key, or one of any identity that had it was revoked because
  /// the key was compromised.
  static Result<void> check_key(store::Transaction& transaction, std::string_view identity, ByteView key_hash, UnixMs now);

  struct Counts {
    std::int64_t issued = 0;
    std::int64_t revoked = 0;
  };
  Result<Counts> counts();

  /// For those who keep tables of their own beside these (csp/).
  [[nodiscard]] store::Store& store() noexcept { return *store_; }

 private:
  Result<void> note_keys();
  Records(std::unique_ptr<store::Store> store, crypto::CryptoDevice& device) : store_(std::move(store)), device_(device) {}
  std::unique_ptr<store::Store> store_;
  crypto::CryptoDevice& device_;
};

}  // namespace qanat::cas
