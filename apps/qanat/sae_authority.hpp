// The SAEs of a network on one machine, that is software of others which gets keys from its QKMs or KMSs: a CA of their own, the register of who they are, and
// what the QKMs' configurations say of them (the KMSs ask IAM). `qanat up` makes it, `qanat sae` keeps it. An operator with a CA of his own puts that into the configurations.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "crypto/foreign_issue.hpp"
#include "network.hpp"

namespace qanat::app {

/// What serves SAEs: a QKM its own stocks, to the SAEs of its configuration; a KMS what it agrees on with other KMSs, to the SAEs that IAM has.
enum class SaeAt : std::uint8_t { qkm, kms };

/// Where a QKM or KMS gives keys to SAEs.
struct SaeListener {
  std::string kme;     // its name
  std::string domain;  // the site that it serves
  std::uint16_t port = 0;
  std::uint16_t stream_port = 0;  // of ETSI GS QKD 004; 0: no streams
  SaeAt at = SaeAt::qkm;

  [[nodiscard]] std::string url() const { return "https://127.0.0.1:" + std::to_string(port); }
};
/// Those of the network's plan; none if it was made without.
std::vector<SaeListener> sae_listeners(const Network& network);

/// That of an element that has one.
SaeListener listener_of(const ElementPlan& element);

/// What the listeners speak, for people.
constexpr const char* sae_standards(SaeAt at) { return at == SaeAt::qkm ? "ETSI GS QKD 014, SKIP, ETSI GS QKD 020" : "ETSI GS QKD 014, SKIP"; }

struct SaeRecord {
  std::string name;
  std::string domain;
  std::string kme;
  std::filesystem::path folder;  // where its files were put: <name>.pem, <name>.key, ca.pem
  std::string issued;            // the CA's own copy of its certificate, below sae/issued
  UnixMs not_after_ms = 0;
  bool revoked = false;  // its certificate: it needs another

  [[nodiscard]] crypto::PemFiles files() const { return {.certificate = folder / (name + ".pem"), .key = folder / (name + ".key")}; }
  [[nodiscard]] std::filesystem::path roots() const { return folder / "ca.pem"; }
};

/// The table [sae] of a QKM's or KMS's configuration; `extra`: further lines of the table itself.
std::string sae_table(const Network& network, const SaeListener& listener, const std::string& extra);

/// Open for one command at a time: the next one waits.
class SaeAuthority {
 public:
  /// Before a network's first start: the roots (ECDSA P-384 and ML-DSA-65), empty revocation lists, a certificate of each kind for every listener, an empty
  /// register.
  static Result<void> make(const Network& network, const std::vector<SaeListener>& listeners);
  /// not_found, saying what to do, if the network was made without.
  static Result<SaeAuthority> open(const Network& network) { return open(network, sae_listeners(network)); }
  static Result<SaeAuthority> open(const Network& network, std::vector<SaeListener> listeners);

  SaeAuthority(SaeAuthority&& other) noexcept;
  ~SaeAuthority();

  [[nodiscard]] const std::vector<SaeListener>& listeners() const noexcept { return listeners_; }
  [[nodiscard]] const std::vector<SaeRecord>& saes() const noexcept { return saes_; }
  /// not_found, with the names that there are.
  [[nodiscard]] Result<const SaeRecord*> find(const std::string& name) const;
  [[nodiscard]] Result<const SaeListener*> listener_of(const SaeRecord& sae) const;
  /// Counts the changes that a QKM must read. What `qanat up` has taken up last stands in sae/applied.
  [[nodiscard]] std::int64_t revision() const noexcept { return revision_; }

  /// Certificate, key and roots into `folder`, and the name into the QKMs' configurations. A name that is there needs its certificate revoked first, and stays
  /// in its domain.
  struct Wanted {
    std::string name;
    std::string domain;
    std::filesystem::path folder;  // empty: below the network's own
    crypto::ForeignKey key = crypto::ForeignKey::ecdsa_p256;
    SaeAt at = SaeAt::qkm;  // who serves it; at a KMS, IAM must have it too
  };
  Result<SaeRecord> add(const Wanted& wanted);
  /// The certificate is let in no longer; the name stays, and with it the keys that wait for it.
  Result<SaeRecord> revoke(const std::string& name);
  /// Revokes, and takes the name out of the configurations.
  Result<SaeRecord> remove(const std::string& name);

 private:
  struct Lock;
  SaeAuthority(const Network& network, std::vector<SaeListener> listeners);
  [[nodiscard]] std::filesystem::path file(const std::string& name) const;
  Result<void> read();
  Result<void> write() const;
  Result<void> write_names() const;
  void note_change(const SaeRecord& sae);
  Result<void> revoke_certificate(SaeRecord& sae);
  Result<const SaeListener*> check(const Wanted& wanted) const;

  const Network* network_;
  std::vector<SaeListener> listeners_;
  std::vector<SaeRecord> saes_;
  std::vector<std::string> revoked_;  // files below sae/issued
  std::int64_t revision_ = 0;
  std::int64_t issued_ = 0;  // certificates so far
  std::unique_ptr<Lock> lock_;
};

/// The revision that stands in the register, and the one that the running network has taken up.
Result<std::int64_t> sae_revision(const Network& network);
Result<std::int64_t> sae_applied(const Network& network);
Result<void> set_sae_applied(const Network& network, std::int64_t revision);

}  // namespace qanat::app
