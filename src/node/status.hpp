// Certificate status by OCSP and revocation lists at CAS, and lists in a directory, in the order of the settings, cached while fresh: the check behind every
// connection (both ways) and behind step 5.
#pragma once

#include <map>
#include <mutex>
#include <set>

#include "crypto/random.hpp"
#include "crypto/x509.hpp"
#include "net/client.hpp"
#include "node/revocation_lists.hpp"
#include "node/settings.hpp"
#include "points/points.hpp"

namespace qanat::node {

class StatusChecker {
 public:
  /// `endpoint`: the Cq row of this element's kind. `cas` must outlive the checker.
  StatusChecker(StatusSettings settings, points::Endpoint endpoint, net::Client& cas, const crypto::TrustStore& trust, crypto::Rng& rng, const Clock& clock);

  /// good → value; revoked or unknown → denied; no answer of any source and no usable earlier one → unavailable. The first source that answers is believed;
  /// the next is asked only where one is silent.
  Result<void> check(const crypto::Certificate& cert, Deadline deadline);
  /// The same with chain and validity. A chain that held is not computed again while it is as young as a fresh status; the leaf's own
  /// validity is looked at each time.
  Result<void> check_with_chain(const crypto::Certificate& cert, Deadline deadline, crypto::LeafUse use = crypto::LeafUse::signing);
  /// What the holder of the certificate stapled to it: kept like an answer that was asked for, with the age that it says itself, unless it does not hold or
  /// CAS has given notice of the certificate (forget), after which only CAS is believed. Says nothing of its own: check() judges.
  void take_stapled(const crypto::Certificate& cert, ByteView response);
  struct Fetched {
    crypto::StatusAnswer answer;
    Bytes response;  // DER
  };
  /// Asks CAS by OCSP, whatever is known.
  Result<Fetched> fetch(const crypto::Certificate& cert, Deadline deadline);
  /// Forgets what is known about certificates with these fingerprints (SHA-256), and what is being asked at present.
  void forget(const std::set<Bytes>& fingerprints);
  /// Notices may have been missed: everything is asked for again, and what was stapled before now is not believed.
  void forget_all();

 private:
  struct Entry {
    crypto::StatusAnswer answer;
    UnixMs asked_at;
  };

  /// `issuer`: nullptr where it must be looked for, if CAS is to be asked.
  Result<void> check_issued_by(const crypto::Certificate* issuer, const crypto::Certificate& cert, Deadline deadline);
  Result<crypto::StatusAnswer> answer_in_order(const crypto::Certificate& cert, const crypto::Certificate& issuer, Deadline deadline);
  Result<crypto::StatusAnswer> answer_of(StatusSource source, const crypto::Certificate& cert, const crypto::Certificate& issuer, Deadline deadline);
  /// The same for a certificate whose issuer is known: to find it costs a signature.
  Result<Fetched> fetch_of(const crypto::Certificate& cert, const crypto::Certificate& issuer, Deadline deadline);
  RevocationLists& lists_of(StatusSource source) noexcept { return source == StatusSource::ldap ? directory_lists_ : lists_; }
  Result<Bytes> fetch_list(const crypto::Certificate& issuer, Deadline deadline);

  const StatusSettings settings_;
  const points::Endpoint endpoint_;
  net::Client& cas_;
  const crypto::TrustStore& trust_;
  crypto::Rng& rng_;
  const Clock& clock_;
  RevocationLists lists_;            // from CAS
  RevocationLists directory_lists_;  // from the directory
  std::mutex mutex_;
  std::map<Bytes, Entry> entries_;       // by certificate fingerprint
  std::set<Bytes> noticed_;              // by certificate fingerprint: those that CAS gave notice of
  UnixMs staples_from_ = 0;              // older stapled answers are not believed
  std::uint64_t generation_ = 0;         // grows with each forget(): an answer that was asked for before is not kept
  std::map<std::pair<Bytes, crypto::LeafUse>, UnixMs> chains_held_;  // by certificate fingerprint and use: when the chain was last verified
};

/// How long a question may take is what the request that it serves says, and so its sender's choice: only who had this much time, and did not answer in it, is
/// silent. Otherwise a sender in haste would choose which source is believed, or what is done without an answer.
inline constexpr std::chrono::milliseconds status_answer_min{500};
inline bool in_haste(Deadline deadline) { return deadline.remaining() < status_answer_min; }

/// The Cq (or X-4) row by which an element of this kind asks for status.
points::Endpoint status_endpoint(Kind kind) noexcept;
/// The Cd row of those who ask for status at this row; nothing if they are given no lists.
std::optional<points::Endpoint> list_endpoint(points::Endpoint status) noexcept;

}  // namespace qanat::node
