// Who signs CMP's answers: a key and a certificate for signatures under the ML-DSA CA, and one under the device CA, which CAS draws anew by itself. The keys
// live in memory alone; the certificates are recorded before they are signed, like all others. An issuing CA's own key would not do: clients take a
// certificate without digitalSignature for none of a signer, and ours is for certificates.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <mutex>

#include "services/cas/cmp/server.hpp"
#include "services/cas/records.hpp"

namespace qanat::cas {

class CmpSigners {
 public:
  CmpSigners(Records& records, const Authorities& authorities, const crypto::Suite& suite, crypto::Rng& rng, Identity self)
      : records_(records), authorities_(authorities), suite_(suite), rng_(rng), self_(std::move(self)) {}

  /// Draws new signers where there are none, or a third of their life is over.
  Result<void> renew(UnixMs now);
  /// `unavailable` before the first renew(). Shared: who signs with it keeps it while it is renewed.
  Result<std::shared_ptr<const crypto::CmpSigner>> signer(CmpSignerKind kind) const;

 private:
  Result<std::shared_ptr<const crypto::CmpSigner>> draw(CmpSignerKind kind, UnixMs now);

  Records& records_;
  const Authorities& authorities_;
  const crypto::Suite& suite_;
  crypto::Rng& rng_;
  const Identity self_;
  mutable std::mutex mutex_;
  std::array<std::shared_ptr<const crypto::CmpSigner>, all_cmp_signers.size()> signers_;  // under mutex_
};

}  // namespace qanat::cas
