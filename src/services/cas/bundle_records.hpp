// Bundles in cas.db: the certificates of a terminal, recorded together from the moment they were meant to be issued.
#pragma once

#include <map>
#include <optional>

#include "crypto/certificate_bundle.hpp"
#include "services/cas/records.hpp"

namespace qanat::cas {

using crypto::BundleRole;

/// ML-DSA and ML-KEM keys are certified by the ML-DSA CA, the classical ones by the classical CA.
constexpr Branch branch_of(BundleRole role) noexcept {
  return role == BundleRole::ml_dsa_signing || role == BundleRole::ml_kem_encryption ? Branch::ml_dsa : Branch::classical;
}

/// A certificate of a bundle: intended (`der` empty) or issued.
struct BundleMember {
  Bytes serial;
  UnixMs not_before = 0;
  UnixMs not_after = 0;
  Bytes der;
  UnixMs revoked_at = 0;  // 0: is not
  Bytes key_hash = {};    // key_hash_of() the public key, of what is intended
};

/// As it stands in the database; roles that are not meant to be issued yet are absent.
struct Bundle {
  std::int64_t row = 0;
  std::string identity;
  Number number;
  ElementName home_kms;
  Bytes id;                 // empty until the classical signing certificate is issued
  std::int64_t renews = 0;  // 0: none
  std::map<BundleRole, BundleMember> members;

  [[nodiscard]] bool complete() const noexcept;
  /// Complete, and none of its certificates is revoked or has expired.
  [[nodiscard]] bool live(UnixMs now) const noexcept;
};

/// What is about to be signed at once.
struct BundleIntention {
  Bytes request_hash;  // names the request: the same one again gets the same certificates
  Identity identity;
  Number number;
  ElementName home_kms;
  std::map<BundleRole, BundleMember> parts;  // without `der`
};

class BundleRecords {
 public:
  explicit BundleRecords(store::Store& store) : store_(store) {}

  /// Records a terminal's first bundle, or gives back what is recorded for the same request. `conflict` if the terminal or its number has a live certificate,
  /// or the request was given up; `denied` if its certificates are no longer good, or a key is another's or was given away.
  Result<Bundle> begin(const BundleIntention& intention, UnixMs now);
  // Renewal (Ce-2): a bundle follows another, one only, and takes its place when the terminal says that it has it in force.
  /// The bundle whose ML-DSA signing certificate this is; `denied` if there is none (it is from before there were bundles) or it is not live.
  Result<Bundle> in_force(ByteView ml_dsa_serial, UnixMs now);
  struct Begun {
    Bundle bundle;
    std::vector<Bytes> given_up;  // serials that were revoked: of an earlier attempt whose ML-DSA certificate was never issued
  };
  /// Records the classical half of what follows `former`, or gives back what is recorded for the same request. `denied` if `former` is not live any more,
  /// `conflict` if something whole follows it already, or it was not confirmed itself (supersede) and what it follows is still good.
  Result<Begun> begin_renewal(const Bundle& former, const BundleIntention& intention, UnixMs now);
  /// Records the rest of what follows `former`, whose classical half is issued; `denied` if `former` is not live any more, `conflict` if there is no such half,
  /// or this was done for another request.
  Result<Bundle> continue_renewal(const Bundle& former, const BundleIntention& intention, UnixMs now);
  /// The terminal has `bundle` in force: the one that it follows is revoked. Serials; none if that was done, or it follows none.
  Result<std::vector<Bytes>> supersede(const Bundle& bundle, UnixMs now);

  /// Records signed certificates of it. Whoever comes first wins; the answer is what stands in the record.
  Result<Bundle> complete(std::int64_t row, const std::map<BundleRole, Bytes>& der);

  /// A certificate that was issued in somebody's name, with its place in a bundle.
  struct IssuedInName {
    std::string role;  // "joint": a jointly held key (element_est.hpp); empty: from before there were bundles
    Bytes bundle;      // id
    Bytes der;
    UnixMs revoked_at = 0;
  };
  /// Those of an identity that have not expired, revoked ones too, the latest first; at most `most`.
  Result<std::vector<IssuedInName>> issued_to(const Identity& identity, UnixMs now, std::size_t most);

 private:
  store::Store& store_;
};

}  // namespace qanat::cas
