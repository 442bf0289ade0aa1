// The desk behind the protocols of CEIS: a protocol finds out who asks and whether the key is theirs, the desk decides what they get. The rules of issuing are
// here once: registration, IAM's word, names, profile, approval, lint, then the record before the signature.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "node/node.hpp"
#include "services/cas/ceis/issuer.hpp"
#include "services/cas/ceis/registration.hpp"

namespace qanat::cas {

enum class Protocol : std::uint8_t { est, acme, cmp, scep, by_hand };  // by_hand: an operator brings the request
std::string_view name(Protocol protocol) noexcept;

/// Whether the asker has the private key.
enum class Possession : std::uint8_t {
  proved,   // a signature by the key itself
  vouched,  // an RA that policy trusts says so, or we made the key ourselves
};

struct Asked {
  Protocol protocol{};
  std::string reference;  // of the registration, whose secret or certificate the protocol has checked
  crypto::SubjectPublicKey key;
  crypto::AskedNames names = {};
  Possession possession = Possession::proved;
  Bytes request_hash = {};  // names the request: the same one again gets the same certificate. At least the key, and the protocol's transaction if it has one
  Bytes renews = {};        // DER of the certificate that it was authenticated with; empty: with the registration's secret
};

struct Given {
  Bytes certificate;         // DER
  std::vector<Bytes> chain;  // its issuing CA, without the root; the device CA, which is its own root, stands there
};
/// Two operators must approve first.
struct Waiting {
  std::string ticket;
  std::chrono::seconds retry_after{};
};
using Outcome = std::variant<Given, Waiting>;

/// A device CA and the one after it (RFC 9810 §4.4), DER; a link is empty where there is none.
struct Succession {
  bool to_come = false;  // the new one is published and does not issue yet
  Bytes old_with_old;
  Bytes new_with_new;
  Bytes new_with_old;
  Bytes old_with_new;
};

/// What IAM says of an identity: `denied` unless it is active.
using Vouch = std::function<Result<void>(const Uid& subject, Deadline deadline, const std::string& request_id)>;

class Desk {
 public:
  virtual ~Desk() = default;

  /// not_found if there is none or it is over.
  virtual Result<Registration> registration(std::string_view reference) = 0;
  /// The 32 octets; same failures.
  virtual Result<Secret> secret_of(std::string_view reference) = 0;
  /// Whose certificate this is: `denied` unless it was issued here for a registration that still stands, holds now, and is not revoked.
  virtual Result<Registration> holder_of(ByteView certificate_der) = 0;

  /// Decides, records, issues. On audit record whatever its outcome. `denied` and `invalid_argument` say what does not fit.
  virtual Result<Outcome> order(const Asked& asked, Deadline deadline, const std::string& request_id) = 0;
  /// What has become of a ticket: the same, `denied` if it was rejected, not_found if there is none.
  virtual Result<Outcome> collect(std::string_view ticket) = 0;
  /// Revokes one certificate that was issued here; the second time does nothing. `by`: who asked, for the record. `reason`: CRLReason (RFC 5280 §5.3.1).
  virtual Result<void> revoke(ByteView certificate_der, int reason, std::string_view by, const std::string& request_id) = 0;
  /// A certificate that was issued here, by serial; not_found.
  virtual Result<Bytes> find(ByteView serial) = 0;

  /// What a protocol refused before it came to an order (a wrong MAC, a stale nonce by someone who named a registration): on audit record, and in IAM's
  /// behaviour records where it names a registration. Bounded: many a second are counted together.
  virtual void refused(Protocol protocol, std::string_view reference, std::string_view why, const std::string& request_id) = 0;

  /// Issuing CAs of a branch in force, with its root where it has one, for cacerts and the like: DER, issuing CA first.
  [[nodiscard]] virtual std::vector<Bytes> ca_chain(Branch branch) const = 0;
  /// How who trusts one device CA comes to the next: to the one that is to come, or else, as long as the CA before it holds, to the one that issues.
  [[nodiscard]] virtual std::optional<Succession> succession() const { return std::nullopt; }
  /// Which branch signs for a key: ML-DSA and ML-KEM keys the ML-DSA CA, SM2 keys the classical one, RSA and ECDSA keys the device CA.
  [[nodiscard]] virtual Branch branch_for(crypto::SubjectAlgorithm algorithm) const noexcept = 0;
};

}  // namespace qanat::cas
