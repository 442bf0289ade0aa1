// What status answers, revocation lists and the directory are made from: views of cas.db.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "crypto/x509_crl.hpp"
#include "services/cas/records.hpp"

namespace qanat::cas {

/// How a certificate stands; `revoked_at` of a revoked one, `not_after` of one that is known.
struct Standing {
  crypto::CertStatus status = crypto::CertStatus::unknown;
  UnixMs revoked_at = 0;
  UnixMs not_after = 0;
  int reason = 0;  // CRLReason of a revoked one; 0: none was given
  std::int64_t generation = 0;  // of its issuer, of one that is known
};

struct LiveCertificate {
  Branch branch{};
  Bytes serial;
};

/// A revocation list as it was published.
struct PublishedList {
  Branch branch{};
  std::string scope;  // "full", "delta", or the number of a shard; of a later device CA as of scope_in() (places.hpp)
  std::uint64_t number = 0;
  std::uint64_t base_number = 0;  // of the complete list that deltas add to at present
  UnixMs base_at = 0;             // its thisUpdate
  UnixMs this_update = 0;
  UnixMs next_update = 0;
  Bytes der;
};

/// A certificate with what its publication depends on.
struct IssuedCertificate {
  Branch branch{};
  Bytes serial;
  std::string identity;
  Bytes der;
  UnixMs not_after = 0;
  bool revoked = false;
};

/// A row of the outbox.
struct Errand {
  enum class Kind : std::uint8_t { authority, certificate, list };
  std::int64_t id = 0;
  Kind kind{};
  Branch branch{};
  Bytes name;
};

class StatusRecords {
 public:
  explicit StatusRecords(store::Store& store) : store_(store) {}

  Result<Standing> standing(Branch branch, ByteView serial);
  /// Certificates that are not expired, of the CAs that issue now, the latest first; at most `most`.
  Result<std::vector<LiveCertificate>> live(UnixMs now, std::size_t most);
  /// Of certificates that had not expired at `not_expired_at`: those that were revoked at or after `since`.
  Result<std::vector<crypto::RevokedSerial>> revoked(Branch branch, UnixMs not_expired_at, UnixMs since);
  /// The certificates with these serials.
  Result<std::vector<IssuedCertificate>> certificates(std::span<const Bytes> serials);
  /// Every certificate of the identity that is neither revoked nor expired.
  Result<std::vector<IssuedCertificate>> live_of(std::string_view identity, UnixMs now);

  Result<std::optional<PublishedList>> list(Branch branch, std::string_view scope);
  /// Keeps lists of one moment together: all of them or none.
  Result<void> publish(std::span<const PublishedList> lists);
  /// Puts certificates that expired between the two times into the outbox: the directory is to forget them.
  Result<void> note_expired(Branch branch, UnixMs from, UnixMs until);

  Result<std::optional<Errand>> next_errand();
  /// The row goes unless it was replaced by a later one meanwhile.
  Result<void> errand_done(std::int64_t id);
  Result<std::int64_t> errands_waiting();

 private:
  store::Store& store_;
};

}  // namespace qanat::cas
