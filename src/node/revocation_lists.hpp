// Revocation lists as a source of status beside OCSP: the complete list of each issuing CA, kept while it holds, so that there is an answer when CAS is silent.
#pragma once

#include <functional>
#include <map>
#include <mutex>

#include "base/clock.hpp"
#include "crypto/x509_crl.hpp"

namespace qanat::node {

class RevocationLists {
 public:
  /// The issuer's complete list, DER.
  using Fetch = std::function<Result<Bytes>(const crypto::Certificate& issuer, Deadline deadline)>;
  RevocationLists(Fetch fetch, const Clock& clock) : fetch_(std::move(fetch)), clock_(clock) {}

  /// What the issuer's list says of the certificate: revoked, or good. A list knows nothing of serials that were never given. `unavailable` if there is no list
  /// that holds; `denied` if the list that came is not the issuer's, or is older than the one before it.
  Result<crypto::StatusAnswer> status(const crypto::Certificate& cert, const crypto::Certificate& issuer, Deadline deadline);
  /// Has the issuer's list here if it can be had.
  void keep_ready(const crypto::Certificate& issuer, Deadline deadline);
  /// CAS gave notice of a revocation: what is kept is out of date, and counts no more.
  void out_of_date();

 private:
  struct Kept {
    std::uint64_t number = 0;
    UnixMs this_update = 0;
    UnixMs next_update = 0;
    UnixMs fetched_at = 0;
    std::uint64_t generation = 0;  // of the notices when it was asked for
    std::map<Bytes, crypto::RevokedSerial> revoked;
  };
  /// The list to answer by.
  Result<std::shared_ptr<const Kept>> list_of(const crypto::Certificate& issuer, Deadline deadline);
  Result<std::shared_ptr<const Kept>> fetched(const crypto::Certificate& issuer, const std::shared_ptr<const Kept>& before, std::uint64_t generation,
                                              Deadline deadline);

  const Fetch fetch_;
  const Clock& clock_;
  std::mutex mutex_;
  std::uint64_t generation_ = 0;
  std::map<Bytes, std::shared_ptr<const Kept>> kept_;  // by the issuer's fingerprint
};

}  // namespace qanat::node
