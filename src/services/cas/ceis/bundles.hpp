// Issuing the certificates of a terminal: those of one request are recorded before any of them is signed, signed in the order in which they name each other,
// and recorded together before any is handed out.
#pragma once

#include <chrono>
#include <functional>

#include "crypto/random.hpp"
#include "services/cas/bundle_records.hpp"
#include "services/cas/ceis/lint.hpp"

namespace qanat::cas {

using BundleKeys = std::map<BundleRole, Bytes>;  // public keys

/// A request that has passed the policy.
struct BundleOrder {
  crypto::SubjectNames names;  // `element` and `number` are set
  ElementName home_kms;
  Bytes request_hash;
  std::chrono::milliseconds lifetime{};
  BundleKeys keys;  // of the suite
};

/// The keys of all four roles. invalid_argument if the encryption keys are none of the suite.
Result<BundleKeys> bundle_keys(const crypto::Suite& suite, const crypto::CertificateRequest& classical, const crypto::CertificateRequest& ml_dsa,
                               const crypto::EncapsulationKey& encryption);

class BundleIssuer {
 public:
  /// `status_url`: as for Issuer.
  BundleIssuer(BundleRecords& records, const Authorities& authorities, const crypto::Suite& suite, crypto::Rng& rng, std::string status_url)
      : records_(records), authorities_(authorities), suite_(suite), rng_(rng), status_url_(std::move(status_url)) {}

  /// A terminal's first bundle.
  Result<Bundle> issue(const BundleOrder& order, UnixMs now);
  using Revoked = std::function<Result<void>(const std::vector<Bytes>& serials)>;
  /// The classical half of what follows `former`. `revoked` hears of what was revoked for it, before anything is signed: that stands whatever comes then.
  Result<Bundle> begin_renewal(const Bundle& former, const BundleOrder& order, UnixMs now, const Revoked& revoked);
  /// The rest of it.
  Result<Bundle> continue_renewal(const Bundle& former, const BundleOrder& order, UnixMs now);

 private:
  Result<BundleIntention> intention_of(const BundleOrder& order, UnixMs now);
  [[nodiscard]] Draft draft_of(const BundleOrder& order, BundleRole role, const BundleMember& member) const;
  Result<Bundle> finish(const BundleOrder& order, Bundle intended);
  Result<crypto::Certificate> sign(const BundleOrder& order, BundleRole role, const BundleMember& member,
                                   const std::map<BundleRole, Bytes>& signed_before) const;

  BundleRecords& records_;
  const Authorities& authorities_;
  const crypto::Suite& suite_;
  crypto::Rng& rng_;
  const std::string status_url_;
};

}  // namespace qanat::cas
