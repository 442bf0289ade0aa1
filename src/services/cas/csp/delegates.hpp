// Who signs status answers for the issuing CAs: a key and a short-lived certificate of each (RFC 6960 §4.2.2.2), drawn anew by itself. The keys live in
// memory alone; the certificates are recorded before they are signed, like all others.
#pragma once

#include <array>
#include <chrono>
#include <mutex>

#include "crypto/random.hpp"
#include "crypto/x509_respond.hpp"
#include "services/cas/records.hpp"

namespace qanat::cas {

class Delegates {
 public:
  Delegates(Records& records, const Authorities& authorities, const crypto::Suite& suite, crypto::Rng& rng, Identity self, std::chrono::seconds lifetime)
      : records_(records), authorities_(authorities), suite_(suite), rng_(rng), self_(std::move(self)), lifetime_(lifetime) {}

  /// Draws new signers where there are none, or less than two thirds of their life is left.
  Result<void> renew(UnixMs now);
  /// The signer of this branch; `unavailable` before the first renew().
  Result<crypto::StatusSigner> signer(Branch branch) const;

 private:
  Result<crypto::StatusSigner> certified(Branch branch, const crypto::PrivateKey& key, UnixMs now);

  Records& records_;
  const Authorities& authorities_;
  const crypto::Suite& suite_;
  crypto::Rng& rng_;
  const Identity self_;
  const std::chrono::seconds lifetime_;
  mutable std::mutex mutex_;
  std::array<std::optional<crypto::StatusSigner>, branch_count> signers_;  // under mutex_
};

}  // namespace qanat::cas
